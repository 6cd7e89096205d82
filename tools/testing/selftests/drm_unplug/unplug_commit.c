// SPDX-License-Identifier: GPL-2.0
/*
 * Commits that wait for a fence which never signals, and a lease, when the device
 * is pulled (spec T1, U4, U5, U7, F1).  The fences are those of stuck.ko.  Two
 * commits at a time: one that does not block, whose event and out-fence were
 * promised, and one that blocks, and holds the locks of all of the display.  And
 * a task that waits for a buffer of the device on which such a fence is.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "module/stuck.h"

/* After that a pull is helped to end; on stock it does not by itself. */
#define LIMIT_MS 25000

enum { BLOCKING, LESSEE_READ, LESSEE_VBLANK, DMABUF_SYNC, N_SLEEPERS };

static struct sleeper sl[N_SLEEPERS];
static struct kms kms;
static int fd, stuck = -1, lessee = -1;
static uint32_t plane, prop_fb, prop_in_fence, prop_out_fence;
static const char *why_not, *no_vblank = "no display", *no_dmabuf;
static int dmabuf = -1;
static bool pulled_ok, pull_alone, early, signaled_before;
static int nonblocking, in_fence[2] = { -1, -1 };
static volatile int32_t out_fence = -1;

static bool find_plane(void)
{
	plane = kms_plane(fd, &kms);
	prop_fb = kms_property(fd, plane, DRM_MODE_OBJECT_PLANE, "FB_ID", NULL);
	prop_in_fence = kms_property(fd, plane, DRM_MODE_OBJECT_PLANE, "IN_FENCE_FD", NULL);
	prop_out_fence = kms_property(fd, kms.crtc, DRM_MODE_OBJECT_CRTC, "OUT_FENCE_PTR", NULL);
	return plane && prop_fb && prop_in_fence && prop_out_fence;
}

static int commit(int i, uint32_t flags, uint64_t user_data, volatile int32_t *out)
{
	drmModeAtomicReq *req = drmModeAtomicAlloc();
	int ret;

	drmModeAtomicAddProperty(req, plane, prop_fb, kms.fb[i]);
	drmModeAtomicAddProperty(req, plane, prop_in_fence, in_fence[i]);
	if (out)
		drmModeAtomicAddProperty(req, kms.crtc, prop_out_fence, (uintptr_t)out);
	ret = drmModeAtomicCommit(fd, req, flags, (void *)(uintptr_t)user_data);
	drmModeAtomicFree(req);
	return ret;
}

static long do_blocking(struct sleeper *s)
{
	return commit(1, 0, 0, NULL);
}

static long do_vblank(struct sleeper *s)
{
	long ret;

	/* The kernel gives up after 3 s, and has written what it is waiting for over. */
	do {
		union drm_wait_vblank vbl = {
			.request = { .type = _DRM_VBLANK_RELATIVE, .sequence = 100000 },
		};

		ret = ioctl_err(s->fd, DRM_IOCTL_WAIT_VBLANK, &vbl);
	} while (ret == -EBUSY);
	return ret;
}

static long do_dmabuf_sync(struct sleeper *s)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };

	return ioctl_err(s->fd, DMA_BUF_IOCTL_SYNC, &sync);
}

static int dmabuf_add_fence(int file)
{
	struct dma_buf_import_sync_file args = { .flags = DMA_BUF_SYNC_WRITE, .fd = file };

	return ioctl_err(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &args);
}

static int fence_status(int f)
{
	struct sync_file_info info = {};

	return ioctl_err(f, SYNC_IOC_FILE_INFO, &info) ? -EINVAL : info.status;
}

static void start(int i, const char *what, long (*fn)(struct sleeper *), int f)
{
	sl[i].what = what;
	sl[i].fn = fn;
	sl[i].fd = f;
	sleeper_start(&sl[i]);
}

static void prepare_dmabuf(void)
{
	struct dumb bo;
	int ret;

	ret = dumb_create(fd, 64, 64, &bo);
	no_dmabuf = "the driver has no dumb buffers";
	if (ret)
		return;
	dmabuf = prime_export(fd, bo.handle);
	no_dmabuf = "the driver does not export buffers";
	if (dmabuf < 0)
		return;
	no_dmabuf = "the buffer takes no fence";
	if (dmabuf_add_fence(ioctl(stuck, STUCK_FENCE)))
		return;
	no_dmabuf = NULL;
	start(DMABUF_SYNC, "DMA_BUF_IOCTL_SYNC", do_dmabuf_sync, dmabuf);
}

static void prepare(void)
{
	struct drm_mode_create_lease lease = { .object_count = 3, .flags = O_CLOEXEC };
	union drm_wait_vblank vbl = { .request = { .type = _DRM_VBLANK_RELATIVE } };
	uint32_t objects[3];
	int i;

	fd = open_card(O_NONBLOCK);
	ioctl_err(fd, DRM_IOCTL_SET_MASTER, NULL);
	prepare_dmabuf();
	kms_on(fd, &kms);
	why_not = kms.on ? NULL : kms.why_not;
	if (why_not)
		return;
	why_not = "the driver is not atomic";
	if (drmSetClientCap(fd, DRM_CLIENT_CAP_ATOMIC, 1) || !find_plane())
		return;
	why_not = NULL;

	objects[0] = kms.crtc;
	objects[1] = kms.connector;
	objects[2] = plane;
	lease.object_ids = (uintptr_t)objects;
	if (!ioctl_err(fd, DRM_IOCTL_MODE_CREATE_LEASE, &lease)) {
		lessee = lease.fd;
		/* Not as the file that it comes from. */
		fcntl(lessee, F_SETFL, 0);
		start(LESSEE_READ, "read of a lessee", sleeper_read, lessee);
		no_vblank = ioctl_err(lessee, DRM_IOCTL_WAIT_VBLANK, &vbl) ?
			    "the driver has no vblanks" : NULL;
		if (!no_vblank)
			start(LESSEE_VBLANK, "WAIT_VBLANK of a lessee", do_vblank, lessee);
	}

	for (i = 0; i < 2; i++)
		in_fence[i] = ioctl(stuck, STUCK_FENCE);
	nonblocking = commit(0, DRM_MODE_ATOMIC_NONBLOCK | DRM_MODE_PAGE_FLIP_EVENT, 55,
			     &out_fence);
	start(BLOCKING, "blocking commit with IN_FENCE", do_blocking, fd);
}

static void run_scene(void)
{
	int i;

	stuck = open("/dev/drm-stuck", O_RDWR | O_CLOEXEC);
	if (stuck < 0) {
		why_not = "no stuck.ko";
		no_dmabuf = why_not;
		printf("# /dev/drm-stuck: insmod stuck.ko\n");
		return;
	}
	prepare();
	sleepers_settle(sl, N_SLEEPERS);
	for (i = 0; i < N_SLEEPERS; i++)
		early |= sl[i].early;
	signaled_before = in_fence[0] >= 0 && fence_status(in_fence[0]);

	pull_alone = pull_returns_within(LIMIT_MS);
	if (pull_alone)
		sleepers_wait(sl, N_SLEEPERS);
	else
		ioctl(stuck, STUCK_RELEASE);
	pulled_ok = pull_end();
	if (!pull_alone)
		sleepers_wait(sl, N_SLEEPERS);
}

/* ---- tests ---- */

FIXTURE(commit) {
};

FIXTURE_SETUP(commit)
{
	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_EQ(0, nonblocking) TH_LOG("%s", err_name(nonblocking));
	ASSERT_FALSE(early) TH_LOG("a sleeper came back before the pull");
	ASSERT_FALSE(signaled_before);
}

FIXTURE_TEARDOWN(commit)
{
}

/* Nobody has signalled the fences by then. */
TEST_F(commit, T1_pull_returns_while_fences_are_pending)
{
	EXPECT_TRUE(pulled_ok);
	EXPECT_TRUE(pull_alone) TH_LOG("only when the fence had signalled");
}

TEST_F(commit, U4_blocking_gets_enodev)
{
	ASSERT_TRUE(sl[BLOCKING].done) TH_LOG("still asleep");
	EXPECT_EQ(-ENODEV, sl[BLOCKING].ret) TH_LOG("%s", err_name(sl[BLOCKING].ret));
}

/* Once, then ENODEV. */
TEST_F(commit, U5_event_of_nonblocking_arrives)
{
	struct drm_event_vblank ev[4] = {};
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	EXPECT_EQ(1, poll(&p, 1, sleeper_limit_ms()));
	n = read(fd, ev, sizeof(ev));
	ASSERT_EQ((ssize_t)sizeof(ev[0]), n) TH_LOG("%s", n < 0 ? strerror(errno) : "length");
	EXPECT_EQ(DRM_EVENT_FLIP_COMPLETE, ev[0].base.type);
	EXPECT_EQ(55, ev[0].user_data);
	EXPECT_EQ(-1, read(fd, ev, sizeof(ev)));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(commit, F1_out_fence_ends_with_enodev)
{
	struct pollfd p = { .fd = out_fence, .events = POLLIN };

	ASSERT_LE(0, out_fence);
	EXPECT_EQ(1, poll(&p, 1, sleeper_limit_ms()));
	EXPECT_EQ(-ENODEV, fence_status(out_fence));
}

TEST(U4_dmabuf_sync_gets_enodev)
{
	const struct sleeper *s = &sl[DMABUF_SYNC];

	if (no_dmabuf)
		SKIP(return, "%s", no_dmabuf);
	ASSERT_FALSE(s->early);
	ASSERT_TRUE(s->done) TH_LOG("still asleep");
	EXPECT_EQ(-ENODEV, s->ret) TH_LOG("%s", err_name(s->ret));
}

/* Neither waits for the fence, nor does it matter whose buffer it is. */
TEST(U4_dmabuf_sync_files_return)
{
	struct dma_buf_export_sync_file out = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };

	if (no_dmabuf)
		SKIP(return, "%s", no_dmabuf);
	EXPECT_EQ(0, ioctl_err(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &out));
	EXPECT_EQ(0, dmabuf_add_fence(out.fd));
	close(out.fd);
}

FIXTURE(U7_lessee) {
};

FIXTURE_VARIANT(U7_lessee) {
	int i;
};

FIXTURE_SETUP(U7_lessee)
{
	if (why_not)
		SKIP(return, "%s", why_not);
}

FIXTURE_TEARDOWN(U7_lessee)
{
}

FIXTURE_VARIANT_ADD(U7_lessee, read) { LESSEE_READ };
FIXTURE_VARIANT_ADD(U7_lessee, wait_vblank) { LESSEE_VBLANK };

TEST_F(U7_lessee, is_woken)
{
	const struct sleeper *s = &sl[variant->i];

	ASSERT_LE(0, lessee);
	if (variant->i == LESSEE_VBLANK && no_vblank)
		SKIP(return, "%s", no_vblank);
	ASSERT_TRUE(s->done) TH_LOG("%s still asleep", s->what);
	EXPECT_EQ(-ENODEV, s->ret) TH_LOG("%s: %s", s->what, err_name(s->ret));
}

TEST(U7_lessee_gets_enodev)
{
	struct drm_mode_get_lease get = {};

	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_LE(0, lessee);
	EXPECT_EQ(-ENODEV, ioctl_err(lessee, DRM_IOCTL_MODE_GET_LEASE, &get));
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
