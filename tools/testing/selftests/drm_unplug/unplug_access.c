// SPDX-License-Identifier: GPL-2.0
/*
 * Every way into a map of a device that is pulled (spec M1), and who can read
 * what is written there (M5).
 *
 * Each way is tried before the pull, over and over while the device goes, and
 * after it, on a map from before and on one that is made then.  What worked still
 * works; what the kernel never allows for such a map may go on to fail.  No way
 * raises a signal.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <drm/amdgpu_drm.h>
#include <drm/radeon_drm.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>

#define PAGE 4096
#define PATTERN 0xa5a5a5a5u

/* ---- the ways ---- */

/* Each returns 0 or a negative errno, and leaves the map as it is. */

static int by_cpu(char *p)
{
	uint32_t value = 0;
	int sig = touch_read(p, &value) ?: touch_write(p + 64, value);

	return sig ? -EFAULT : 0;
}

static int moves(ssize_t n, size_t size)
{
	return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

static int by_pipe(char *p)
{
	int pipes[2], ret;

	if (pipe(pipes))
		return -errno;
	ret = moves(write(pipes[1], p, PAGE), PAGE) ?: moves(read(pipes[0], p, PAGE), PAGE);
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

static int by_vmsplice(char *p)
{
	struct iovec iov = { p, PAGE };
	int pipes[2], ret = by_cpu(p);

	if (ret || pipe(pipes))
		return ret ?: -errno;
	ret = moves(vmsplice(pipes[1], &iov, 1, 0), PAGE);
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

static int by_socket(char *p)
{
	int s[2], ret;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, s))
		return -errno;
	ret = moves(send(s[0], p, PAGE, 0), PAGE) ?: moves(recv(s[1], p, PAGE, 0), PAGE);
	close(s[0]);
	close(s[1]);
	return ret;
}

/* The file system reads into the pages themselves. */
static int by_direct_io(char *p)
{
	int ret, f = open("/share/in-guest", O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (f < 0)
		return -errno;
	ret = read(f, p + 2 * PAGE, PAGE) <= 0 ? -errno : 0;
	close(f);
	return ret;
}

/* Read and write at the address, in a file that shows an address space. */
static int by_mem_file(const char *path, char *p)
{
	char buf[128];
	int ret, f = open(path, O_RDWR | O_CLOEXEC);

	if (f < 0)
		return -errno;
	ret = moves(pread(f, buf, sizeof(buf), (uintptr_t)p), sizeof(buf)) ?:
	      moves(pwrite(f, buf, sizeof(buf), (uintptr_t)p), sizeof(buf));
	close(f);
	return ret;
}

static int by_self_mem(char *p)
{
	return by_mem_file("/proc/self/mem", p);
}

/* A child that has the map is looked into and written to by its parent. */
static int by_parent(char *p, int (*fn)(pid_t pid, char *p))
{
	int status, ret;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	ret = WIFSTOPPED(status) ? fn(pid, p) : -EIO;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return ret;
}

static int poke(pid_t pid, char *p)
{
	errno = 0;
	ptrace(PTRACE_PEEKDATA, pid, p, NULL);
	if (errno)
		return -errno;
	return ptrace(PTRACE_POKEDATA, pid, p, (void *)1) ? -errno : 0;
}

static int by_ptrace(char *p)
{
	return by_parent(p, poke);
}

static int vm_rw(pid_t pid, char *p)
{
	char buf[256];
	struct iovec local = { buf, sizeof(buf) }, remote = { p, sizeof(buf) };

	return moves(process_vm_readv(pid, &local, 1, &remote, 1, 0), sizeof(buf)) ?:
	       moves(process_vm_writev(pid, &local, 1, &remote, 1, 0), sizeof(buf));
}

static int by_process_vm(char *p)
{
	return by_parent(p, vm_rw);
}

static int proc_mem(pid_t pid, char *p)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	return by_mem_file(path, p);
}

static int by_proc_mem(char *p)
{
	return by_parent(p, proc_mem);
}

static int by_mlock(char *p)
{
	return mlock(p, 2 * PAGE) || munlock(p, 2 * PAGE) ? -errno : 0;
}

static int by_madvise_populate(char *p)
{
	return madvise(p, 2 * PAGE, MADV_POPULATE_READ) ||
	       madvise(p, 2 * PAGE, MADV_POPULATE_WRITE) ? -errno : 0;
}

static int by_madvise(char *p)
{
	/* Allowed or not: what counts is that the map is there afterwards. */
	madvise(p, PAGE, MADV_DONTNEED);
	madvise(p, PAGE, MADV_WILLNEED);
	madvise(p, PAGE, MADV_COLD);
	madvise(p, PAGE, MADV_PAGEOUT);
	return by_cpu(p);
}

static int by_msync(char *p)
{
	return msync(p, PAGE, MS_SYNC) ? -errno : 0;
}

static int by_mincore(char *p)
{
	unsigned char vec[2];

	return mincore(p, 2 * PAGE, vec) ? -errno : 0;
}

static long futex(char *p, int op, uint32_t val)
{
	return syscall(SYS_futex, p, op, val, NULL, NULL, 0) < 0 ? -errno : 0;
}

/* It is not what is said that it is, so there is nothing to wait for. */
static int by_futex(char *p)
{
	uint32_t value = 0;
	int ret;

	if (touch_read(p + 128, &value))
		return -EFAULT;
	ret = futex(p + 128, FUTEX_WAIT_PRIVATE, ~value);
	return ret == -EAGAIN ? 0 : ret ?: -EIO;
}

/* After a fork() a page of a private map is to be written to once. */
static int by_shared_futex(char *p)
{
	uint32_t value = 0;
	int ret;

	if (by_cpu(p) || touch_read(p + 128, &value))
		return -EFAULT;
	ret = futex(p + 128, FUTEX_WAIT, ~value);
	return ret == -EAGAIN ? 0 : ret ?: -EIO;
}

static int by_userfaultfd(char *p)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int ret, f = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (f < 0)
		return -errno;
	ret = ioctl(f, UFFDIO_API, &api) || ioctl(f, UFFDIO_REGISTER, &reg) ? -errno : 0;
	close(f);
	return ret;
}

static int read_all(const char *path)
{
	char buf[4096];
	int n, f = open(path, O_RDONLY | O_CLOEXEC);

	if (f < 0)
		return -errno;
	while ((n = read(f, buf, sizeof(buf))) > 0)
		;
	n = n < 0 ? -errno : 0;
	close(f);
	return n;
}

/* Walks the page tables. */
static int by_smaps(char *p)
{
	return read_all("/proc/self/smaps") ?: read_all("/proc/self/numa_maps");
}

static int by_pagemap(char *p)
{
	uint64_t entries[2];
	int ret, f = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (f < 0)
		return -errno;
	ret = moves(pread(f, entries, sizeof(entries), (uintptr_t)p / PAGE * 8), sizeof(entries));
	close(f);
	return ret;
}

static int by_child(char *p)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(by_cpu(p) || by_pipe(p));
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return status ? -EFAULT : 0;
}

/* There and back, so that the map stays where it is. */
static int by_mremap(char *p)
{
	void *there = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q = p + 5 * PAGE;

	if (mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there) == MAP_FAILED)
		return -errno;
	if (by_cpu(there))
		return -EFAULT;
	return mremap(there, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == MAP_FAILED ?
		-errno : by_cpu(q);
}

static int by_mprotect(char *p)
{
	uint32_t value;

	if (mprotect(p + PAGE, PAGE, PROT_NONE) || mprotect(p + PAGE, PAGE, PROT_READ))
		return -errno;
	if (touch_read(p + PAGE, &value))
		return -EFAULT;
	return mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE) ? -errno : by_cpu(p + PAGE);
}

static const struct way {
	const char *name;
	int (*fn)(char *p);
} ways[] = {
	{ "cpu", by_cpu },
	{ "pipe", by_pipe },
	{ "vmsplice", by_vmsplice },
	{ "socket", by_socket },
	{ "direct_io", by_direct_io },
	{ "self_mem", by_self_mem },
	{ "ptrace", by_ptrace },
	{ "process_vm", by_process_vm },
	{ "proc_mem", by_proc_mem },
	{ "mlock", by_mlock },
	{ "madvise_populate", by_madvise_populate },
	{ "madvise", by_madvise },
	{ "msync", by_msync },
	{ "mincore", by_mincore },
	{ "futex", by_futex },
	{ "shared_futex", by_shared_futex },
	{ "userfaultfd", by_userfaultfd },
	{ "smaps", by_smaps },
	{ "pagemap", by_pagemap },
	{ "child", by_child },
	{ "mremap", by_mremap },
	{ "mprotect", by_mprotect },
};

#define N_WAYS ARRAY_SIZE(ways)

/* ---- the scene ---- */

/* A buffer, and maps of it by several clients. */
struct buffer {
	const char *kind;
	uint32_t handle, twin_handle;
	struct dumb bo;		/* size and offset, for the one who made it */
	uint64_t twin_offset;	/* for the other open file of this process */
	uint32_t *map, *twin_map;
};

static int fd, twin;
static struct buffer buffers[2];
static unsigned int n_buffers;
static char *map, *private_map;
static int before[N_WAYS], before_private[N_WAYS];
static struct {
	volatile unsigned int rounds[N_WAYS];
	volatile int worse[N_WAYS];	/* what failed that worked before */
} *during;
static volatile int *stop;
static volatile uint32_t *futex_result;
static bool pulled_ok;

/* A program that looks at all ways at once, until it is told to stop. */
static pid_t run_ways(void)
{
	pid_t pid = fork();
	unsigned int i;
	int ret;

	if (pid)
		return pid;
	while (!*stop) {
		for (i = 0; i < N_WAYS && !*stop; i++) {
			ret = before[i] ? 0 : ways[i].fn(map);
			if (ret)
				during->worse[i] = ret;
			during->rounds[i]++;
		}
	}
	_exit(0);
}

/* Asleep in a futex in the map, all the time that the device goes. */
static void *futex_sleeper(void *arg)
{
	*futex_result = -futex(map + 3 * PAGE, FUTEX_WAIT_PRIVATE, PATTERN) + 1;
	return NULL;
}

static int offset_of(int f, uint32_t handle, uint64_t *offset)
{
	struct drm_mode_map_dumb dumb = { .handle = handle };
	union drm_amdgpu_gem_mmap amdgpu = { .in.handle = handle };
	struct drm_radeon_gem_mmap radeon = { .handle = handle, .size = PAGE };
	int ret;

	if (driver_is("amdgpu")) {
		ret = ioctl_err(f, DRM_IOCTL_AMDGPU_GEM_MMAP, &amdgpu);
		*offset = amdgpu.out.addr_ptr;
	} else if (driver_is("radeon")) {
		ret = ioctl_err(f, DRM_IOCTL_RADEON_GEM_MMAP, &radeon);
		*offset = radeon.addr_ptr;
	} else {
		ret = ioctl_err(f, DRM_IOCTL_MODE_MAP_DUMB, &dumb);
		*offset = dumb.offset;
	}
	return ret;
}

/* The other file gets the buffer, too, and maps it. */
static void twin_make(struct buffer *b)
{
	struct drm_prime_handle args = { .fd = prime_export(fd, b->handle) };
	void *p;

	if (args.fd < 0 || ioctl_err(twin, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args) ||
	    offset_of(twin, args.handle, &b->twin_offset))
		return;
	p = mmap(NULL, b->bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, twin, b->twin_offset);
	if (p != MAP_FAILED)
		b->twin_map = p;
}

static void buffer_add(const char *kind, uint32_t handle, const struct dumb *bo)
{
	struct buffer *b = &buffers[n_buffers];

	b->kind = kind;
	b->handle = handle;
	b->bo = *bo;
	b->map = dumb_map(fd, bo);
	if (!b->map)
		return;
	fill_all(b->map, bo->size, PATTERN);
	twin_make(b);
	n_buffers++;
}

static void buffers_make(void)
{
	union drm_amdgpu_gem_create amdgpu = {
		.in = { .bo_size = 64 * PAGE, .alignment = PAGE, .domains = AMDGPU_GEM_DOMAIN_GTT,
			.domain_flags = AMDGPU_GEM_CREATE_CPU_ACCESS_REQUIRED },
	};
	struct drm_radeon_gem_create radeon = {
		.size = 64 * PAGE, .alignment = PAGE, .initial_domain = RADEON_GEM_DOMAIN_GTT,
	};
	struct dumb bo = {};
	uint32_t handle = 0;

	if (!dumb_create(fd, 256, 256, &bo))
		buffer_add("dumb", bo.handle, &bo);
	bo = (struct dumb){ .size = 64 * PAGE };
	if (driver_is("amdgpu") && !ioctl_err(fd, DRM_IOCTL_AMDGPU_GEM_CREATE, &amdgpu))
		handle = amdgpu.out.handle;
	if (driver_is("radeon") && !ioctl_err(fd, DRM_IOCTL_RADEON_GEM_CREATE, &radeon))
		handle = radeon.handle;
	if (handle && !offset_of(fd, handle, &bo.offset))
		buffer_add("gtt", handle, &bo);
}

static void run_scene(void)
{
	pthread_t sleeper;
	pid_t pid;
	size_t i;

	during = shared_zalloc(sizeof(*during));
	stop = shared_zalloc(PAGE);
	futex_result = shared_zalloc(PAGE);
	fd = open_card(0);
	twin = open_card(0);
	buffers_make();
	if (!n_buffers) {
		printf("# cannot create a buffer\n");
		exit(1);
	}
	map = (char *)buffers[0].map;
	private_map = mmap(NULL, buffers[0].bo.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
			   buffers[0].bo.offset);
	if (private_map == MAP_FAILED)
		private_map = NULL;
	for (i = 0; i < N_WAYS; i++) {
		before[i] = ways[i].fn(map);
		before_private[i] = private_map ? ways[i].fn(private_map) : -EINVAL;
		printf("# %s: %s, private %s\n", ways[i].name, err_name(before[i]),
		       err_name(before_private[i]));
	}
	fill_all(map, buffers[0].bo.size, PATTERN);
	pthread_create(&sleeper, NULL, futex_sleeper, NULL);
	pid = run_ways();
	/* Each way was taken at least once. */
	while (!during->rounds[N_WAYS - 1])
		sleep_ms(5);
	pulled_ok = pull();
	sleep_ms(100);
	*stop = 1;
	waitpid(pid, NULL, 0);
	while (futex(map + 3 * PAGE, FUTEX_WAKE_PRIVATE, INT_MAX) || !*futex_result)
		sleep_ms(10);
	pthread_join(sleeper, NULL);
}

/* ---- tests ---- */

TEST(pull_succeeds)
{
	ASSERT_TRUE(pulled_ok);
}

FIXTURE(M1_by) {
};

FIXTURE_VARIANT(M1_by) {
	int way;
};

FIXTURE_SETUP(M1_by)
{
}

FIXTURE_TEARDOWN(M1_by)
{
}

/* In the order of ways[]. */
FIXTURE_VARIANT_ADD(M1_by, cpu) { 0 };
FIXTURE_VARIANT_ADD(M1_by, pipe) { 1 };
FIXTURE_VARIANT_ADD(M1_by, vmsplice) { 2 };
FIXTURE_VARIANT_ADD(M1_by, socket) { 3 };
FIXTURE_VARIANT_ADD(M1_by, direct_io) { 4 };
FIXTURE_VARIANT_ADD(M1_by, self_mem) { 5 };
FIXTURE_VARIANT_ADD(M1_by, ptrace) { 6 };
FIXTURE_VARIANT_ADD(M1_by, process_vm) { 7 };
FIXTURE_VARIANT_ADD(M1_by, proc_mem) { 8 };
FIXTURE_VARIANT_ADD(M1_by, mlock) { 9 };
FIXTURE_VARIANT_ADD(M1_by, madvise_populate) { 10 };
FIXTURE_VARIANT_ADD(M1_by, madvise) { 11 };
FIXTURE_VARIANT_ADD(M1_by, msync) { 12 };
FIXTURE_VARIANT_ADD(M1_by, mincore) { 13 };
FIXTURE_VARIANT_ADD(M1_by, futex) { 14 };
FIXTURE_VARIANT_ADD(M1_by, shared_futex) { 15 };
FIXTURE_VARIANT_ADD(M1_by, userfaultfd) { 16 };
FIXTURE_VARIANT_ADD(M1_by, smaps) { 17 };
FIXTURE_VARIANT_ADD(M1_by, pagemap) { 18 };
FIXTURE_VARIANT_ADD(M1_by, child) { 19 };
FIXTURE_VARIANT_ADD(M1_by, mremap) { 20 };
FIXTURE_VARIANT_ADD(M1_by, mprotect) { 21 };

TEST_F(M1_by, during_and_after)
{
	const struct way *way = &ways[variant->way];
	int ret;

	EXPECT_LT(0, during->rounds[variant->way]);
	EXPECT_EQ(0, during->worse[variant->way])
		TH_LOG("while the device went: %s", err_name(during->worse[variant->way]));
	ret = way->fn(map);
	if (!before[variant->way])
		EXPECT_EQ(0, ret) TH_LOG("old map: %s", err_name(ret));
	if (private_map) {
		ret = way->fn(private_map);
		if (!before_private[variant->way])
			EXPECT_EQ(0, ret) TH_LOG("private map: %s", err_name(ret));
	}
	/* Whatever was refused, the map is still there. */
	EXPECT_EQ(0, by_cpu(map));
}

TEST_F(M1_by, new_map)
{
	char *p = mmap(NULL, buffers[0].bo.size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, fd, buffers[0].bo.offset);
	int ret;

	ASSERT_NE(MAP_FAILED, (void *)p) TH_LOG("%s", err_name(-errno));
	ret = ways[variant->way].fn(p);
	if (!before[variant->way])
		EXPECT_EQ(0, ret) TH_LOG("%s", err_name(ret));
	EXPECT_EQ(0, by_cpu(p));
}

/* A waiter in a lost map is woken as any other. */
TEST(M1_futex_sleeper_is_woken)
{
	EXPECT_EQ(1, *futex_result) TH_LOG("%s", err_name(-(long)(*futex_result - 1)));
}

TEST(M1_mlockall)
{
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE)) TH_LOG("%s", err_name(-errno));
	EXPECT_EQ(0, by_cpu(map));
	EXPECT_EQ(0, munlockall());
}

/* M5: another open file is another client, in the same process as well. */
TEST(M5_two_files_of_one_process)
{
	uint32_t value;
	unsigned int i, used = 0;

	for (i = 0; i < n_buffers; i++) {
		if (!buffers[i].twin_map)
			continue;
		used++;
		EXPECT_EQ(0, fill_all(buffers[i].map, buffers[i].bo.size, 0x5ec7e7));
		EXPECT_EQ(0, touch_read(buffers[i].twin_map, &value));
		EXPECT_NE(0x5ec7e7, value) TH_LOG("%s buffer", buffers[i].kind);
		EXPECT_NE(PATTERN, value) TH_LOG("%s buffer", buffers[i].kind);
		EXPECT_EQ(0, touch_write(buffers[i].twin_map, 0x7e57));
		EXPECT_EQ(0, touch_read(buffers[i].map, &value));
		EXPECT_EQ(0x5ec7e7, value) TH_LOG("%s buffer", buffers[i].kind);
	}
	if (!used)
		SKIP(return, "two files cannot have the same buffer");
}

/* What another process reads from the map that it makes for itself. */
static uint32_t other_process_reads(int f, uint64_t offset, size_t size)
{
	volatile uint32_t *value = shared_zalloc(PAGE);
	pid_t pid = fork();
	uint32_t v = 0;
	void *p;

	if (!pid) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f, offset);
		*value = p == MAP_FAILED ? 0xdead0000 : touch_read(p, &v) ? 0xdead0001 : v;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return *value;
}

TEST(M5_two_processes)
{
	const struct buffer *b;

	for (b = buffers; b < buffers + n_buffers; b++) {
		EXPECT_EQ(0, fill_all(b->map, b->bo.size, 0x5ec7e7));
		EXPECT_EQ(0, other_process_reads(fd, b->bo.offset, b->bo.size))
			TH_LOG("%s buffer", b->kind);
		if (b->twin_map)
			EXPECT_EQ(0, other_process_reads(twin, b->twin_offset, b->bo.size))
				TH_LOG("%s buffer, another file", b->kind);
	}
}

/* Parent and child, each way, in a map that the child was born with. */
TEST(M5_parent_and_child)
{
	struct seen {
		volatile uint32_t child;
		volatile int turn;
	} *seen = shared_zalloc(PAGE);
	const struct buffer *b;
	uint32_t value = 0;
	pid_t pid;

	for (b = buffers; b < buffers + n_buffers; b++) {
		seen->turn = 0;
		EXPECT_EQ(0, fill_all(b->map, b->bo.size, 0x5ec7e7));
		pid = fork();
		if (!pid) {
			while (seen->turn != 1)
				sleep_ms(1);
			if (touch_read(b->map, &value))
				value = 0xdead0000;
			seen->child = value;
			fill_all(b->map, b->bo.size, 0xc41d);
			seen->turn = 2;
			while (seen->turn != 3)
				sleep_ms(1);
			_exit(0);
		}
		EXPECT_EQ(0, touch_write(b->map, 0xfa7e));
		seen->turn = 1;
		while (seen->turn != 2)
			sleep_ms(1);
		EXPECT_EQ(0, seen->child) TH_LOG("%s buffer: child reads parent's", b->kind);
		EXPECT_EQ(0, touch_read(b->map, &value));
		EXPECT_EQ(0xfa7e, value) TH_LOG("%s buffer: parent reads child's", b->kind);
		seen->turn = 3;
		waitpid(pid, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
