// SPDX-License-Identifier: GPL-2.0
/*
 * read(), poll() and epoll on a device that is pulled (spec U5).
 *
 * Queued events are read first, then read() says ENODEV, never 0.  poll() says
 * EPOLLHUP | EPOLLERR from the pull until read() has said ENODEV once on that
 * open file; afterwards it is quiet, so that an event loop that ignores the
 * error does not spin.  Each subject has an open file of its own.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <xf86drm.h>

#define HANGUP	(POLLHUP | POLLERR)

enum {
	READ,		/* blocked in read() */
	POLL,		/* blocked in poll() for input */
	POLL_NONE,	/* blocked in poll() for nothing: HUP and ERR come anyway */
	POLL_A, POLL_B,	/* two pollers on one open file */
	EPOLL,		/* blocked in epoll_wait(), level-triggered */
	EPOLL_EDGE,	/* the same, edge-triggered */
	READ_PENDING,	/* blocked in read() with a vblank event promised */
	N_SLEEPERS
};

static struct sleeper sl[N_SLEEPERS];
static struct kms kms;
static int master;		/* drives the display */
static int queued;		/* non-blocking, with events queued */
static int fresh;		/* nothing done on it before the pull */
static int fresh_block;		/* the same, blocking */
static int flipped;		/* a page flip is pending: the master file */
static int flip_ret;
static int vblank_ret = -EOPNOTSUPP;
static bool pulled_ok, early;
#define N_QUEUED 3

/* Reads until the first error; the length of all that came before is in fd2. */
static long do_read_all(struct sleeper *s)
{
	long ret;

	s->fd2 = 0;
	do {
		ret = read(s->fd, s->buf + s->fd2, sizeof(s->buf) - s->fd2);
		if (ret > 0)
			s->fd2 += ret;
	} while (ret > 0 && s->fd2 < (int)sizeof(s->buf));
	return ret < 0 ? -errno : ret;
}

static long do_poll(struct sleeper *s)
{
	struct pollfd p = { .fd = s->fd, .events = s->handle };
	long ret = poll(&p, 1, -1);

	s->revents = p.revents;
	return ret < 0 ? -errno : ret;
}

static long do_epoll(struct sleeper *s)
{
	struct epoll_event ev = {};
	long ret = epoll_wait(s->fd2, &ev, 1, -1);

	s->revents = ev.events;
	return ret < 0 ? -errno : ret;
}

static int poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	poll(&p, 1, 0);
	return p.revents;
}

static int epoll_on(int fd, uint32_t flags)
{
	struct epoll_event ev = { .events = EPOLLIN | flags };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	return ep;
}

/* Asks for the vblank event of a frame in the future. */
static int vblank_event(int fd, unsigned int frames, unsigned long data)
{
	union drm_wait_vblank vbl = {
		.request = {
			.type = _DRM_VBLANK_RELATIVE | _DRM_VBLANK_EVENT,
			.sequence = frames,
			.signal = data,
		},
	};

	return ioctl_err(fd, DRM_IOCTL_WAIT_VBLANK, &vbl);
}

static void start(int i, const char *what, long (*fn)(struct sleeper *), int flags)
{
	sl[i].what = what;
	sl[i].fn = fn;
	sl[i].handle = POLLIN;
	if (!sl[i].fd)
		sl[i].fd = open_card(flags);
}

static void run_scene(void)
{
	int i;

	master = open_card(O_NONBLOCK);
	ioctl_err(master, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(master, &kms);
	queued = open_card(O_NONBLOCK);
	fresh = open_card(O_NONBLOCK);
	fresh_block = open_card(0);

	start(READ, "read", sleeper_read, 0);
	start(POLL, "poll", do_poll, O_NONBLOCK);
	start(POLL_NONE, "poll for nothing", do_poll, O_NONBLOCK);
	sl[POLL_NONE].handle = 0;
	start(POLL_A, "poll, first of two", do_poll, O_NONBLOCK);
	sl[POLL_B].fd = sl[POLL_A].fd;
	start(POLL_B, "poll, second of two", do_poll, O_NONBLOCK);
	start(EPOLL, "epoll", do_epoll, O_NONBLOCK);
	sl[EPOLL].fd2 = epoll_on(sl[EPOLL].fd, 0);
	start(EPOLL_EDGE, "edge-triggered epoll", do_epoll, O_NONBLOCK);
	sl[EPOLL_EDGE].fd2 = epoll_on(sl[EPOLL_EDGE].fd, EPOLLET);
	start(READ_PENDING, "read with an event promised", do_read_all, 0);

	if (kms.on) {
		for (i = 0; i < N_QUEUED; i++)
			vblank_ret = vblank_event(queued, i, 100 + i);
		if (!vblank_ret)
			vblank_event(sl[READ_PENDING].fd, 100000, 77);
	}
	for (i = 0; i < N_SLEEPERS; i++)
		sleeper_start(&sl[i]);
	/* Meanwhile the queued events arrive, too. */
	sleepers_settle(sl, N_SLEEPERS);
	for (i = 0; i < N_SLEEPERS; i++)
		early |= sl[i].early;
	if (!vblank_ret)
		sleep_ms(150);
	flip_ret = kms.on ? kms_flip(master, &kms, 1, 55) : -EOPNOTSUPP;
	flipped = master;

	pulled_ok = pull();
	sleepers_wait(sl, N_SLEEPERS);
}

/* ---- tests ---- */

TEST(pull_succeeds)
{
	ASSERT_TRUE(pulled_ok);
	ASSERT_FALSE(early) TH_LOG("a sleeper came back before the pull");
}

FIXTURE(U5_sleeper) {
};

FIXTURE_VARIANT(U5_sleeper) {
	int i;
	long ret;
	unsigned int revents;
};

FIXTURE_SETUP(U5_sleeper)
{
}

FIXTURE_TEARDOWN(U5_sleeper)
{
}

FIXTURE_VARIANT_ADD(U5_sleeper, read) { READ, -ENODEV };
FIXTURE_VARIANT_ADD(U5_sleeper, poll) { POLL, 1, HANGUP };
FIXTURE_VARIANT_ADD(U5_sleeper, poll_for_nothing) { POLL_NONE, 1, HANGUP };
FIXTURE_VARIANT_ADD(U5_sleeper, poll_first_of_two) { POLL_A, 1, HANGUP };
FIXTURE_VARIANT_ADD(U5_sleeper, poll_second_of_two) { POLL_B, 1, HANGUP };
FIXTURE_VARIANT_ADD(U5_sleeper, epoll) { EPOLL, 1, HANGUP };
FIXTURE_VARIANT_ADD(U5_sleeper, epoll_edge_triggered) { EPOLL_EDGE, 1, HANGUP };

TEST_F(U5_sleeper, is_woken)
{
	const struct sleeper *s = &sl[variant->i];

	ASSERT_TRUE(s->done)
		TH_LOG("%s still asleep %u ms after the pull", s->what, sleeper_limit_ms());
	EXPECT_EQ(variant->ret, s->ret) TH_LOG("%s", err_name(s->ret));
	EXPECT_EQ(variant->revents, s->revents & ~POLLIN);
}

/* What was queued is read in order, then ENODEV, then ENODEV again. */
TEST(U5_queued_events_first)
{
	struct drm_event_vblank ev[N_QUEUED + 1];
	int i;
	ssize_t n;

	if (vblank_ret)
		SKIP(return, "no vblank events: %s",
		     kms.on ? err_name(vblank_ret) : kms.why_not);
	EXPECT_TRUE(poll_now(queued) & POLLIN);
	n = read(queued, ev, sizeof(ev));
	ASSERT_EQ(N_QUEUED * (ssize_t)sizeof(ev[0]), n);
	for (i = 0; i < N_QUEUED; i++)
		EXPECT_EQ(100 + i, ev[i].user_data);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-1, read(queued, ev, sizeof(ev)));
		EXPECT_EQ(ENODEV, errno);
	}
}

/* A vblank event that was promised arrives once, then ENODEV. */
TEST(U5_promised_vblank_event_arrives)
{
	const struct sleeper *s = &sl[READ_PENDING];
	const struct drm_event_vblank *ev = (const void *)s->buf;

	if (vblank_ret)
		SKIP(return, "no vblank events: %s",
		     kms.on ? err_name(vblank_ret) : kms.why_not);
	ASSERT_TRUE(s->done) TH_LOG("reader still asleep");
	EXPECT_EQ(-ENODEV, s->ret);
	ASSERT_EQ((int)sizeof(*ev), s->fd2);
	EXPECT_EQ(77, ev->user_data);
}

/* The same for a page flip that was under way. */
TEST(U5_promised_flip_event_arrives)
{
	struct drm_event_vblank ev[2];
	uint64_t end = now_ms() + sleeper_limit_ms();
	ssize_t n;

	if (flip_ret)
		SKIP(return, "no page flip: %s", kms.on ? err_name(flip_ret) : kms.why_not);
	do {
		n = read(flipped, ev, sizeof(ev));
	} while (n < 0 && errno == EAGAIN && now_ms() < end);
	ASSERT_EQ((ssize_t)sizeof(ev[0]), n) TH_LOG("errno %s", err_name(-errno));
	EXPECT_EQ(55, ev[0].user_data);
	EXPECT_EQ(-1, read(flipped, ev, sizeof(ev)));
	EXPECT_EQ(ENODEV, errno);
}

/* A file on which nothing was waited for before, and non-blocking. */
TEST(U5_latch)
{
	char buf[256];

	EXPECT_EQ(HANGUP, poll_now(fresh));
	EXPECT_EQ(HANGUP, poll_now(fresh)) TH_LOG("the level went away before read()");
	EXPECT_EQ(-1, read(fresh, buf, sizeof(buf)));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(0, poll_now(fresh)) TH_LOG("not quiet after read()");
	EXPECT_EQ(-1, read(fresh, buf, sizeof(buf)));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(0, poll_now(fresh));
}

/* The latch of one open file is nobody else's. */
TEST(U5_latch_is_per_open_file)
{
	EXPECT_EQ(-ENODEV, sl[READ].ret);
	EXPECT_EQ(HANGUP, poll_now(fresh_block));
	EXPECT_EQ(HANGUP, poll_now(sl[POLL_A].fd) & ~POLLIN);
}

/* Quiet after ENODEV for epoll, too. */
TEST(U5_epoll_latch)
{
	struct epoll_event ev;
	char buf[256];

	EXPECT_EQ(1, epoll_wait(sl[EPOLL].fd2, &ev, 1, 0));
	EXPECT_EQ(-1, read(sl[EPOLL].fd, buf, sizeof(buf)));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(0, epoll_wait(sl[EPOLL].fd2, &ev, 1, 50));
}

/* A wakeup for each edge, and there is one edge. */
TEST(U5_epoll_edge_comes_once)
{
	struct epoll_event ev;

	ASSERT_TRUE(sl[EPOLL_EDGE].done);
	EXPECT_EQ(0, epoll_wait(sl[EPOLL_EDGE].fd2, &ev, 1, 50));
}

/* A blocking read that begins after the pull. */
TEST(U5_late_blocking_read)
{
	struct sleeper s = { .what = "late read", .fn = sleeper_read };

	s.fd = open("/dev/null", O_RDONLY);
	dup2(fresh_block, s.fd);
	sleeper_start(&s);
	sleepers_wait(&s, 1);
	ASSERT_TRUE(s.done) TH_LOG("still asleep");
	EXPECT_EQ(-ENODEV, s.ret);
}

/*
 * libdrm takes read() == 0 for success, and its callers then call again, for
 * ever.  It has to report an error.
 */
TEST(U5_libdrm_sees_an_error)
{
	drmEventContext ctx = { .version = 2 };
	int fl = fcntl(fresh_block, F_GETFL);

	fcntl(fresh_block, F_SETFL, fl | O_NONBLOCK);
	EXPECT_NE(0, drmHandleEvent(fresh_block, &ctx));
	EXPECT_EQ(ENODEV, errno);
	fcntl(fresh_block, F_SETFL, fl);
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
