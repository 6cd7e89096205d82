// SPDX-License-Identifier: GPL-2.0
/*
 * A read of CRCs from debugfs when the device is pulled (spec T1, U4).  The CRTC
 * is off, so none comes any more; removing the file waits for its readers.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

/* After that a pull is helped to end; on stock it does not by itself. */
#define LIMIT_MS 10000

static struct sleeper reader;
static bool pulled_ok, pull_alone;
static const char *why_not;

static long do_read(struct sleeper *s)
{
	long ret;

	/* What has come before the CRTC went off is read first. */
	do {
		ret = sleeper_read(s);
	} while (ret > 0);
	return ret;
}

static void on_signal(int sig)
{
}

/* Opened while the CRTC is on, which it has to be. */
static int open_crcs(int fd)
{
	char path[100];
	struct kms kms;
	struct drm_mode_crtc off = {};
	unsigned int minor_nr = minor(dev.rdev);
	int data;

	ioctl_err(fd, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(fd, &kms);
	why_not = kms.why_not;
	if (!kms.on)
		return -1;
	why_not = "no CRCs";
	snprintf(path, sizeof(path), "/sys/kernel/debug/dri/%u/crtc-0/crc/control", minor_nr);
	if (write_file(path, "auto"))
		return -1;
	snprintf(path, sizeof(path), "/sys/kernel/debug/dri/%u/crtc-0/crc/data", minor_nr);
	data = open(path, O_RDONLY | O_CLOEXEC);
	if (data < 0)
		return -1;
	off.crtc_id = kms.crtc;
	why_not = "the CRTC does not go off";
	if (ioctl_err(fd, DRM_IOCTL_MODE_SETCRTC, &off))
		return -1;
	why_not = NULL;
	return data;
}

static void run_scene(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	reader.what = "read of CRCs";
	reader.fn = do_read;
	reader.fd = open_crcs(open_card(0));
	if (why_not)
		return;
	sleeper_start(&reader);
	sleepers_settle(&reader, 1);

	pull_alone = pull_returns_within(LIMIT_MS);
	if (pull_alone)
		sleepers_wait(&reader, 1);
	else
		pthread_kill(reader.thread, SIGUSR1);
	pulled_ok = pull_end();
	sleepers_wait(&reader, 1);
}

FIXTURE(crc) {
};

FIXTURE_SETUP(crc)
{
	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_FALSE(reader.early) TH_LOG("%s", err_name(reader.ret));
	ASSERT_TRUE(pulled_ok);
}

FIXTURE_TEARDOWN(crc)
{
}

TEST_F(crc, T1_pull_returns)
{
	EXPECT_TRUE(pull_alone) TH_LOG("only when the reader had been interrupted");
}

TEST_F(crc, U4_read_gets_enodev)
{
	ASSERT_TRUE(reader.done) TH_LOG("still asleep");
	EXPECT_EQ(-ENODEV, reader.ret) TH_LOG("%s", err_name(reader.ret));
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
