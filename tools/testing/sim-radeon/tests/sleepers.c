// SPDX-License-Identifier: GPL-2.0
/*
 * A task asleep in every wait that amdgpu has, on rings that stand still, when the card goes
 * (U4, F1, F2, T1):
 *
 *	sleepers remove|surprise
 *
 * Says "sleeper NAME: ok" or "sleeper NAME: wrong, ..." for each, and the same for the removal.
 * What that means is for the runner to say, which knows what stock does. Exit status 0 unless the
 * test itself could not be done.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/sync_file.h>
#include <xf86drm.h>

#include "gpu.h"
#include "kms.h"
#include "../../selftests/drm_unplug/module/stuck.h"

#define SIZE (64 * 1024)
#define ALL_RINGS 7
/* Then it hangs: nothing that is pending here ends by itself within a minute. */
#define HANG_MS 40000

static struct gpu gpu;
static struct kms kms;
static struct buffer buffer;
static struct amdgpu_cs_fence running, queued;
static int running_file = -1, queued_file = -1, dependent_file = -1, flip = -1;
static uint32_t unsubmitted;
static const char *how;

/* A raw ioctl once more if a signal that nobody sees interrupts it. */
static long call(unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(gpu.fd, request, arg);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	return ret ? -errno : 0;
}

static uint32_t context_id(void)
{
	union drm_amdgpu_ctx args = { .in.op = AMDGPU_CTX_OP_ALLOC_CTX };
	static uint32_t id;

	if (!id && !call(DRM_IOCTL_AMDGPU_CTX, &args))
		id = args.out.alloc.ctx_id;
	return id;
}

static long wait_cs(void)
{
	uint32_t expired;

	return amdgpu_cs_query_fence_status(&running, AMDGPU_TIMEOUT_INFINITE, 0, &expired);
}

static long wait_cs_queued(void)
{
	uint32_t expired;

	return amdgpu_cs_query_fence_status(&queued, AMDGPU_TIMEOUT_INFINITE, 0, &expired);
}

static long wait_fences(void)
{
	struct amdgpu_cs_fence both[] = { running, queued };
	uint32_t status, first;

	return amdgpu_cs_wait_fences(both, 2, true, AMDGPU_TIMEOUT_INFINITE, &status, &first);
}

static long wait_idle(void)
{
	union drm_amdgpu_gem_wait_idle args = {
		.in = { .handle = buffer.handle, .timeout = INT64_MAX },
	};

	return call(DRM_IOCTL_AMDGPU_GEM_WAIT_IDLE, &args);
}

/* Waits in the kernel for somebody to submit the point, up to 5 s. */
static long submit_after_submit(void)
{
	struct drm_amdgpu_cs_chunk_syncobj wait = {
		.handle = unsubmitted, .point = 1,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
	};
	struct drm_amdgpu_cs_chunk_ib ib = {
		.va_start = gpu.ib.va, .ib_bytes = 32, .ip_type = AMDGPU_HW_IP_DMA,
	};
	struct drm_amdgpu_cs_chunk chunks[] = {
		{ AMDGPU_CHUNK_ID_IB, sizeof(ib) / 4, (uintptr_t)&ib },
		{ AMDGPU_CHUNK_ID_SYNCOBJ_TIMELINE_WAIT, sizeof(wait) / 4, (uintptr_t)&wait },
	};
	uint64_t pointers[] = { (uintptr_t)&chunks[0], (uintptr_t)&chunks[1] };
	union drm_amdgpu_cs args = {
		.in = { .ctx_id = context_id(), .num_chunks = 2, .chunks = (uintptr_t)pointers },
	};

	return call(DRM_IOCTL_AMDGPU_CS, &args);
}

/* A job for when a fence that is not amdgpu's has signalled, which it never does. */
static int submit_dependent(void)
{
	int stuck = open("/dev/drm-stuck", O_RDWR | O_CLOEXEC), file = ioctl(stuck, STUCK_FENCE);
	struct drm_amdgpu_cs_chunk_sem in = { }, out = { };
	struct drm_amdgpu_cs_chunk_ib ib = {
		.va_start = gpu.ib.va, .ib_bytes = 32, .ip_type = AMDGPU_HW_IP_DMA,
	};
	struct drm_amdgpu_cs_chunk chunks[] = {
		{ AMDGPU_CHUNK_ID_IB, sizeof(ib) / 4, (uintptr_t)&ib },
		{ AMDGPU_CHUNK_ID_SYNCOBJ_IN, sizeof(in) / 4, (uintptr_t)&in },
		{ AMDGPU_CHUNK_ID_SYNCOBJ_OUT, sizeof(out) / 4, (uintptr_t)&out },
	};
	uint64_t pointers[] = { (uintptr_t)&chunks[0], (uintptr_t)&chunks[1], (uintptr_t)&chunks[2] };
	union drm_amdgpu_cs args = {
		.in = { .ctx_id = context_id(), .num_chunks = 3, .chunks = (uintptr_t)pointers },
	};

	check(file >= 0);
	check_ok(drmSyncobjCreate(gpu.fd, 0, &in.handle));
	check_ok(drmSyncobjCreate(gpu.fd, 0, &out.handle));
	check_ok(drmSyncobjImportSyncFile(gpu.fd, in.handle, file));
	check_ok(call(DRM_IOCTL_AMDGPU_CS, &args));
	check_ok(drmSyncobjExportSyncFile(gpu.fd, out.handle, &file));
	return file;
}

/* Work for the first SDMA ring. */
static int submit(struct amdgpu_cs_fence *fence)
{
	uint32_t dwords[5] = { FILL(&buffer, 1) };
	struct buffer *buffers[] = { &buffer };

	return gpu_submit(&gpu, AMDGPU_HW_IP_DMA, 0, dwords, 5, buffers, 1, fence);
}

/* A context has room for 32 jobs, the next one waits for the first. */
static long submit_too_many(void)
{
	struct amdgpu_cs_fence fence;
	long ret = 0;
	int i;

	for (i = 0; i < 64 && !ret; i++)
		ret = submit(&fence);
	return ret;
}

static long syncobj_wait(void)
{
	struct drm_syncobj_wait args = {
		.handles = (uintptr_t)&unsubmitted, .count_handles = 1, .timeout_nsec = INT64_MAX,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
	};

	return call(DRM_IOCTL_SYNCOBJ_WAIT, &args);
}

static long read_events(void)
{
	char text[64];

	return read(gpu.fd, text, sizeof(text)) < 0 ? -errno : 0;
}

/* The status that a fence ends with. */
static long fence_end(int file)
{
	struct sync_file_info info = { };
	struct pollfd p = { .fd = file, .events = POLLIN };

	if (poll(&p, 1, -1) != 1 || ioctl(file, SYNC_IOC_FILE_INFO, &info))
		return -errno;
	return info.status;
}

static long fence_running(void)
{
	return fence_end(running_file);
}

static long fence_queued(void)
{
	return fence_end(queued_file);
}

static long fence_dependent(void)
{
	return fence_end(dependent_file);
}

/* It was promised, and comes whatever becomes of its fence. */
static long flip_event(void)
{
	struct drm_event_vblank event;
	struct pollfd p = { .fd = kms.fd, .events = POLLIN };

	if (poll(&p, 1, -1) != 1 || read(kms.fd, &event, sizeof(event)) != sizeof(event))
		return -errno;
	return event.base.type == DRM_EVENT_FLIP_COMPLETE ? -ENODEV : -EPROTO;
}

static struct sleeper {
	const char *name;
	long (*run)(void);
	volatile long ret;
	volatile bool started, done;
	volatile pid_t tid;
	bool early;
	pthread_t thread;
} sleepers[] = {
	{ "U4_wait_cs", wait_cs },
	{ "U4_wait_cs_queued", wait_cs_queued },
	{ "U4_wait_fences", wait_fences },
	{ "U4_gem_wait_idle", wait_idle },
	{ "U4_cs_wait_for_submit", submit_after_submit },
	{ "U4_cs_context_full", submit_too_many },
	{ "U4_syncobj_wait_for_submit", syncobj_wait },
	{ "U5_read", read_events },
	{ "F1_fence_of_running_job", fence_running },
	{ "F1_fence_of_queued_job", fence_queued },
	{ "F1_fence_of_dependent_job", fence_dependent },
	{ "U5_flip_event", flip_event },
};

#define COUNT (sizeof(sleepers) / sizeof(*sleepers))

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	s->tid = syscall(SYS_gettid);
	s->started = true;
	s->ret = s->run();
	s->done = true;
	return NULL;
}

/* In its call, and not where a page of the program is still to come. */
static bool asleep(const struct sleeper *s)
{
	char path[64], text[8] = "";
	int fd;

	if (!s->started)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", s->tid);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return s->done || (text[0] >= '0' && text[0] <= '9');
}

static volatile int removed = 1;

static void *remover(void *arg)
{
	removed = strcmp(how, "surprise") ? write_file(sim_sysfs(sim_card(), "remove"), "1") :
					    sim_control(sim_card(), "surprise");
	return NULL;
}

static void say(const char *name, bool ok, long ret, bool done)
{
	printf("sleeper %s_%s: %s", how, name, ok ? "ok" : "wrong");
	if (!done)
		printf(", still asleep");
	else if (!ok)
		printf(", %ld (%s)", ret, ret < 0 ? strerror(-ret) : "no error");
	printf("\n");
}

static void run(void)
{
	struct drm_syncobj_create create = { };
	struct amdgpu_cs_fence late;
	pthread_t thread;
	unsigned int i;
	int ret;

	sim_no_faults(sim_card());
	gpu_open(&gpu, sim_card());
	buffer_alloc(&gpu, &buffer, SIZE, AMDGPU_GEM_DOMAIN_VRAM);
	kms_start(&kms, sim_card());
	check_ok(call(DRM_IOCTL_SYNCOBJ_CREATE, &create));
	unsubmitted = create.handle;
	check(context_id());
	/* Once before, so that page tables and clears are done. */
	check_ok(submit(&running));
	check_eq(gpu_wait(&running, 10000), 1);

	sim_fault(sim_card(), "stall", ALL_RINGS);
	check_ok(submit(&running));
	running_file = gpu_sync_file(&gpu, &running);
	/* The ring takes two, and the others of the context wait for them. */
	for (i = 0; i < 8; i++)
		check_ok(submit(&queued));
	queued_file = gpu_sync_file(&gpu, &queued);
	dependent_file = submit_dependent();
	flip = kms_flip(&kms, 1, running_file);
	check_ok(flip);

	for (i = 0; i < COUNT; i++)
		check(!pthread_create(&sleepers[i].thread, NULL, sleeper_main, &sleepers[i]));
	for (i = 0; i < COUNT; i++)
		wait_for(asleep(&sleepers[i]), 30000);
	sleep_ms(50);
	for (i = 0; i < COUNT; i++)
		sleepers[i].early = sleepers[i].done;

	check(!pthread_create(&thread, NULL, remover, NULL));
	wait_for(removed != 1, HANG_MS);
	say("T1_removal", !removed, removed, removed != 1);

	for (i = 0; i < COUNT; i++)
		wait_for(sleepers[i].done, 3000);
	for (i = 0; i < COUNT; i++)
		say(sleepers[i].name, sleepers[i].done && !sleepers[i].early &&
		    sleepers[i].ret == -ENODEV, sleepers[i].ret, sleepers[i].done);

	/* Too late. */
	ret = submit(&late);
	say("F2_late_submission", ret == -ENODEV, ret, true);
	fflush(stdout);
	_exit(0);
}

static const struct test tests[] = { { "sleepers", run }, { } };

int main(int argc, char **argv)
{
	if (argc != 2 || (strcmp(argv[1], "remove") && strcmp(argv[1], "surprise"))) {
		fprintf(stderr, "usage: sleepers remove|surprise\n");
		return 2;
	}
	how = argv[1];
	return run_tests(tests, 1, argv);
}
