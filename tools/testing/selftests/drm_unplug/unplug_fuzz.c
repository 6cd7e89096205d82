// SPDX-License-Identifier: GPL-2.0
/*
 * Anything that a program can do to maps of a device, in any order, while the
 * device is pulled (spec M1 to M5).
 *
 * A seed stands for one run: which buffers there are, what each process does
 * step by step, and at which of its steps the first one has the device pulled.
 * What the processes do at the same time is up to the scheduler.  Each process
 * keeps account of what it has mapped.  An access that should work and raises a
 * signal, one that should fail and does not, and a word that another process has
 * written to lost memory are failures; they are reported with the seed.
 *
 *	unplug_fuzz METHOD		the seeds of the file fuzz-seeds, as many as it begins
 *					within 30 seconds
 *	FUZZ_SEED=N unplug_fuzz METHOD	this one
 *	FUZZ_RANDOM=N unplug_fuzz METHOD	so many new ones
 *	FUZZ_STEPS=N			steps of each process (default 400)
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define PAGE 4096
#define N_FILES 2
#define N_BUFFERS 3
#define N_MAPS 24
#define N_PROCESSES 6
#define PAGES 16

/* Written to lost memory by process n; nobody else may ever read it. */
#define LOST(n) (0x10570000u | (n))
#define IS_LOST(v) (((v) & 0xffff0000u) == 0x10570000u)

struct range {
	char *addr;
	unsigned int pages;
	int prot;
	bool dontfork;
};

/* What the processes of one run share. */
struct run {
	uint64_t seed;
	volatile bool gone;		/* the pull has returned */
	volatile bool pull_now;
	volatile unsigned int processes, alive;
	volatile unsigned int accesses, lost_accesses;
	volatile bool failed;
	char what[200];
};

static struct run *run;
static unsigned int steps = 400;
static uint64_t seeds[256];
static unsigned int n_seeds, n_done;
static bool pulls_ok = true, plugs_ok = true;
static unsigned int failures;
static struct run totals;

/* Of a process */
static uint64_t state;
static unsigned int self, step_now;
static const char *op_now = "";
static struct range ranges[N_MAPS];
static int files[N_FILES], dmabufs[N_BUFFERS];
static uint64_t offsets[N_FILES][N_BUFFERS];

/* splitmix64 */
static uint32_t rnd(uint32_t below)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return ((z ^ (z >> 31)) >> 16) % below;
}

static void fail(const char *format, ...)
{
	char text[120];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!__atomic_exchange_n(&run->failed, true, __ATOMIC_SEQ_CST))
		snprintf(run->what, sizeof(run->what), "seed %llu, process %u, step %u (%s): %s",
			 (unsigned long long)run->seed, self, step_now, op_now, text);
}

static struct range *some_range(void)
{
	unsigned int i, start = rnd(N_MAPS);

	for (i = 0; i < N_MAPS; i++)
		if (ranges[(start + i) % N_MAPS].addr)
			return &ranges[(start + i) % N_MAPS];
	return NULL;
}

static struct range *free_range(void)
{
	unsigned int i;

	for (i = 0; i < N_MAPS; i++)
		if (!ranges[i].addr)
			return &ranges[i];
	return NULL;
}

/* ---- what a step can be ---- */

static void op_mmap(void)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
				     PROT_NONE };
	struct range *r = free_range();
	unsigned int f = rnd(N_FILES), b = rnd(N_BUFFERS);
	int prot = prots[rnd(ARRAY_SIZE(prots))];
	int flags = rnd(4) ? MAP_SHARED : MAP_PRIVATE;
	bool dmabuf = !rnd(4), was_gone = run->gone;
	char *p;

	if (!rnd(4))
		flags |= MAP_POPULATE;
	if (!r || (dmabuf ? dmabufs[b] < 0 : !offsets[f][b]))
		return;
	p = mmap(NULL, PAGES * PAGE, prot, flags, dmabuf ? dmabufs[b] : files[f],
		 dmabuf ? 0 : offsets[f][b]);
	if (p == MAP_FAILED) {
		/* Drivers refuse private maps, as long as they are asked. */
		if (!(flags & MAP_PRIVATE) || was_gone)
			fail("mmap: %s%s", err_name(-errno), was_gone ? " (gone)" : "");
		return;
	}
	*r = (struct range){ .addr = p, .pages = PAGES, .prot = prot };
}

static void op_munmap(void)
{
	struct range *r = some_range(), *rest = free_range();
	unsigned int first, n;

	if (!r)
		return;
	first = rnd(r->pages);
	n = 1 + rnd(r->pages - first);
	if (first && first + n < r->pages && !rest)
		return;
	if (munmap(r->addr + first * PAGE, n * PAGE)) {
		fail("munmap: %s", err_name(-errno));
		return;
	}
	if (first && first + n < r->pages) {
		*rest = *r;
		rest->addr += (first + n) * PAGE;
		rest->pages -= first + n;
	}
	if (first) {
		r->pages = first;
	} else {
		r->addr = n < r->pages ? r->addr + n * PAGE : NULL;
		r->pages -= n;
	}
}

static void op_mremap(void)
{
	struct range *r = some_range();
	char *there, *p;

	if (!r)
		return;
	there = mmap(NULL, r->pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p = mremap(r->addr, r->pages * PAGE, r->pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there);
	if (p == MAP_FAILED)
		fail("mremap: %s", err_name(-errno));
	else
		r->addr = p;
}

static void op_mprotect(void)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	struct range *r = some_range();
	int prot = prots[rnd(ARRAY_SIZE(prots))];

	if (!r)
		return;
	if (mprotect(r->addr, r->pages * PAGE, prot))
		fail("mprotect: %s", err_name(-errno));
	else
		r->prot = prot;
}

static void op_madvise(void)
{
	static const int advice[] = { MADV_DONTNEED, MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT,
				      MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_RANDOM,
				      MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE };
	struct range *r = some_range();
	int a = advice[rnd(ARRAY_SIZE(advice))];

	if (!r || madvise(r->addr, r->pages * PAGE, a))
		return;
	if (a == MADV_DONTFORK || a == MADV_DOFORK)
		r->dontfork = a == MADV_DONTFORK;
}

static void op_lock(void)
{
	struct range *r = some_range();

	if (r && r->prot != PROT_NONE && mlock(r->addr, r->pages * PAGE) == 0 && rnd(2))
		munlock(r->addr, r->pages * PAGE);
}

static void judge(uint32_t value)
{
	if (IS_LOST(value) && value != LOST(self))
		fail("reads %08x, which process %u has written to lost memory", value,
		     value & 0xffff);
}

static void op_access(void)
{
	struct range *r = some_range();
	bool write = rnd(2), gone = run->gone;
	volatile uint32_t *p;
	uint32_t value = 0;
	int sig, want;

	if (!r)
		return;
	p = (uint32_t *)(r->addr + rnd(r->pages) * PAGE + rnd(PAGE / 4) * 4);
	want = (write ? r->prot & PROT_WRITE : r->prot & PROT_READ) ? 0 : SIGSEGV;
	/* What is written before the pull is over may land in the shared buffer. */
	sig = write ? touch_write(p, gone ? LOST(self) : rnd(0x10000)) : touch_read(p, &value);
	if (sig != want)
		fail("%s of page with protection %d: signal %d, not %d", write ? "write" : "read",
		     r->prot, sig, want);
	else if (!sig && !write)
		judge(value);
	run->accesses++;
	run->lost_accesses += gone;
}

/* All of a map, as memcpy() has it. */
static void op_walk(void)
{
	struct range *r = some_range();
	uint32_t value;
	unsigned int i;

	if (!r || !(r->prot & PROT_READ))
		return;
	for (i = 0; i < r->pages; i++) {
		if (touch_read(r->addr + i * PAGE, &value))
			fail("signal at page %u of %u", i, r->pages);
		else
			judge(value);
	}
}

static void op_kernel(void)
{
	struct range *r = some_range();
	uint32_t buf[PAGE / 4];
	unsigned int i;
	ssize_t n;
	int pipes[2];

	if (!r || !(r->prot & PROT_READ) || pipe(pipes))
		return;
	n = write(pipes[1], r->addr, PAGE);
	if (n != PAGE)
		fail("write() from the map: %s", err_name(n < 0 ? -errno : n));
	else if (read(pipes[0], buf, PAGE) == PAGE)
		for (i = 0; i < PAGE / 4; i++)
			judge(buf[i]);
	close(pipes[0]);
	close(pipes[1]);
}

static void op_ioctl(void)
{
	struct drm_get_cap cap = { .capability = DRM_CAP_PRIME };
	struct dumb bo;
	int ret = rnd(4) ? ioctl_err(files[rnd(N_FILES)], DRM_IOCTL_GET_CAP, &cap) :
			   dumb_create(files[rnd(N_FILES)], 64, 64, &bo);

	if (ret != -ENODEV && (ret || run->gone))
		fail("ioctl: %s%s", err_name(ret), run->gone ? " (gone)" : "");
}

static void process(void);

static void op_fork(void)
{
	uint64_t seed = ((uint64_t)rnd(UINT_MAX) << 32) | rnd(UINT_MAX);
	unsigned int i, n = __atomic_add_fetch(&run->processes, 1, __ATOMIC_SEQ_CST);

	if (n >= N_PROCESSES)
		return;
	__atomic_add_fetch(&run->alive, 1, __ATOMIC_SEQ_CST);
	switch (fork()) {
	case -1:
		__atomic_sub_fetch(&run->alive, 1, __ATOMIC_SEQ_CST);
		return;
	case 0:
		self = n;
		state = seed;
		for (i = 0; i < N_MAPS; i++)
			if (ranges[i].dontfork)
				ranges[i].addr = NULL;
		process();
	}
}

static const struct op {
	const char *name;
	void (*fn)(void);
	unsigned int weight;
} ops[] = {
	{ "mmap", op_mmap, 8 },
	{ "munmap", op_munmap, 4 },
	{ "mremap", op_mremap, 4 },
	{ "mprotect", op_mprotect, 4 },
	{ "madvise", op_madvise, 5 },
	{ "mlock", op_lock, 2 },
	{ "fork", op_fork, 1 },
	{ "access", op_access, 24 },
	{ "walk", op_walk, 4 },
	{ "kernel", op_kernel, 4 },
	{ "ioctl", op_ioctl, 2 },
};

static void step(void)
{
	unsigned int i, total = 0, at;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	at = rnd(total);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	op_now = ops[i].name;
	ops[i].fn();
}

/* Does not return.  Half of the steps come after the pull, whenever that is. */
static void process(void)
{
	unsigned int end = steps, pull_at = self ? UINT_MAX : rnd(steps / 2);
	bool seen = false;

	for (step_now = 0; step_now < end && !run->failed; step_now++) {
		if (step_now == pull_at)
			run->pull_now = true;
		step();
		if (!seen && run->gone) {
			seen = true;
			end = step_now + steps / 2;
		}
		/* Do not run out of steps before the device has gone, and let it go. */
		if (step_now + 1 == end && !seen)
			end++;
		if (!seen && (step_now % 16 == 0 || step_now >= steps))
			sleep_ms(1);
	}
	__atomic_sub_fetch(&run->alive, 1, __ATOMIC_SEQ_CST);
	_exit(0);
}

/* ---- runs ---- */

static bool buffers_make(void)
{
	struct drm_prime_handle args = {};
	struct drm_mode_map_dumb map = {};
	struct dumb bo;
	unsigned int f, b;

	for (f = 0; f < N_FILES; f++)
		files[f] = open_card(0);
	for (b = 0; b < N_BUFFERS; b++) {
		if (dumb_create(files[0], 128, 128, &bo))
			return false;
		offsets[0][b] = bo.offset;
		offsets[1][b] = 0;
		dmabufs[b] = prime_export(files[0], bo.handle);
		args.fd = dmabufs[b];
		if (dmabufs[b] >= 0 && !ioctl_err(files[1], DRM_IOCTL_PRIME_FD_TO_HANDLE, &args)) {
			map.handle = args.handle;
			if (!ioctl_err(files[1], DRM_IOCTL_MODE_MAP_DUMB, &map))
				offsets[1][b] = map.offset;
		}
	}
	return true;
}

static void close_all(void)
{
	unsigned int i;

	for (i = 0; i < N_FILES; i++)
		close(files[i]);
	for (i = 0; i < N_BUFFERS; i++)
		if (dmabufs[i] >= 0)
			close(dmabufs[i]);
}

static void run_seed(uint64_t seed)
{
	uint64_t end = now_ms() + 240000;
	pid_t pid;

	memset(run, 0, sizeof(*run));
	run->seed = seed;
	run->alive = 1;
	state = seed;
	if (!buffers_make()) {
		printf("# cannot create buffers\n");
		exit(1);
	}
	fflush(NULL);
	pid = fork();
	if (!pid) {
		/* A group of its own, to be able to end them all. */
		setpgid(0, 0);
		process();
	}
	while (!run->pull_now && !run->failed && now_ms() < end)
		sleep_ms(1);
	pulls_ok &= pull();
	run->gone = true;
	while (run->alive && now_ms() < end)
		sleep_ms(2);
	if (run->alive && !run->failed) {
		self = UINT_MAX;
		fail("%u processes do not come to an end", run->alive);
	}
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close_all();
	if (run->failed) {
		printf("# %s\n", run->what);
		failures++;
	}
	totals.accesses += run->accesses;
	totals.lost_accesses += run->lost_accesses;
	totals.processes += run->processes < N_PROCESSES ? run->processes + 1 : N_PROCESSES;
	n_done++;
}

static void read_seeds(const char *program)
{
	const char *one = getenv("FUZZ_SEED"), *random = getenv("FUZZ_RANDOM");
	char path[PATH_MAX], copy[PATH_MAX], line[64];
	FILE *f;

	if (one) {
		seeds[n_seeds++] = strtoull(one, NULL, 0);
		return;
	}
	if (random) {
		uint64_t first = (uint64_t)time(NULL) << 20;

		while (n_seeds < (unsigned int)atoi(random) && n_seeds < ARRAY_SIZE(seeds)) {
			seeds[n_seeds] = first + n_seeds;
			n_seeds++;
		}
		return;
	}
	snprintf(copy, sizeof(copy), "%s", program);
	snprintf(path, sizeof(path), "%.4000s/fuzz-seeds", dirname(copy));
	f = fopen(path, "r");
	while (f && n_seeds < ARRAY_SIZE(seeds) && fgets(line, sizeof(line), f))
		if (line[0] >= '0' && line[0] <= '9')
			seeds[n_seeds++] = strtoull(line, NULL, 0);
	if (f)
		fclose(f);
}

static void run_scene(const char *program)
{
	uint64_t end = now_ms() + 30000;
	unsigned int i;

	if (getenv("FUZZ_STEPS"))
		steps = atoi(getenv("FUZZ_STEPS"));
	run = shared_zalloc(sizeof(*run));
	read_seeds(program);
	if (getenv("FUZZ_SEED") || getenv("FUZZ_RANDOM"))
		end = UINT64_MAX;
	for (i = 0; i < n_seeds && plugs_ok && (!i || now_ms() < end); i++) {
		if (i)
			plugs_ok = plug();
		if (plugs_ok)
			run_seed(seeds[i]);
	}
	printf("# %u of %u seeds, %u processes, %u accesses, %u of them to lost memory\n",
	       n_done, n_seeds, totals.processes, totals.accesses, totals.lost_accesses);
}

TEST(pull_and_plug_succeed)
{
	EXPECT_TRUE(pulls_ok);
	EXPECT_TRUE(plugs_ok);
}

TEST(M1_M5_all_seeds)
{
	EXPECT_LT(0, n_seeds) TH_LOG("no file fuzz-seeds beside the program");
	EXPECT_LT(0, n_done);
	EXPECT_LT(0, totals.lost_accesses);
	EXPECT_EQ(0, failures);
}

int main(int argc, char **argv)
{
	const char *program = argv[0];

	scene_init(&argc, argv);
	if (dev.name)
		run_scene(program);
	return test_harness_run(argc, argv);
}
