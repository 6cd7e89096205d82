// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers that are shared with a device that is pulled, as exporter and as
 * importer (spec B1 to B4): nobody hangs, nobody touches the device, what other
 * devices have of it can be given back, and their own buffers stay as they are.
 * So does memory of the program, where the device takes that.
 *
 * The device is paired with each other device of the guest and with udmabuf.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <drm/amdgpu_drm.h>
#include <drm/radeon_drm.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>

#define SIZE (256 * 256 * 4)
#define PATTERN 0xa5a5a5a5u

struct device {
	int fd;
	char card[300];
	char driver[32];
	struct kms kms;
};

/* A buffer of one device that another one has imported. */
struct pair {
	const char *kind;	/* where the buffer is */
	struct device *exporter;	/* NULL: udmabuf */
	struct device *importer;
	int dmabuf;
	int error;		/* of the import, before the pull */
	int map_error;
	uint32_t handle;	/* the importer's */
	uint32_t fb;		/* made of it, or 0 */
	uint32_t *map;		/* through the dma-buf, or NULL */
};

#define MAX_DEVICES 8
#define MAX_PAIRS 32

static struct device devices[MAX_DEVICES];	/* the first is under test */
static struct pair pairs[MAX_PAIRS];
static unsigned int n_devices, n_pairs;
static bool pulled_ok;
static volatile bool stop;

static uint32_t *user_memory;	/* that the device can reach, or NULL */

static struct {
	unsigned int rounds, odd;
	int error;
} flips[MAX_PAIRS], imports, syncs;

static const char *pair_name(const struct pair *p)
{
	static char name[100];

	snprintf(name, sizeof(name), "%s %s -> %s", p->kind,
		 p->exporter ? p->exporter->driver : "udmabuf", p->importer->driver);
	return name;
}

static bool device_open(const char *card)
{
	struct device *d = &devices[n_devices];
	struct drm_version v = { .name = d->driver, .name_len = sizeof(d->driver) - 1 };

	snprintf(d->card, sizeof(d->card), "%s", card);
	d->fd = open(card, O_RDWR | O_CLOEXEC);
	if (d->fd < 0)
		return false;
	ioctl_err(d->fd, DRM_IOCTL_VERSION, &v);
	n_devices++;
	return true;
}

static void devices_open(void)
{
	char card[300];
	struct dirent *e;
	DIR *dir = opendir("/dev/dri");

	device_open(dev.card);
	while (dir && (e = readdir(dir)) && n_devices < MAX_DEVICES) {
		snprintf(card, sizeof(card), "/dev/dri/%s", e->d_name);
		if (!strncmp(e->d_name, "card", 4) && strcmp(card, dev.card))
			device_open(card);
	}
	if (dir)
		closedir(dir);
}

/* ---- buffers ---- */

static int udmabuf_export(void)
{
	struct udmabuf_create create = { .size = SIZE };
	int memfd = memfd_create("unplug", MFD_ALLOW_SEALING);
	int f = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), ret;

	if (f < 0 || ftruncate(memfd, SIZE) || fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -ENODEV;
	create.memfd = memfd;
	ret = ioctl(f, UDMABUF_CREATE, &create);
	ret = ret < 0 ? -errno : ret;
	close(f);
	close(memfd);
	return ret;
}

static int dumb_export(struct device *d)
{
	struct dumb bo;
	int ret = dumb_create(d->fd, 256, 256, &bo);

	return ret ? ret : prime_export(d->fd, bo.handle);
}

/* System memory that the device can reach, where dumb buffers are in its own. */
static int gtt_export(struct device *d)
{
	union drm_amdgpu_gem_create amdgpu = {
		.in = { .bo_size = SIZE, .alignment = 4096, .domains = AMDGPU_GEM_DOMAIN_GTT },
	};
	struct drm_radeon_gem_create radeon = {
		.size = SIZE, .alignment = 4096, .initial_domain = RADEON_GEM_DOMAIN_GTT,
	};
	int ret = -ENOSYS;

	if (!strcmp(d->driver, "amdgpu")) {
		ret = ioctl_err(d->fd, DRM_IOCTL_AMDGPU_GEM_CREATE, &amdgpu);
		return ret ? ret : prime_export(d->fd, amdgpu.out.handle);
	}
	if (!strcmp(d->driver, "radeon")) {
		ret = ioctl_err(d->fd, DRM_IOCTL_RADEON_GEM_CREATE, &radeon);
		return ret ? ret : prime_export(d->fd, radeon.handle);
	}
	return ret;
}

static int prime_import(int fd, int dmabuf, uint32_t *handle)
{
	struct drm_prime_handle args = { .fd = dmabuf };
	int ret = ioctl_err(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	*handle = args.handle;
	return ret;
}

/* A framebuffer for the mode that is set, if the buffer is large enough. */
static uint32_t add_fb(struct device *d, uint32_t handle)
{
	struct drm_mode_fb_cmd fb = {
		.width = d->kms.mode.hdisplay, .height = d->kms.mode.vdisplay,
		.pitch = d->kms.bo[0].pitch, .bpp = 32, .depth = 24, .handle = handle,
	};

	return d->kms.on && !ioctl_err(d->fd, DRM_IOCTL_MODE_ADDFB, &fb) ? fb.fb_id : 0;
}

static void pair_add(const char *kind, struct device *exporter, struct device *importer,
		     int dmabuf)
{
	struct pair *p = &pairs[n_pairs];
	uint32_t *map;

	if (dmabuf < 0 || n_pairs == MAX_PAIRS)
		return;
	n_pairs++;
	p->kind = kind;
	p->exporter = exporter;
	p->importer = importer;
	p->dmabuf = dmabuf;
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	if (map == MAP_FAILED)
		p->map_error = -errno;
	else if (!fill_all(map, SIZE, PATTERN))
		p->map = map;
	p->error = prime_import(importer->fd, dmabuf, &p->handle);
	if (!p->error)
		p->fb = add_fb(importer, p->handle);
	printf("# %s: import %s, map %s%s\n", pair_name(p), err_name(p->error),
	       err_name(p->map_error), p->fb ? ", on screen" : "");
}

/* As large as the screen of the importer, where it has one. */
static int screen_export(struct device *d, const struct device *importer)
{
	uint32_t height = importer->kms.mode.vdisplay;
	struct dumb bo;
	int ret;

	if (!importer->kms.on)
		return dumb_export(d);
	ret = dumb_create(d->fd, importer->kms.mode.hdisplay, height < 256 ? 256 : height, &bo);
	if (ret || bo.pitch != importer->kms.bo[0].pitch)
		return ret ? ret : dumb_export(d);
	return prime_export(d->fd, bo.handle);
}

static void pairs_make(void)
{
	unsigned int i;

	for (i = 0; i < n_devices; i++)
		kms_on(devices[i].fd, &devices[i].kms);
	for (i = 1; i < n_devices; i++) {
		pair_add("dumb", &devices[0], &devices[i], screen_export(&devices[0], &devices[i]));
		pair_add("gtt", &devices[0], &devices[i], gtt_export(&devices[0]));
		pair_add("dumb", &devices[i], &devices[0], screen_export(&devices[i], &devices[0]));
		pair_add("gtt", &devices[i], &devices[0], gtt_export(&devices[i]));
	}
	pair_add("memfd", NULL, &devices[0], udmabuf_export());
}

/* A buffer made of memory of this program, mapped for the device. */
static void user_memory_share(struct device *d)
{
	struct drm_amdgpu_gem_userptr amdgpu = {
		.size = SIZE, .flags = AMDGPU_GEM_USERPTR_ANONONLY |
			AMDGPU_GEM_USERPTR_REGISTER | AMDGPU_GEM_USERPTR_VALIDATE,
	};
	struct drm_radeon_gem_userptr radeon = {
		.size = SIZE, .flags = RADEON_GEM_USERPTR_ANONONLY |
			RADEON_GEM_USERPTR_REGISTER | RADEON_GEM_USERPTR_VALIDATE,
	};
	const char *modules = getenv("MODULES");
	int ret = -ENOSYS;
	void *p;

	/* Its notifier locks buffers in reclaim, on stock as well, and lockdep is off then. */
	if (modules && !strcmp(modules, "debug") && !strcmp(d->driver, "radeon"))
		return;
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	fill_all(p, SIZE, PATTERN);
	amdgpu.addr = (uintptr_t)p;
	radeon.addr = (uintptr_t)p;
	if (!strcmp(d->driver, "amdgpu"))
		ret = ioctl_err(d->fd, DRM_IOCTL_AMDGPU_GEM_USERPTR, &amdgpu);
	else if (!strcmp(d->driver, "radeon"))
		ret = ioctl_err(d->fd, DRM_IOCTL_RADEON_GEM_USERPTR, &radeon);
	printf("# memory of the program: %s\n", err_name(ret));
	if (!ret)
		user_memory = p;
}

/* ---- while the device goes ---- */

static bool answer_is(int ret)
{
	return !ret || ret == -ENODEV;
}

/* A commit with the imported buffer, and one with another, in turn. */
static void *flip(void *arg)
{
	struct pair *p = arg;
	struct drm_mode_crtc_page_flip req = {
		.crtc_id = p->importer->kms.crtc, .flags = DRM_MODE_PAGE_FLIP_EVENT,
	};
	char events[256];
	int ret, i = p - pairs;

	while (!stop) {
		req.fb_id = flips[i].rounds++ & 1 ? p->importer->kms.fb[0] : p->fb;
		ret = ioctl_err(p->importer->fd, DRM_IOCTL_MODE_PAGE_FLIP, &req);
		if (!ret && read(p->importer->fd, events, sizeof(events)) < 0)
			ret = -errno;
		if (ret && ret != -ENODEV && ret != -EBUSY) {
			flips[i].error = ret;
			flips[i].odd++;
		}
		if (ret)
			sleep_ms(5);
	}
	return NULL;
}

/* Attaches and maps all the time. */
static void *import_again(void *arg)
{
	uint32_t handle;
	struct pair *p;
	int ret, f;

	while (!stop) {
		for (p = pairs; p < pairs + n_pairs; p++) {
			if (p->error)
				continue;
			f = open(p->importer->card, O_RDWR | O_CLOEXEC);
			if (f < 0)
				continue;
			ret = prime_import(f, p->dmabuf, &handle);
			imports.rounds++;
			if (!answer_is(ret)) {
				imports.error = ret;
				imports.odd++;
			}
			close(f);
		}
		sleep_ms(2);
	}
	return NULL;
}

static int sync_cpu(int dmabuf)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	int ret = ioctl_err(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);

	if (ret)
		return ret;
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	return ioctl_err(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
}

static int sync_export(int dmabuf)
{
	struct dma_buf_export_sync_file args = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };
	int ret = ioctl_err(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &args);

	return ret ? ret : args.fd;
}

static int sync_import(int dmabuf, int sync_file)
{
	struct dma_buf_import_sync_file args = { .flags = DMA_BUF_SYNC_WRITE, .fd = sync_file };

	return ioctl_err(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &args);
}

static void *sync_again(void *arg)
{
	struct pair *p;
	int ret, f;

	while (!stop) {
		for (p = pairs; p < pairs + n_pairs; p++) {
			ret = sync_cpu(p->dmabuf);
			f = sync_export(p->dmabuf);
			if (f >= 0 && answer_is(ret))
				ret = sync_import(p->dmabuf, f);
			else if (answer_is(ret))
				ret = f;
			if (f >= 0)
				close(f);
			syncs.rounds++;
			if (!answer_is(ret)) {
				syncs.error = ret;
				syncs.odd++;
			}
		}
		sleep_ms(2);
	}
	return NULL;
}

static void run_scene(void)
{
	pthread_t threads[MAX_PAIRS + 2];
	const struct device *busy[MAX_PAIRS] = {};
	unsigned int i, n = 0, n_busy = 0;
	struct pair *p;

	devices_open();
	pairs_make();
	user_memory_share(&devices[0]);
	pthread_create(&threads[n++], NULL, import_again, NULL);
	pthread_create(&threads[n++], NULL, sync_again, NULL);
	for (p = pairs; p < pairs + n_pairs; p++) {
		/* One for each screen. */
		for (i = 0; i < n_busy && busy[i] != p->importer; i++)
			;
		if (!p->fb || i < n_busy)
			continue;
		busy[n_busy++] = p->importer;
		pthread_create(&threads[n++], NULL, flip, p);
	}
	sleep_ms(150);
	pulled_ok = pull();
	sleep_ms(100);
	stop = true;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* ---- tests ---- */

/* With no pair of the kind there is nothing to see. */
static bool any(bool exported, bool imported)
{
	struct pair *p;

	for (p = pairs; p < pairs + n_pairs; p++)
		if (!p->error && ((exported && p->exporter == devices) ||
				  (imported && p->importer == devices)))
			return true;
	return false;
}

TEST(pull_succeeds)
{
	ASSERT_TRUE(pulled_ok);
}

/* Each came back while the device went, with success or ENODEV. */
TEST(B1_during_imports)
{
	if (!any(true, true))
		SKIP(return, "no device shares a buffer with this one");
	EXPECT_LT(0, imports.rounds);
	EXPECT_EQ(0, imports.odd)
		TH_LOG("%u of %u: %s", imports.odd, imports.rounds, err_name(imports.error));
}

TEST(B4_during_syncs)
{
	if (!n_pairs)
		SKIP(return, "no dma-bufs");
	EXPECT_LT(0, syncs.rounds);
	EXPECT_EQ(0, syncs.odd)
		TH_LOG("%u of %u: %s", syncs.odd, syncs.rounds, err_name(syncs.error));
}

/* A screen that shows a buffer of the other device, or of its own when it goes. */
TEST(B1_during_commits)
{
	unsigned int i, used = 0;

	for (i = 0; i < n_pairs; i++) {
		used += !!flips[i].rounds;
		EXPECT_EQ(0, flips[i].odd)
			TH_LOG("%s: %u of %u: %s", pair_name(&pairs[i]), flips[i].odd,
			       flips[i].rounds, err_name(flips[i].error));
	}
	if (!used)
		SKIP(return, "no screen can show a shared buffer");
}

/* B1, B3: nobody is given the memory of a device that is not there. */
TEST(B1_no_import_of_a_gone_buffer)
{
	uint32_t handle;
	struct pair *p;
	int f;

	if (!any(true, false))
		SKIP(return, "no device takes this one's buffers");
	for (p = pairs; p < pairs + n_pairs; p++) {
		if (p->error || p->exporter != devices)
			continue;
		f = open(p->importer->card, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, f);
		EXPECT_EQ(-ENODEV, prime_import(f, p->dmabuf, &handle))
			TH_LOG("%s", pair_name(p));
		close(f);
	}
}

TEST(B2_no_import_into_a_gone_device)
{
	uint32_t handle;
	struct pair *p;

	if (!any(false, true))
		SKIP(return, "this device takes nobody's buffers");
	for (p = pairs; p < pairs + n_pairs; p++)
		if (!p->error && p->importer == devices)
			EXPECT_EQ(-ENODEV, prime_import(p->importer->fd, p->dmabuf, &handle))
				TH_LOG("%s", pair_name(p));
}

/* An importer that shows a lost buffer goes on working. */
TEST(B1_commits_after)
{
	unsigned int used = 0, i;
	struct pair *p;
	int ret;

	for (p = pairs; p < pairs + n_pairs; p++) {
		struct drm_mode_crtc_page_flip req = {
			.crtc_id = p->importer->kms.crtc, .flags = DRM_MODE_PAGE_FLIP_EVENT,
		};
		char events[256];

		if (!p->fb || p->exporter != devices)
			continue;
		used++;
		for (i = 0; i < 4; i++) {
			req.fb_id = i & 1 ? p->importer->kms.fb[0] : p->fb;
			ret = ioctl_err(p->importer->fd, DRM_IOCTL_MODE_PAGE_FLIP, &req);
			ASSERT_EQ(0, ret) TH_LOG("%s: %s", pair_name(p), err_name(ret));
			ASSERT_LT(0, read(p->importer->fd, events, sizeof(events)));
		}
	}
	if (!used)
		SKIP(return, "no screen can show this device's buffers");
}

/* A buffer of another device is as it was, whoever has imported it. */
TEST(B1_buffers_of_others_are_intact)
{
	unsigned int used = 0;
	uint32_t value;
	struct pair *p;
	size_t at;

	for (p = pairs; p < pairs + n_pairs; p++) {
		if (!p->map || p->importer != devices)
			continue;
		used++;
		for (at = 0; at < SIZE; at += 4096) {
			ASSERT_EQ(0, touch_read((char *)p->map + at, &value));
			ASSERT_EQ(PATTERN, value) TH_LOG("%s at %zx", pair_name(p), at);
		}
	}
	if (!used)
		SKIP(return, "this device takes nobody's buffers");
}

/*
 * The same for memory of this program. Nothing takes that away, so this can fail only
 * in the debug kernel, if the device could still reach it when its driver is unbound.
 */
TEST(B1_user_memory_is_intact)
{
	size_t i;

	if (!user_memory)
		SKIP(return, "the driver takes no memory of the program");
	for (i = 0; i < SIZE / sizeof(*user_memory); i += 4096 / sizeof(*user_memory))
		ASSERT_EQ(PATTERN, user_memory[i]);
	fill_all(user_memory, SIZE, 1);
	EXPECT_EQ(0, munmap(user_memory, SIZE));
}

/* M3: a map of a lost buffer, through the file that everybody has. */
TEST(M3_maps_of_lost_buffers)
{
	unsigned int used = 0, nonzero;
	struct pair *p;

	for (p = pairs; p < pairs + n_pairs; p++) {
		if (!p->map || p->exporter != devices)
			continue;
		used++;
		EXPECT_EQ(0, touch_all(p->map, SIZE, &nonzero));
		EXPECT_EQ(0, nonzero) TH_LOG("%s", pair_name(p));
	}
	for (p = pairs; p < pairs + n_pairs; p++)
		if (p->map && p->exporter == devices)
			EXPECT_EQ(0, touch_write(p->map, 1));
	if (!used)
		SKIP(return, "this device's dma-bufs cannot be mapped");
}

TEST(B4_cpu_access_returns)
{
	struct pair *p;
	int ret;

	if (!n_pairs)
		SKIP(return, "no dma-bufs");
	for (p = pairs; p < pairs + n_pairs; p++) {
		ret = sync_cpu(p->dmabuf);
		EXPECT_TRUE(answer_is(ret)) TH_LOG("%s: %s", pair_name(p), err_name(ret));
	}
}

/* What is to happen to the buffer before it is used has happened. */
TEST(B4_sync_files)
{
	struct pair *p;
	int f, ret;

	if (!n_pairs)
		SKIP(return, "no dma-bufs");
	for (p = pairs; p < pairs + n_pairs; p++) {
		f = sync_export(p->dmabuf);
		ASSERT_LE(0, f) TH_LOG("%s: %s", pair_name(p), err_name(f));
		struct pollfd pfd = { .fd = f, .events = POLLIN };

		EXPECT_EQ(1, poll(&pfd, 1, 10000)) TH_LOG("%s", pair_name(p));
		ret = sync_import(p->dmabuf, f);
		EXPECT_EQ(0, ret) TH_LOG("%s: %s", pair_name(p), err_name(ret));
		close(f);
	}
}

/* T3: what is left is given back, the importers' part first or last. */
TEST(T3_close)
{
	struct drm_gem_close args = {};
	struct pair *p;
	int ret, n = 0;

	for (p = pairs; p < pairs + n_pairs; p++) {
		if (p->error)
			continue;
		n++;
		args.handle = p->handle;
		ret = ioctl_err(p->importer->fd, DRM_IOCTL_GEM_CLOSE, &args);
		EXPECT_TRUE(answer_is(ret)) TH_LOG("%s: %s", pair_name(p), err_name(ret));
	}
	if (!n)
		SKIP(return, "nobody could import a buffer");
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
