// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include <drm/drm_device.h>
#include <drm/drm_file.h>
#include <drm/drm_framebuffer.h>
#include <drm/drm_print.h>
#include <drm/drm_property.h>

#include "drm_unplug_internal.h"

/* How long the end of a driver waits for files that are being closed. */
#define DRM_UNPLUG_CLOSE_WAIT	(5 * HZ)

/*
 * Is a file between leaving the list and the end of its close? It is counted until
 * then, as is one that is being opened.
 */
static bool drm_unplug_files_closing(struct drm_device *dev)
{
	guard(mutex)(&dev->filelist_mutex);

	return atomic_read(&dev->open_count) > list_count_nodes(&dev->filelist);
}

static void drm_unplug_wait_closed(struct drm_device *dev)
{
	unsigned long end = jiffies + DRM_UNPLUG_CLOSE_WAIT;

	while (drm_unplug_files_closing(dev)) {
		if (time_after(jiffies, end)) {
			drm_warn(dev, "a file is still being closed, its framebuffers may be freed twice\n");
			return;
		}
		fsleep(1000);
	}
}

/**
 * drm_unplug_drop_objects - take from clients what is about to be freed
 * @dev: DRM device
 *
 * Many drivers call drm_mode_config_cleanup() in their remove callback. It
 * frees all framebuffers and property blobs that are left, also those that an
 * open file refers to, which would be freed once more when that is closed. On a
 * device that is gone no client can use them any more: so drop its references.
 * A file that is just being closed has taken them already, and is waited for.
 *
 * Context: Process context, after drm_dev_unplug() or drm_dev_unregister(). The
 * caller must not hold a lock that is taken when a framebuffer is freed, or that
 * the driver takes in its &drm_driver.postclose: it would wait in vain for some
 * seconds.
 */
void drm_unplug_drop_objects(struct drm_device *dev)
{
	struct drm_framebuffer *fb, *next_fb;
	struct drm_property_blob *blob, *next_blob;
	struct drm_file *file;
	LIST_HEAD(blobs);
	LIST_HEAD(fbs);

	if (!drm_dev_is_gone(dev))
		return;

	scoped_guard(mutex, &dev->filelist_mutex) {
		list_for_each_entry(file, &dev->filelist, lhead) {
			scoped_guard(mutex, &file->fbs_lock)
				list_splice_tail_init(&file->fbs, &fbs);
			scoped_guard(mutex, &dev->mode_config.blob_lock)
				list_splice_tail_init(&file->blobs, &blobs);
		}
	}
	drm_unplug_wait_closed(dev);

	list_for_each_entry_safe(fb, next_fb, &fbs, filp_head) {
		list_del_init(&fb->filp_head);
		drm_framebuffer_put(fb);
	}

	list_for_each_entry_safe(blob, next_blob, &blobs, head_file) {
		list_del_init(&blob->head_file);
		drm_property_blob_put(blob);
	}
}
