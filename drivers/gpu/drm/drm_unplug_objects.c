// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/list.h>
#include <linux/mutex.h>

#include <drm/drm_device.h>
#include <drm/drm_file.h>
#include <drm/drm_framebuffer.h>
#include <drm/drm_property.h>

#include "drm_unplug_internal.h"

/**
 * drm_unplug_drop_objects - take from clients what is about to be freed
 * @dev: DRM device
 *
 * Many drivers call drm_mode_config_cleanup() in their remove callback. It
 * frees all framebuffers and property blobs that are left, also those that an
 * open file refers to, which would be freed once more when that is closed. On a
 * device that is gone no client can use them any more: so drop its references.
 *
 * Context: Process context, after drm_dev_unplug() or drm_dev_unregister().
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

	list_for_each_entry_safe(fb, next_fb, &fbs, filp_head) {
		list_del_init(&fb->filp_head);
		drm_framebuffer_put(fb);
	}

	list_for_each_entry_safe(blob, next_blob, &blobs, head_file) {
		list_del_init(&blob->head_file);
		drm_property_blob_put(blob);
	}
}
