// SPDX-License-Identifier: GPL-2.0
/*
 * Suspend and unplug (spec T5): the system suspends its devices, and resumes them, while
 * the device goes, and while a client holds one that is gone. The kernel's test mode
 * stops short of sleep, so that nothing has to wake the machine. The guest's root is on
 * virtiofs, which refuses to sleep; that comes after the device has, for one at a time
 * is asked, the youngest first.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* When the pull begins after the suspend, or before it, in milliseconds. */
static const int offsets[] = { -60, -20, 0, 20, 60, 200 };

#define TRACING "/sys/kernel/tracing/"

static const char *why_not;
static bool slept;
static int with_device, with_gone, last;
static int old_ioctl;
static unsigned int rounds, pulled, suspended, plugged, dead;

/* Devices go to sleep and wake up; processes are frozen meanwhile. */
static int suspend(void)
{
	int ret = write_file("/sys/power/state", "freeze");

	/* That is virtiofs. */
	return ret == -EOPNOTSUPP ? 0 : ret;
}

/* Has the kernel called the device's driver, to sleep and to wake up? */
static bool driver_was_called(void)
{
	char link[256], path[PATH_MAX], line[512], name[64];
	bool down = false, up = false;
	FILE *f;

	snprintf(link, sizeof(link), "/sys/class/drm/%s/device", dev.card + strlen("/dev/dri/"));
	if (!realpath(link, path))
		return false;
	snprintf(name, sizeof(name), " %.60s, ", strrchr(path, '/') + 1);
	f = fopen(TRACING "trace", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, name))
			continue;
		down |= !!strstr(line, "[suspend]") || !!strstr(line, "[freeze]");
		up |= !!strstr(line, "[resume]") || !!strstr(line, "[thaw]");
	}
	if (f)
		fclose(f);
	return down && up;
}

/* Both at a time; who is frozen first goes on when the other is through. */
static bool suspend_and_pull(int offset)
{
	struct kms kms;
	int fd = open_card(O_NONBLOCK), status;
	pid_t pid;

	ioctl_err(fd, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(fd, &kms);
	rounds++;
	pid = fork();
	if (!pid) {
		sleep_ms(offset < 0 ? -offset : 0);
		_exit(!!suspend());
	}
	sleep_ms(offset > 0 ? offset : 0);
	pulled += pull();
	suspended += waitpid(pid, &status, 0) == pid && !status;
	dead += version(fd) == -ENODEV;
	close(fd);
	if (!plug())
		return false;
	plugged++;
	return true;
}

static void run_scene(void)
{
	unsigned int i;
	struct kms kms;
	int fd;

	if (write_file("/sys/power/pm_test", "devices")) {
		why_not = "the kernel has no test mode of suspend";
		return;
	}
	/* Seconds that the devices stay asleep. */
	write_file("/sys/module/suspend/parameters/pm_test_delay", "0");

	write_file("/sys/power/pm_async", "0");
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	write_file(TRACING "events/power/device_pm_callback_start/enable", "1");

	fd = open_card(O_NONBLOCK);
	ioctl_err(fd, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(fd, &kms);
	with_device = suspend() ?: version(fd);
	slept = driver_was_called();
	write_file(TRACING "events/power/device_pm_callback_start/enable", "0");
	if (!pull())
		return;
	with_gone = suspend();
	old_ioctl = version(fd);
	close(fd);
	if (!plug())
		return;
	for (i = 0; i < sizeof(offsets) / sizeof(*offsets); i++)
		if (!suspend_and_pull(offsets[i]))
			return;
	fd = open_card(0);
	last = version(fd);
	close(fd);
}

TEST(T5_suspend_before_the_pull)
{
	if (why_not)
		SKIP(return, "%s", why_not);
	EXPECT_EQ(0, with_device) TH_LOG("%s", err_name(with_device));
	/* Or nothing that follows is a test of this driver. */
	EXPECT_TRUE(slept);
}

TEST(T5_suspend_with_a_gone_device)
{
	if (why_not)
		SKIP(return, "%s", why_not);
	EXPECT_EQ(0, with_gone) TH_LOG("%s", err_name(with_gone));
	EXPECT_EQ(-ENODEV, old_ioctl) TH_LOG("%s", err_name(old_ioctl));
}

TEST(T5_pull_while_suspending)
{
	if (why_not)
		SKIP(return, "%s", why_not);
	EXPECT_EQ(sizeof(offsets) / sizeof(*offsets), rounds);
	EXPECT_EQ(rounds, pulled);
	EXPECT_EQ(rounds, suspended);
	EXPECT_EQ(rounds, dead);
	EXPECT_EQ(rounds, plugged);
	EXPECT_EQ(0, last) TH_LOG("%s", err_name(last));
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
