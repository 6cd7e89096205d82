// SPDX-License-Identifier: GPL-2.0
/*
 * The client of the demo: it draws, maps, sleeps, has its device pulled from under it, and
 * tells how that was.  One line for each question: "## KEY good|bad text".
 *
 *	DRM_UNPLUG_DEV=device client METHOD
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xf86drm.h>
#include <xf86drmMode.h>

#define REPLUG_MS 15000
#define PATTERN 0x00336699

static void tell(const char *key, bool good, const char *text)
{
	printf("## %s %s %s\n", key, good ? "good" : "bad", text);
}

/* ---- what the client has when the device goes ---- */

static int fd;
static struct kms kms;
static struct dumb bo;
static uint32_t *map, *shared;		/* of the buffer, and of its dma-buf */
static uint32_t syncobj;

enum { READ, POLL, VBLANK, SYNCOBJ, N_SLEEPERS };
static struct sleeper sl[N_SLEEPERS];

static long do_read(struct sleeper *s)
{
	return read(s->fd, s->buf, sizeof(s->buf)) < 0 ? -errno : 0;
}

static long do_poll(struct sleeper *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	poll(&p, 1, -1);
	return p.revents & POLLHUP ? -ENODEV : 0;
}

static volatile bool pulled;

static long do_vblank(struct sleeper *s)
{
	drmVBlank vbl = {
		.request = { .type = DRM_VBLANK_RELATIVE, .sequence = 100000 },
	};

	/* The kernel gives up after 3 s with EBUSY, on a slow machine before the pull. */
	while (drmIoctl(s->fd, DRM_IOCTL_WAIT_VBLANK, &vbl)) {
		if (errno != EBUSY || pulled)
			return -errno;
		vbl.request.type = DRM_VBLANK_RELATIVE;
		vbl.request.sequence = 100000;
	}
	return 0;
}

static long do_syncobj(struct sleeper *s)
{
	return drmSyncobjWait(s->fd, &syncobj, 1, INT64_MAX,
			      DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, NULL);
}

static void sleeper(int i, const char *what, long (*fn)(struct sleeper *), int f)
{
	sl[i].what = what;
	sl[i].fn = fn;
	sl[i].fd = f;
	sleeper_start(&sl[i]);
}

static void draw(uint32_t *pixels, size_t size)
{
	size_t i;

	for (i = 0; i < size / 4; i++)
		pixels[i] = PATTERN + i / 512;
}

static void prepare(void)
{
	drmVBlank now = { .request = { .type = DRM_VBLANK_RELATIVE } };
	int buf;

	fd = open_card(0);
	drmSetMaster(fd);
	kms_on(fd, &kms);
	if (kms.on)
		bo = kms.bo[0];
	else if (dumb_create(fd, 640, 480, &bo))
		exit(1);
	map = dumb_map(fd, &bo);
	if (!map)
		exit(1);
	draw(map, bo.size);
	if (kms.on)
		drmModeDirtyFB(fd, kms.fb[0], NULL, 0);

	if (!drmPrimeHandleToFD(fd, bo.handle, DRM_CLOEXEC | DRM_RDWR, &buf)) {
		shared = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
		if (shared == MAP_FAILED)
			shared = NULL;
	}
	sleeper(READ, "read", do_read, open_card(0));
	sleeper(POLL, "poll", do_poll, open_card(O_NONBLOCK));
	if (kms.on && !drmWaitVBlank(fd, &now))
		sleeper(VBLANK, "vblank", do_vblank, fd);
	if (has_cap(fd, DRM_CAP_SYNCOBJ) && !drmSyncobjCreate(fd, 0, &syncobj))
		sleeper(SYNCOBJ, "syncobj", do_syncobj, fd);
	sleepers_settle(sl, N_SLEEPERS);
}

/* ---- the questions ---- */

static void ask_ioctls(void)
{
	drmModeResPtr res;
	uint64_t value;
	uint32_t handle, id;
	int results[10], buf = -1, gone = 0, worked = 0, i, n = 0;
	char text[64];

#define CALL(x) do { \
	errno = 0; \
	results[n] = (x) ? -errno : 0; \
	n++; \
} while (0)

	CALL(drmGetCap(fd, DRM_CAP_DUMB_BUFFER, &value));
	CALL(drmSetClientCap(fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1));
	CALL(!(res = drmModeGetResources(fd)));
	if (res)
		drmModeFreeResources(res);
	CALL(drmModeAddFB(fd, 64, 64, 24, 32, bo.pitch, bo.handle, &id));
	CALL(drmPrimeHandleToFD(fd, bo.handle, DRM_CLOEXEC, &buf));
	CALL(drmModeMapDumbBuffer(fd, bo.handle, &value));
	CALL(drmModeCreatePropertyBlob(fd, &value, sizeof(value), &id));
	CALL(drmModeCreateDumbBuffer(fd, 64, 64, 32, 0, &handle, &id, &value));
	CALL(drmSetMaster(fd));
	CALL(drmGetMagic(fd, &id));

	for (i = 0; i < n; i++) {
		gone += results[i] == -ENODEV;
		worked += !results[i];
	}
	if (gone == n)
		snprintf(text, sizeof(text), "ENODEV");
	else if (worked)
		snprintf(text, sizeof(text), "%d of %d succeed", worked, n);
	else
		snprintf(text, sizeof(text), "%s", err_name(results[0]));
	tell("ioctls", gone == n, text);
}

struct look {
	int sig;
	unsigned int nonzero;
};

static struct look look(uint32_t *p)
{
	struct look l = {};

	l.sig = touch_all(p, bo.size, &l.nonzero);
	return l;
}

static void tell_map(const char *key, struct look l)
{
	tell(key, !l.sig && !l.nonzero, l.sig == SIGBUS ? "SIGBUS" : l.sig ? "a signal" :
	     l.nonzero ? "old content" : "usable, zeros");
}

/* All are read before any is written: what this process writes, it may see in another map. */
static void ask_maps(void)
{
	struct look old = look(map), of_buf = {}, new = {};
	uint32_t *fresh = dumb_map(fd, &bo);
	int err = errno;

	if (fresh)
		new = look(fresh);
	if (shared)
		of_buf = look(shared);
	if (!old.sig && !old.nonzero)
		old = of_buf;
	if (!old.sig)
		old.sig = touch_write(map, 1);
	if (shared && !old.sig)
		old.sig = touch_write(shared, 1);
	tell_map("old-maps", old);

	if (!fresh) {
		tell("new-maps", false, err_name(-err));
		return;
	}
	if (!new.sig)
		new.sig = touch_write(fresh, 1);
	tell_map("new-maps", new);
}

static void ask_sleepers(void)
{
	char asleep[64] = "", wrong[64] = "", text[160];
	int i, n = 0;

	for (i = 0; i < N_SLEEPERS; i++) {
		if (!sl[i].used)
			continue;
		n++;
		if (!sl[i].done)
			sprintf(asleep + strlen(asleep), " %s", sl[i].what);
		else if (sl[i].ret != -ENODEV)
			sprintf(wrong + strlen(wrong), ", %s gets 0", sl[i].what);
	}
	if (asleep[0] || wrong[0])
		snprintf(text, sizeof(text), "asleep:%s%s", asleep[0] ? asleep : " none", wrong);
	else
		snprintf(text, sizeof(text), "all %d woken, ENODEV", n);
	tell("sleepers", !asleep[0] && !wrong[0], text);
}

/* The device comes back while the client still has the old one open. */
static void ask_replug(void)
{
	uint64_t end = now_ms() + REPLUG_MS, start = now_ms();
	char old[64], text[128];
	int status = 1, f;
	struct kms again;
	pid_t pid;

	strcpy(old, dev.card);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execlp("drm-plug", "drm-plug", dev.name, NULL);
		_exit(127);
	}
	while (!waitpid(pid, &status, WNOHANG) && now_ms() < end)
		sleep_ms(20);
	if (now_ms() >= end) {
		kill(-pid, SIGKILL);
		snprintf(text, sizeof(text), "not back within %d s", REPLUG_MS / 1000);
		tell("replug", false, text);
		return;
	}
	if (status || !dev_find()) {
		tell("replug", false, "does not come back");
		return;
	}
	f = open_card(0);
	drmSetMaster(f);
	kms_on(f, &again);
	snprintf(text, sizeof(text), "%s%s, %.1f s", strrchr(dev.card, '/') + 1,
		 again.on || driver_is("radeon") ? "" : " shows nothing",
		 (now_ms() - start) / 1000.0);
	tell("replug", strcmp(old, dev.card) && (again.on || driver_is("radeon")), text);
	close(f);
}

int main(int argc, char **argv)
{
	char text[64];

	scene_init(&argc, argv);
	prepare();
	if (kms.on)
		snprintf(text, sizeof(text), "draws %ux%u", kms.mode.hdisplay, kms.mode.vdisplay);
	else
		snprintf(text, sizeof(text), "draws off screen");
	tell("client", true, text);

	if (!pull()) {
		tell("pulled", false, "the pull failed");
		return 1;
	}
	pulled = true;
	snprintf(text, sizeof(text), "in %ld ms", pull_ms);
	tell("pulled", pull_ms < 10000, text);
	sleepers_wait(sl, N_SLEEPERS);
	ask_sleepers();
	ask_ioctls();
	ask_maps();
	fflush(stdout);
	ask_replug();
	fflush(stdout);
	/* The late close comes with the end. */
	return 0;
}
