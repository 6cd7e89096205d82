// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the guest, on stock modules and on ours alike, and measures:
 *
 *	unplug calls DEV		ioctl, page fault, mmap and munmap
 *	unplug maps DEV N REPEAT	removal of DEV with N maps, all touched
 *	unplug held DEV OTHER MS REPEAT	removal of DEV while a section of OTHER is held
 *	unplug sleepers DEV N REPEAT	removal of DEV with N clients asleep in mixed waits
 *
 * DEV is bochs, virtio (both by driver unbind) or vkms (by configfs). Each removal
 * is timed twice: the write to sysfs as a whole ("removal"), and the function of
 * core that it calls, by kprobes ("core").
 *
 * Prints "samples METRIC DEV UNIT VALUE..." and "count METRIC DEV N OF".
 */
#include "../testing/selftests/drm_unplug/common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/"
#define PAGE 4096

static void die(const char *what)
{
	fprintf(stderr, "unplug: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static bool put(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* ---- samples ---- */

struct samples {
	double v[20000];
	unsigned int n;
};

static struct samples removal, core, back;

static void add(struct samples *s, double v)
{
	if (s->n < sizeof(s->v) / sizeof(*s->v))
		s->v[s->n++] = v;
}

static void print(struct samples *s, const char *metric, const char *what, const char *unit)
{
	unsigned int i;

	printf("samples %s%s %s %s", metric, what, dev.name, unit);
	for (i = 0; i < s->n; i++)
		printf(" %.4f", s->v[i]);
	printf("\n");
	s->n = 0;
}

/* ---- devices ---- */

static struct target {
	const char *name;
	const char *found;	/* its name in sysfs is the last part */
	const char *off, *on;	/* %s: that name */
	const char *off_word, *on_word;
	const char *cards;
	const char *function;	/* what its removal calls in core */
	char id[64];
} targets[] = {
	{ "bochs", "/sys/bus/pci/drivers/bochs-drm/0000:*",
	  "/sys/bus/pci/drivers/bochs-drm/unbind", "/sys/bus/pci/drivers/bochs-drm/bind",
	  "%s", "%s", "/sys/bus/pci/devices/%s/drm/card*", "drm_dev_unplug" },
	{ "virtio", "/sys/bus/virtio/drivers/virtio_gpu/virtio*",
	  "/sys/bus/virtio/drivers/virtio_gpu/unbind", "/sys/bus/virtio/drivers/virtio_gpu/bind",
	  "%s", "%s", "/sys/bus/virtio/devices/%s/../drm/card*", "drm_dev_unplug" },
	{ "vkms", "/sys/kernel/config/vkms/*",
	  "/sys/kernel/config/vkms/%s/enabled", "/sys/kernel/config/vkms/%s/enabled",
	  "0", "1", "/sys/devices/faux/%s/drm/card*", "drm_dev_unregister" },
};

/* Where the pattern leads, or "". */
static void found(char *path, size_t size, const char *pattern, const char *id)
{
	char expanded[PATH_MAX];
	glob_t g;

	snprintf(expanded, sizeof(expanded), pattern, id);
	*path = '\0';
	if (!glob(expanded, 0, NULL, &g))
		snprintf(path, size, "%s", g.gl_pathv[0]);
	globfree(&g);
}

static struct target *target(const char *name)
{
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		struct target *t = &targets[i];

		if (strcmp(t->name, name))
			continue;
		found(path, sizeof(path), t->found, "");
		if (!*path)
			break;
		snprintf(t->id, sizeof(t->id), "%s", strrchr(path, '/') + 1);
		return t;
	}
	errno = ENODEV;
	die(name);
	return NULL;
}

static int open_target(struct target *t)
{
	char path[PATH_MAX];
	uint64_t end = now_ns() + 20000000000ull;
	int fd;

	for (;;) {
		found(path, sizeof(path), t->cards, t->id);
		if (*path) {
			snprintf(dev.card, sizeof(dev.card), "/dev/dri/%.32s",
				 strrchr(path, '/') + 1);
			fd = open_card(0);
			if (fd >= 0)
				return fd;
		}
		if (now_ns() > end)
			die(t->name);
		sleep_ms(2);
	}
}

static bool turn(struct target *t, bool on)
{
	char path[PATH_MAX], word[PATH_MAX];

	snprintf(path, sizeof(path), on ? t->on : t->off, t->id);
	snprintf(word, sizeof(word), on ? t->on_word : t->off_word, t->id);
	return put(path, word, 0);
}

/* ---- the function of core ---- */

static void watch(struct target *t)
{
	char text[256];

	put(TRACING "events/bench/enable", "0", 0);
	put(TRACING "kprobe_events", "", O_TRUNC);
	snprintf(text, sizeof(text), "p:bench/begin %s\nr:bench/end %s\n",
		 t->function, t->function);
	if (!put(TRACING "trace_clock", "mono", 0) || !put(TRACING "kprobe_events", text, 0) ||
	    !put(TRACING "events/bench/enable", "1", 0))
		die("kprobe events");
}

/* Milliseconds between its begin and its end, or -1. */
static double watched(void)
{
	FILE *f = fopen(TRACING "trace", "r");
	double at, begin = -1, took = -1;
	char line[512], *p;

	if (!f)
		die("trace");
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			continue;
		p = strstr(line, ": begin:");
		if (!p)
			p = strstr(line, ": end:");
		if (!p)
			continue;
		*p = '\0';
		at = atof(strrchr(line, ' '));
		if (p[2] == 'b' && begin < 0)
			begin = at;
		else if (p[2] == 'e' && begin >= 0)
			took = (at - begin) * 1000;
	}
	fclose(f);
	put(TRACING "trace", "", O_TRUNC);
	return took;
}

/* Removes the device; returns when that began. */
static uint64_t take_away(struct target *t, bool count)
{
	uint64_t start, took;
	double inside;

	put(TRACING "trace", "", O_TRUNC);
	start = now_ns();
	if (!turn(t, false))
		die("removal");
	took = now_ns() - start;
	inside = watched();
	if (count) {
		add(&removal, took / 1e6);
		if (inside >= 0)
			add(&core, inside);
	}
	return start;
}

static void bring_back(struct target *t)
{
	if (!turn(t, true))
		die("replug");
}

/* ---- calls ---- */

static void calls(struct target *t)
{
	struct drm_version version = {};
	struct dumb one, big;
	uint64_t start;
	unsigned int round, i;
	struct rusage before, after;
	int fd = open_target(t);
	volatile char *p;

	/* In turns, so that both see the same machine. */
	for (round = 0; round < 500; round++) {
		start = now_ns();
		for (i = 0; i < 200; i++)
			ioctl(fd, DRM_IOCTL_VERSION, &version);
		add(&removal, (now_ns() - start) / 200e3);
		start = now_ns();
		for (i = 0; i < 200; i++)
			syscall(SYS_getppid);
		add(&core, (now_ns() - start) / 200e3);
	}
	print(&removal, "calls.ioctl", "", "us");
	print(&core, "calls.syscall", "", "us");

	if (dumb_create(fd, 32, 32, &one) || dumb_create(fd, 1024, 1024, &big))
		die("CREATE_DUMB");
	for (round = 0; round < 500; round++) {
		start = now_ns();
		for (i = 0; i < 10; i++)
			munmap(dumb_map(fd, &one), one.size);
		add(&removal, (now_ns() - start) / 10e3);
	}
	print(&removal, "calls.mmap", "", "us");
	for (round = 0; round < 20; round++) {
		p = dumb_map(fd, &big);
		if (!p)
			die("mmap");
		getrusage(RUSAGE_SELF, &before);
		start = now_ns();
		for (i = 0; i < big.size; i += PAGE)
			p[i] = 1;
		start = now_ns() - start;
		getrusage(RUSAGE_SELF, &after);
		add(&removal, start / 1e3 / (after.ru_minflt - before.ru_minflt));
		munmap((void *)p, big.size);
	}
	/* The first round also allocates the memory. */
	memmove(removal.v, removal.v + 1, --removal.n * sizeof(*removal.v));
	print(&removal, "calls.fault", "", "us");
	close(fd);
}

/* ---- maps ---- */

static void maps(struct target *t, unsigned int n, unsigned int repeat)
{
	char what[32];
	unsigned int r, i;
	struct dumb d;
	char *area;
	int fd;

	snprintf(what, sizeof(what), "maps.%u", n);
	watch(t);
	/* Once more than counted: the first one warms up. */
	for (r = 0; r <= repeat; r++) {
		fd = open_target(t);
		if (dumb_create(fd, 32, 32, &d) || d.size != PAGE)
			die("CREATE_DUMB");
		area = mmap(NULL, (n + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (area == MAP_FAILED)
			die("mmap");
		for (i = 0; i < n; i++) {
			if (mmap(area + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, fd, d.offset) == MAP_FAILED)
				die("mmap");
			*(volatile char *)(area + i * PAGE) = 1;
		}
		take_away(t, r > 0);
		munmap(area, (n + 1) * PAGE);
		close(fd);
		bring_back(t);
	}
	print(&removal, what, ".removal", "ms");
	print(&core, what, ".core", "ms");
}

/* ---- sections ---- */

#define HOLD "/sys/kernel/debug/hold_section"

static char hold_order[32];

static void *hold(void *unused)
{
	if (!put(HOLD, hold_order, 0))
		die("hold_section");
	return unused;
}

static unsigned int held_now(void)
{
	char text[16] = {};
	int fd = open(HOLD, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		die("hold_section");
	close(fd);
	return atoi(text);
}

static void held(struct target *t, struct target *other, unsigned int ms, unsigned int repeat)
{
	char what[64];
	unsigned int r;
	pthread_t thread;
	int fd;

	snprintf(what, sizeof(what), "held.%s.%u", other->name, ms);
	watch(t);
	for (r = 0; r < repeat; r++) {
		fd = open_target(other);
		snprintf(hold_order, sizeof(hold_order), "%d %u", fd, ms);
		if (ms) {
			pthread_create(&thread, NULL, hold, NULL);
			while (!held_now())
				sleep_ms(1);
		}
		take_away(t, true);
		if (ms)
			pthread_join(thread, NULL);
		close(fd);
		bring_back(t);
	}
	print(&removal, what, ".removal", "ms");
	print(&core, what, ".core", "ms");
}

/* ---- sleepers ---- */

enum { AWAY, CALLING, BACK };

/* A process each, used again for each repetition. */
struct client {
	pid_t pid;
	int kind;
	volatile int state;
	volatile int err;
	volatile uint64_t back_ns;
};

static struct pool {
	int generation;		/* a futex: open the device and sleep */
	char card[64];
	struct client c[64];
} *pool;

static bool kick;		/* SIGUSR1 came: stop waiting */

static void on_kick(int sig)
{
	(void)sig;
	kick = true;
}

static int wait_read(int fd)
{
	char events[256];

	return read(fd, events, sizeof(events)) < 0 ? errno : 0;
}

static int wait_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, -1) < 0 ? errno : 0;
}

static int wait_vblank(int fd)
{
	/* Hours away, but the kernel gives up after three seconds. */
	do {
		union drm_wait_vblank w = {
			.request = { .type = _DRM_VBLANK_RELATIVE, .sequence = 1000000 },
		};

		if (!ioctl(fd, DRM_IOCTL_WAIT_VBLANK, &w))
			return 0;
	} while (errno == EBUSY && !kick);
	return errno;
}

static int wait_syncobj(int fd)
{
	struct drm_syncobj_create create = {};
	struct drm_syncobj_wait w = {
		.handles = (uintptr_t)&create.handle, .count_handles = 1,
		.timeout_nsec = INT64_MAX, .flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
	};

	if (ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &create))
		return errno;
	return ioctl(fd, DRM_IOCTL_SYNCOBJ_WAIT, &w) ? errno : 0;
}

static int (*const waits[])(int fd) = { wait_read, wait_poll, wait_vblank, wait_syncobj };

static void client_main(struct client *c)
{
	struct sigaction sa = { .sa_handler = on_kick };
	int fd, seen = 0;

	sigaction(SIGUSR1, &sa, NULL);
	for (;;) {
		while (__atomic_load_n(&pool->generation, __ATOMIC_ACQUIRE) == seen)
			syscall(SYS_futex, &pool->generation, FUTEX_WAIT, seen, NULL, NULL, 0);
		seen++;
		fd = open(pool->card, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			die(pool->card);
		kick = false;
		c->state = CALLING;
		c->err = waits[c->kind](fd);
		c->back_ns = now_ns();
		c->state = BACK;
		close(fd);
		c->state = AWAY;
	}
}

static void pool_sleep(unsigned int n)
{
	unsigned int i;

	strcpy(pool->card, dev.card);
	__atomic_add_fetch(&pool->generation, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &pool->generation, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	for (i = 0; i < n; i++)
		while (pool->c[i].state != CALLING || !asleep_in_call(pool->c[i].pid))
			sleep_ms(1);
}

static unsigned int pool_out(unsigned int n)
{
	unsigned int i, out = 0;

	for (i = 0; i < n; i++)
		out += pool->c[i].state == CALLING;
	return out;
}

static void sleepers(struct target *t, unsigned int n, unsigned int repeat)
{
	unsigned int r, i, kinds = 3, left = 0, told = 0;
	struct kms kms;
	uint64_t start, last, end, patience = 1000;
	char what[32];
	int fd = open_target(t);
	pid_t pid;

	snprintf(what, sizeof(what), "sleepers.%u", n);
	if (has_cap(fd, DRM_CAP_SYNCOBJ))
		kinds = 4;
	close(fd);

	pool = shared_zalloc(sizeof(*pool));
	for (i = 0; i < n; i++) {
		struct client *c = &pool->c[i];

		c->kind = i % kinds;
		pid = fork();
		if (pid < 0)
			die("fork");
		if (!pid)
			client_main(c);
		c->pid = pid;
	}

	watch(t);
	for (r = 0; r <= repeat; r++) {
		fd = open_target(t);
		kms_on(fd, &kms);
		if (!kms.on)
			die(kms.why_not);
		pool_sleep(n);
		start = take_away(t, r > 0);

		end = now_ns() + patience * 1000000;
		while (pool_out(n) && now_ns() < end)
			sleep_ms(1);
		/* Stock leaves some for ever: do not look as long again. */
		if (pool_out(n) && patience > 50)
			patience /= 2;
		for (i = 0, last = start; i < n; i++) {
			struct client *c = &pool->c[i];

			if (!r)
				continue;
			if (c->state == CALLING)
				left++;
			else if (c->back_ns > last)
				last = c->back_ns;
			if (c->state != CALLING && (c->err == ENODEV || (c->kind == 1 && !c->err)))
				told++;
		}
		if (r && n && !pool_out(n))
			add(&back, (last - start) / 1e6);

		for (;;) {
			for (i = 0; i < n && pool->c[i].state == AWAY; i++)
				;
			if (i == n)
				break;
			if (pool->c[i].state == CALLING)
				kill(pool->c[i].pid, SIGUSR1);
			sleep_ms(1);
		}
		close(fd);
		bring_back(t);
	}
	for (i = 0; i < n; i++)
		kill(pool->c[i].pid, SIGKILL);
	for (i = 0; i < n; i++)
		waitpid(pool->c[i].pid, NULL, 0);

	print(&removal, what, ".removal", "ms");
	print(&core, what, ".core", "ms");
	print(&back, what, ".back", "ms");
	printf("count %s.left %s %u %u\n", what, dev.name, left, n * repeat);
	printf("count %s.told %s %u %u\n", what, dev.name, told, n * repeat);
	printf("count %s.kinds %s %u 4\n", what, dev.name, kinds);
}

int main(int argc, char **argv)
{
	struct target *t;
	unsigned int n[3] = {};
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3)
		return 2;
	t = target(argv[2]);
	dev.name = t->name;
	for (i = 0; i < 3 && i + 3 < argc; i++)
		n[i] = atoi(argv[i + 3]);

	if (!strcmp(argv[1], "calls"))
		calls(t);
	else if (!strcmp(argv[1], "maps") && n[1])
		maps(t, n[0], n[1]);
	else if (!strcmp(argv[1], "held") && n[2])
		held(t, target(argv[3]), n[1], n[2]);
	else if (!strcmp(argv[1], "sleepers") && n[1] && n[0] <= 64)
		sleepers(t, n[0], n[1]);
	else
		return 2;
	put(TRACING "events/bench/enable", "0", 0);
	put(TRACING "kprobe_events", "", O_TRUNC);
	return 0;
}
