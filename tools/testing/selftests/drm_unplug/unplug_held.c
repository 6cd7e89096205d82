// SPDX-License-Identifier: GPL-2.0
/*
 * What a device leaves behind (spec T3, T4): open file, maps, dma-buf, lease and
 * sync_file are held while the device goes, while it comes back, and while its
 * driver's module is taken out; then they go, one after the other.
 *
 * All of it happens in the scene, so that nobody else holds the files; the tests
 * look at what was noted.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <drm/drm_mode.h>
#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#define PAGE 4096
#define PATTERN 0xa5a5a5a5u

/* In the order in which they are given back: maps and dma-buf outlive the file. */
enum { CARD, MAP, DMABUF_MAP, DMABUF, LEASE, N_THINGS };

static const char * const things[] = { "file", "map", "dma-buf's map", "dma-buf", "lease" };

static int fd = -1, dmabuf = -1, lessee = -1, fence = -1;
static struct dumb bo;
static uint32_t *map, *buf_map;
static struct kms kms;
static char module[64];
static const char *no_unload;

static struct {
	bool pulled, plugged, pulled_again, plugged_again;
	int new_works, works_after[N_THINGS];
	int old_ioctl, lease_ioctl, import, sync, map_sig;
	unsigned int map_nonzero;
	int fence_early, fence_late, fence_unloaded;
	int unload, load;
} saw;

/* 0 if the device that is there now can be used. */
static int try_new(void)
{
	struct dumb d;
	uint32_t value = 0;
	int f = open_card(0), ret;
	void *p;

	if (f < 0)
		return -errno;
	ret = dumb_create(f, 64, 64, &d);
	p = ret ? NULL : dumb_map(f, &d);
	if (!ret && !p)
		ret = -ENOMEM;
	if (p) {
		if (touch_write(p, PATTERN) || touch_read(p, &value) || value != PATTERN)
			ret = -EFAULT;
		munmap(p, d.size);
	}
	close(f);
	return ret;
}

/* 1 if it has signalled, whatever with. */
static int fence_state(void)
{
	struct sync_file_info info = {};
	struct pollfd pfd = { .fd = fence, .events = POLLIN };

	if (fence < 0)
		return 1;
	return !ioctl_err(fence, SYNC_IOC_FILE_INFO, &info) && info.status &&
	       poll(&pfd, 1, 0) == 1 ? 1 : info.status;
}

/* A fence that the device makes: for the next frame, if it has a screen. */
static void prepare_fence(void)
{
	struct dma_buf_export_sync_file args = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };
	volatile int32_t out = -1;
	drmModeAtomicReq *req;
	uint32_t out_fence;

	if (kms.on && !drmSetClientCap(fd, DRM_CLIENT_CAP_ATOMIC, 1)) {
		out_fence = kms_property(fd, kms.crtc, DRM_MODE_OBJECT_CRTC, "OUT_FENCE_PTR", NULL);
		req = drmModeAtomicAlloc();
		drmModeAtomicAddProperty(req, kms.crtc, out_fence, (uintptr_t)&out);
		drmModeAtomicCommit(fd, req, DRM_MODE_ATOMIC_NONBLOCK, NULL);
		drmModeAtomicFree(req);
		fence = out;
	}
	if (fence < 0 && !ioctl_err(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &args))
		fence = args.fd;
	printf("# fence of %s\n", out >= 0 ? "a commit" : fence >= 0 ? "the dma-buf" : "nothing");
}

static void prepare_lease(void)
{
	struct drm_mode_create_lease lease = { .object_count = 2, .flags = O_CLOEXEC };
	uint32_t objects[3] = { kms.crtc, kms.connector };
	drmModePlaneRes *planes;
	int ret = -1;
	uint32_t i;

	if (!kms.on)
		return;
	drmSetClientCap(fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1);
	planes = drmModeGetPlaneResources(fd);
	lease.object_ids = (uintptr_t)objects;
	lease.object_count = 3;
	for (i = 0; planes && i < planes->count_planes && ret; i++) {
		objects[2] = planes->planes[i];
		ret = ioctl_err(fd, DRM_IOCTL_MODE_CREATE_LEASE, &lease);
	}
	drmModeFreePlaneResources(planes);
	if (!ret)
		lessee = lease.fd;
}

static void find_module(void)
{
	char link[128], path[PATH_MAX];

	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/device/driver/module",
		 major(dev.rdev), minor(dev.rdev));
	if (realpath(link, path))
		snprintf(module, sizeof(module), "%.60s", strrchr(path, '/') + 1);
	else
		no_unload = "the driver has no module";
	if (driver_is("virtio_gpu"))
		strcpy(module, "virtio_gpu");
	/* Bound again by itself when the module comes back, it cannot be plugged. */
	if (strcmp(dev.method, "remove"))
		no_unload = "only a device that has left its bus is plugged without its driver";
}

static int run_modprobe(const char *how)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execlp("modprobe", "modprobe", how, module, NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void give_back(int thing)
{
	switch (thing) {
	case MAP:
		munmap(map, bo.size);
		break;
	case DMABUF_MAP:
		if (buf_map)
			munmap(buf_map, bo.size);
		break;
	case DMABUF:
		close(dmabuf);
		break;
	case LEASE:
		close(lessee);
		break;
	case CARD:
		close(fd);
		break;
	}
}

static void look_at_old(void)
{
	struct drm_get_cap cap = { .capability = DRM_CAP_DUMB_BUFFER };
	struct drm_mode_get_lease get = {};
	struct drm_prime_handle import = { .fd = dmabuf };
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	int f = open_card(0);

	saw.old_ioctl = ioctl_err(fd, DRM_IOCTL_GET_CAP, &cap);
	saw.lease_ioctl = lessee < 0 ? -ENODEV : ioctl_err(lessee, DRM_IOCTL_MODE_GET_LEASE, &get);
	saw.import = dmabuf < 0 ? -ENODEV : ioctl_err(f, DRM_IOCTL_PRIME_FD_TO_HANDLE, &import);
	saw.sync = dmabuf < 0 ? 0 : ioctl_err(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
	saw.map_sig = touch_all(map, bo.size, &saw.map_nonzero);
	saw.fence_late = fence_state();
	close(f);
}

static void run_scene(void)
{
	int i;

	fd = open_card(0);
	if (fd < 0 || dumb_create(fd, 256, 256, &bo)) {
		printf("# cannot create a dumb buffer\n");
		exit(1);
	}
	ioctl_err(fd, DRM_IOCTL_SET_MASTER, NULL);
	find_module();
	map = dumb_map(fd, &bo);
	fill_all(map, bo.size, PATTERN);
	dmabuf = prime_export(fd, bo.handle);
	if (dmabuf >= 0) {
		buf_map = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
		if (buf_map == MAP_FAILED)
			buf_map = NULL;
	}
	kms_on(fd, &kms);
	prepare_fence();
	prepare_lease();

	saw.pulled = pull();
	saw.fence_early = fence_state();
	saw.plugged = plug();
	if (!saw.plugged)
		return;
	look_at_old();
	saw.new_works = try_new();
	for (i = 0; i < N_THINGS; i++) {
		give_back(i);
		saw.works_after[i] = try_new();
	}
	if (no_unload)
		return;

	/* The last that is left of both is a fence. */
	saw.pulled_again = pull();
	saw.unload = run_modprobe("-r");
	saw.fence_unloaded = fence_state();
	saw.load = run_modprobe("-q");
	saw.plugged_again = plug();
}

TEST(T4_pull_and_plug_succeed)
{
	EXPECT_TRUE(saw.pulled);
	EXPECT_TRUE(saw.plugged);
}

TEST(T4_new_device_works_beside_the_old)
{
	if (!saw.plugged)
		SKIP(return, "it did not come back");
	EXPECT_EQ(0, saw.new_works) TH_LOG("%s", err_name(saw.new_works));
}

TEST(T4_old_things_stay_dead)
{
	if (!saw.plugged)
		SKIP(return, "it did not come back");
	EXPECT_EQ(-ENODEV, saw.old_ioctl) TH_LOG("%s", err_name(saw.old_ioctl));
	EXPECT_EQ(-ENODEV, saw.lease_ioctl) TH_LOG("%s", err_name(saw.lease_ioctl));
	EXPECT_EQ(-ENODEV, saw.import) TH_LOG("%s", err_name(saw.import));
	EXPECT_TRUE(!saw.sync || saw.sync == -ENODEV) TH_LOG("%s", err_name(saw.sync));
	EXPECT_EQ(0, saw.map_sig);
	EXPECT_EQ(0, saw.map_nonzero);
}

TEST(F1_fence_signals)
{
	EXPECT_EQ(1, saw.fence_early);
	if (saw.plugged)
		EXPECT_EQ(1, saw.fence_late);
}

TEST(T3_late_close)
{
	int i;

	if (!saw.plugged)
		SKIP(return, "it did not come back");
	for (i = 0; i < N_THINGS; i++) {
		const char *thing = things[i];
		int ret = saw.works_after[i];

		EXPECT_EQ(0, ret) TH_LOG("after the %s: %s", thing, err_name(ret));
	}
}

/* T3: nothing but a sync_file is left, which needs neither device nor driver. */
TEST(T3_module_unload)
{
	if (!saw.plugged || no_unload)
		SKIP(return, "%s", no_unload ? no_unload : "it did not come back");
	EXPECT_TRUE(saw.pulled_again);
	EXPECT_EQ(0, saw.unload) TH_LOG("modprobe -r %s: %d", module, saw.unload);
	EXPECT_EQ(1, saw.fence_unloaded);
	EXPECT_EQ(0, saw.load);
	EXPECT_TRUE(saw.plugged_again);
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
