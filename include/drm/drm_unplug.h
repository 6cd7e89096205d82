/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _DRM_UNPLUG_H_
#define _DRM_UNPLUG_H_

#include <linux/cleanup.h>
#include <linux/types.h>

#include <drm/drm_drv.h>

struct dma_fence;
struct drm_device;

bool drm_dev_is_gone(const struct drm_device *dev);
int drm_dev_fence_wait(struct drm_device *dev, struct dma_fence *fence, bool intr);

/**
 * struct drm_dev_section - a device critical section with automatic exit
 * @dev: the device, or NULL where the section could not be entered
 * @idx: cookie of drm_dev_enter()
 *
 * Used through the class of the same name, see drm_dev_enter() for what a
 * section protects::
 *
 *	CLASS(drm_dev_section, section)(dev);
 *	if (!section.dev)
 *		return -ENODEV;
 *
 * The section ends when @section goes out of scope. It lives on the stack of
 * the task that entered it and must not be handed to another one.
 */
struct drm_dev_section {
	struct drm_device *dev;
	int idx;
};

static inline struct drm_dev_section drm_dev_section_enter(struct drm_device *dev)
{
	struct drm_dev_section section = { .dev = dev };

	if (!drm_dev_enter(dev, &section.idx))
		section.dev = NULL;

	return section;
}

static inline void drm_dev_section_exit(struct drm_dev_section *section)
{
	if (section->dev)
		drm_dev_exit(section->idx);
}

DEFINE_CLASS(drm_dev_section, struct drm_dev_section,
	     drm_dev_section_exit(&_T), drm_dev_section_enter(dev),
	     struct drm_device *dev)

#endif
