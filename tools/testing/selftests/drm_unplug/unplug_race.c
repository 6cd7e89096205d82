// SPDX-License-Identifier: GPL-2.0
/*
 * Clients that never stop, and several unplugs of one device at a time (spec
 * T3, T4, T5, F2).  What counts is that all of it ends, that a cycle works as often
 * as one likes, and that the kernel log stays clean: tools/guest/run sees to that.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <linux/sync_file.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

/*
 * The first three are each of their own kind.  More of them, plain ones in quick
 * succession, with DRM_UNPLUG_CYCLES: see ./cycles.
 */
#define CYCLES 3

struct worker {
	const char *what;
	void (*round)(struct worker *w, int fd);
	unsigned int rounds, errors, signals;
	int error;		/* the last one that was not allowed */
	volatile int busy;
	pthread_t thread;
};

static volatile int stop;
static volatile int shared_fd = -1;	/* of the device of this cycle */
static struct unplug_dev *now;		/* its nodes */
static struct kms kms;

static void bad(struct worker *w, int err)
{
	w->errors++;
	w->error = err;
}

static void round_open(struct worker *w, int fd)
{
	int f = open(now->card, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int ret;

	if (f < 0) {
		if (errno != ENOENT && errno != ENXIO && errno != ENODEV)
			bad(w, -errno);
		sched_yield();
		return;
	}
	ret = version(f);
	if (ret && ret != -ENODEV)
		bad(w, ret);
	close(f);
}

static void round_buffers(struct worker *w, int fd)
{
	struct drm_mode_destroy_dumb destroy = {};
	struct dumb d;
	int ret = dumb_create(fd, 128, 128, &d);
	uint32_t value;
	void *p;

	if (ret) {
		if (ret != -ENODEV)
			bad(w, ret);
		sched_yield();
		return;
	}
	/* The handle's offset stays good after the pull (M2). */
	p = dumb_map(fd, &d);
	if (!p) {
		bad(w, -errno);
	} else {
		if (touch_write(p, 1) || touch_read((char *)p + 4096, &value))
			w->signals++;
		munmap(p, d.size);
	}
	destroy.handle = d.handle;
	ret = ioctl_err(fd, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
	if (ret && ret != -ENODEV)
		bad(w, ret);
}

static void round_prime(struct worker *w, int fd)
{
	struct dumb d;
	int ret = dumb_create(fd, 64, 64, &d), buf;
	void *p;

	if (ret) {
		sched_yield();
		return;
	}
	buf = prime_export(fd, d.handle);
	if (buf >= 0) {
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
		if (p != MAP_FAILED) {
			w->signals += !!touch_write(p, 1);
			munmap(p, 4096);
		}
		close(buf);
	}
	ret = ioctl_err(fd, DRM_IOCTL_MODE_DESTROY_DUMB, &d.handle);
	if (ret && ret != -ENODEV)
		bad(w, ret);
}

static void round_events(struct worker *w, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[256];
	ssize_t n;

	poll(&p, 1, 1);
	n = read(fd, buf, sizeof(buf));
	if (n < 0 && errno != EAGAIN && errno != ENODEV)
		bad(w, -errno);
	if (n == 0)
		bad(w, 0);
}

/*
 * EBUSY: the last flip is under way; EINVAL: the display is off. And gud asks the display,
 * which may be out of its port some time before the driver is told.
 */
static bool commit_may(int ret)
{
	if (driver_is("gud") && (ret == -EPROTO || ret == -ECONNRESET || ret == -ESHUTDOWN))
		return true;
	return !ret || ret == -ENODEV || ret == -EBUSY || ret == -EINVAL;
}

/* Page flips and mode sets: the display pipeline works while the device goes. */
static void round_display(struct worker *w, int fd)
{
	struct drm_mode_crtc set = {
		.crtc_id = kms.crtc,
		.set_connectors_ptr = (uintptr_t)&kms.connector,
		.mode = kms.mode,
	};
	int ret;

	if (!kms.on) {
		sched_yield();
		return;
	}
	if (w->rounds % 8 == 7) {
		set.fb_id = w->rounds & 8 ? kms.fb[0] : 0;
		set.count_connectors = !!set.fb_id;
		set.mode_valid = !!set.fb_id;
		ret = ioctl_err(fd, DRM_IOCTL_MODE_SETCRTC, &set);
	} else {
		ret = kms_flip(fd, &kms, w->rounds, w->rounds);
	}
	if (!commit_may(ret))
		bad(w, ret);
}

/* Commits with an out-fence: of each device the last ones, and what became of all. */
#define FENCES 32

static struct {
	bool able;
	uint32_t plane, prop_fb, prop_out_fence;
	int fence[FENCES];
	unsigned int made, bad, late;
	int status;		/* of the last bad one */
} commits;

static void commits_start(int fd)
{
	memset(commits.fence, -1, sizeof(commits.fence));
	commits.able = false;
	if (!kms.on || drmSetClientCap(fd, DRM_CLIENT_CAP_ATOMIC, 1))
		return;
	commits.plane = kms_plane(fd, &kms);
	commits.prop_fb = kms_property(fd, commits.plane, DRM_MODE_OBJECT_PLANE, "FB_ID", NULL);
	commits.prop_out_fence = kms_property(fd, kms.crtc, DRM_MODE_OBJECT_CRTC, "OUT_FENCE_PTR",
					      NULL);
	commits.able = commits.plane && commits.prop_fb && commits.prop_out_fence;
}

/* It has been shown, or the device has gone; nobody is left to wait. */
static void fence_end(int *fence)
{
	struct sync_file_info info = {};
	struct pollfd p = { .fd = *fence, .events = POLLIN };

	if (*fence < 0)
		return;
	if (poll(&p, 1, sleeper_limit_ms()) != 1 || ioctl_err(*fence, SYNC_IOC_FILE_INFO, &info) ||
	    (info.status != 1 && info.status != -ENODEV)) {
		commits.status = info.status;
		commits.bad++;
	}
	close(*fence);
	*fence = -1;
}

static int commit(int fd, int i, volatile int32_t *out)
{
	drmModeAtomicReq *req = drmModeAtomicAlloc();
	int ret;

	drmModeAtomicAddProperty(req, commits.plane, commits.prop_fb, kms.fb[i & 1]);
	drmModeAtomicAddProperty(req, kms.crtc, commits.prop_out_fence, (uintptr_t)out);
	ret = drmModeAtomicCommit(fd, req, DRM_MODE_ATOMIC_NONBLOCK, NULL);
	drmModeAtomicFree(req);
	return ret;
}

static void round_commits(struct worker *w, int fd)
{
	int *fence = &commits.fence[w->rounds % FENCES];
	volatile int32_t out = -1;
	int ret;

	if (!commits.able) {
		sched_yield();
		return;
	}
	ret = commit(fd, w->rounds, &out);
	if (!ret && out < 0)
		bad(w, -EPROTO);
	if (!commit_may(ret))
		bad(w, ret);
	if (ret)
		return;
	fence_end(fence);
	*fence = out;
	commits.made++;
}

/* None is accepted any more, and all that were have ended. */
static void commits_stop(int fd)
{
	volatile int32_t out = -1;
	unsigned int i;

	if (!commits.able)
		return;
	if (commit(fd, 0, &out) != -ENODEV || out >= 0)
		commits.late++;
	if (out >= 0)
		close(out);
	for (i = 0; i < FENCES; i++)
		fence_end(&commits.fence[i]);
}

static void read_file(const char *path)
{
	char buf[4096];
	int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), i;

	if (f < 0)
		return;
	for (i = 0; i < 8 && read(f, buf, sizeof(buf)) > 0; i++)
		;
	close(f);
}

/* sysfs, debugfs and fdinfo of the device that goes. */
static void round_files(struct worker *w, int fd)
{
	static const char * const names[] = {
		"clients", "gem_names", "state", "framebuffer", "name",
	};
	char dir[96], path[512];
	struct dirent *e;
	size_t i;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	read_file(path);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/dri/%s/%s",
			 now->card + strlen("/dev/dri/card"), names[i]);
		read_file(path);
	}
	snprintf(dir, sizeof(dir), "/sys/class/drm/%s", now->card + strlen("/dev/dri/"));
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, "card", 4))
			continue;
		snprintf(path, sizeof(path), "%s/%s/status", dir, e->d_name);
		read_file(path);
		snprintf(path, sizeof(path), "%s/%s/modes", dir, e->d_name);
		read_file(path);
	}
	if (d)
		closedir(d);
}

/* Asleep most of the time. */
static void round_wait(struct worker *w, int fd)
{
	static _Thread_local uint32_t syncobj;
	struct drm_syncobj_create create = {};
	union drm_wait_vblank vbl = {
		.request = { .type = _DRM_VBLANK_RELATIVE, .sequence = 1000 },
	};
	struct drm_syncobj_wait wait = {
		.handles = (uintptr_t)&syncobj, .count_handles = 1,
		.timeout_nsec = (now_ms() + 500) * 1000000,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
	};
	int ret;

	if (w->rounds % 2 == 0) {
		ret = ioctl_err(fd, DRM_IOCTL_WAIT_VBLANK, &vbl);
		/* EBUSY: it takes more than 3 s; EINVAL: the display is off. */
		if (ret && ret != -ENODEV && ret != -EBUSY && ret != -EINVAL && ret != -EOPNOTSUPP)
			bad(w, ret);
		return;
	}
	/* Of this file, and the next one has others. */
	if (ioctl_err(fd, DRM_IOCTL_SYNCOBJ_CREATE, &create))
		return;
	syncobj = create.handle;
	ret = ioctl_err(fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait);
	if (ret != -ENODEV && ret != -ETIME)
		bad(w, ret);
	ioctl_err(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &create.handle);
}

/* Core ioctls in random order, with arguments that are mostly no good. None takes away. */
static void round_random(struct worker *w, int fd)
{
	static const unsigned long requests[] = {
		DRM_IOCTL_GET_CAP, DRM_IOCTL_SET_CLIENT_CAP, DRM_IOCTL_GET_MAGIC,
		DRM_IOCTL_GET_CLIENT, DRM_IOCTL_GET_STATS, DRM_IOCTL_VERSION,
		DRM_IOCTL_MODE_GETRESOURCES, DRM_IOCTL_MODE_GETPLANERESOURCES,
		DRM_IOCTL_MODE_GETCRTC, DRM_IOCTL_MODE_GETENCODER, DRM_IOCTL_MODE_GETCONNECTOR,
		DRM_IOCTL_MODE_GETPLANE, DRM_IOCTL_MODE_OBJ_GETPROPERTIES,
		DRM_IOCTL_MODE_GETPROPERTY, DRM_IOCTL_MODE_GETFB, DRM_IOCTL_GET_UNIQUE,
		DRM_IOCTL_MODE_CURSOR, DRM_IOCTL_MODE_DIRTYFB, DRM_IOCTL_MODE_LIST_LESSEES,
		DRM_IOCTL_MODE_CREATEPROPBLOB, DRM_IOCTL_MODE_GETPROPBLOB,
		DRM_IOCTL_SYNCOBJ_CREATE, DRM_IOCTL_SYNCOBJ_QUERY,
	};
	static _Thread_local unsigned int seed = 1;
	unsigned char arg[256] = {};
	unsigned int i;

	/* Small numbers may be ids; what they would be pointers to is not ours. */
	for (i = 0; i < 16; i += 4)
		arg[i] = rand_r(&seed) % 64;
	i = rand_r(&seed) % ARRAY_SIZE(requests);
	ioctl(fd, requests[i], arg);
}

static struct worker workers[] = {
	{ "open", round_open },
	{ "buffers", round_buffers },
	{ "prime", round_prime },
	{ "events", round_events },
	{ "display", round_display },
	{ "files", round_files },
	{ "wait", round_wait },
	{ "random", round_random },
	{ "commits", round_commits },
};

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!stop) {
		w->round(w, shared_fd);
		/* Room for the one who pulls. */
		if (++w->rounds % 4 == 0)
			sleep_ms(1);
	}
	return NULL;
}

static struct cycle {
	bool pulled, plugged, works;
	long ms;
	bool dead;
} *cycle;
static unsigned int cycles = CYCLES, cycles_done;

/*
 * How the device is pulled and brought back, as files to write to: closer together than two
 * runs of drm-pull would come.
 */
static struct {
	bool known;
	char off[2][PATH_MAX], off_text[2][64];
	char on[PATH_MAX], on_text[64];
	char nodes[PATH_MAX];	/* pattern of what is there when it is back */
} raw;

static void find_raw(void)
{
	char path[PATH_MAX], device[PATH_MAX], bound[PATH_MAX], driver[PATH_MAX];
	glob_t g;

	memset(&raw, 0, sizeof(raw));
	if (!strcmp(dev.method, "configfs")) {
		if (glob("/sys/kernel/config/vkms/gpu*/enabled", 0, NULL, &g) || g.gl_pathc != 1)
			return;
		snprintf(raw.on, sizeof(raw.on), "%s", g.gl_pathv[0]);
		strcpy(raw.off[0], raw.on);
		strcpy(raw.off[1], raw.on);
		strcpy(raw.off_text[0], "0");
		strcpy(raw.off_text[1], "0");
		strcpy(raw.on_text, "1");
		*strrchr(g.gl_pathv[0], '/') = '\0';
		snprintf(raw.nodes, sizeof(raw.nodes), "/sys/devices/faux/%s/drm/card*",
			 strrchr(g.gl_pathv[0], '/') + 1);
		globfree(&g);
		raw.known = true;
		return;
	}

	snprintf(path, sizeof(path), "/sys/class/drm/%s/device", dev.card + strlen("/dev/dri/"));
	if (!realpath(path, device))
		return;
	/* A virtio device stands between the PCI function and the driver. */
	snprintf(path, sizeof(path), "%.4000s/virtio*", device);
	if (!glob(path, 0, NULL, &g)) {
		snprintf(bound, sizeof(bound), "%s", g.gl_pathv[0]);
		globfree(&g);
	} else {
		strcpy(bound, device);
	}
	snprintf(path, sizeof(path), "%.4000s/driver", bound);
	if (!realpath(path, driver))
		return;

	snprintf(raw.nodes, sizeof(raw.nodes), "%.4000s/drm/card*", bound);
	snprintf(raw.off[1], sizeof(raw.off[1]), "%.4000s/unbind", driver);
	snprintf(raw.off_text[1], sizeof(raw.off_text[1]), "%.60s", strrchr(bound, '/') + 1);
	if (!strcmp(dev.method, "remove")) {
		snprintf(raw.off[0], sizeof(raw.off[0]), "%.4000s/remove", device);
		strcpy(raw.off_text[0], "1");
		strcpy(raw.on, "/sys/bus/pci/rescan");
		strcpy(raw.on_text, "1");
		raw.known = true;
	} else if (!strcmp(dev.method, "unbind")) {
		strcpy(raw.off[0], raw.off[1]);
		strcpy(raw.off_text[0], raw.off_text[1]);
		snprintf(raw.on, sizeof(raw.on), "%.4000s/bind", driver);
		strcpy(raw.on_text, raw.off_text[1]);
		raw.known = true;
	}
}

/* Three processes at once, one of them by unbind. Success: one of the writes worked. */
static bool pull_three_times(void)
{
	uint64_t start = now_ms();
	int status, i, worked = 0;
	pid_t pids[3];

	for (i = 0; i < 3; i++) {
		pids[i] = fork();
		if (!pids[i])
			_exit(!!write_file(raw.off[i == 2], raw.off_text[i == 2]));
	}
	for (i = 0; i < 3; i++)
		if (waitpid(pids[i], &status, 0) == pids[i] && !status)
			worked++;
	pull_ms = now_ms() - start;
	return worked > 0;
}

/* Puts it back, and finds its node without the guest's help, which takes longer. */
static bool plug_raw(void)
{
	uint64_t end = now_ms() + 30000;
	char node[64];
	glob_t g;

	write_file(raw.on, raw.on_text);
	while (now_ms() < end) {
		if (!glob(raw.nodes, 0, NULL, &g)) {
			snprintf(node, sizeof(node), "/dev/dri/%.32s",
				 strrchr(g.gl_pathv[0], '/') + 1);
			globfree(&g);
			if (!access(node, R_OK)) {
				strcpy(dev.card, node);
				return true;
			}
		}
		sleep_ms(5);
	}
	return false;
}

/* All clients use the device that was found last. Returns a file of it for clients_stop(). */
static int clients_start(struct cycle *c)
{
	int fd = open_card(O_NONBLOCK);
	size_t i;

	shared_fd = fd;
	ioctl_err(fd, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(fd, &kms);
	commits_start(fd);
	c->works = fd >= 0 && !version(fd);

	stop = 0;
	for (i = 0; i < ARRAY_SIZE(workers); i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	return fd;
}

static void clients_stop(struct cycle *c, int fd)
{
	size_t i;

	stop = 1;
	for (i = 0; i < ARRAY_SIZE(workers); i++)
		pthread_join(workers[i].thread, NULL);
	c->dead = version(fd) == -ENODEV;
	commits_stop(fd);
}

/* One of many. */
static void run_quick_cycle(struct cycle *c, unsigned int n)
{
	struct unplug_dev this = dev;
	uint64_t start;
	int fd;

	now = &this;
	fd = clients_start(c);
	sleep_ms(rand() % 60);
	start = now_ms();
	c->pulled = !write_file(raw.off[0], raw.off_text[0]);
	c->ms = now_ms() - start;
	/* The clients stop in turn before and after it is back. */
	if (n & 1)
		c->plugged = plug_raw();
	clients_stop(c, fd);
	if (!(n & 1) && (n & 2))
		c->plugged = plug_raw();
	close(fd);
	if (!c->plugged)
		c->plugged = plug_raw();
	if (n % 50 == 49)
		printf("# %u cycles, the last pull took %ld ms\n", n + 1, c->ms);
}

static bool concurrent;

static void run_cycle(int n)
{
	struct unplug_dev this = dev;
	int fd;

	now = &this;
	fd = clients_start(&cycle[n]);
	sleep_ms(100 + 60 * n);

	/* Alone, then by three at a time, then alone and back before the clients stop. */
	find_raw();
	concurrent |= raw.known;
	cycle[n].pulled = n == 1 && raw.known ? pull_three_times() : pull();
	cycle[n].ms = pull_ms;
	if (n == 2)
		cycle[n].plugged = plug();
	sleep_ms(50);
	clients_stop(&cycle[n], fd);
	if (n == 2) {
		close(fd);
		return;
	}
	/* Late close in turn after and before the device is back. */
	if (n == 0) {
		cycle[n].plugged = plug();
		close(fd);
		return;
	}
	close(fd);
	if (!raw.known)
		cycle[n].plugged = plug();
	else
		cycle[n].plugged = !write_file(raw.on, raw.on_text) && dev_find();
}

static void run_scene(void)
{
	const char *wanted = getenv("DRM_UNPLUG_CYCLES");
	unsigned int n;

	if (wanted && atoi(wanted) > CYCLES)
		cycles = atoi(wanted);
	cycle = calloc(cycles, sizeof(*cycle));
	for (n = 0; n < cycles; n++) {
		if (n && !cycle[n - 1].plugged)
			break;
		if (n == CYCLES) {
			find_raw();
			if (!raw.known)
				break;
		}
		if (n < CYCLES)
			run_cycle(n);
		else
			run_quick_cycle(&cycle[n], n);
		cycles_done = n + 1;
	}
}

TEST(T5_pull_under_load)
{
	EXPECT_TRUE(cycle[0].works);
	EXPECT_TRUE(cycle[0].pulled);
	TH_LOG("the pull took %ld ms", (long)cycle[0].ms);
}

TEST(T5_concurrent_pulls)
{
	if (!concurrent)
		SKIP(return, "not by %s", dev.method);
	EXPECT_TRUE(cycle[1].works);
	EXPECT_TRUE(cycle[1].pulled);
	EXPECT_TRUE(cycle[1].plugged);
	TH_LOG("both pulls took %ld ms", (long)cycle[1].ms);
}

TEST(T5_replug_under_load)
{
	EXPECT_TRUE(cycle[2].works);
	EXPECT_TRUE(cycle[2].pulled);
	EXPECT_TRUE(cycle[2].plugged);
}

TEST(T4_every_cycle_gives_a_new_device)
{
	unsigned int i;

	EXPECT_EQ(cycles, cycles_done);
	for (i = 0; i < cycles_done; i++) {
		EXPECT_TRUE(cycle[i].plugged) TH_LOG("cycle %u", i);
		EXPECT_TRUE(cycle[i].works) TH_LOG("cycle %u", i);
	}
}

TEST(U2_dead_after_every_cycle)
{
	unsigned int i;

	ASSERT_LT(0, cycles_done);
	for (i = 0; i < cycles_done; i++)
		EXPECT_TRUE(cycle[i].dead) TH_LOG("cycle %u", i);
}

TEST(F2_commits_while_it_goes)
{
	if (!commits.prop_out_fence)
		SKIP(return, "the driver is not atomic, or has no display");
	EXPECT_LT(0, commits.made);
	EXPECT_EQ(0, commits.bad)
		TH_LOG("%u of %u fences, the last with status %d", commits.bad, commits.made,
		       commits.status);
	EXPECT_EQ(0, commits.late) TH_LOG("accepted when the device was gone: %u", commits.late);
}

FIXTURE(T5_worker) {
};

FIXTURE_VARIANT(T5_worker) {
	int i;
};

FIXTURE_SETUP(T5_worker)
{
}

FIXTURE_TEARDOWN(T5_worker)
{
}

FIXTURE_VARIANT_ADD(T5_worker, open) { 0 };
FIXTURE_VARIANT_ADD(T5_worker, buffers_and_maps) { 1 };
FIXTURE_VARIANT_ADD(T5_worker, prime) { 2 };
FIXTURE_VARIANT_ADD(T5_worker, events) { 3 };
FIXTURE_VARIANT_ADD(T5_worker, display) { 4 };
FIXTURE_VARIANT_ADD(T5_worker, files) { 5 };
FIXTURE_VARIANT_ADD(T5_worker, waits) { 6 };
FIXTURE_VARIANT_ADD(T5_worker, random_ioctls) { 7 };
FIXTURE_VARIANT_ADD(T5_worker, commits) { 8 };

/* Each call either worked or said that the device is gone. */
TEST_F(T5_worker, only_allowed_results)
{
	const struct worker *w = &workers[variant->i];

	EXPECT_LT(0, w->rounds);
	EXPECT_EQ(0, w->signals);
	EXPECT_EQ(0, w->errors)
		TH_LOG("%s: %u of %u rounds, last: %s", w->what, w->errors,
		       w->rounds, w->error ? err_name(w->error) : "read() gave 0");
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
