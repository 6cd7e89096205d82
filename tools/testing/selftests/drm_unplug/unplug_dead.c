// SPDX-License-Identifier: GPL-2.0
/*
 * A display whose hardware does nothing any more before its driver is told, as
 * when a cable is pulled (spec T1, U4, U5): a flip is under way that never ends,
 * and a commit waits for it.  The display is that of stuck.ko, whatever device
 * the test is called for.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "module/stuck.h"

static const char * const kinds[] = {
	[STUCK_WAIT_FOR_VBLANKS] = "drm_atomic_helper_wait_for_vblanks()",
	[STUCK_WAIT_FOR_FLIP_DONE] = "drm_atomic_helper_wait_for_flip_done()",
	[STUCK_NO_SHUTDOWN] = "no drm_atomic_helper_shutdown()",
};

#define LOG 256

static struct scene {
	bool plugged, lit, flipped, pulled;
	int alive;		/* poll() for a flip before it died */
	bool early;		/* the commit came back before the pull */
	struct sleeper commit, pull;
	struct kms kms;
	int fd;
	char log[LOG];		/* what the kernel gave up waiting for */
} scenes[ARRAY_SIZE(kinds)];

static int stuck, kmsg;

static int open_stuck(void)
{
	char path[64], name[16];
	int i, fd;

	for (i = 0; i < 64; i++) {
		struct drm_version v = { .name = name, .name_len = sizeof(name) - 1 };

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			continue;
		memset(name, 0, sizeof(name));
		/* One that is gone says so. */
		if (!ioctl_err(fd, DRM_IOCTL_VERSION, &v) && !strcmp(name, "stuck"))
			return fd;
		close(fd);
	}
	return -1;
}

/* A commit that blocks: the same framebuffer once more, with its mode. */
static long do_commit(struct sleeper *s)
{
	struct kms *kms = &scenes[s->fd2].kms;
	struct drm_mode_crtc set = {
		.crtc_id = kms->crtc, .fb_id = kms->fb[0],
		.set_connectors_ptr = (uintptr_t)&kms->connector,
		.count_connectors = 1, .mode = kms->mode, .mode_valid = 1,
	};

	return ioctl_err(s->fd, DRM_IOCTL_MODE_SETCRTC, &set);
}

static long do_pull(struct sleeper *s)
{
	return ioctl(stuck, STUCK_PULL);
}

/* Keeps the last line about something that took too long. */
static void log_scan(char *found)
{
	char line[2048];
	ssize_t len;

	while ((len = read(kmsg, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[len > 0 ? strcspn(line, "\n") : 0] = '\0';
		if (strstr(line, "timed out"))
			snprintf(found, LOG, "%.*s", LOG - 1, strchrnul(line, ';'));
	}
}

static void run_kind(int i)
{
	struct scene *s = &scenes[i];
	struct drm_event_vblank ev;
	struct pollfd p = { .events = POLLIN };

	s->fd = -1;
	if (ioctl(stuck, STUCK_PLUG, i))
		return;
	s->plugged = true;
	s->fd = open_stuck();
	p.fd = s->fd;
	ioctl_err(s->fd, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(s->fd, &s->kms);
	s->lit = s->kms.on;
	if (s->lit) {
		kms_flip(s->fd, &s->kms, 0, 1);
		s->alive = poll(&p, 1, sleeper_limit_ms());
		if (read(s->fd, &ev, sizeof(ev)) != sizeof(ev) || ev.user_data != 1)
			s->alive = 0;
		ioctl(stuck, STUCK_DIE);
		s->flipped = !kms_flip(s->fd, &s->kms, 1, 2);
		/* The wait for a vblank is over soon, so there is no time to be lost. */
		if (i != STUCK_WAIT_FOR_VBLANKS) {
			s->commit.what = "SETCRTC";
			s->commit.fn = do_commit;
			s->commit.fd = s->fd;
			s->commit.fd2 = i;
			sleeper_start(&s->commit);
			sleepers_settle(&s->commit, 1);
			s->early = s->commit.early;
		}
	}
	s->pull.fn = do_pull;
	sleeper_start(&s->pull);
	while (!s->pull.done) {
		sleep_ms(10);
		log_scan(s->log);
		/* What would follow is more of the same. */
		if (s->log[0])
			ioctl(stuck, STUCK_REVIVE);
	}
	log_scan(s->log);
	s->pulled = !s->pull.ret;
	sleepers_wait(&s->commit, 1);
	/* For those who still wait for it. */
	ioctl(stuck, STUCK_REVIVE);
}

static void run_scene(void)
{
	size_t i;

	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kmsg, 0, SEEK_END);
	stuck = open("/dev/drm-stuck", O_RDWR | O_CLOEXEC);
	for (i = 0; stuck >= 0 && i < ARRAY_SIZE(kinds); i++)
		run_kind(i);
}

/* ---- tests ---- */

FIXTURE(dead) {
};

FIXTURE_VARIANT(dead) {
	int i;
};

FIXTURE_SETUP(dead)
{
	const struct scene *s = &scenes[variant->i];

	if (stuck < 0)
		SKIP(return, "no stuck.ko");
	ASSERT_TRUE(s->plugged);
	ASSERT_TRUE(s->lit) TH_LOG("%s", s->kms.why_not);
	ASSERT_EQ(1, s->alive) TH_LOG("its flips do not end while it is alive");
	ASSERT_TRUE(s->flipped);
	ASSERT_FALSE(s->early);
	ASSERT_TRUE(s->pulled);
}

FIXTURE_TEARDOWN(dead)
{
}

FIXTURE_VARIANT_ADD(dead, wait_for_vblanks) { STUCK_WAIT_FOR_VBLANKS };
FIXTURE_VARIANT_ADD(dead, wait_for_flip_done) { STUCK_WAIT_FOR_FLIP_DONE };
FIXTURE_VARIANT_ADD(dead, no_shutdown) { STUCK_NO_SHUTDOWN };

/* The removal did not end because the kernel had enough of waiting. */
TEST_F(dead, T1_no_wait_times_out)
{
	EXPECT_STREQ("", scenes[variant->i].log);
}

TEST_F(dead, U4_commit_ends)
{
	const struct sleeper *s = &scenes[variant->i].commit;

	if (!s->used)
		SKIP(return, "none");
	ASSERT_TRUE(s->done);
	/* It was under way; nobody sees what is on the screen. */
	EXPECT_TRUE(s->ret == 0 || s->ret == -ENODEV) TH_LOG("%s", err_name(s->ret));
}

TEST_F(dead, U5_flip_event_arrives_once)
{
	struct drm_event_vblank ev[4] = {};
	const struct scene *s = &scenes[variant->i];
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	ssize_t n;

	EXPECT_EQ(1, poll(&p, 1, sleeper_limit_ms()));
	n = read(s->fd, ev, sizeof(ev));
	ASSERT_EQ((ssize_t)sizeof(ev[0]), n) TH_LOG("%s", n < 0 ? strerror(errno) : "length");
	EXPECT_EQ(2, ev[0].user_data);
	EXPECT_EQ(-1, read(s->fd, ev, sizeof(ev)));
	EXPECT_EQ(ENODEV, errno);
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
