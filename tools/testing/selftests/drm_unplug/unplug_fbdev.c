// SPDX-License-Identifier: GPL-2.0
/*
 * The console's frame buffer of a device that is pulled: /dev/fbN open, mapped
 * and drawn to before, during and after (spec T5, and M1 for its maps).
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <linux/fb.h>

#define PAGE 4096

static char fb_path[PATH_MAX], new_path[PATH_MAX];
static int fb = -1, fb_again = -1;
static const char *why_not = "no frame buffer device";
static struct fb_var_screeninfo var;
static struct fb_fix_screeninfo fix;
static uint32_t *map, *untouched;
static size_t size;
static bool pulled_ok, plugged_ok;
static volatile bool stop;
static struct {
	unsigned int rounds, signals, odd;
	int error;
} drawn, written, asked, child_drawn, *shared;
static int ioctl_after, write_after, pan_after, open_after;

/* /dev/fbN of the device under test. */
static bool find_fb(char *path, size_t len)
{
	char link[PATH_MAX], device[PATH_MAX], card[PATH_MAX];
	bool found = false;
	size_t i;
	glob_t g;

	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/device", major(dev.rdev),
		 minor(dev.rdev));
	if (!realpath(link, card) || glob("/sys/class/graphics/fb[0-9]*", 0, NULL, &g))
		return false;
	for (i = 0; i < g.gl_pathc && !found; i++) {
		snprintf(link, sizeof(link), "%.2000s/device", g.gl_pathv[i]);
		if (!realpath(link, device) || strcmp(device, card))
			continue;
		snprintf(path, len, "/dev/%s", strrchr(g.gl_pathv[i], '/') + 1);
		found = true;
	}
	globfree(&g);
	return found;
}

static void draw_once(uint32_t *p, unsigned int round, unsigned int *signals)
{
	size_t at = (round * 7 % (size / PAGE)) * PAGE;
	uint32_t value;

	*signals += !!touch_write((char *)p + at, round);
	*signals += !!touch_read((char *)p + at, &value);
}

static void *draw(void *arg)
{
	while (!stop) {
		draw_once(map, drawn.rounds++, &drawn.signals);
		if (drawn.rounds % 16 == 0)
			sleep_ms(1);
	}
	return NULL;
}

static void *write_to_it(void *arg)
{
	static char line[PAGE];
	ssize_t n;

	while (!stop) {
		n = pwrite(fb, line, sizeof(line), 0);
		written.rounds++;
		if (n < 0 && errno != ENODEV) {
			written.error = -errno;
			written.odd++;
		}
		sleep_ms(2);
	}
	return NULL;
}

static void *ask(void *arg)
{
	struct fb_var_screeninfo v = var;
	int ret;

	while (!stop) {
		ret = ioctl_err(fb, FBIOPAN_DISPLAY, &v);
		asked.rounds++;
		if (ret && ret != -ENODEV && ret != -EBUSY) {
			asked.error = ret;
			asked.odd++;
		}
		sleep_ms(2);
	}
	return NULL;
}

static bool prepare(void)
{
	if (!find_fb(fb_path, sizeof(fb_path)))
		return false;
	fb = open(fb_path, O_RDWR | O_CLOEXEC);
	fb_again = open(fb_path, O_RDWR | O_CLOEXEC);
	why_not = "the frame buffer device cannot be used";
	if (fb < 0 || fb_again < 0 || ioctl(fb, FBIOGET_VSCREENINFO, &var) ||
	    ioctl(fb, FBIOGET_FSCREENINFO, &fix))
		return false;
	size = fix.smem_len & ~(PAGE - 1ul);
	why_not = "the frame buffer cannot be mapped";
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fb, 0);
	untouched = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fb_again, 0);
	if (map == MAP_FAILED || untouched == MAP_FAILED)
		return false;
	why_not = NULL;
	return true;
}

static void run_scene(void)
{
	pthread_t threads[3];
	struct fb_var_screeninfo v;
	char path[PATH_MAX];
	char byte = 0;
	pid_t pid;
	int f, i;

	if (!prepare()) {
		printf("# %s\n", why_not);
		pulled_ok = pull();
		return;
	}
	shared = shared_zalloc(sizeof(*shared));
	pthread_create(&threads[0], NULL, draw, NULL);
	pthread_create(&threads[1], NULL, write_to_it, NULL);
	pthread_create(&threads[2], NULL, ask, NULL);
	pid = fork();
	if (!pid) {
		while (!shared->odd)
			draw_once(map, shared->rounds++, &shared->signals);
		_exit(0);
	}
	sleep_ms(100);
	pulled_ok = pull();
	sleep_ms(100);
	stop = true;
	shared->odd = 1;
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	waitpid(pid, NULL, 0);
	child_drawn = *shared;

	ioctl_after = ioctl_err(fb, FBIOGET_VSCREENINFO, &v);
	pan_after = ioctl_err(fb, FBIOPAN_DISPLAY, &var);
	write_after = pwrite(fb, &byte, 1, 0) < 0 ? -errno : 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fb);
	f = open(path, O_RDWR | O_CLOEXEC);
	open_after = f < 0 ? -errno : 0;
	if (f >= 0)
		close(f);
	plugged_ok = plug();
	if (plugged_ok)
		find_fb(new_path, sizeof(new_path));
}

TEST(T5_pull_and_plug_succeed)
{
	EXPECT_TRUE(pulled_ok);
	if (why_not)
		SKIP(return, "%s", why_not);
	EXPECT_TRUE(plugged_ok);
}

TEST(M1_drawing_while_it_goes)
{
	if (why_not)
		SKIP(return, "%s", why_not);
	EXPECT_LT(0, drawn.rounds);
	EXPECT_EQ(0, drawn.signals);
	EXPECT_LT(0, child_drawn.rounds);
	EXPECT_EQ(0, child_drawn.signals);
}

TEST(T5_calls_while_it_goes)
{
	if (why_not)
		SKIP(return, "%s", why_not);
	EXPECT_LT(0, written.rounds);
	EXPECT_EQ(0, written.odd) TH_LOG("%s", err_name(written.error));
	EXPECT_LT(0, asked.rounds);
	EXPECT_EQ(0, asked.odd) TH_LOG("%s", err_name(asked.error));
}

TEST(M1_old_maps_usable)
{
	unsigned int nonzero;

	if (why_not)
		SKIP(return, "%s", why_not);
	EXPECT_EQ(0, touch_all(map, size, &nonzero));
	EXPECT_EQ(0, fill_all(map, size, 1));
	EXPECT_EQ(0, touch_all(untouched, size, &nonzero));
	EXPECT_EQ(0, fill_all(untouched, size, 2));
	/* What draws it in the background has had its turn. */
	sleep_ms(200);
	EXPECT_EQ(0, fill_all(map, size, 3));
}

TEST(U2_calls_afterwards)
{
	if (why_not)
		SKIP(return, "%s", why_not);
	EXPECT_EQ(-ENODEV, ioctl_after) TH_LOG("%s", err_name(ioctl_after));
	EXPECT_EQ(-ENODEV, pan_after) TH_LOG("%s", err_name(pan_after));
	EXPECT_EQ(-ENODEV, write_after) TH_LOG("%s", err_name(write_after));
	EXPECT_GT(0, open_after);
}

/* T4, T3: the new one works while the old one is held, and after that has gone. */
TEST(T4_late_close)
{
	int f, round;

	if (why_not || !plugged_ok)
		SKIP(return, "%s", why_not ? why_not : "it did not come back");
	ASSERT_NE(0, new_path[0]) TH_LOG("no new frame buffer device");
	for (round = 0; round < 2; round++) {
		f = open(new_path, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, f) TH_LOG("%s: %s", new_path, err_name(-errno));
		EXPECT_EQ(0, ioctl_err(f, FBIOGET_VSCREENINFO, &var));
		EXPECT_EQ(1, pwrite(f, "x", 1, 0)) TH_LOG("%s", err_name(-errno));
		close(f);
		if (!round) {
			munmap(map, size);
			munmap(untouched, size);
			close(fb);
			close(fb_again);
		}
	}
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
