// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks asleep inside an ioctl when the device is pulled, and the syncobj calls
 * that are software only and go on working (spec U2, U4, T1).
 */
#include "common.h"
#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <drm/vgem_drm.h>
#include <linux/dma-buf.h>

enum {
	VBLANK,		/* a frame far away */
	SUBMIT,		/* SYNCOBJ_WAIT for a fence that nobody submitted */
	SUBMIT_ALL,	/* the same, two objects, all */
	FENCE,		/* SYNCOBJ_WAIT for a fence of another device */
	TIMELINE,	/* TIMELINE_WAIT for a point that nobody submitted */
	AVAILABLE,	/* the same, until there is a fence */
	N_SLEEPERS
};

static struct sleeper sl[N_SLEEPERS];
static struct kms kms;
static int fd;
static bool pulled_ok, early, syncobj, timeline;
static uint32_t unsignaled, unsignaled2, signaled, spare, fenced;
static uint32_t eventfd_obj;
static int evfd = -1, evfd_available = -1, obj_fd = -1, sync_file = -1;
static const char *no_fence = "no other device to take a fence from";

static uint32_t create(uint32_t flags)
{
	struct drm_syncobj_create args = { .flags = flags };

	return ioctl_err(fd, DRM_IOCTL_SYNCOBJ_CREATE, &args) ? 0 : args.handle;
}

static int handle_to_fd(uint32_t handle, uint32_t flags)
{
	struct drm_syncobj_handle args = { .handle = handle, .flags = flags, .fd = -1 };
	int ret = ioctl_err(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args);

	return ret ? ret : args.fd;
}

static int syncobj_wait(uint32_t *handles, unsigned int n, uint32_t flags)
{
	struct drm_syncobj_wait args = {
		.handles = (uintptr_t)handles, .count_handles = n,
		.timeout_nsec = INT64_MAX, .flags = flags,
	};

	return ioctl_err(fd, DRM_IOCTL_SYNCOBJ_WAIT, &args);
}

static int timeline_wait(uint32_t handle, uint64_t point, uint32_t flags)
{
	struct drm_syncobj_timeline_wait args = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&point,
		.count_handles = 1, .timeout_nsec = INT64_MAX, .flags = flags,
	};

	return ioctl_err(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

static int syncobj_eventfd(uint32_t handle, int efd, uint64_t point, uint32_t flags)
{
	struct drm_syncobj_eventfd args = {
		.handle = handle, .fd = efd, .point = point, .flags = flags,
	};

	return ioctl_err(fd, DRM_IOCTL_SYNCOBJ_EVENTFD, &args);
}

static volatile bool pulled;

static int wait_vblank(int f, unsigned int frames)
{
	union drm_wait_vblank vbl = {
		.request = { .type = _DRM_VBLANK_RELATIVE, .sequence = frames },
	};

	return ioctl_err(f, DRM_IOCTL_WAIT_VBLANK, &vbl);
}

/* The kernel gives up after 3 s with EBUSY, on a slow machine before the pull. */
static long do_vblank(struct sleeper *s)
{
	long ret;

	do {
		ret = wait_vblank(s->fd, 100000);
	} while (ret == -EBUSY && !pulled);
	return ret;
}

static long do_submit(struct sleeper *s)
{
	return syncobj_wait(&unsignaled, 1, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT);
}

static long do_submit_all(struct sleeper *s)
{
	uint32_t both[] = { signaled, unsignaled2 };

	return syncobj_wait(both, 2, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT |
				     DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL);
}

static long do_fence(struct sleeper *s)
{
	return syncobj_wait(&fenced, 1, 0);
}

static long do_timeline(struct sleeper *s)
{
	return timeline_wait(unsignaled, 7, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT);
}

static long do_available(struct sleeper *s)
{
	return timeline_wait(unsignaled, 8, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT |
					    DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE);
}

/*
 * A fence that stays unsignalled for some seconds: vgem attaches one to a
 * buffer, and the buffer's dma-buf gives it out.
 */
static void make_fence(void)
{
	struct drm_mode_create_dumb create = { .width = 16, .height = 16, .bpp = 32 };
	struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };
	struct drm_vgem_fence_attach attach = { .flags = VGEM_FENCE_WRITE };
	struct drm_syncobj_handle import = {
		.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE,
	};
	int vgem = open_vgem(), buf;

	if (vgem < 0)
		return;
	no_fence = "vgem gave no fence";
	if (ioctl_err(vgem, DRM_IOCTL_MODE_CREATE_DUMB, &create))
		return;
	attach.handle = create.handle;
	if (ioctl_err(vgem, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach))
		return;
	buf = prime_export(vgem, create.handle);
	if (buf < 0 || ioctl_err(buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export))
		return;
	sync_file = export.fd;
	import.handle = fenced;
	import.fd = sync_file;
	if (!ioctl_err(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &import))
		no_fence = NULL;
	/* vgem stays open: closing it would signal the fence. */
}

static bool fired(int efd)
{
	struct pollfd p = { .fd = efd, .events = POLLIN };

	return poll(&p, 1, sleeper_limit_ms()) == 1 && (p.revents & POLLIN);
}

static void start(int i, const char *what, long (*fn)(struct sleeper *))
{
	sl[i].what = what;
	sl[i].fn = fn;
	sl[i].fd = fd;
	sleeper_start(&sl[i]);
}

static const char *no_vblank;

static void run_scene(void)
{
	int i;

	fd = open_card(0);
	ioctl_err(fd, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(fd, &kms);
	syncobj = has_cap(fd, DRM_CAP_SYNCOBJ);
	timeline = has_cap(fd, DRM_CAP_SYNCOBJ_TIMELINE);

	no_vblank = kms.on ? NULL : kms.why_not;
	if (kms.on) {
		if (wait_vblank(fd, 0))
			no_vblank = "the driver has no vblanks";
		else
			start(VBLANK, "WAIT_VBLANK", do_vblank);
	}
	if (syncobj) {
		unsignaled = create(0);
		unsignaled2 = create(0);
		signaled = create(DRM_SYNCOBJ_CREATE_SIGNALED);
		spare = create(0);
		fenced = create(0);
		eventfd_obj = create(0);
		obj_fd = handle_to_fd(signaled, 0);
		make_fence();
		start(SUBMIT, "SYNCOBJ_WAIT for submit", do_submit);
		start(SUBMIT_ALL, "SYNCOBJ_WAIT for all", do_submit_all);
		if (!no_fence)
			start(FENCE, "SYNCOBJ_WAIT for a fence", do_fence);
		if (timeline) {
			start(TIMELINE, "TIMELINE_WAIT for submit", do_timeline);
			start(AVAILABLE, "TIMELINE_WAIT until available", do_available);
		}
		evfd = eventfd(0, EFD_CLOEXEC);
		evfd_available = eventfd(0, EFD_CLOEXEC);
		if (syncobj_eventfd(eventfd_obj, evfd, 0, 0) ||
		    syncobj_eventfd(eventfd_obj, evfd_available, 0,
				    DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE))
			printf("# cannot register an eventfd\n");
	}
	sleepers_settle(sl, N_SLEEPERS);
	for (i = 0; i < N_SLEEPERS; i++)
		early |= sl[i].early;
	pulled_ok = pull();
	pulled = true;
	sleepers_wait(sl, N_SLEEPERS);
}

/* ---- tests ---- */

/* The pull does not wait for any of the sleepers. */
TEST(T1_pull_succeeds_in_time)
{
	ASSERT_TRUE(pulled_ok);
	TH_LOG("the pull took %ld ms", (long)pull_ms);
	EXPECT_FALSE(early) TH_LOG("a sleeper came back before the pull");
}

FIXTURE(U4_sleeper) {
};

FIXTURE_VARIANT(U4_sleeper) {
	int i;
};

FIXTURE_SETUP(U4_sleeper)
{
}

FIXTURE_TEARDOWN(U4_sleeper)
{
}

FIXTURE_VARIANT_ADD(U4_sleeper, wait_vblank) { VBLANK };
FIXTURE_VARIANT_ADD(U4_sleeper, syncobj_wait_for_submit) { SUBMIT };
FIXTURE_VARIANT_ADD(U4_sleeper, syncobj_wait_for_all) { SUBMIT_ALL };
FIXTURE_VARIANT_ADD(U4_sleeper, syncobj_wait_for_fence) { FENCE };
FIXTURE_VARIANT_ADD(U4_sleeper, timeline_wait_for_submit) { TIMELINE };
FIXTURE_VARIANT_ADD(U4_sleeper, timeline_wait_available) { AVAILABLE };

TEST_F(U4_sleeper, gets_enodev)
{
	const struct sleeper *s = &sl[variant->i];

	if (variant->i == VBLANK && no_vblank)
		SKIP(return, "%s", no_vblank);
	if (variant->i != VBLANK && !syncobj)
		SKIP(return, "the driver has no syncobj");
	if (variant->i == FENCE && no_fence)
		SKIP(return, "%s", no_fence);
	if (variant->i >= TIMELINE && !timeline)
		SKIP(return, "the driver has no timeline syncobj");
	ASSERT_TRUE(s->done)
		TH_LOG("%s still asleep %u ms after the pull", s->what, sleeper_limit_ms());
	EXPECT_EQ(-ENODEV, s->ret) TH_LOG("%s: %s", s->what, err_name(s->ret));
}

TEST(U4_syncobj_eventfd_fires)
{
	if (!syncobj)
		SKIP(return, "the driver has no syncobj");
	EXPECT_TRUE(fired(evfd));
	EXPECT_TRUE(fired(evfd_available));
}

/* New waits are refused, even those that would not sleep. */
TEST(U4_new_wait_gets_enodev)
{
	if (!syncobj)
		SKIP(return, "the driver has no syncobj");
	EXPECT_EQ(-ENODEV, syncobj_wait(&signaled, 1, 0));
	EXPECT_EQ(-ENODEV, syncobj_eventfd(eventfd_obj, evfd, 0, 0));
	if (timeline)
		EXPECT_EQ(-ENODEV, timeline_wait(signaled, 0, 0));
}

TEST(U4_new_wait_vblank_gets_enodev)
{
	if (no_vblank)
		SKIP(return, "%s", no_vblank);
	EXPECT_EQ(-ENODEV, wait_vblank(fd, 100000));
}

/*
 * The documented exception: calls that touch no device go on working, so that
 * a compositor does not blame innocent clients.
 */
FIXTURE(U2_software) {
};

FIXTURE_SETUP(U2_software)
{
	if (!syncobj)
		SKIP(return, "the driver has no syncobj");
}

FIXTURE_TEARDOWN(U2_software)
{
}

TEST_F(U2_software, syncobj_create_and_destroy)
{
	struct drm_syncobj_create args = {};
	struct drm_syncobj_destroy destroy = {};

	ASSERT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_CREATE, &args));
	destroy.handle = args.handle;
	EXPECT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy));
}

TEST_F(U2_software, syncobj_export)
{
	int out = handle_to_fd(spare, 0);

	ASSERT_LE(0, out) TH_LOG("%s", err_name(out));
	close(out);
}

TEST_F(U2_software, syncobj_import)
{
	struct drm_syncobj_handle args = { .fd = obj_fd };
	struct drm_syncobj_destroy destroy = {};

	ASSERT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args));
	destroy.handle = args.handle;
	EXPECT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy));
}

TEST_F(U2_software, syncobj_signal_query_reset)
{
	uint64_t point = 5;
	struct drm_syncobj_array arr = {
		.handles = (uintptr_t)&spare, .count_handles = 1,
	};
	struct drm_syncobj_timeline_array tl = {
		.handles = (uintptr_t)&spare, .points = (uintptr_t)&point,
		.count_handles = 1,
	};

	EXPECT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_SIGNAL, &arr));
	EXPECT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_RESET, &arr));
	if (!timeline)
		return;
	EXPECT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &tl));
	point = 0;
	EXPECT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_QUERY, &tl));
	EXPECT_EQ(5, point);
}

TEST_F(U2_software, syncobj_transfer)
{
	struct drm_syncobj_transfer args = {
		.src_handle = signaled, .dst_handle = unsignaled2,
	};

	if (!timeline)
		SKIP(return, "the driver has no timeline syncobj");
	EXPECT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &args));
}

/* What a compositor does with a client's fence when its GPU has just gone. */
TEST_F(U2_software, syncobj_sync_file_export_and_import)
{
	struct drm_syncobj_handle import = {
		.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE,
		.handle = spare,
	};
	int out = handle_to_fd(signaled, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);

	ASSERT_LE(0, out) TH_LOG("%s", err_name(out));
	import.fd = out;
	EXPECT_EQ(0, ioctl_err(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &import));
	close(out);
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
