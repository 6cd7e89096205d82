// SPDX-License-Identifier: GPL-2.0
/*
 * One unplug, and what there is to see: what worked before, what the client saw, which registers
 * were touched after. Judges nothing; prints "key: value" lines, which ../run sets side by side, and judges.
 *
 *	scenario DEVICE remove|unbind|surprise
 *
 * The client is amdgpu's or radeon's, by the driver of the card; both in plain ioctls where they
 * share the interface.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/dma-buf.h>
#include <xf86drm.h>
#include <radeon_drm.h>

#include "gpu.h"

#define SIZE (256 * 1024)
#define SDMA_RINGS 3
#define HANG_MS 25000

static struct gpu gpu;
static struct buffer vram, gtt;
static int card_fd, dma_buf, sync_fd, done_fd;
static bool is_amdgpu;
static struct amdgpu_cs_fence stalled;

static void say(const char *key, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const char *key, const char *format, ...)
{
	va_list args;

	printf("%s: ", key);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static const char *name(int error)
{
	return error ? strerrorname_np(error < 0 ? -error : error) : "succeeds";
}

/* --- memory ------------------------------------------------------------------------------------- */

static sigjmp_buf bus;

static void on_bus(int signal)
{
	siglongjmp(bus, signal);
}

/* Reads, writes, and looks whether what was written shows up in another page. */
static void touch(const char *key, volatile uint32_t *map)
{
	uint32_t before, after;

	if (sigsetjmp(bus, 1)) {
		say(key, "signal");
		return;
	}
	if (map == MAP_FAILED) {
		say(key, "%s", name(errno));
		return;
	}
	before = map[16];
	map[16] = 0x12345678;
	after = map[16];
	say(key, "reads %#x, %s%s", before, after == 0x12345678 ? "writable" : "writes are lost",
	    map[16 + 8192] == 0x12345678 ? ", all pages are one" : "");
}

/* --- sleepers ----------------------------------------------------------------------------------- */

struct sleeper {
	const char *key;
	void (*run)(struct sleeper *sleeper);
	pthread_t thread;
	char text[64];
	volatile bool done;
};

static void sleep_read(struct sleeper *sleeper)
{
	char buffer[1024];
	ssize_t length = read(card_fd, buffer, sizeof(buffer));

	snprintf(sleeper->text, 64, "%s", length < 0 ? name(errno) : length ? "data" : "end of file");
}

static void sleep_poll(struct sleeper *sleeper)
{
	/* An open file of its own: who reads the end first takes it from the others. */
	struct pollfd poll_fd = { .fd = sim_open(sim_card(), "card"), .events = POLLIN };

	poll(&poll_fd, 1, -1);
	snprintf(sleeper->text, 64, "wakes, events %#x", poll_fd.revents);
}

static void sleep_fence(struct sleeper *sleeper)
{
	if (is_amdgpu) {
		int got = gpu_wait(&stalled, 600000);

		snprintf(sleeper->text, 64, "%s", got < 0 ? name(got) : got ? "succeeds" : "time out");
	} else {
		struct drm_radeon_gem_wait_idle args = { .handle = vram.handle };
		int error = drmCommandWrite(gpu.fd, DRM_RADEON_GEM_WAIT_IDLE, &args, sizeof(args));

		snprintf(sleeper->text, 64, "%s", name(error));
	}
}

static struct sleeper sleepers[] = {
	{ "read() sleeper", sleep_read },
	{ "poll() sleeper", sleep_poll },
	{ "fence sleeper", sleep_fence },
};

static void *sleep_thread(void *data)
{
	struct sleeper *sleeper = data;

	sleeper->run(sleeper);
	sleeper->done = true;
	return NULL;
}

/* --- a client of either driver ------------------------------------------------------------------ */

static int radeon(unsigned long number, void *args, size_t size)
{
	return drmCommandWriteRead(gpu.fd, number, args, size);
}

static void radeon_alloc(struct buffer *buffer, uint32_t domain, uint64_t va_at)
{
	struct drm_radeon_gem_create create = { .size = SIZE, .initial_domain = domain };
	struct drm_radeon_gem_mmap map = { .size = SIZE };
	struct drm_radeon_gem_va va = {
		.operation = RADEON_VA_MAP, .offset = va_at,
		.flags = RADEON_VM_PAGE_READABLE | RADEON_VM_PAGE_WRITEABLE | RADEON_VM_PAGE_SNOOPED,
	};

	buffer->size = SIZE;
	buffer->va = va_at;
	check_ok(radeon(DRM_RADEON_GEM_CREATE, &create, sizeof(create)));
	buffer->handle = map.handle = va.handle = create.handle;
	check_ok(radeon(DRM_RADEON_GEM_MMAP, &map, sizeof(map)));
	buffer->cpu = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, gpu.fd, map.addr_ptr);
	check(buffer->cpu != MAP_FAILED);
	check_ok(radeon(DRM_RADEON_GEM_VA, &va, sizeof(va)));
}

static int radeon_submit(const uint32_t *dwords)
{
	uint32_t padded[8] = { };
	struct drm_radeon_cs_reloc reloc = {
		.handle = vram.handle, .read_domains = RADEON_GEM_DOMAIN_VRAM,
		.write_domain = RADEON_GEM_DOMAIN_VRAM,
	};
	uint32_t flags[2] = { RADEON_CS_USE_VM, RADEON_CS_RING_DMA };
	struct drm_radeon_cs_chunk chunks[3] = {
		{ RADEON_CHUNK_ID_RELOCS, sizeof(reloc) / 4, (uintptr_t)&reloc },
		{ RADEON_CHUNK_ID_FLAGS, 2, (uintptr_t)flags },
		{ RADEON_CHUNK_ID_IB, 8, (uintptr_t)padded },
	};
	uint64_t pointers[3] = { (uintptr_t)&chunks[0], (uintptr_t)&chunks[1], (uintptr_t)&chunks[2] };
	struct drm_radeon_cs args = { .num_chunks = 3, .chunks = (uintptr_t)pointers };

	memcpy(padded, dwords, 5 * 4);
	return radeon(DRM_RADEON_CS, &args, sizeof(args));
}

static int work(unsigned int ring, uint32_t value)
{
	uint32_t dwords[] = { FILL(&vram, value) };
	struct buffer *buffers[] = { &vram };

	if (!is_amdgpu)
		return radeon_submit(dwords);
	return gpu_submit(&gpu, AMDGPU_HW_IP_DMA, ring, dwords, 5, buffers, 1, &stalled);
}

static void open_client(void)
{
	drmVersionPtr version;
	int fd = sim_open(sim_card(), "renderD");

	check(fd >= 0);
	card_fd = sim_open(sim_card(), "card");
	check(card_fd >= 0);
	version = drmGetVersion(fd);
	check(version);
	is_amdgpu = !strcmp(version->name, "amdgpu");
	say("driver", "%s", version->name);
	drmFreeVersion(version);
	if (is_amdgpu) {
		gpu_open_fd(&gpu, fd);
		buffer_alloc(&gpu, &vram, SIZE, AMDGPU_GEM_DOMAIN_VRAM);
		buffer_alloc(&gpu, &gtt, SIZE, AMDGPU_GEM_DOMAIN_GTT);
	} else {
		gpu.fd = fd;
		radeon_alloc(&vram, RADEON_GEM_DOMAIN_VRAM, 0x1000000);
		radeon_alloc(&gtt, RADEON_GEM_DOMAIN_GTT, 0x2000000);
	}
	check_ok(drmPrimeHandleToFD(gpu.fd, vram.handle, DRM_CLOEXEC | DRM_RDWR, &dma_buf));
}

static void before(void)
{
	int ring;

	for (ring = 0; ring < (is_amdgpu ? 2 : 1); ring++) {
		char key[32];

		snprintf(key, sizeof(key), "work before, ring %d", ring);
		check_ok(work(ring, 0x100 + ring));
		if (!wait_for(vram.cpu[SIZE / 4 - 1] == 0x100u + ring, 10000))
			say(key, "not done");
		else
			say(key, "done and checked");
	}
	vram.cpu[16] = 0x5a5a;
	gtt.cpu[16] = 0x5b5b;
}

static void after(void)
{
	struct drm_syncobj_create syncobj = { };
	struct drm_gem_close close_args = { .handle = 0x7777 };
	struct drm_get_cap cap = { .capability = DRM_CAP_PRIME };
	struct drm_prime_handle prime = { .fd = dma_buf };
	char path[64];
	int fd;

	say("ioctl of the core", "%s", name(ioctl(gpu.fd, DRM_IOCTL_GET_CAP, &cap) ? errno : 0));
	say("ioctl SYNCOBJ_CREATE", "%s",
	    name(ioctl(gpu.fd, DRM_IOCTL_SYNCOBJ_CREATE, &syncobj) ? errno : 0));
	say("ioctl GEM_CLOSE", "%s", name(ioctl(gpu.fd, DRM_IOCTL_GEM_CLOSE, &close_args) ? errno : 0));
	say("import of its dma-buf", "%s",
	    name(ioctl(gpu.fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) ? errno : 0));
	say("ioctl to submit work", "%s", name(work(0, 0x300)));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", gpu.fd);
	fd = open(path, O_RDWR);
	say("open of the old node", "%s", name(fd < 0 ? errno : 0));
	if (fd >= 0)
		close(fd);
}

/* The fence of the work that writes the buffer: radeon gives no other way to it. */
static int dma_buf_fence(void)
{
	struct dma_buf_export_sync_file args = { .flags = DMA_BUF_SYNC_READ, .fd = -1 };

	check_ok(ioctl(dma_buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &args));
	return args.fd;
}

static int work_fence(void)
{
	return is_amdgpu ? gpu_sync_file(&gpu, &stalled) : dma_buf_fence();
}

static void say_fence(const char *key, int sync_file)
{
	struct pollfd poll_fd = { .fd = sync_file, .events = POLLIN };
	struct sync_file_info_ {
		char name[32];
		int32_t status;
		uint32_t flags, num_fences, pad;
		uint64_t sync_fence_info;
	} info = { };

	if (poll(&poll_fd, 1, 0) == 1) {
		ioctl(sync_file, _IOWR('>', 4, struct sync_file_info_), &info);
		say(key, "signalled, %s", info.status < 0 ? name(info.status) : "as done");
	} else {
		say(key, "pending");
	}
}

/*
 * Fences that are the last that is left of the device (T3): of work that was done, which nobody
 * has asked about, and of work that was not. The parent has them.
 */
static struct {
	volatile int done, stalled;
} *late;

static int take_file(int process, int number)
{
	int file = syscall(SYS_pidfd_getfd, process, number, 0);

	check(file >= 0);
	return file;
}

static unsigned long long packets(void)
{
	return sim_verdict(sim_card(), "packets_sdma0") + sim_verdict(sim_card(), "packets_sdma1") +
	       sim_verdict(sim_card(), "packets_gfx");
}

/*
 * The rings stood still because they were told to by us. A driver that has let go of memory, or
 * has told clients that their work is over, must have stopped them itself (F3, T6).
 */
static void let_go(void)
{
	unsigned long long before = packets();

	sim_fault(sim_card(), "stall", 0);
	sleep_ms(500);
	say("rings that are let go then", "%s", packets() == before ? "stand still" : "go on");
}

static pid_t puller;
static int trigger[2];

/* The process that pulls has no file of the card: closing one may hang by itself. */
static void prepare_pull(char *device, char *how)
{
	char byte;

	check(!pipe2(trigger, O_CLOEXEC));
	puller = fork();
	if (puller)
		return;
	close(trigger[1]);
	if (read(trigger[0], &byte, 1) == 1)
		execlp("drm-pull", "drm-pull", device, how, NULL);
	_exit(127);
}

static long pull(void)
{
	uint64_t start = now_ms();
	int status;

	check(write(trigger[1], "", 1) == 1);
	while (now_ms() < start + HANG_MS) {
		if (waitpid(puller, &status, WNOHANG) == puller)
			return now_ms() - start;
		sleep_ms(5);
	}
	return -1;
}

static char *device, *how;

static void scene(void)
{
	long ms;
	size_t i;
	void *map;

	/* What the kernel says of the slot would be drawn before the driver knows of anything. */
	write_file("/sys/class/vtconsole/vtcon1/bind", "0");
	prepare_pull(device, how);
	open_client();
	before();
	sim_fault(sim_card(), "stall", SDMA_RINGS);
	check_ok(work(0, 0x180));
	done_fd = work_fence();
	sim_fault(sim_card(), "stall", 0);
	check(wait_for(vram.cpu[SIZE / 4 - 1] == 0x180, 10000));
	sim_fault(sim_card(), "stall", SDMA_RINGS);
	check_ok(work(0, 0x200));
	sync_fd = work_fence();
	late->done = done_fd;
	late->stalled = sync_fd;
	check(wait_for(!late->stalled, 10000));
	for (i = 0; i < sizeof(sleepers) / sizeof(*sleepers); i++)
		pthread_create(&sleepers[i].thread, NULL, sleep_thread, &sleepers[i]);
	signal(SIGBUS, on_bus);
	signal(SIGSEGV, on_bus);
	sleep_ms(200);
	fflush(stdout);

	ms = pull();
	if (ms < 0)
		say("unplug", "no end after %d s", HANG_MS / 1000);
	else
		say("unplug", "ends");
	say("unplug, ms", "%ld", ms);
	after();
	say_fence("fence of stalled work", sync_fd);
	if (strcmp(how, "surprise"))
		let_go();
	for (i = 0; i < sizeof(sleepers) / sizeof(*sleepers); i++)
		say(sleepers[i].key, "%s", wait_for(sleepers[i].done, 3000) ? sleepers[i].text : "asleep");
	touch("old map of VRAM", vram.cpu);
	touch("old map of GTT", gtt.cpu);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dma_buf, 0);
	touch("new map of the dma-buf", map);
	say("registers written by the unplug", "%llu", sim_verdict(sim_card(), "registers_written_after"));
	fflush(stdout);
}

static const struct test tests[] = { { "scene", scene }, { } };

int main(int argc, char **argv)
{
	int status, process, done, pending;
	pid_t child;

	if (argc != 3) {
		fprintf(stderr, "usage: scenario DEVICE remove|unbind|surprise\n");
		return 2;
	}
	device = argv[1];
	how = argv[2];
	late = mmap(NULL, sizeof(*late), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* In a child, so that the late close is over when we go on, whatever sleeps in it. */
	child = fork();
	if (!child) {
		status = run_tests(tests, 1, argv);
		fflush(stdout);
		kill(getpid(), SIGKILL);
		return status;
	}
	alarm(120);
	process = syscall(SYS_pidfd_open, child, 0);
	while (!late->stalled && !waitpid(child, &status, WNOHANG))
		sleep_ms(5);
	if (!late->stalled)
		return 0;
	done = take_file(process, late->done);
	pending = take_file(process, late->stalled);
	late->stalled = 0;
	wait(&status);
	sleep_ms(1000);
	say_fence("fence of done work, when all is closed", done);
	say_fence("fence of stalled work, when all is closed", pending);
	close(done);
	close(pending);
	say("registers written, with the late close", "%llu",
	    sim_verdict(sim_card(), "registers_written_after"));
	say("pages of VRAM written, with the late close", "%llu",
	    sim_verdict(sim_card(), "vram_pages_written_after"));
	say("DMA to memory that is not mapped", "%llu", sim_verdict(sim_card(), "dma_stray_writes"));
	return 0;
}
