// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/completion.h>
#include <linux/eventfd.h>
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include <drm/drm_crtc.h>
#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_unplug.h>
#include <drm/drm_vblank.h>

#include "drm_internal.h"
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
 * - Events that wait for a vblank are sent at the end of drm_dev_unplug(), and at
 *   once from then on. A flip that never ends is not waited for.
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
 * drm_unplug_send_events - send the events that wait for a vblank
 * @dev: DRM device
 *
 * None may come any more. Not so if the device was only unregistered: then its
 * hardware works, and shows what its driver makes of it.
 *
 * Context: &drm_device.event_lock is held.
 */
void drm_unplug_send_events(struct drm_device *dev)
{
	struct drm_pending_vblank_event *e, *next;
	struct drm_crtc *crtc;

	lockdep_assert_held(&dev->event_lock);

	if (!drm_dev_is_unplugged(dev))
		return;

	list_for_each_entry_safe(e, next, &dev->vblank_event_list, base.link) {
		crtc = drm_crtc_from_index(dev, e->pipe);
		/* A driver of the old kind has vblanks, but nothing that they are of. */
		if (!crtc)
			continue;
		list_del(&e->base.link);
		drm_vblank_put(dev, e->pipe);
		drm_crtc_send_vblank_event(crtc, e);
	}
}

/* What a display that is still there gets for a flip: a few frames. */
#define DRM_UNPLUG_FLIP		msecs_to_jiffies(100)

/**
 * drm_dev_wait_done - wait for something that the hardware does, or for an unplug
 * @dev: DRM device or NULL
 * @done: completed when the hardware has done it
 * @timeout: in jiffies
 *
 * As wait_for_completion_timeout(), but does not wait long for a device after
 * drm_dev_unplug(). A completion has no second waker, so this looks now and then.
 *
 * Context: Process context, sleeps.
 *
 * Returns:
 * 0 if there was no time left, or else at least 1, also if the device is unplugged.
 */
unsigned long drm_dev_wait_done(struct drm_device *dev, struct completion *done,
				unsigned long timeout)
{
	unsigned long slice, left;

	do {
		slice = dev ? min(timeout, DRM_UNPLUG_FLIP) : timeout;
		left = wait_for_completion_timeout(done, slice);
		timeout -= slice;
		if (left)
			return timeout + left;
		if (dev && drm_dev_is_unplugged(dev))
			return 1;
	} while (timeout);

	return 0;
}
EXPORT_SYMBOL(drm_dev_wait_done);

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
