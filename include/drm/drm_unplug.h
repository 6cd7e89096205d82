/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _DRM_UNPLUG_H_
#define _DRM_UNPLUG_H_

#include <linux/cleanup.h>
#include <linux/dma-direction.h>
#include <linux/dma-resv.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <drm/drm_drv.h>

struct completion;
struct device;
struct dma_buf;
struct dma_buf_attachment;
struct drm_device;
struct drm_gem_shmem_object;
struct drm_wedge_task_info;
struct sg_table;
struct vm_area_struct;

/**
 * struct drm_unplug_ops - what a driver does when its device goes
 *
 * Registered with drm_dev_unplug_register(). All functions are optional, run in
 * process context, and may sleep. None is called twice at the same time.
 */
struct drm_unplug_ops {
	/**
	 * @quiesce: keep the hardware from writing to memory
	 *
	 * Called when the device is marked gone: once, or a second time if the
	 * hardware is @lost and was not yet at the first, by drm_dev_wedge().
	 * From when it returns, the device must not write to memory that a
	 * fence protects, since @signal is next. On an orderly removal, give
	 * what runs the time to end, but not without bound. If the hardware is
	 * @lost, set whatever keeps register accesses off it; nothing has to be
	 * waited for.
	 *
	 * Ioctl handlers may be running, and may be waiting for fences of the
	 * device, so neither wait for them nor take a lock that they hold
	 * meanwhile. No section of core can start any more, and after
	 * drm_dev_unplug() drm_dev_enter() fails.
	 */
	void (*quiesce)(struct drm_device *dev, bool lost);

	/**
	 * @signal: end every fence of the device with @error, -ENODEV
	 *
	 * Also all that runs or is queued. See drm_dev_fence_force() and
	 * drm_sched_unplug(). Called after @quiesce, again as long as the
	 * unplug waits for handlers, which may make new fences, and after the
	 * last one. The same locking rules as for @quiesce.
	 */
	void (*signal)(struct drm_device *dev, int error);

	/**
	 * @unmap: give up the mappings of registers and of device memory
	 *
	 * Called once, when the remove callback of the driver has returned (or
	 * its probe has failed), before anything that was acquired with devres
	 * ahead of drm_dev_unplug_register() is released. From then on the
	 * device must not be touched, not even by the last close of a file.
	 */
	void (*unmap)(struct drm_device *dev, bool lost);
};

int drm_dev_unplug_register(struct drm_device *dev, const struct drm_unplug_ops *ops);

int drm_dev_unplug_mmap(struct drm_device *dev, struct vm_area_struct *vma);

bool drm_dev_is_gone(const struct drm_device *dev);
bool drm_dev_is_lost(const struct drm_device *dev);
int drm_dev_fence_wait(struct drm_device *dev, struct dma_fence *fence, bool intr);
int drm_dev_resv_wait(struct drm_device *dev, struct dma_resv *resv,
		      enum dma_resv_usage usage, bool intr);
int drm_dev_map_sgtable(struct drm_device *dev, struct sg_table *sgt,
			enum dma_data_direction dir);
void drm_dev_unmap_sgtable(struct drm_device *dev, struct sg_table *sgt,
			   enum dma_data_direction dir);
int drm_dev_map_shmem(struct drm_gem_shmem_object *shmem, struct sg_table *sgt);
void drm_dev_unmap_shmem(struct drm_gem_shmem_object *shmem);
void drm_dev_release_shmem(struct drm_gem_shmem_object *shmem);
struct sg_table *drm_dev_map_attachment(struct drm_device *dev,
					struct dma_buf_attachment *attach);
void drm_dev_unmap_attachment(struct drm_device *dev, struct dma_buf_attachment *attach,
			      struct sg_table *sgt);
int drm_dev_dmabuf_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction dir);
bool drm_dev_fence_end(struct dma_fence *fence, int error);
bool drm_dev_fence_force(const struct drm_device *dev, struct dma_fence *fence);
int drm_dev_wedge(struct drm_device *dev, unsigned long method,
		  struct drm_wedge_task_info *info);

void drm_dev_wait_begin(struct drm_device *dev, struct wait_queue_entry *wait);
void drm_dev_wait_end(struct drm_device *dev, struct wait_queue_entry *wait);

/**
 * drm_dev_wait_event - wait for a condition, or for the device to go
 * @dev: DRM device
 * @wq_head: wait queue that is woken when @condition has become true
 * @condition: see wait_event()
 *
 * For an answer of the hardware that a device which has gone does not give.
 *
 * Returns:
 * 0 if the condition is true, or -ENODEV if it is not and the device is gone.
 */
#define drm_dev_wait_event(dev, wq_head, condition)			\
({									\
	struct drm_device *__wait_dev = (dev);				\
	struct wait_queue_entry __wait_unplug;				\
	int __wait_ret;							\
									\
	drm_dev_wait_begin(__wait_dev, &__wait_unplug);			\
	wait_event(wq_head,						\
		   !(__wait_ret = (condition) ? 0 : -ENODEV) ||		\
		   drm_dev_is_gone(__wait_dev));			\
	drm_dev_wait_end(__wait_dev, &__wait_unplug);			\
	__wait_ret;							\
})

unsigned long drm_dev_wait_done(struct drm_device *dev, struct completion *done,
				unsigned long timeout);

struct drm_device *drm_dev_of_parent(const struct device *parent);
bool drm_dev_has_left(const struct drm_device *dev);
struct drm_device *drm_dev_get_unless_left(struct drm_device *dev);

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
