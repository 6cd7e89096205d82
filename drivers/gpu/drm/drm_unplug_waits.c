// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/eventfd.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include <drm/drm_crtc.h>
#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_vblank.h>

#include "drm_unplug_internal.h"

/**
 * DOC: sleepers and events
 *
 * Whoever sleeps in DRM core on behalf of a device is woken when it goes:
 *
 * - Waits for a vblank and for syncobjs end with ENODEV, whether or not there
 *   is a fence to wait for. An eventfd that waits for a syncobj is signalled.
 * - read() returns the events that were promised, then ENODEV. It never returns
 *   0: end of file counts as success in libdrm, and its users would try again
 *   for ever.
 * - poll() reports EPOLLHUP and EPOLLERR until read() on the same open file has
 *   returned ENODEV once. A level that stays up starves or spins compositors
 *   which do not expect it; one that goes down once it was noticed does not.
 */

/* Protects &drm_unplug.eventfds, and signalling against freeing. */
static DEFINE_SPINLOCK(drm_unplug_eventfd_lock);

void drm_unplug_waits_init(struct drm_unplug *unplug)
{
	init_waitqueue_head(&unplug->sleepers);
	INIT_LIST_HEAD(&unplug->eventfds);
}

static void drm_unplug_eventfds_drop(struct drm_unplug *unplug, bool signal)
{
	struct drm_unplug_eventfd *efd, *next;

	guard(spinlock_irqsave)(&drm_unplug_eventfd_lock);

	list_for_each_entry_safe(efd, next, &unplug->eventfds, node) {
		list_del_init(&efd->node);
		if (signal)
			eventfd_signal(efd->ctx);
	}
}

void drm_unplug_waits_fini(struct drm_unplug *unplug)
{
	/* A syncobj can be shared, and outlive the device it was waited on. */
	drm_unplug_eventfds_drop(unplug, false);
}

/* A device that was never registered may have no mode_config to walk. */
static void drm_unplug_kick_crcs(struct drm_device *dev)
{
#ifdef CONFIG_DEBUG_FS
	struct drm_crtc *crtc;

	if (!dev->registered || !drm_core_check_feature(dev, DRIVER_MODESET))
		return;

	drm_for_each_crtc(crtc, dev)
		wake_up_all(&crtc->crc.wq);
#endif
}

/**
 * drm_unplug_announce - tell those who wait for something to happen
 * @unplug: state of the device, &drm_unplug.gone is set
 *
 * Wakes whoever reads or polls a file of the device, and signals the eventfds
 * that wait for a syncobj.
 */
void drm_unplug_announce(struct drm_unplug *unplug)
{
	struct drm_device *dev = unplug->dev;
	struct drm_file *file;

	drm_unplug_eventfds_drop(unplug, true);

	mutex_lock(&dev->filelist_mutex);
	list_for_each_entry(file, &dev->filelist, lhead)
		wake_up_poll(&file->event_wait, EPOLLHUP | EPOLLERR);
	mutex_unlock(&dev->filelist_mutex);
}

/**
 * drm_unplug_kick - wake those who sleep in an ioctl or in a file of debugfs
 * @unplug: state of the device, &drm_unplug.gone is set
 *
 * All waits check drm_dev_is_gone() after they were queued, so one call is
 * enough for them; more do no harm.
 */
void drm_unplug_kick(struct drm_unplug *unplug)
{
	struct drm_device *dev = unplug->dev;
	unsigned int pipe;

	wake_up_all(&unplug->sleepers);

	for (pipe = 0; dev->vblank && pipe < dev->num_crtcs; pipe++)
		wake_up_all(&dev->vblank[pipe].queue);

	drm_unplug_kick_crcs(dev);
}

/**
 * drm_unplug_wait_begin - let an unplug wake the current task
 * @dev: DRM device
 * @wait: on the stack of the caller, until drm_unplug_wait_end()
 *
 * For loops that set the task state themselves. They have to check
 * drm_dev_is_gone() after that, each time before they sleep.
 */
void drm_unplug_wait_begin(struct drm_device *dev, struct wait_queue_entry *wait)
{
	init_waitqueue_entry(wait, current);
	add_wait_queue(&drm_unplug_of(dev)->sleepers, wait);
}

void drm_unplug_wait_end(struct drm_device *dev, struct wait_queue_entry *wait)
{
	remove_wait_queue(&drm_unplug_of(dev)->sleepers, wait);
}

/**
 * drm_unplug_eventfd_add - signal an eventfd when the device goes
 * @dev: DRM device
 * @efd: to be removed with drm_unplug_eventfd_del() before it is freed
 * @ctx: the eventfd, the caller keeps its reference
 *
 * Returns:
 * 0, or -ENODEV if the device is gone.
 */
int drm_unplug_eventfd_add(struct drm_device *dev, struct drm_unplug_eventfd *efd,
			   struct eventfd_ctx *ctx)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);

	INIT_LIST_HEAD(&efd->node);

	guard(spinlock_irqsave)(&drm_unplug_eventfd_lock);

	/* An unplug that sets this later finds the entry. */
	if (READ_ONCE(unplug->gone))
		return -ENODEV;

	efd->ctx = ctx;
	list_add_tail(&efd->node, &unplug->eventfds);

	return 0;
}

/**
 * drm_unplug_eventfd_del - take an eventfd off the list
 * @efd: see drm_unplug_eventfd_add()
 *
 * Context: Any context. Safe to repeat.
 *
 * Returns:
 * True if it was still waiting: it has not been signalled by an unplug.
 */
bool drm_unplug_eventfd_del(struct drm_unplug_eventfd *efd)
{
	guard(spinlock_irqsave)(&drm_unplug_eventfd_lock);

	if (list_empty(&efd->node))
		return false;

	list_del_init(&efd->node);
	return true;
}

/**
 * drm_unplug_events_over - will there be no more events to read
 * @file: an open file
 *
 * True when the device is gone and all events that were promised to @file have
 * been read. The caller reports ENODEV, after which drm_poll() is quiet.
 *
 * Context: Process context. Takes &drm_device.event_lock.
 *
 * Returns:
 * True if there will be none.
 */
bool drm_unplug_events_over(struct drm_file *file)
{
	struct drm_device *dev = file->minor->dev;

	if (likely(!drm_dev_is_gone(dev)))
		return false;

	guard(spinlock_irq)(&dev->event_lock);

	return list_empty(&file->event_list) &&
	       list_empty(&file->pending_event_list);
}

/**
 * drm_unplug_poll - what poll() reports about a gone device
 * @file: an open file
 *
 * Returns:
 * EPOLLHUP and EPOLLERR, or 0.
 */
__poll_t drm_unplug_poll(struct drm_file *file)
{
	if (likely(!drm_dev_is_gone(file->minor->dev)) ||
	    READ_ONCE(file->unplug_reported))
		return 0;

	return EPOLLHUP | EPOLLERR;
}
