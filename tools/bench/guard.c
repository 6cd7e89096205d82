// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to guard an ioctl or a section of code, in nanoseconds on this
 * machine: a replica, in user space, of the x86-64 code that Linux 7.2 and our
 * core run when no device is gone. Neither UML (no SMP, or two host system calls
 * per per-CPU access) nor an emulated guest can show nanoseconds.
 *
 * Per-CPU data is addressed through %gs as in the kernel, by the same
 * instructions, and each function that is a call in the kernel is one here, with
 * the prologue that Debian's kernel has (flags: see bench). Left out: return
 * thunks and other mitigations, cache misses, interrupts. The functions were
 * compared with the disassembly of vmlinux and of both drm.ko.
 *
 * Prints "samples METRIC - ns VALUE...", a value for each round. The variants
 * take turns in each round, so that whatever else the machine does hits all.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <asm/prctl.h>
#include <sys/syscall.h>

#define ROUNDS	1500
#define CALLS	2000

/* A function of another file, or of the kernel image, to a compiler. */
#define FAR		__attribute__((noipa))
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define READ_ONCE(x)	(*(const volatile typeof(x) *)&(x))
#define barrier()	asm volatile("" : : : "memory")
#define smp_mb()	asm volatile("lock addl $0,-4(%%rsp)" : : : "memory", "cc")

/* ---- per-CPU data and SRCU: pointers are offsets from %gs ---- */

struct srcu_ctr {
	unsigned long locks;
	unsigned long unlocks;
};

static struct {
	struct srcu_ctr stock[2];
	struct srcu_ctr ours[2];
	struct task *current;
} percpu __attribute__((aligned(64)));

#define PERCPU(member)	((typeof(&percpu.member))__builtin_offsetof(typeof(percpu), member))

#define this_cpu_inc(ptr) \
	asm volatile("incq %%gs:%0" : "+m"(*(ptr)) : : "memory", "cc")

/* The members that readers touch, at their offsets. */
struct srcu {
	struct srcu_ctr *ctrp;
	struct srcu_ctr *sda;
};

FAR int __srcu_read_lock(struct srcu *srcu)
{
	struct srcu_ctr *ctr = READ_ONCE(srcu->ctrp);

	this_cpu_inc(&ctr->locks);
	smp_mb();
	return ctr != srcu->sda;
}

FAR void __srcu_read_unlock(struct srcu *srcu, int idx)
{
	smp_mb();
	this_cpu_inc(&srcu->sda[idx].unlocks);
}

static inline struct srcu_ctr *srcu_read_lock_fast(struct srcu *srcu)
{
	struct srcu_ctr *ctr = READ_ONCE(srcu->ctrp);

	this_cpu_inc(&ctr->locks);
	barrier();
	return ctr;
}

static inline void srcu_read_unlock_fast(struct srcu_ctr *ctr)
{
	barrier();
	this_cpu_inc(&ctr->unlocks);
}

/* ---- RCU of a kernel with PREEMPT_RCU, and xa_load() ---- */

struct task {
	int rcu_nesting;
	int rcu_special;
};

static inline struct task *current_task(void)
{
	struct task *task;

	asm volatile("movq %%gs:%a1,%0" : "=r"(task) : "i"(PERCPU(current)));
	return task;
}

FAR void __rcu_read_lock(void)
{
	struct task *task = current_task();

	task->rcu_nesting = READ_ONCE(task->rcu_nesting) + 1;
	barrier();
}

FAR void __rcu_read_unlock(void)
{
	struct task *task = current_task();

	barrier();
	if (!--task->rcu_nesting && unlikely(READ_ONCE(task->rcu_special)))
		abort();
}

struct xa_node {
	unsigned char shift, offset, count, nr_values;
	struct xa_node *parent;
	void *array;
	void *list[2];
	void *slots[64];
};

struct xarray {
	unsigned int lock, flags;
	void *head;
};

struct xa_state {
	struct xarray *xa;
	unsigned long index;
	unsigned char shift, sibs, offset, pad;
	struct xa_node *node;
	struct xa_node *alloc;
	void *update, *lru;
};

#define XAS_RESTART	((struct xa_node *)3)
#define XA_ZERO		((void *)(257 << 2 | 2))
#define XA_RETRY	((void *)(256 << 2 | 2))

static inline bool xa_is_node(const void *entry)
{
	return ((unsigned long)entry & 3) == 2 && (unsigned long)entry > 4096;
}

static inline bool xa_is_sibling(const void *entry)
{
	return ((unsigned long)entry & 3) == 2 && (unsigned long)entry <= (62 << 2 | 2);
}

FAR void *xas_start(struct xa_state *xas)
{
	unsigned long node = (unsigned long)xas->node;
	void *entry;

	if (!(node & 3) || ((node & 3) == 2 && node > -16380UL))
		abort();

	entry = READ_ONCE(xas->xa->head);
	if (!xa_is_node(entry)) {
		if (xas->index)
			abort();
	} else {
		struct xa_node *root = (struct xa_node *)((unsigned long)entry - 2);

		if (xas->index >> root->shift > 63)
			abort();
	}
	xas->node = NULL;
	return entry;
}

FAR void *xas_load(struct xa_state *xas)
{
	void *entry = xas_start(xas);

	while (xa_is_node(entry)) {
		struct xa_node *node = (struct xa_node *)((unsigned long)entry - 2);
		unsigned int offset;

		if (xas->shift > node->shift)
			break;
		offset = xas->index >> node->shift & 63;
		entry = READ_ONCE(node->slots[offset]);
		xas->node = node;
		if (unlikely(xa_is_sibling(entry)))
			abort();
		xas->offset = offset;
		if (!node->shift)
			break;
	}
	return entry;
}

FAR void *xa_load(struct xarray *xa, unsigned long index)
{
	struct xa_state xas = { .xa = xa, .index = index, .node = XAS_RESTART };
	void *entry;

	__rcu_read_lock();
	for (;;) {
		entry = xas_load(&xas);
		if (entry == XA_ZERO)
			entry = NULL;
		if (likely(entry != XA_RETRY))
			break;
		xas.node = XAS_RESTART;
	}
	__rcu_read_unlock();
	return entry;
}

/* ---- a device ---- */

struct unplug {
	void *dev;
	bool gone;
	struct srcu srcu;
	void *rest[2];
	uint32_t id;
};

struct inode {
	char before[0x228];
	struct unplug *private;
};

struct drm_device {
	char before[0x7c];
	bool unplugged;
	struct inode *anon_inode;
};

static struct srcu stock_srcu = { PERCPU(stock[0]), PERCPU(stock[0]) };
static struct unplug unplug = {
	.srcu = { PERCPU(ours[0]), PERCPU(ours[0]) },
	.id = 1,
};
static struct inode inode = { .private = &unplug };
static struct drm_device device = { .anon_inode = &inode };
static struct xa_node table_node;
static struct xarray table;
static bool unplug_late;

/* ---- Linux 7.2 ---- */

FAR bool stock_dev_enter(struct drm_device *dev, int *idx)
{
	*idx = __srcu_read_lock(&stock_srcu);

	if (unlikely(dev->unplugged)) {
		__srcu_read_unlock(&stock_srcu, *idx);
		return false;
	}
	return true;
}

FAR void stock_dev_exit(int idx)
{
	__srcu_read_unlock(&stock_srcu, idx);
}

static inline bool stock_is_unplugged(struct drm_device *dev)
{
	int idx;

	if (stock_dev_enter(dev, &idx)) {
		stock_dev_exit(idx);
		return false;
	}
	return true;
}

/* ---- ours ---- */

static inline struct unplug *unplug_of(struct drm_device *dev)
{
	return dev->anon_inode->private;
}

FAR bool our_dev_enter(struct drm_device *dev, int *idx)
{
	struct unplug *u = unplug_of(dev);
	struct srcu_ctr *ctr = srcu_read_lock_fast(&u->srcu);

	if (unlikely(READ_ONCE(dev->unplugged))) {
		srcu_read_unlock_fast(ctr);
		*idx = 0;
		return false;
	}
	*idx = u->id << 1 | (ctr != u->srcu.sda);
	return true;
}

FAR void our_dev_exit(int idx)
{
	struct unplug *u = xa_load(&table, idx >> 1);

	if (unlikely(!u))
		abort();
	srcu_read_unlock_fast(&u->srcu.sda[idx & 1]);
}

struct gate {
	struct unplug *unplug;
	struct srcu_ctr *ctr;
};

FAR void our_gate_exit(struct gate *gate)
{
	if (gate->unplug)
		srcu_read_unlock_fast(gate->ctr);
}

FAR struct gate our_gate_enter(struct unplug *u)
{
	struct gate gate = { u, srcu_read_lock_fast(&u->srcu) };

	if (unlikely(READ_ONCE(u->gone))) {
		srcu_read_unlock_fast(gate.ctr);
		gate.unplug = NULL;
	}
	return gate;
}

#define UNPLUG_WAITS	(1u << 6)
#define UNPLUG_SAFE	(1u << 7)

FAR bool ioctl_flags(unsigned int nr, unsigned int *flags)
{
	*flags = nr;
	return true;
}

FAR bool our_ioctl_refused(struct drm_device *dev, unsigned int cmd)
{
	unsigned int flags = 0;

	if (likely(!READ_ONCE(unplug_of(dev)->gone)) || READ_ONCE(unplug_late))
		return false;
	return !ioctl_flags(cmd & 0xff, &flags) || !(flags & UNPLUG_SAFE);
}

FAR bool our_ioctl_enter(struct drm_device *dev, uint32_t flags, struct gate *gate)
{
	struct unplug *u = unplug_of(dev);

	gate->unplug = NULL;
	if (unlikely(flags & UNPLUG_SAFE))
		return true;
	if (unlikely(flags & UNPLUG_WAITS))
		return !READ_ONCE(u->gone) || READ_ONCE(unplug_late);

	gate->unplug = u;
	gate->ctr = srcu_read_lock_fast(&u->srcu);
	if (unlikely(READ_ONCE(u->gone))) {
		srcu_read_unlock_fast(gate->ctr);
		gate->unplug = NULL;
	}
	return gate->unplug || READ_ONCE(unplug_late);
}

FAR int our_ioctl_exit(struct drm_device *dev, uint32_t flags, struct gate *gate, int ret)
{
	if (unlikely(ret < 0) && !(flags & UNPLUG_SAFE) && READ_ONCE(unplug_of(dev)->gone))
		ret = -19;
	if (gate->unplug)
		srcu_read_unlock_fast(gate->ctr);
	return ret;
}

/* ---- what is measured ---- */

static struct drm_device *volatile the_device = &device;
static volatile uint32_t the_flags = 1u << 5;

static void failed(void)
{
	fprintf(stderr, "guard: a device that is there was found gone\n");
	exit(1);
}

FAR void plain_call(struct drm_device *dev)
{
	(void)dev;
	barrier();
}

/* As a function each, because a handler runs between the two. */
static void loop_calls(void)
{
	struct drm_device *dev = the_device;

	plain_call(dev);
	plain_call(dev);
}

static void stock_ioctl(void)
{
	struct drm_device *dev = the_device;

	if (stock_is_unplugged(dev) || stock_is_unplugged(dev))
		failed();
}

static void our_ioctl(void)
{
	struct drm_device *dev = the_device;
	uint32_t flags = the_flags;
	struct gate gate;

	if (our_ioctl_refused(dev, 1) || !our_ioctl_enter(dev, flags, &gate) ||
	    our_ioctl_exit(dev, flags, &gate, 0))
		failed();
}

static void stock_section(void)
{
	struct drm_device *dev = the_device;
	int idx;

	if (!stock_dev_enter(dev, &idx))
		failed();
	stock_dev_exit(idx);
}

static void our_section(void)
{
	struct drm_device *dev = the_device;
	int idx;

	if (!our_dev_enter(dev, &idx))
		failed();
	our_dev_exit(idx);
}

static void stock_nested(void)
{
	struct drm_device *dev = the_device;
	int outer, inner;

	if (!stock_dev_enter(dev, &outer) || !stock_dev_enter(dev, &inner))
		failed();
	stock_dev_exit(inner);
	stock_dev_exit(outer);
}

static void our_nested(void)
{
	struct drm_device *dev = the_device;
	int outer, inner;

	if (!our_dev_enter(dev, &outer) || !our_dev_enter(dev, &inner))
		failed();
	our_dev_exit(inner);
	our_dev_exit(outer);
}

static void stock_ioctl_section(void)
{
	struct drm_device *dev = the_device;
	int idx;

	if (stock_is_unplugged(dev) || stock_is_unplugged(dev) || !stock_dev_enter(dev, &idx))
		failed();
	stock_dev_exit(idx);
}

static void our_ioctl_section(void)
{
	struct drm_device *dev = the_device;
	uint32_t flags = the_flags;
	struct gate gate;
	int idx;

	if (our_ioctl_refused(dev, 1) || !our_ioctl_enter(dev, flags, &gate) ||
	    !our_dev_enter(dev, &idx))
		failed();
	our_dev_exit(idx);
	if (our_ioctl_exit(dev, flags, &gate, 0))
		failed();
}

static void our_fault(void)
{
	struct gate gate = our_gate_enter(unplug_of(the_device));

	if (!gate.unplug)
		failed();
	our_gate_exit(&gate);
}

static void null_syscall(void)
{
	syscall(SYS_getppid);
}

static const struct {
	const char *name;
	void (*run)(void);
} variants[] = {
	{ "calls", loop_calls },
	{ "ioctl.stock", stock_ioctl },
	{ "ioctl.ours", our_ioctl },
	{ "section.stock", stock_section },
	{ "section.ours", our_section },
	{ "nested.stock", stock_nested },
	{ "nested.ours", our_nested },
	{ "ioctl-section.stock", stock_ioctl_section },
	{ "ioctl-section.ours", our_ioctl_section },
	{ "fault.ours", our_fault },
	{ "syscall", null_syscall },
};

#define N_VARIANTS (sizeof(variants) / sizeof(*variants))

static uint64_t samples[N_VARIANTS][ROUNDS];

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

int main(void)
{
	static struct task task;
	unsigned int round, v, i;

	percpu.current = &task;
	table_node.slots[unplug.id] = &unplug;
	table.head = (void *)((unsigned long)&table_node | 2);
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, &percpu)) {
		perror("guard: arch_prctl");
		return 1;
	}

	for (round = 0; round < ROUNDS; round++) {
		for (v = 0; v < N_VARIANTS; v++) {
			void (*volatile run)(void) = variants[v].run;
			uint64_t start = now();

			for (i = 0; i < CALLS; i++)
				run();
			samples[v][round] = (now() - start) * 100 / CALLS;
		}
	}

	if (percpu.stock[0].locks != percpu.stock[0].unlocks ||
	    percpu.ours[0].locks != percpu.ours[0].unlocks || !percpu.ours[0].locks ||
	    task.rcu_nesting)
		failed();

	for (v = 0; v < N_VARIANTS; v++) {
		printf("samples guard.%s - ns", variants[v].name);
		for (round = 0; round < ROUNDS; round++)
			printf(" %llu.%02llu", samples[v][round] / 100ull, samples[v][round] % 100ull);
		printf("\n");
	}
	return 0;
}
