// SPDX-License-Identifier: GPL-2.0
/*
 * Memory maps of a device that is pulled (spec M1 to M6): they stay readable
 * and writable, read zeros until the client writes, and belong to one address
 * space each.  There is never a SIGBUS.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <linux/dma-buf.h>

#define PAGE 4096
#define PATTERN 0xa5a5a5a5u

static int fd, other;		/* other: an open file without a right to the buffer */
static struct dumb bo, big;
static uint32_t *map;		/* written before the pull */
static uint32_t *untouched;	/* mapped before the pull, never touched */
static uint32_t *moved;		/* mremapped before the pull */
static uint32_t *to_move;	/* to be mremapped after it */
static uint32_t *partial;	/* its second page unmapped before the pull */
static uint32_t *big_map;	/* never touched */
static void *private_map;	/* MAP_PRIVATE, or NULL if refused */
static int dmabuf = -1, importer = -1, reexport = -1;
static const char *no_prime, *no_import = "no vgem to import into";
static uint32_t *buf_map, *buf_untouched, *import_map;
static int right_before, bad_before, proc_mem_before, ptrace_before;
static bool pulled_ok;

/* A map that was in the making all the time that the device went. */
#define HOLD "/sys/module/unplug_dma_device/parameters/hold"
#define HELD "/sys/module/unplug_dma_device/parameters/held"

static struct in_hand {
	volatile bool pulled;
	volatile int error;	/* of mmap() */
	volatile int sig;
	volatile uint32_t value;
} *in_hand;

/* What threads and a forked child saw while the device went. */
static struct witness {
	volatile unsigned int rounds, signals, maps, map_errors;
	volatile int error;
} *seen;

enum { BY_THREAD, BY_CHILD, BY_MAPPER, BY_SYSCALL, N_WITNESSES };
static volatile int *stop;

/* ---- before and during ---- */

static int try_map(int f, size_t size, int prot, int flags, uint64_t offset)
{
	void *p = mmap(NULL, size, prot, flags, f, offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, size);
	return 0;
}

static int access_proc_mem(volatile uint32_t *addr, bool write)
{
	uint32_t value = 0x55aa55aa;
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ssize_t n;
	int ret;

	n = write ? pwrite(mem, &value, 4, (uintptr_t)addr) :
		    pread(mem, &value, 4, (uintptr_t)addr);
	ret = n == 4 ? 0 : -errno;
	close(mem);
	return ret;
}

/* The parent reads and writes the child's map. */
static int access_ptrace(uint32_t *addr)
{
	int status, ret = 0;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	errno = 0;
	ptrace(PTRACE_PEEKDATA, pid, addr, NULL);
	if (errno)
		ret = -errno;
	else if (ptrace(PTRACE_POKEDATA, pid, addr, (void *)1))
		ret = -errno;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return ret;
}

/* The kernel copies from and to the map. */
static int access_syscall(void *p)
{
	int pipes[2], zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char buf[PAGE];
	int ret = 0;

	if (pipe(pipes))
		return -errno;
	if (write(pipes[1], p, PAGE) != PAGE)
		ret = -errno;
	else if (read(pipes[0], buf, PAGE) != PAGE)
		ret = -errno;
	else if (read(zero, p, PAGE) != PAGE)
		ret = -errno;
	close(zero);
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

static void note(struct witness *w, int sig)
{
	w->rounds++;
	if (sig)
		w->signals++;
}

/* Room for the one who pulls, every now and then. */
static void pace(const struct witness *w)
{
	if (w->rounds % 32 < 2)
		sleep_ms(1);
}

static void touch_once(struct witness *w, uint32_t *p, size_t size)
{
	uint32_t value;
	size_t at = (w->rounds * 5 % (size / PAGE)) * PAGE;

	pace(w);

	note(w, touch_read((char *)p + at, &value));
	note(w, touch_write((char *)p + at + 64, value));
}

static void *by_thread(void *arg)
{
	while (!*stop) {
		touch_once(&seen[BY_THREAD], map, bo.size);
		if (buf_map)
			touch_once(&seen[BY_THREAD], buf_map, bo.size);
	}
	return NULL;
}

/* Maps anew all the time: some of these maps are made while the unplug runs. */
static void *by_mapper(void *arg)
{
	struct witness *w = &seen[BY_MAPPER];
	uint32_t value;
	void *p;

	while (!*stop) {
		pace(w);
		p = dumb_map(fd, &bo);
		if (!p) {
			w->error = -errno;
			w->map_errors++;
			w->rounds++;
			continue;
		}
		w->maps++;
		note(w, touch_read(p, &value));
		note(w, touch_write(p, 3));
		munmap(p, bo.size);
	}
	return NULL;
}

static void *by_syscall(void *arg)
{
	struct witness *w = &seen[BY_SYSCALL];
	int ret;

	while (!*stop) {
		pace(w);
		ret = access_syscall((char *)map + PAGE);
		w->rounds++;
		if (ret) {
			w->error = ret;
			w->signals++;
		}
	}
	return NULL;
}

static void prepare_maps(void)
{
	char *p;

	map = dumb_map(fd, &bo);
	untouched = dumb_map(fd, &bo);
	to_move = dumb_map(fd, &bo);
	partial = dumb_map(fd, &bo);
	moved = dumb_map(fd, &bo);
	if (!map || !untouched || !to_move || !partial || !moved) {
		printf("# cannot map a dumb buffer\n");
		exit(1);
	}
	fill_all(map, bo.size, PATTERN);
	fill_all(to_move, bo.size, PATTERN);
	fill_all(partial, bo.size, PATTERN);
	munmap((char *)partial + PAGE, PAGE);

	p = mmap(NULL, bo.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	moved = mremap(moved, bo.size, bo.size, MREMAP_MAYMOVE | MREMAP_FIXED, p);
	fill_all(moved, bo.size, PATTERN);

	private_map = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			   fd, bo.offset);
	if (private_map == MAP_FAILED)
		private_map = NULL;
}

/*
 * Through an importer: the importer gives out the buffer again, and that file
 * is mapped.  (vgem refuses offsets for what it imported.)
 */
static void prepare_import(void)
{
	struct drm_prime_handle import = { .fd = dmabuf };
	void *p;

	importer = open_vgem();
	if (importer < 0)
		return;
	no_import = "vgem cannot import this buffer";
	if (ioctl_err(importer, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import))
		return;
	no_import = "vgem does not export again";
	reexport = prime_export(importer, import.handle);
	if (reexport < 0)
		return;
	p = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, reexport, 0);
	no_import = p == MAP_FAILED ? "an imported buffer cannot be mapped" : NULL;
	if (!no_import) {
		import_map = p;
		fill_all(import_map, bo.size, PATTERN);
	}
}

static void prepare_dmabuf(void)
{
	dmabuf = prime_export(fd, bo.handle);
	if (dmabuf < 0) {
		no_prime = "the driver exports no dma-buf";
		no_import = no_prime;
		return;
	}
	buf_map = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	buf_untouched = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	if (buf_map == MAP_FAILED || buf_untouched == MAP_FAILED) {
		buf_map = NULL;
		no_prime = "the driver's dma-bufs cannot be mapped";
	} else {
		fill_all(buf_map, bo.size, PATTERN);
	}
	prepare_import();
}

static bool file_says(const char *path, char c)
{
	int f = open(path, O_RDONLY | O_CLOEXEC);
	char buf = 0;
	bool same = f >= 0 && read(f, &buf, 1) == 1 && buf == c;

	close(f);
	return same;
}

static void hold(const char *text)
{
	int ret = write_file(HOLD, text);

	if (ret)
		printf("# cannot write " HOLD ": %s\n", err_name(ret));
}

/* A child maps the buffer, and mm is not told before the device has gone. */
static pid_t map_in_hand(void)
{
	uint32_t value = 0;
	char text[16];
	pid_t pid;
	void *p;

	if (access(HOLD, W_OK))
		return 0;
	in_hand = shared_zalloc(PAGE);
	pid = fork();
	if (!pid) {
		snprintf(text, sizeof(text), "%d", getpid());
		hold(text);
		p = dumb_map(fd, &bo);
		in_hand->error = p ? 0 : errno;
		while (!in_hand->pulled)
			sleep_ms(1);
		if (p)
			in_hand->sig = touch_read(p, &value);
		in_hand->value = value;
		_exit(0);
	}
	while (!file_says(HELD, 'Y'))
		sleep_ms(1);
	return pid;
}

/*
 * Another lets it go on: once the device has been pulled, or when the pull has
 * had time enough to go wrong.
 */
static pid_t let_go(void)
{
	struct drm_get_cap cap = { .capability = DRM_CAP_DUMB_BUFFER };
	int i;
	pid_t pid;

	if (!in_hand)
		return 0;
	pid = fork();
	if (!pid) {
		while (!ioctl_err(fd, DRM_IOCTL_GET_CAP, &cap))
			sleep_ms(1);
		for (i = 0; i < 200 && !in_hand->pulled; i++)
			sleep_ms(10);
		hold("0");
		_exit(0);
	}
	return pid;
}

static void run_scene(void)
{
	pid_t held, releaser;
	static const unsigned int sizes[] = { 4096, 2048, 1024 };
	pthread_t threads[3];
	pid_t child;
	size_t i;

	seen = shared_zalloc(PAGE);
	stop = shared_zalloc(PAGE);
	fd = open_card(0);
	other = open_card(0);
	if (fd < 0 || dumb_create(fd, 256, 256, &bo)) {
		printf("# cannot create a dumb buffer\n");
		exit(1);
	}
	prepare_maps();
	prepare_dmabuf();
	for (i = 0; i < ARRAY_SIZE(sizes) && !big_map; i++)
		if (!dumb_create(fd, 1024, sizes[i], &big))
			big_map = dumb_map(fd, &big);

	right_before = try_map(other, bo.size, PROT_READ, MAP_SHARED, bo.offset);
	bad_before = try_map(fd, PAGE, PROT_READ, MAP_SHARED, 0x7ffffff000ull);
	proc_mem_before = access_proc_mem(map, false);
	ptrace_before = access_ptrace(map);

	pthread_create(&threads[0], NULL, by_thread, NULL);
	pthread_create(&threads[1], NULL, by_mapper, NULL);
	pthread_create(&threads[2], NULL, by_syscall, NULL);
	child = fork();
	if (!child) {
		while (!*stop) {
			touch_once(&seen[BY_CHILD], map, bo.size);
			touch_once(&seen[BY_CHILD], partial, PAGE);
		}
		_exit(0);
	}
	held = map_in_hand();
	releaser = let_go();
	sleep_ms(150);
	pulled_ok = pull();
	if (in_hand)
		in_hand->pulled = true;
	if (releaser)
		waitpid(releaser, NULL, 0);
	sleep_ms(100);
	*stop = 1;
	if (held)
		waitpid(held, NULL, 0);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	waitpid(child, NULL, 0);
}

/* ---- tests ---- */

TEST(pull_succeeds)
{
	ASSERT_TRUE(pulled_ok);
}

FIXTURE(M1_during) {
};

FIXTURE_VARIANT(M1_during) {
	int who;
};

FIXTURE_SETUP(M1_during)
{
}

FIXTURE_TEARDOWN(M1_during)
{
}

FIXTURE_VARIANT_ADD(M1_during, thread) { BY_THREAD };
FIXTURE_VARIANT_ADD(M1_during, forked_child) { BY_CHILD };
FIXTURE_VARIANT_ADD(M1_during, read_and_write_syscalls) { BY_SYSCALL };

TEST_F(M1_during, no_fault)
{
	EXPECT_LT(0, seen[variant->who].rounds);
	EXPECT_EQ(0, seen[variant->who].signals)
		TH_LOG("%u of %u (%s)", seen[variant->who].signals,
		       seen[variant->who].rounds, err_name(seen[variant->who].error));
}

TEST(M4_maps_made_while_going)
{
	EXPECT_LT(0, seen[BY_MAPPER].maps);
	EXPECT_EQ(0, seen[BY_MAPPER].signals);
	EXPECT_EQ(0, seen[BY_MAPPER].map_errors)
		TH_LOG("mmap() failed %u times: %s", seen[BY_MAPPER].map_errors,
		       err_name(seen[BY_MAPPER].error));
}

/* The driver has filled this one, but a zap would have missed it. */
TEST(M4_map_in_hand)
{
	if (!in_hand)
		SKIP(return, "only gem-dma can stop in mmap()");
	EXPECT_EQ(0, in_hand->error);
	EXPECT_EQ(0, in_hand->sig);
	EXPECT_EQ(0, in_hand->value) TH_LOG("it points at the device");
}

/* Reads back what it writes; the signal of the first access that fails, or -1. */
static int use(void *p, size_t size)
{
	uint32_t value = 0;
	int sig;

	sig = touch_read(p, &value) ?: touch_write(p, 0x1234) ?: touch_read(p, &value);
	if (sig)
		return sig;
	if (value != 0x1234)
		return -1;
	return touch_write((char *)p + size - PAGE, 0x4321);
}

TEST(M1_old_map_usable)
{
	EXPECT_EQ(0, use(map, bo.size));
	EXPECT_EQ(0, use(untouched, bo.size));
}

static void *read_page(void *p)
{
	uint32_t value;

	return (void *)(intptr_t)touch_read(p, &value);
}

TEST(M1_from_another_thread)
{
	pthread_t t;
	void *sig = (void *)1;

	ASSERT_EQ(0, pthread_create(&t, NULL, read_page, map));
	pthread_join(t, &sig);
	EXPECT_NULL(sig);
}

TEST(M1_private_map)
{
	if (!private_map)
		SKIP(return, "the driver refuses MAP_PRIVATE");
	EXPECT_EQ(0, use(private_map, bo.size));
}

TEST(M1_mremap_before)
{
	ASSERT_NE(MAP_FAILED, (void *)moved);
	EXPECT_EQ(0, use(moved, bo.size));
}

TEST(M1_mremap_after)
{
	void *p = mmap(NULL, bo.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	p = mremap(to_move, bo.size, bo.size, MREMAP_MAYMOVE | MREMAP_FIXED, p);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, use(p, bo.size));
}

TEST(M1_partial_munmap_before)
{
	EXPECT_EQ(0, use(partial, PAGE));
	EXPECT_EQ(0, use((char *)partial + 2 * PAGE, bo.size - 2 * PAGE));
}

TEST(M1_partial_munmap_after)
{
	ASSERT_EQ(0, munmap((char *)untouched + 4 * PAGE, 2 * PAGE));
	EXPECT_EQ(0, use(untouched, 4 * PAGE));
	EXPECT_EQ(0, use((char *)untouched + 6 * PAGE, bo.size - 6 * PAGE));
}

TEST(M1_mprotect_after)
{
	uint32_t value;

	ASSERT_EQ(0, mprotect(map, bo.size, PROT_READ));
	EXPECT_EQ(0, touch_read(map, &value));
	EXPECT_EQ(SIGSEGV, touch_write(map, 1));
	ASSERT_EQ(0, mprotect(map, bo.size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, touch_write(map, 1));
}

TEST(M1_read_and_write_syscalls)
{
	EXPECT_EQ(0, access_syscall(map));
	EXPECT_EQ(0, access_syscall((char *)untouched + PAGE));
}

TEST(M1_proc_self_mem)
{
	if (proc_mem_before)
		SKIP(return, "the driver never allows it: %s", err_name(proc_mem_before));
	EXPECT_EQ(0, access_proc_mem(map, false));
	EXPECT_EQ(0, access_proc_mem(map, true));
}

TEST(M1_ptrace)
{
	if (ptrace_before)
		SKIP(return, "the driver never allows it: %s", err_name(ptrace_before));
	EXPECT_EQ(0, access_ptrace(map));
}

TEST(M2_new_map)
{
	void *p = dumb_map(fd, &bo);
	unsigned int nonzero;

	ASSERT_NE(NULL, p) TH_LOG("mmap: %s", err_name(-errno));
	EXPECT_EQ(0, touch_all(p, bo.size, &nonzero));
	EXPECT_EQ(0, nonzero);
	EXPECT_EQ(0, use(p, bo.size));
	EXPECT_EQ(0, munmap(p, bo.size));
}

TEST(M2_new_read_only_map)
{
	void *p = mmap(NULL, bo.size, PROT_READ, MAP_SHARED, fd, bo.offset);
	uint32_t value;

	ASSERT_NE(MAP_FAILED, p) TH_LOG("mmap: %s", err_name(-errno));
	EXPECT_EQ(0, touch_read(p, &value));
}

TEST(M2_new_map_from_child)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		void *p = dumb_map(fd, &bo);
		uint32_t value;

		_exit(!p || touch_read(p, &value) || touch_write(p, 1));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST(M2_no_right_as_before)
{
	EXPECT_EQ(-EACCES, right_before);
	EXPECT_EQ(-EACCES, try_map(other, bo.size, PROT_READ, MAP_SHARED, bo.offset));
}

TEST(M2_bad_offset_as_before)
{
	EXPECT_EQ(-EINVAL, bad_before);
	EXPECT_EQ(-EINVAL, try_map(fd, PAGE, PROT_READ, MAP_SHARED, 0x7ffffff000ull));
}

TEST(M3_old_dmabuf_map_usable)
{
	if (no_prime)
		SKIP(return, "%s", no_prime);
	EXPECT_EQ(0, use(buf_map, bo.size));
	EXPECT_EQ(0, use(buf_untouched, bo.size));
}

TEST(M3_new_dmabuf_map)
{
	void *p;

	if (no_prime)
		SKIP(return, "%s", no_prime);
	p = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	ASSERT_NE(MAP_FAILED, p) TH_LOG("mmap: %s", err_name(-errno));
	EXPECT_EQ(0, use(p, bo.size));
}

TEST(M3_old_map_through_importer)
{
	if (no_import)
		SKIP(return, "%s", no_import);
	EXPECT_EQ(0, use(import_map, bo.size));
}

TEST(M3_new_map_through_importer)
{
	void *p;

	if (no_import)
		SKIP(return, "%s", no_import);
	p = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, reexport, 0);
	ASSERT_NE(MAP_FAILED, p) TH_LOG("mmap: %s", err_name(-errno));
	EXPECT_EQ(0, use(p, bo.size));
}

/* Not required to work, only to come back: with success or ENODEV. */
TEST(M3_dmabuf_sync_returns)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	int ret;

	if (no_prime)
		SKIP(return, "%s", no_prime);
	ret = ioctl_err(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
	EXPECT_TRUE(!ret || ret == -ENODEV) TH_LOG("%s", err_name(ret));
}

/* Pages that are not zero, or -1 for a fault. */
static int dirty_pages(void *p)
{
	unsigned int nonzero;

	return touch_all(p, bo.size, &nonzero) ? -1 : nonzero;
}

/* The pattern of before is gone from every page; so are the threads' writes. */
TEST(M5_old_map_reads_zeros)
{
	EXPECT_EQ(0, dirty_pages(to_move));
	EXPECT_EQ(0, dirty_pages(moved));
}

TEST(M5_old_dmabuf_map_reads_zeros)
{
	if (no_prime)
		SKIP(return, "%s", no_prime);
	EXPECT_EQ(0, dirty_pages(buf_untouched));
}

TEST(M5_map_through_importer_reads_zeros)
{
	if (no_import)
		SKIP(return, "%s", no_import);
	EXPECT_EQ(0, dirty_pages(import_map));
}

/* Runs in a child: the word at p, or 0xdead0000 + the signal. */
static uint32_t child_reads(volatile uint32_t *p)
{
	volatile uint32_t *value = shared_zalloc(PAGE);
	pid_t pid = fork();
	uint32_t v = 0;
	int sig;

	if (!pid) {
		sig = touch_read(p, &v);
		*value = sig ? 0xdead0000 + sig : v;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return *value;
}

/* What the parent writes, a child that is forked later does not see. */
TEST(M5_child_does_not_see_parent)
{
	ASSERT_EQ(0, touch_write(to_move, 0xbeef));
	EXPECT_EQ(0, child_reads(to_move));
}

static void child_writes_first(uint32_t *p, uint32_t *seen_by_parent, int *parent_sig)
{
	int go[2];
	char c = 0;
	pid_t pid;

	if (pipe(go))
		return;
	pid = fork();
	if (!pid) {
		touch_write(p, 0xc0de);
		if (write(go[1], &c, 1) != 1)
			_exit(1);
		sleep_ms(2000);
		_exit(0);
	}
	if (read(go[0], &c, 1) == 1)
		*parent_sig = touch_read(p, seen_by_parent);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* What a child writes, its parent does not see. */
TEST(M5_parent_does_not_see_child)
{
	uint32_t value = 1;
	int sig = 1;

	child_writes_first(to_move, &value, &sig);
	EXPECT_EQ(0, sig);
	EXPECT_EQ(0, value);
}

/* Two processes with a map of the same dma-buf each, made on their own. */
TEST(M5_two_clients_of_one_dmabuf)
{
	uint32_t *mine;
	uint32_t value = 1;
	int go[2];
	char c = 0;
	pid_t pid;

	if (no_prime)
		SKIP(return, "%s", no_prime);
	mine = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	ASSERT_NE(MAP_FAILED, (void *)mine);
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		uint32_t *theirs = mmap(NULL, bo.size, PROT_READ | PROT_WRITE,
					MAP_SHARED, dmabuf, 0);

		fill_all(theirs, bo.size, 0x5ec7e7);
		if (write(go[1], &c, 1) != 1)
			_exit(1);
		sleep_ms(2000);
		_exit(0);
	}
	ASSERT_EQ(1, read(go[0], &c, 1));
	EXPECT_EQ(0, touch_read(mine, &value));
	EXPECT_EQ(0, value);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static unsigned long faults_taken(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_minflt + ru.ru_majflt;
}

/* A whole map costs a small fraction of a fault per page. */
TEST(M6_few_faults)
{
	unsigned long pages = big.size / PAGE, before, after;
	unsigned int nonzero;

	if (!big_map)
		SKIP(return, "no large buffer");
	touch_all(map, PAGE, &nonzero);
	before = faults_taken();
	EXPECT_EQ(0, touch_all(big_map, big.size, &nonzero));
	after = faults_taken();
	EXPECT_LE(after - before, pages / 64 + 8)
		TH_LOG("reading %lu pages: %lu faults", pages, after - before);
	before = faults_taken();
	EXPECT_EQ(0, fill_all(big_map, big.size, 1));
	after = faults_taken();
	EXPECT_LE(after - before, pages / 64 + 8)
		TH_LOG("writing %lu pages: %lu faults", pages, after - before);
}

static long meminfo_kb(const char *key)
{
	char line[128];
	long kb = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			kb = atol(line + strlen(key) + 1);
	fclose(f);
	return kb;
}

/* Many maps, every page written: the memory that this takes stays small. */
TEST(M6_little_memory)
{
	long before = meminfo_kb("MemFree"), after;
	unsigned int i, n = 32;
	void *p;

	if (!big_map)
		SKIP(return, "no large buffer");
	for (i = 0; i < n; i++) {
		p = dumb_map(fd, &big);
		ASSERT_NE(NULL, p) TH_LOG("mmap: %s", err_name(-errno));
		ASSERT_EQ(0, fill_all(p, big.size, i));
	}
	after = meminfo_kb("MemFree");
	EXPECT_LT(before - after, (long)(n * big.size / 1024 / 8))
		TH_LOG("%u maps of %llu kB took %ld kB", n,
		       (unsigned long long)big.size / 1024, before - after);
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
