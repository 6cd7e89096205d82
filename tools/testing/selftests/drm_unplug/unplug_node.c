// SPDX-License-Identifier: GPL-2.0
/*
 * The device node: opening it when the device is gone, its number, the uevent,
 * and the device that comes back (spec U1, U6, U8, T3, T4).
 */
#include "common.h"
#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <linux/netlink.h>

static struct unplug_dev old;		/* the device that was pulled first */
static int fd, render = -1;
static struct dumb bo;
static uint32_t *map;
static bool pulled_ok;

/* What came of it, in order. */
static struct {
	int node_open, render_open, mknod_open, path_open;
	bool has_render;
	unsigned int uevents;
	int uevent_ioctl;	/* the ioctl made when the uevent was seen */
	bool replugged;
	dev_t new_rdev;
	int new_version, new_dumb, new_map, new_setcrtc;
	const char *new_setcrtc_why;
	int old_version, old_map_sig;
	bool pulled_again, replugged_again, late_close;
	dev_t numbers[3];	/* of three devices in a row, each closed in time */
	int last_version;
} r;

/* ---- uevents ---- */

static int uevent_socket(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int s = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	if (s >= 0 && bind(s, (struct sockaddr *)&addr, sizeof(addr))) {
		close(s);
		s = -1;
	}
	return s;
}

static const char *uevent_value(const char *msg, ssize_t len, const char *key)
{
	const char *p = msg;
	size_t n = strlen(key);

	for (; p < msg + len; p += strlen(p) + 1)
		if (!strncmp(p, key, n) && p[n] == '=')
			return p + n + 1;
	return "";
}

static volatile bool uevents_end;

/* Makes an ioctl at the moment at which user space hears that the node is gone. */
static void *uevent_thread(void *arg)
{
	int s = *(int *)arg;
	struct pollfd p = { .fd = s, .events = POLLIN };
	char msg[4097];
	ssize_t n;

	while (!uevents_end) {
		if (poll(&p, 1, 50) != 1)
			continue;
		n = recv(s, msg, sizeof(msg) - 1, 0);
		if (n <= 0)
			continue;
		msg[n] = '\0';
		if (strcmp(uevent_value(msg, n, "ACTION"), "remove") ||
		    strcmp(uevent_value(msg, n, "SUBSYSTEM"), "drm") ||
		    strcmp(uevent_value(msg, n, "DEVNAME"), old.card + 5))
			continue;
		if (!r.uevents++)
			r.uevent_ioctl = version(fd);
	}
	return NULL;
}

/* ---- the scene ---- */

static int try_open(const char *path)
{
	int f = open(path, O_RDWR | O_CLOEXEC);

	if (f < 0)
		return -errno;
	close(f);
	return 0;
}

static int open_again(int f)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f);
	return try_open(path);
}

static void check_new_device(void)
{
	struct dumb d;
	struct kms kms;
	void *p;
	int f = open_card(0);

	r.new_rdev = dev.rdev;
	r.new_version = f < 0 ? -errno : version(f);
	r.new_dumb = dumb_create(f, 64, 64, &d);
	p = r.new_dumb ? NULL : dumb_map(f, &d);
	r.new_map = p ? touch_write(p, 1) : -1;
	ioctl_err(f, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(f, &kms);
	r.new_setcrtc_why = kms.why_not;
	r.new_setcrtc = kms.on;
	if (p)
		munmap(p, d.size);
	close(f);
}

static void run_scene(void)
{
	static const char made[] = "/dev/drm-unplug-test";
	pthread_t thread;
	uint32_t value;
	int s, i;

	old = dev;
	fd = open_card(0);
	render = open_render(0);
	r.has_render = render >= 0;
	if (!dumb_create(fd, 64, 64, &bo))
		map = dumb_map(fd, &bo);
	s = uevent_socket();
	pthread_create(&thread, NULL, uevent_thread, &s);

	pulled_ok = pull();
	r.node_open = open_again(fd);
	r.render_open = r.has_render ? open_again(render) : 0;
	r.path_open = try_open(old.card);
	unlink(made);
	mknod(made, S_IFCHR | 0600, old.rdev);
	r.mknod_open = try_open(made);
	unlink(made);
	sleep_ms(100);
	uevents_end = true;
	pthread_join(thread, NULL);

	/* Back again while the old file is open. */
	r.replugged = plug();
	if (!r.replugged)
		return;
	check_new_device();
	r.old_version = version(fd);
	r.old_map_sig = map ? touch_read(map, &value) : 0;

	/* The late close must not disturb the new device. */
	if (map)
		munmap(map, bo.size);
	close(fd);
	if (r.has_render)
		close(render);
	fd = open_card(0);
	r.last_version = fd < 0 ? -errno : version(fd);
	r.late_close = true;

	/*
	 * Twice more with nothing open when it comes back: is the number new?
	 * Twice, because the first device could leave a lower one free.
	 */
	close(fd);
	r.pulled_again = true;
	r.replugged_again = true;
	r.numbers[0] = dev.rdev;
	for (i = 1; i < 3; i++) {
		r.pulled_again &= pull();
		r.replugged_again &= plug();
		r.numbers[i] = dev.rdev;
	}
}

/* ---- tests ---- */

TEST(pull_succeeds)
{
	ASSERT_TRUE(pulled_ok);
}

TEST(U1_open_through_proc_self_fd)
{
	EXPECT_EQ(-ENXIO, r.node_open) TH_LOG("%s", err_name(r.node_open));
}

TEST(U1_open_render_through_proc_self_fd)
{
	if (!r.has_render)
		SKIP(return, "no render node");
	EXPECT_EQ(-ENXIO, r.render_open) TH_LOG("%s", err_name(r.render_open));
}

TEST(U1_open_of_a_made_node)
{
	EXPECT_EQ(-ENXIO, r.mknod_open) TH_LOG("%s", err_name(r.mknod_open));
}

TEST(U1_node_leaves_dev)
{
	EXPECT_EQ(-ENOENT, r.path_open) TH_LOG("%s", err_name(r.path_open));
}

TEST(U6_remove_uevent_once)
{
	EXPECT_EQ(1, r.uevents);
}

TEST(U6_ioctls_fail_when_the_uevent_comes)
{
	ASSERT_LT(0, r.uevents);
	EXPECT_EQ(-ENODEV, r.uevent_ioctl) TH_LOG("%s", err_name(r.uevent_ioctl));
}

TEST(T4_replug_while_open)
{
	ASSERT_TRUE(r.replugged);
	EXPECT_NE(old.rdev, r.new_rdev);
	EXPECT_EQ(0, r.new_version);
	EXPECT_EQ(0, r.new_dumb);
	EXPECT_EQ(0, r.new_map);
}

TEST(T4_new_device_sets_a_mode)
{
	ASSERT_TRUE(r.replugged);
	if (driver_is("radeon"))
		SKIP(return, "%s", r.new_setcrtc_why);
	EXPECT_TRUE(r.new_setcrtc) TH_LOG("%s", r.new_setcrtc_why);
}

TEST(T4_old_file_stays_dead)
{
	ASSERT_TRUE(r.replugged);
	EXPECT_EQ(-ENODEV, r.old_version);
	EXPECT_EQ(0, r.old_map_sig);
}

TEST(T3_late_close)
{
	ASSERT_TRUE(r.late_close);
	EXPECT_EQ(0, r.last_version);
}

TEST(U8_number_is_not_reused)
{
	ASSERT_TRUE(r.pulled_again);
	ASSERT_TRUE(r.replugged_again);
	EXPECT_NE(minor(r.numbers[0]), minor(r.numbers[1]));
	EXPECT_NE(minor(r.numbers[1]), minor(r.numbers[2]));
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
