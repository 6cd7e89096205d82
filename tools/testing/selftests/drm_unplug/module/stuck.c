// SPDX-License-Identifier: GPL-2.0
/*
 * What can get stuck when a device is pulled, on request: fences that do not
 * signal, a section that does not end, and a display whose vblanks stop for good.
 * For the drm_unplug tests; built with the headers of the stock kernel, so it
 * shows what any driver sees, and works with any drm.ko of the same layout.
 */
#include <linux/device/faux.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include <linux/wait.h>

#include <drm/drm_atomic.h>
#include <drm/drm_atomic_helper.h>
#include <drm/drm_connector.h>
#include <drm/drm_drv.h>
#include <drm/drm_edid.h>
#include <drm/drm_file.h>
#include <drm/drm_gem_atomic_helper.h>
#include <drm/drm_gem_framebuffer_helper.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_managed.h>
#include <drm/drm_probe_helper.h>
#include <drm/drm_vblank.h>
#include <drm/drm_vblank_helper.h>

#include "stuck.h"

#define STUCK_DRM_MAJOR	226

/* ---- the display ---- */

struct stuck_display {
	struct drm_device drm;
	struct drm_plane plane;
	struct drm_crtc crtc;
	struct drm_encoder encoder;
	struct drm_connector connector;
};

static DEFINE_MUTEX(stuck_mutex);
static struct faux_device *stuck_faux;
static enum stuck_plug stuck_kind;
static bool stuck_dead;

DEFINE_DRM_GEM_FOPS(stuck_fops);

/* The last file is closed. What is never shut down has its timer on until then. */
static void stuck_drm_release(struct drm_device *drm)
{
	drm_crtc_vblank_off(&container_of(drm, struct stuck_display, drm)->crtc);
}

static const struct drm_driver stuck_driver = {
	.driver_features = DRIVER_MODESET | DRIVER_ATOMIC | DRIVER_GEM,
	.fops = &stuck_fops,
	.release = stuck_drm_release,
	DRM_GEM_SHMEM_DRIVER_OPS,
	.name = "stuck",
	.desc = "display that gets stuck",
	.major = 1,
};

static bool stuck_handle_vblank_timeout(struct drm_crtc *crtc)
{
	/* True lets the timer run on: what is missing is the interrupt. */
	return READ_ONCE(stuck_dead) || drm_crtc_handle_vblank(crtc);
}

static const struct drm_crtc_funcs stuck_crtc_funcs = {
	.set_config = drm_atomic_helper_set_config,
	.page_flip = drm_atomic_helper_page_flip,
	.reset = drm_atomic_helper_crtc_reset,
	.atomic_duplicate_state = drm_atomic_helper_crtc_duplicate_state,
	.atomic_destroy_state = drm_atomic_helper_crtc_destroy_state,
	DRM_CRTC_VBLANK_TIMER_FUNCS,
};

static const struct drm_crtc_helper_funcs stuck_crtc_helper_funcs = {
	DRM_CRTC_HELPER_VBLANK_FUNCS,
	.handle_vblank_timeout = stuck_handle_vblank_timeout,
};

static void stuck_plane_update(struct drm_plane *plane, struct drm_atomic_commit *state)
{
}

static const struct drm_plane_funcs stuck_plane_funcs = {
	.update_plane = drm_atomic_helper_update_plane,
	.disable_plane = drm_atomic_helper_disable_plane,
	.destroy = drm_plane_cleanup,
	.reset = drm_atomic_helper_plane_reset,
	.atomic_duplicate_state = drm_atomic_helper_plane_duplicate_state,
	.atomic_destroy_state = drm_atomic_helper_plane_destroy_state,
};

static const struct drm_plane_helper_funcs stuck_plane_helper_funcs = {
	.prepare_fb = drm_gem_plane_helper_prepare_fb,
	.atomic_update = stuck_plane_update,
};

static int stuck_get_modes(struct drm_connector *connector)
{
	return drm_add_modes_noedid(connector, 800, 600);
}

static const struct drm_connector_helper_funcs stuck_connector_helper_funcs = {
	.get_modes = stuck_get_modes,
};

static const struct drm_connector_funcs stuck_connector_funcs = {
	.fill_modes = drm_helper_probe_single_connector_modes,
	.reset = drm_atomic_helper_connector_reset,
	.atomic_duplicate_state = drm_atomic_helper_connector_duplicate_state,
	.atomic_destroy_state = drm_atomic_helper_connector_destroy_state,
};

static void stuck_commit_tail(struct drm_atomic_commit *state)
{
	struct drm_device *drm = state->dev;

	drm_atomic_helper_commit_modeset_disables(drm, state);
	drm_atomic_helper_commit_planes(drm, state, 0);
	drm_atomic_helper_commit_modeset_enables(drm, state);
	drm_atomic_helper_fake_vblank(state);
	drm_atomic_helper_commit_hw_done(state);
	if (stuck_kind == STUCK_WAIT_FOR_VBLANKS)
		drm_atomic_helper_wait_for_vblanks(drm, state);
	else
		drm_atomic_helper_wait_for_flip_done(drm, state);
	drm_atomic_helper_cleanup_planes(drm, state);
}

static const struct drm_mode_config_helper_funcs stuck_mode_config_helper_funcs = {
	.atomic_commit_tail = stuck_commit_tail,
};

static const struct drm_mode_config_funcs stuck_mode_config_funcs = {
	.fb_create = drm_gem_fb_create,
	.atomic_check = drm_atomic_helper_check,
	.atomic_commit = drm_atomic_helper_commit,
};

static int stuck_modeset_init(struct stuck_display *stuck)
{
	static const u32 formats[] = { DRM_FORMAT_XRGB8888 };
	struct drm_device *drm = &stuck->drm;
	int ret;

	ret = drmm_mode_config_init(drm);
	if (ret)
		return ret;

	drm->mode_config.max_width = 4096;
	drm->mode_config.max_height = 4096;
	drm->mode_config.funcs = &stuck_mode_config_funcs;
	drm->mode_config.helper_private = &stuck_mode_config_helper_funcs;

	ret = drm_universal_plane_init(drm, &stuck->plane, 1, &stuck_plane_funcs, formats,
				       ARRAY_SIZE(formats), NULL, DRM_PLANE_TYPE_PRIMARY, NULL);
	if (ret)
		return ret;
	drm_plane_helper_add(&stuck->plane, &stuck_plane_helper_funcs);

	ret = drmm_crtc_init_with_planes(drm, &stuck->crtc, &stuck->plane, NULL,
					 &stuck_crtc_funcs, NULL);
	if (ret)
		return ret;
	drm_crtc_helper_add(&stuck->crtc, &stuck_crtc_helper_funcs);

	ret = drmm_encoder_init(drm, &stuck->encoder, NULL, DRM_MODE_ENCODER_VIRTUAL, NULL);
	if (ret)
		return ret;
	stuck->encoder.possible_crtcs = drm_crtc_mask(&stuck->crtc);

	ret = drmm_connector_init(drm, &stuck->connector, &stuck_connector_funcs,
				  DRM_MODE_CONNECTOR_VIRTUAL, NULL);
	if (ret)
		return ret;
	drm_connector_helper_add(&stuck->connector, &stuck_connector_helper_funcs);
	ret = drm_connector_attach_encoder(&stuck->connector, &stuck->encoder);
	if (ret)
		return ret;

	ret = drm_vblank_init(drm, 1);
	if (ret)
		return ret;

	drm_mode_config_reset(drm);

	return 0;
}

static int stuck_probe(struct faux_device *faux)
{
	struct stuck_display *stuck;
	int ret;

	stuck = devm_drm_dev_alloc(&faux->dev, &stuck_driver, struct stuck_display, drm);
	if (IS_ERR(stuck))
		return PTR_ERR(stuck);
	faux_device_set_drvdata(faux, stuck);

	ret = dma_coerce_mask_and_coherent(&faux->dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = stuck_modeset_init(stuck);
	if (!ret)
		ret = drm_dev_register(&stuck->drm, 0);

	return ret;
}

/* As any driver whose card can be pulled. */
static void stuck_remove(struct faux_device *faux)
{
	struct stuck_display *stuck = faux_device_get_drvdata(faux);

	drm_dev_unplug(&stuck->drm);
	if (stuck_kind != STUCK_NO_SHUTDOWN)
		drm_atomic_helper_shutdown(&stuck->drm);
}

static const struct faux_device_ops stuck_faux_ops = {
	.probe = stuck_probe,
	.remove = stuck_remove,
};

static int stuck_plug(unsigned long kind)
{
	guard(mutex)(&stuck_mutex);

	if (stuck_faux)
		return -EBUSY;
	stuck_dead = false;
	stuck_kind = kind;
	stuck_faux = faux_device_create("stuck", NULL, &stuck_faux_ops);

	return stuck_faux ? 0 : -ENODEV;
}

static int stuck_pull(void)
{
	guard(mutex)(&stuck_mutex);

	if (!stuck_faux)
		return -ENODEV;
	faux_device_destroy(stuck_faux);
	stuck_faux = NULL;

	return 0;
}

/* ---- fences and sections ---- */

/* Of one open file. */
struct stuck {
	struct mutex lock;		/* protects @fences */
	struct list_head fences;
	bool released;
	wait_queue_head_t wait;
};

struct stuck_fence {
	struct dma_fence base;
	struct list_head node;
};

static const char *stuck_name(struct dma_fence *fence)
{
	return "stuck";
}

static const struct dma_fence_ops stuck_fence_ops = {
	.get_driver_name = stuck_name,
	.get_timeline_name = stuck_name,
};

static int stuck_fence(struct stuck *stuck)
{
	struct sync_file *sync_file;
	struct stuck_fence *fence;
	int fd;

	fence = kzalloc_obj(*fence);
	if (!fence)
		return -ENOMEM;
	dma_fence_init(&fence->base, &stuck_fence_ops, NULL, dma_fence_context_alloc(1), 1);

	fd = get_unused_fd_flags(O_CLOEXEC);
	sync_file = fd < 0 ? NULL : sync_file_create(&fence->base);
	if (!sync_file) {
		if (fd >= 0)
			put_unused_fd(fd);
		dma_fence_put(&fence->base);
		return fd < 0 ? fd : -ENOMEM;
	}

	scoped_guard(mutex, &stuck->lock)
		list_add(&fence->node, &stuck->fences);
	fd_install(fd, sync_file->file);

	return fd;
}

static int stuck_hold(struct stuck *stuck, int fd)
{
	struct drm_file *priv;
	int idx, ret = -EINVAL;

	CLASS(fd, f)(fd);
	if (fd_empty(f))
		return -EBADF;
	if (!S_ISCHR(file_inode(fd_file(f))->i_mode) ||
	    imajor(file_inode(fd_file(f))) != STUCK_DRM_MAJOR)
		return ret;

	priv = fd_file(f)->private_data;
	if (!drm_dev_enter(priv->minor->dev, &idx))
		return -ENODEV;
	ret = wait_event_killable(stuck->wait, READ_ONCE(stuck->released));
	drm_dev_exit(idx);

	return ret;
}

static int stuck_release(struct stuck *stuck)
{
	struct stuck_fence *fence, *next;

	guard(mutex)(&stuck->lock);

	list_for_each_entry_safe(fence, next, &stuck->fences, node) {
		list_del(&fence->node);
		dma_fence_signal(&fence->base);
		dma_fence_put(&fence->base);
	}
	WRITE_ONCE(stuck->released, true);
	wake_up_all(&stuck->wait);

	return 0;
}

static int stuck_file_open(struct inode *inode, struct file *file)
{
	struct stuck *stuck = kzalloc_obj(*stuck);

	if (!stuck)
		return -ENOMEM;
	mutex_init(&stuck->lock);
	INIT_LIST_HEAD(&stuck->fences);
	init_waitqueue_head(&stuck->wait);
	file->private_data = stuck;

	return 0;
}

static int stuck_file_release(struct inode *inode, struct file *file)
{
	stuck_release(file->private_data);
	kfree(file->private_data);

	return 0;
}

static long stuck_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case STUCK_FENCE:
		return stuck_fence(file->private_data);
	case STUCK_HOLD:
		return stuck_hold(file->private_data, arg);
	case STUCK_RELEASE:
		return stuck_release(file->private_data);
	case STUCK_PLUG:
		return stuck_plug(arg);
	case STUCK_DIE:
	case STUCK_REVIVE:
		WRITE_ONCE(stuck_dead, cmd == STUCK_DIE);
		return 0;
	case STUCK_PULL:
		return stuck_pull();
	default:
		return -ENOTTY;
	}
}

static const struct file_operations stuck_file_fops = {
	.owner = THIS_MODULE,
	.open = stuck_file_open,
	.release = stuck_file_release,
	.unlocked_ioctl = stuck_file_ioctl,
};

static struct miscdevice stuck_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "drm-stuck",
	.fops = &stuck_file_fops,
};

static int __init stuck_init(void)
{
	return misc_register(&stuck_misc);
}
module_init(stuck_init);

static void __exit stuck_exit(void)
{
	misc_deregister(&stuck_misc);
	stuck_pull();
}
module_exit(stuck_exit);

MODULE_DESCRIPTION("What can get stuck when a DRM device is pulled");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
