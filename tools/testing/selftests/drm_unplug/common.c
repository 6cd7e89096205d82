// SPDX-License-Identifier: GPL-2.0
/*
 * Device, memory and thread helpers of the drm_unplug tests.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <xf86drm.h>
#include <xf86drmMode.h>

struct unplug_dev dev;
long pull_ms;

/* Exit codes that the kselftest runner knows. */
#define EXIT_SKIP 4

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

int ioctl_err(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret && (errno == EINTR || errno == EAGAIN));

	return ret ? -errno : ret;
}

int version(int fd)
{
	struct drm_version v = {};

	return ioctl_err(fd, DRM_IOCTL_VERSION, &v);
}

int write_file(const char *path, const char *text)
{
	int f = open(path, O_WRONLY | O_CLOEXEC), ret = 0;
	ssize_t n;

	if (f < 0)
		return -errno;
	n = write(f, text, strlen(text));
	if (n != (ssize_t)strlen(text))
		ret = n < 0 ? -errno : -EIO;
	close(f);
	return ret;
}

void *shared_zalloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("# mmap");
		exit(1);
	}
	return p;
}

const char *err_name(long err)
{
	static _Thread_local char buf[32];
	const char *name;

	if (err >= 0) {
		snprintf(buf, sizeof(buf), "%ld", err);
		return buf;
	}
	name = strerrorname_np(-err);
	return name ? name : "?";
}

/* ---- the device ---- */

/* Asks the guest: name, bus address, driver, card node, render node; - for none. */
static bool read_nodes(void)
{
	char cmd[128], card[64] = "", render[64] = "";
	struct stat st;
	FILE *f;
	int n;

	snprintf(cmd, sizeof(cmd), "drm-devices %s", dev.name);
	f = popen(cmd, "r");
	if (!f)
		return false;
	n = fscanf(f, "%*s %*s %*s %63s %63s", card, render);
	pclose(f);
	if (n != 2 || card[0] != '/' || stat(card, &st))
		return false;

	strcpy(dev.card, card);
	strcpy(dev.render, render[0] == '/' ? render : "");
	dev.rdev = st.st_rdev;
	return !dev.render[0] || !access(dev.render, R_OK);
}

bool dev_find(void)
{
	uint64_t end = now_ms() + 10000;
	struct drm_version v = {};
	int fd;

	while (!read_nodes()) {
		if (now_ms() > end)
			return false;
		sleep_ms(50);
	}

	fd = open(dev.card, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	v.name = dev.driver;
	v.name_len = sizeof(dev.driver) - 1;
	memset(dev.driver, 0, sizeof(dev.driver));
	ioctl_err(fd, DRM_IOCTL_VERSION, &v);
	close(fd);
	return true;
}

bool driver_is(const char *name)
{
	return !strcmp(dev.driver, name);
}

void scene_init(int *argc, char **argv)
{
	static const struct rlimit no_core;

	setrlimit(RLIMIT_CORE, &no_core);
	setvbuf(stdout, NULL, _IOLBF, 0);

	/* A listing needs no device. */
	if (*argc > 1 && (!strcmp(argv[1], "-l") || !strcmp(argv[1], "-h")))
		return;

	dev.name = getenv("DRM_UNPLUG_DEV");
	if (*argc < 2 || argv[1][0] == '-' || !dev.name) {
		fprintf(stderr,
			"usage: DRM_UNPLUG_DEV=device %s remove|unbind|device_del [harness option]...\n",
			argv[0]);
		exit(*argc < 2 || dev.name ? 1 : EXIT_SKIP);
	}
	dev.method = argv[1];
	memmove(argv + 1, argv + 2, (*argc - 1) * sizeof(*argv));
	--*argc;

	if (!dev_find()) {
		printf("# %s: no DRM node to test\n", dev.name);
		exit(1);
	}
}

int open_card(int flags)
{
	return open(dev.card, O_RDWR | O_CLOEXEC | flags);
}

int open_render(int flags)
{
	if (!dev.render[0])
		return -1;
	return open(dev.render, O_RDWR | O_CLOEXEC | flags);
}

/* Another device, to share buffers and fences with. */
int open_vgem(void)
{
	char path[64], name[16];
	int i, fd;

	for (i = 0; i < 64; i++) {
		struct drm_version v = { .name = name, .name_len = sizeof(name) - 1 };

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		memset(name, 0, sizeof(name));
		ioctl_err(fd, DRM_IOCTL_VERSION, &v);
		if (!strcmp(name, "vgem"))
			return fd;
		close(fd);
	}
	return -1;
}

static pid_t start(const char *tool, const char *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execlp(tool, tool, dev.name, arg, NULL);
		fprintf(stderr, "# %s: %s\n", tool, strerror(errno));
		_exit(127);
	}
	return pid;
}

static bool end(pid_t pid)
{
	int status = 0;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool run(const char *tool, const char *arg)
{
	return end(start(tool, arg));
}

bool pull_with(const char *method)
{
	return run("drm-pull", method);
}

bool pull(void)
{
	uint64_t start = now_ms();
	bool ok = pull_with(dev.method);

	pull_ms = now_ms() - start;
	return ok;
}

static pid_t puller;

void pull_start(void)
{
	puller = start("drm-pull", dev.method);
}

bool pull_returned(void)
{
	siginfo_t info = {};

	return waitid(P_PID, puller, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

bool pull_end(void)
{
	return end(puller);
}

bool pull_returns_within(unsigned int ms)
{
	uint64_t limit = now_ms() + ms;

	pull_start();
	while (!pull_returned() && now_ms() < limit)
		sleep_ms(10);
	return pull_returned();
}

bool plug(void)
{
	return run("drm-plug", NULL) && dev_find();
}

/* ---- buffers ---- */

int dumb_create(int fd, uint32_t width, uint32_t height, struct dumb *d)
{
	struct drm_mode_create_dumb create = {
		.width = width, .height = height, .bpp = 32,
	};
	struct drm_mode_map_dumb map = {};
	int ret;

	memset(d, 0, sizeof(*d));
	ret = ioctl_err(fd, DRM_IOCTL_MODE_CREATE_DUMB, &create);
	if (ret)
		return ret;
	map.handle = create.handle;
	ret = ioctl_err(fd, DRM_IOCTL_MODE_MAP_DUMB, &map);
	if (ret)
		return ret;
	d->handle = create.handle;
	d->pitch = create.pitch;
	d->size = create.size;
	d->offset = map.offset;
	return 0;
}

void *dumb_map(int fd, const struct dumb *d)
{
	void *p = mmap(NULL, d->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       d->offset);

	return p == MAP_FAILED ? NULL : p;
}

int prime_export(int fd, uint32_t handle)
{
	struct drm_prime_handle args = {
		.handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR, .fd = -1,
	};
	int ret = ioctl_err(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	return ret ? ret : args.fd;
}

bool has_cap(int fd, uint64_t cap)
{
	struct drm_get_cap args = { .capability = cap };

	return !ioctl_err(fd, DRM_IOCTL_GET_CAP, &args) && args.value;
}

/* ---- memory access ---- */

static _Thread_local sigjmp_buf touch_env;
static _Thread_local volatile sig_atomic_t touching;

static void on_fault(int sig)
{
	if (touching)
		siglongjmp(touch_env, sig);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void catch_faults(void)
{
	static const struct sigaction sa = {
		.sa_handler = on_fault, .sa_flags = SA_NODEFER,
	};
	static volatile bool caught;

	if (caught)
		return;
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	caught = true;
}

int touch_read(const volatile void *addr, uint32_t *value)
{
	int sig;

	catch_faults();
	sig = sigsetjmp(touch_env, 0);
	if (!sig) {
		touching = 1;
		*value = *(const volatile uint32_t *)addr;
	}
	touching = 0;
	return sig;
}

int touch_write(volatile void *addr, uint32_t value)
{
	int sig;

	catch_faults();
	sig = sigsetjmp(touch_env, 0);
	if (!sig) {
		touching = 1;
		*(volatile uint32_t *)addr = value;
	}
	touching = 0;
	return sig;
}

int touch_all(const volatile void *addr, size_t size, unsigned int *nonzero)
{
	uint32_t value;
	size_t at;
	int sig;

	*nonzero = 0;
	for (at = 0; at < size; at += 4096) {
		sig = touch_read((const volatile char *)addr + at, &value);
		if (sig)
			return sig;
		*nonzero += !!value;
	}
	return 0;
}

int fill_all(volatile void *addr, size_t size, uint32_t value)
{
	size_t at;
	int sig;

	for (at = 0; at < size; at += 4096) {
		sig = touch_write((volatile char *)addr + at, value);
		if (sig)
			return sig;
	}
	return 0;
}

/* ---- display ---- */

static uint32_t first_crtc(int fd, uint32_t encoder, const uint32_t *crtcs,
			   unsigned int count)
{
	struct drm_mode_get_encoder enc = { .encoder_id = encoder };
	unsigned int i;

	if (ioctl_err(fd, DRM_IOCTL_MODE_GETENCODER, &enc))
		return 0;
	for (i = 0; i < count; i++)
		if (enc.possible_crtcs & (1u << i))
			return crtcs[i];
	return 0;
}

static bool try_connector(int fd, uint32_t id, const uint32_t *crtcs,
			  unsigned int n_crtcs, struct kms *kms)
{
	static struct drm_mode_modeinfo modes[128];
	struct drm_mode_get_connector conn = { .connector_id = id };
	uint32_t encoders[16] = {};
	unsigned int i, j;

	/* The first call probes, the second fetches what was found. */
	if (ioctl_err(fd, DRM_IOCTL_MODE_GETCONNECTOR, &conn))
		return false;
	if (conn.connection != 1 || !conn.count_modes || !conn.count_encoders ||
	    conn.count_modes > 128 || conn.count_encoders > 16)
		return false;
	conn.modes_ptr = (uintptr_t)modes;
	conn.encoders_ptr = (uintptr_t)encoders;
	conn.count_props = 0;
	if (ioctl_err(fd, DRM_IOCTL_MODE_GETCONNECTOR, &conn) || !conn.count_modes)
		return false;

	/* The smallest mode is quickest without hardware. */
	kms->mode = modes[0];
	for (i = 1; i < conn.count_modes; i++)
		if (modes[i].hdisplay * modes[i].vdisplay <
		    kms->mode.hdisplay * kms->mode.vdisplay)
			kms->mode = modes[i];

	for (j = 0; j < conn.count_encoders; j++) {
		kms->crtc = first_crtc(fd, encoders[j], crtcs, n_crtcs);
		if (kms->crtc)
			break;
	}
	kms->connector = id;
	return kms->crtc != 0;
}

void kms_on(int fd, struct kms *kms)
{
	uint32_t crtcs[16] = {}, conns[16] = {};
	struct drm_mode_card_res res = {
		.crtc_id_ptr = (uintptr_t)crtcs,
		.connector_id_ptr = (uintptr_t)conns,
		.count_crtcs = 16,
		.count_connectors = 16,
	};
	struct drm_mode_crtc set = {};
	unsigned int i;
	int ret;

	memset(kms, 0, sizeof(*kms));
	/* QEMU's rv100 reports a PLL reference of 0, by which radeon divides. */
	if (driver_is("radeon")) {
		kms->why_not = "radeon on QEMU's rv100 divides by zero in a mode set";
		return;
	}
	kms->why_not = "no connected connector";
	if (ioctl_err(fd, DRM_IOCTL_MODE_GETRESOURCES, &res))
		return;
	for (i = 0; i < res.count_connectors; i++)
		if (try_connector(fd, conns[i], crtcs, res.count_crtcs, kms))
			break;
	if (i == res.count_connectors)
		return;

	kms->why_not = "cannot create framebuffers";
	for (i = 0; i < 2; i++) {
		struct drm_mode_fb_cmd fb = {
			.width = kms->mode.hdisplay,
			.height = kms->mode.vdisplay,
			.bpp = 32, .depth = 24,
		};

		if (dumb_create(fd, fb.width, fb.height, &kms->bo[i]))
			return;
		fb.handle = kms->bo[i].handle;
		fb.pitch = kms->bo[i].pitch;
		if (ioctl_err(fd, DRM_IOCTL_MODE_ADDFB, &fb))
			return;
		kms->fb[i] = fb.fb_id;
	}

	set.crtc_id = kms->crtc;
	set.fb_id = kms->fb[0];
	set.set_connectors_ptr = (uintptr_t)&kms->connector;
	set.count_connectors = 1;
	set.mode = kms->mode;
	set.mode_valid = 1;
	ret = ioctl_err(fd, DRM_IOCTL_MODE_SETCRTC, &set);
	if (ret) {
		printf("# SETCRTC: %s\n", err_name(ret));
		kms->why_not = "cannot set a mode";
		return;
	}
	kms->on = true;
}

int kms_flip(int fd, const struct kms *kms, int i, uint64_t user_data)
{
	struct drm_mode_crtc_page_flip flip = {
		.crtc_id = kms->crtc,
		.fb_id = kms->fb[i & 1],
		.flags = DRM_MODE_PAGE_FLIP_EVENT,
		.user_data = user_data,
	};

	return ioctl_err(fd, DRM_IOCTL_MODE_PAGE_FLIP, &flip);
}

uint32_t kms_property(int fd, uint32_t object, uint32_t type, const char *name, uint64_t *value)
{
	drmModeObjectProperties *props = drmModeObjectGetProperties(fd, object, type);
	uint32_t id = 0, i;

	for (i = 0; props && i < props->count_props && !id; i++) {
		drmModePropertyRes *prop = drmModeGetProperty(fd, props->props[i]);

		if (prop && !strcmp(prop->name, name)) {
			id = prop->prop_id;
			if (value)
				*value = props->prop_values[i];
		}
		drmModeFreeProperty(prop);
	}
	drmModeFreeObjectProperties(props);
	return id;
}

uint32_t kms_plane(int fd, const struct kms *kms)
{
	drmModePlaneRes *planes = drmModeGetPlaneResources(fd);
	uint32_t plane = 0, i;
	uint64_t type, crtc;

	for (i = 0; planes && i < planes->count_planes && !plane; i++) {
		if (!kms_property(fd, planes->planes[i], DRM_MODE_OBJECT_PLANE, "type", &type) ||
		    !kms_property(fd, planes->planes[i], DRM_MODE_OBJECT_PLANE, "CRTC_ID", &crtc))
			continue;
		if (type == DRM_PLANE_TYPE_PRIMARY && crtc == kms->crtc)
			plane = planes->planes[i];
	}
	drmModeFreePlaneResources(planes);
	return plane;
}

/* ---- sleepers ---- */

unsigned int sleeper_limit_ms(void)
{
	const char *limit = getenv("DRM_UNPLUG_SLEEP_MS");

	return limit ? atoi(limit) : 2500;
}

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	s->tid = syscall(SYS_gettid);
	s->started = true;
	s->ret = s->fn(s);
	s->woke_ms = now_ms();
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void sleeper_start(struct sleeper *s)
{
	s->used = true;
	if (pthread_create(&s->thread, NULL, sleeper_main, s)) {
		perror("# pthread_create");
		exit(1);
	}
}

long sleeper_read(struct sleeper *s)
{
	long ret = read(s->fd, s->buf, sizeof(s->buf));

	return ret < 0 ? -errno : ret;
}

/*
 * Not by the state in /proc/.../stat: a thread whose code is still being read from
 * the disk sleeps as well, and comes to its call after the pull.
 */
bool asleep_in_call(pid_t tid)
{
	char path[64], text[8] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	/* The number of the call; else "running", or -1 for asleep outside of any. */
	return text[0] >= '0' && text[0] <= '9';
}

static bool settled(const struct sleeper *s)
{
	return s->done || (s->started && asleep_in_call(s->tid));
}

void sleepers_settle(struct sleeper *s, unsigned int n)
{
	uint64_t end = now_ms() + 30000;
	unsigned int i, round;

	/* Twice in a row, so that a lock that is taken on the way is not taken for the wait. */
	for (round = 0; round < 2; round++) {
		for (i = 0; i < n; i++)
			while (s[i].used && !settled(&s[i]) && now_ms() < end)
				sleep_ms(5);
		sleep_ms(20);
	}
	for (i = 0; i < n; i++) {
		s[i].early = s[i].done;
		if (s[i].used && !settled(&s[i]))
			printf("# %s: not asleep yet\n", s[i].what);
	}
}

void sleepers_wait(struct sleeper *s, unsigned int n)
{
	uint64_t end = now_ms() + sleeper_limit_ms();
	unsigned int i;

	for (i = 0; i < n; i++)
		while (s[i].used && !__atomic_load_n(&s[i].done, __ATOMIC_ACQUIRE) &&
		       now_ms() < end)
			sleep_ms(5);
}
