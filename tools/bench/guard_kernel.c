// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's side of guard.c: a device and a file, and the few functions of the
 * kernel image that a guard calls. Compiled with the kernel's headers and flags,
 * linked with both drm.ko into a program.
 *
 * Per-CPU data of CPU 0 has the offset 0, so that what %gs addresses are the
 * variables themselves.
 */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_ioctl.h>

#include "drm_unplug_internal.h"

void guard_failed(const char *why);
unsigned long guard_alloc(unsigned long size);

/* ---- functions of the kernel image, as it has them ---- */

noinline int __srcu_read_lock(struct srcu_struct *ssp)
{
	struct srcu_ctr __percpu *ctr = READ_ONCE(ssp->srcu_ctrp);

	this_cpu_inc(ctr->srcu_locks.counter);
	smp_mb();
	return __srcu_ptr_to_ctr(ssp, ctr);
}

noinline void __srcu_read_unlock(struct srcu_struct *ssp, int idx)
{
	smp_mb();
	this_cpu_inc(__srcu_ctr_to_ptr(ssp, idx)->srcu_unlocks.counter);
}

noinline void __rcu_read_lock(void)
{
	WRITE_ONCE(current->rcu_read_lock_nesting, READ_ONCE(current->rcu_read_lock_nesting) + 1);
	barrier();
}

noinline void __rcu_read_unlock(void)
{
	struct task_struct *task = current;

	barrier();
	if (!--task->rcu_read_lock_nesting && unlikely(READ_ONCE(task->rcu_read_unlock_special.s)))
		guard_failed("RCU wants attention");
}

/* The walk of a tree in which all is there. */
static noinline void *guard_xas_start(struct xa_state *xas)
{
	void *entry;

	if (xas_valid(xas) || xas_error(xas))
		guard_failed("an xarray walk has begun before");
	entry = rcu_dereference_raw(xas->xa->xa_head);
	if (!xa_is_node(entry)) {
		if (xas->xa_index)
			return NULL;
	} else if (xas->xa_index >> xa_to_node(entry)->shift > XA_CHUNK_MASK) {
		return NULL;
	}
	xas->xa_node = NULL;
	return entry;
}

static noinline void *guard_xas_load(struct xa_state *xas)
{
	void *entry = guard_xas_start(xas);

	while (xa_is_node(entry)) {
		struct xa_node *node = xa_to_node(entry);
		unsigned int offset;

		if (xas->xa_shift > node->shift)
			break;
		offset = (xas->xa_index >> node->shift) & XA_CHUNK_MASK;
		entry = rcu_dereference_raw(node->slots[offset]);
		xas->xa_node = node;
		if (unlikely(xa_is_sibling(entry)))
			guard_failed("an xarray has a sibling");
		xas->xa_offset = offset;
		if (!node->shift)
			break;
	}
	return entry;
}

noinline void *xa_load(struct xarray *xa, unsigned long index)
{
	XA_STATE(xas, xa, index);
	void *entry;

	rcu_read_lock();
	do {
		entry = guard_xas_load(&xas);
		if (xa_is_zero(entry))
			entry = NULL;
	} while (xas_retry(&xas, entry));
	rcu_read_unlock();

	return entry;
}

/* An ioctl without an argument copies nothing. */
noinline void __check_object_size(const void *ptr, unsigned long n, bool to_user)
{
}

noinline unsigned long _copy_from_user(void *to, const void __user *from, unsigned long n)
{
	return 0;
}

noinline unsigned long _copy_to_user(void __user *to, const void *from, unsigned long n)
{
	return 0;
}

/* ---- what sets up a device calls these; their cost does not count ---- */

int __xa_alloc(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, gfp_t gfp)
{
	struct xa_node *node;

	if (!xa->xa_head)
		xa->xa_head = (void *)(guard_alloc(sizeof(*node)) | 2);
	node = xa_to_node(xa->xa_head);
	*id = max(limit.min, ++node->count);
	node->slots[*id & XA_CHUNK_MASK] = entry;
	return 0;
}

static int guard_srcu(struct srcu_struct *ssp)
{
	ssp->sda = (void __percpu __force *)guard_alloc(sizeof(struct srcu_data));
	ssp->srcu_ctrp = &ssp->sda->srcu_ctrs[0];
	return 0;
}

int init_srcu_struct_fast(struct srcu_struct *ssp)
{
	return guard_srcu(ssp);
}

void *__kmalloc_cache_noprof(struct kmem_cache *cache, gfp_t gfp, size_t size)
{
	return (void *)guard_alloc(size);
}

void *__kmalloc_noprof(size_t size, gfp_t gfp)
{
	return (void *)guard_alloc(size);
}

void __percpu *pcpu_alloc_noprof(size_t size, size_t align, bool reserved, gfp_t gfp)
{
	return (void __percpu __force *)guard_alloc(size);
}

struct workqueue_struct *alloc_workqueue_noprof(const char *fmt, unsigned int flags,
						int max_active, ...)
{
	return (void *)guard_alloc(256);
}

/* ---- a device ---- */

extern struct srcu_struct stock_drm_unplug_srcu;
long bare_drm_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long stock_drm_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
bool stock_drm_dev_enter(struct drm_device *dev, int *idx);
void stock_drm_dev_exit(int idx);

static struct drm_device device;
static struct inode anon_inode;
static struct address_space mapping;
static struct device kdev;
static struct drm_minor minor = { .type = DRM_MINOR_RENDER, .kdev = &kdev, .dev = &device };
static struct drm_file drm_file = { .minor = &minor, .was_master = true };
static struct file file = { .private_data = &drm_file };
static struct vm_area_struct vma;
static struct mm_struct mm;

static noinline int guard_handler(struct drm_device *dev, void *data, struct drm_file *priv)
{
	return 0;
}

static noinline vm_fault_t guard_fault(struct vm_fault *vmf)
{
	return VM_FAULT_NOPAGE;
}

#define GUARD_IOCTL	_IO('d', DRM_COMMAND_BASE)

static const struct drm_ioctl_desc ioctls[] = {
	{ .cmd = GUARD_IOCTL, .flags = DRM_RENDER_ALLOW, .func = guard_handler, .name = "GUARD" },
};

static const struct file_operations fops;
static const struct drm_driver driver = {
	.ioctls = ioctls, .num_ioctls = ARRAY_SIZE(ioctls), .fops = &fops,
};

static const struct vm_operations_struct vm_ops = { .fault = guard_fault };

void guard_setup(void);
void guard_setup(void)
{
	guard_srcu(&stock_drm_unplug_srcu);

	device.driver = &driver;
	device.anon_inode = &anon_inode;
	anon_inode.i_mapping = &mapping;
	file.f_mapping = &mapping;
	file.f_op = &fops;
	vma.vm_file = &file;
	vma.vm_mm = &mm;
	vma.vm_ops = &vm_ops;

	if (drm_unplug_init(&device))
		guard_failed("drm_unplug_init() fails");
	if (drm_unplug_mmap(&device, &vma) || vma.vm_ops->fault == guard_fault)
		guard_failed("drm_unplug_mmap() wraps nothing");
}

/* ---- what is measured ---- */

/* As little as possible around a call: what a loop over two plain calls takes. */
void guard_calls(void);
void guard_calls(void)
{
	guard_handler(&device, NULL, &drm_file);
	guard_handler(&device, NULL, &drm_file);
}

#define MEASURED_IOCTL(prefix, name)						\
void name##_ioctl(void);							\
void name##_ioctl(void)								\
{										\
	if (prefix##drm_ioctl(&file, GUARD_IOCTL, 0))				\
		guard_failed("an ioctl fails");					\
}

MEASURED_IOCTL(bare_, bare)
MEASURED_IOCTL(stock_, stock)
MEASURED_IOCTL(, ours)

/* What drm_ioctl() and drm_ioctl_kernel() do about an unplug, and nothing else. */
void stock_gate(void);
void stock_gate(void)
{
	int i, idx;

	for (i = 0; i < 2; i++) {
		if (!stock_drm_dev_enter(&device, &idx))
			guard_failed("no way in");
		stock_drm_dev_exit(idx);
	}
}

void ours_gate(void);
void ours_gate(void)
{
	struct drm_unplug_gate gate;
	u32 flags = READ_ONCE(ioctls[0].flags);

	if (drm_unplug_ioctl_refused(&device, GUARD_IOCTL) ||
	    !drm_unplug_ioctl_enter(&device, guard_handler, flags, &gate) ||
	    drm_unplug_ioctl_exit(&device, flags, &gate, 0))
		guard_failed("no way in");
}

#define MEASURED_SECTION(prefix, name)						\
void name##_section(void);							\
void name##_section(void)							\
{										\
	int idx;								\
										\
	if (!prefix##drm_dev_enter(&device, &idx))				\
		guard_failed("no way in");					\
	prefix##drm_dev_exit(idx);						\
}										\
void name##_nested(void);							\
void name##_nested(void)							\
{										\
	int outer, inner;							\
										\
	if (!prefix##drm_dev_enter(&device, &outer) ||				\
	    !prefix##drm_dev_enter(&device, &inner))				\
		guard_failed("no way in");					\
	prefix##drm_dev_exit(inner);						\
	prefix##drm_dev_exit(outer);						\
}

MEASURED_SECTION(stock_, stock)
MEASURED_SECTION(, ours)

void stock_fault(void);
void stock_fault(void)
{
	struct vm_fault vmf = { .vma = &vma };

	if (READ_ONCE(vm_ops.fault)(&vmf) != VM_FAULT_NOPAGE)
		guard_failed("a fault fails");
}

void ours_fault(void);
void ours_fault(void)
{
	struct vm_fault vmf = { .vma = &vma };

	if (vma.vm_ops->fault(&vmf) != VM_FAULT_NOPAGE)
		guard_failed("a fault fails");
}
