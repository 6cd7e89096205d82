// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include <drm/drm_device.h>
#include <drm/drm_unplug.h>

#include "drm_unplug_internal.h"

/**
 * DOC: fences
 *
 * Every fence of a device that goes signals, with the error ENODEV: those who
 * wait for one may belong to another device, which is still there. It signals
 * when the device cannot write any more to the memory that the fence protects.
 * Core does not know when that is, the driver does. So a fence is ended:
 *
 * - when the driver tears down its scheduler (drm_sched_fini(), see there for
 *   what is left to the hardware), or says that the hardware is stopped before
 *   it does (drm_sched_unplug());
 * - by the driver, if it has fences of its own, with drm_dev_fence_force();
 * - if it belongs to a CRTC or a writeback connector, when that is cleaned up
 *   or the driver is unbound, whichever comes first.
 *
 * An event that is delivered after the device has gone ends its fence with the
 * same error.
 */

/**
 * struct drm_unplug_fence - a fence that core has made for a device
 * @base: the fence; first, since it is freed like any other
 * @node: entry in &drm_unplug.fences, which has a reference
 * @owner: what the fence belongs to, valid until it has signalled
 *
 * It stands on its own: neither lock nor name are in memory of the device.
 */
struct drm_unplug_fence {
	struct dma_fence base;
	struct list_head node;
	void *owner;
};

/* Protects &drm_unplug.devices and &drm_unplug.fences of all devices. */
static DEFINE_SPINLOCK(drm_unplug_fences_lock);
static LIST_HEAD(drm_unplug_devices);

static struct drm_unplug *drm_unplug_find(const struct drm_device *dev)
{
	struct drm_unplug *unplug;

	lockdep_assert_held(&drm_unplug_fences_lock);

	list_for_each_entry(unplug, &drm_unplug_devices, devices)
		if (unplug->dev == dev)
			return unplug;

	return NULL;
}

struct drm_unplug_fence_waiter {
	struct dma_fence_cb cb;
	struct task_struct *task;
};

static void drm_unplug_fence_signalled(struct dma_fence *fence,
				       struct dma_fence_cb *cb)
{
	wake_up_process(container_of(cb, struct drm_unplug_fence_waiter, cb)->task);
}

/**
 * drm_dev_fence_wait - wait for a fence, or for the device to go
 * @dev: device on behalf of which the caller waits
 * @fence: fence of this or of any other device
 * @intr: also end the wait on a signal
 *
 * Use it instead of dma_fence_wait() wherever an unplug of @dev waits for the
 * caller: the fence may belong to a device that never signals it.
 *
 * Context: Process context, sleeps. Must not be called with locks held that the
 * signaller of the fence needs.
 *
 * Returns:
 * 0 if the fence has signalled, -ENODEV if it has not and @dev is gone, or
 * -ERESTARTSYS if it was interrupted.
 */
int drm_dev_fence_wait(struct drm_device *dev, struct dma_fence *fence, bool intr)
{
	struct drm_unplug_fence_waiter waiter = { .task = current };
	struct wait_queue_entry unplug;
	int ret;

	might_sleep();

	if (dma_fence_add_callback(fence, &waiter.cb, drm_unplug_fence_signalled))
		return 0;

	drm_dev_wait_begin(dev, &unplug);
	for (;;) {
		set_current_state(intr ? TASK_INTERRUPTIBLE : TASK_UNINTERRUPTIBLE);

		ret = 0;
		if (dma_fence_is_signaled(fence))
			break;

		ret = -ENODEV;
		if (drm_dev_is_gone(dev))
			break;

		ret = -ERESTARTSYS;
		if (intr && signal_pending(current))
			break;

		schedule();
	}
	__set_current_state(TASK_RUNNING);
	drm_dev_wait_end(dev, &unplug);

	dma_fence_remove_callback(fence, &waiter.cb);

	return ret;
}
EXPORT_SYMBOL(drm_dev_fence_wait);

/**
 * drm_dev_resv_wait - wait for the fences of a buffer, or for the device to go
 * @dev: device on behalf of which the caller waits
 * @resv: reservation object, whose lock may be held
 * @usage: which fences
 * @intr: also end the wait on a signal
 *
 * See drm_dev_fence_wait().
 *
 * Context: Process context, sleeps.
 *
 * Returns:
 * 0 if all fences have signalled, -ENODEV if some have not and @dev is gone, or
 * -ERESTARTSYS if it was interrupted.
 */
int drm_dev_resv_wait(struct drm_device *dev, struct dma_resv *resv,
		      enum dma_resv_usage usage, bool intr)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	int ret = 0;

	/* Starts again if fences are added meanwhile, as dma_resv_wait_timeout() does. */
	dma_resv_iter_begin(&cursor, resv, usage);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		ret = drm_dev_fence_wait(dev, fence, intr);
		if (ret)
			break;
	}
	dma_resv_iter_end(&cursor);

	return ret;
}
EXPORT_SYMBOL(drm_dev_resv_wait);

/**
 * drm_dev_fence_end - end a fence of a device that has gone
 * @fence: the fence
 * @error: what went wrong, such as -ENODEV
 *
 * The device must not be able to write to the memory that @fence protects.
 *
 * Context: Any context.
 *
 * Returns:
 * True if the fence had not signalled before.
 */
bool drm_dev_fence_end(struct dma_fence *fence, int error)
{
	unsigned long flags;
	bool ended;

	dma_fence_lock_irqsave(fence, flags);
	ended = !dma_fence_test_signaled_flag(fence);
	if (ended) {
		dma_fence_set_error(fence, error);
		dma_fence_signal_locked(fence);
	}
	dma_fence_unlock_irqrestore(fence, flags);

	return ended;
}
EXPORT_SYMBOL(drm_dev_fence_end);

/**
 * drm_dev_fence_force - end a fence because its device is gone, and count it
 * @dev: the device, from drm_dev_of_parent() or valid
 * @fence: the fence
 *
 * As drm_dev_fence_end() with ENODEV. The log says how many there were.
 *
 * Context: Any context.
 *
 * Returns:
 * True if the fence had not signalled before.
 */
bool drm_dev_fence_force(const struct drm_device *dev, struct dma_fence *fence)
{
	struct drm_unplug *unplug;

	if (!drm_dev_fence_end(fence, -ENODEV))
		return false;

	guard(spinlock_irqsave)(&drm_unplug_fences_lock);

	unplug = drm_unplug_find(dev);
	if (unplug)
		atomic_inc(&unplug->forced);

	return true;
}
EXPORT_SYMBOL(drm_dev_fence_force);

/**
 * drm_dev_wait_begin - let an unplug wake the current task
 * @dev: DRM device
 * @wait: on the stack of the caller, until drm_dev_wait_end()
 *
 * For loops that set the task state themselves. They have to check
 * drm_dev_is_gone() after that, each time before they sleep. See
 * drm_dev_wait_event() for the usual case.
 *
 * Context: Process context.
 */
void drm_dev_wait_begin(struct drm_device *dev, struct wait_queue_entry *wait)
{
	init_waitqueue_entry(wait, current);
	add_wait_queue(&drm_unplug_of(dev)->sleepers, wait);
}
EXPORT_SYMBOL(drm_dev_wait_begin);

/**
 * drm_dev_wait_end - undo drm_dev_wait_begin()
 * @dev: DRM device
 * @wait: as given to drm_dev_wait_begin()
 */
void drm_dev_wait_end(struct drm_device *dev, struct wait_queue_entry *wait)
{
	remove_wait_queue(&drm_unplug_of(dev)->sleepers, wait);
}
EXPORT_SYMBOL(drm_dev_wait_end);

/**
 * drm_dev_of_parent - which DRM device does a driver have for its device
 * @parent: the device on the bus
 *
 * For helpers that know only the device on the bus. No reference is taken, the
 * result is good for drm_dev_has_left() and for drm_dev_get_unless_left().
 *
 * Context: Any context.
 *
 * Returns:
 * The latest DRM device of @parent that is not gone, or NULL.
 */
struct drm_device *drm_dev_of_parent(const struct device *parent)
{
	struct drm_unplug *unplug;

	if (!parent)
		return NULL;

	guard(spinlock_irqsave)(&drm_unplug_fences_lock);

	list_for_each_entry(unplug, &drm_unplug_devices, devices)
		if (unplug->dev->dev == parent && !READ_ONCE(unplug->gone))
			return unplug->dev;

	return NULL;
}
EXPORT_SYMBOL(drm_dev_of_parent);

/**
 * drm_dev_has_left - is a device gone, or does it not even exist any more
 * @dev: from drm_dev_of_parent(), need not be valid; or NULL
 *
 * Context: Any context.
 *
 * Returns:
 * False for NULL: what is not known cannot go.
 */
bool drm_dev_has_left(const struct drm_device *dev)
{
	struct drm_unplug *unplug;

	if (!dev)
		return false;

	guard(spinlock_irqsave)(&drm_unplug_fences_lock);

	unplug = drm_unplug_find(dev);
	return !unplug || READ_ONCE(unplug->gone);
}
EXPORT_SYMBOL(drm_dev_has_left);

/**
 * drm_dev_get_unless_left - get a reference to a device, if it still exists
 * @dev: from drm_dev_of_parent(), need not be valid; or NULL
 *
 * Context: Any context.
 *
 * Returns:
 * @dev, to be given to drm_dev_put(), or NULL.
 */
struct drm_device *drm_dev_get_unless_left(struct drm_device *dev)
{
	struct drm_unplug *unplug;

	if (!dev)
		return NULL;

	guard(spinlock_irqsave)(&drm_unplug_fences_lock);

	unplug = drm_unplug_find(dev);
	if (!unplug || !kref_get_unless_zero(&unplug->dev->ref))
		return NULL;

	return unplug->dev;
}
EXPORT_SYMBOL(drm_dev_get_unless_left);

/* To be called before drm_unplug_fences_lock is dropped, if some have signalled. */
static void drm_unplug_fences_signalled(struct drm_unplug *unplug)
{
	lockdep_assert_held(&drm_unplug_fences_lock);

	unplug->fences_gp = get_state_synchronize_rcu();
}

static void drm_unplug_fence_forget(struct drm_unplug_fence *fence)
{
	list_del(&fence->node);
	dma_fence_put(&fence->base);
}

/**
 * drm_unplug_fence_create - make a fence for a part of a device
 * @dev: DRM device
 * @ops: its functions, which must not include a release or wait function, so
 *	that the fence is independent of them once it has signalled
 * @owner: the part, which calls drm_unplug_fences_end() before it is freed
 * @context: see dma_fence_init()
 * @seqno: see dma_fence_init()
 *
 * Returns:
 * A fence or NULL, if there is no memory.
 */
struct dma_fence *drm_unplug_fence_create(struct drm_device *dev,
					  const struct dma_fence_ops *ops,
					  void *owner, u64 context, u64 seqno)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct drm_unplug_fence *fence, *other, *next;

	fence = kzalloc_obj(*fence);
	if (!fence)
		return NULL;

	fence->owner = owner;
	dma_fence_init(&fence->base, ops, NULL, context, seqno);
	dma_fence_get(&fence->base);

	guard(spinlock_irqsave)(&drm_unplug_fences_lock);

	/* Those that have signalled, or that nobody else knows any more. */
	list_for_each_entry_safe(other, next, &unplug->fences, node) {
		if (dma_fence_test_signaled_flag(&other->base) ||
		    kref_read(&other->base.refcount) == 1) {
			drm_unplug_fence_forget(other);
			drm_unplug_fences_signalled(unplug);
		}
	}

	list_add_tail(&fence->node, &unplug->fences);

	return &fence->base;
}

/**
 * drm_unplug_fence_owner - what does a fence belong to
 * @fence: from drm_unplug_fence_create(), must not have signalled
 *
 * Returns:
 * What was given to drm_unplug_fence_create().
 */
void *drm_unplug_fence_owner(struct dma_fence *fence)
{
	return container_of(fence, struct drm_unplug_fence, base)->owner;
}

/**
 * drm_unplug_fences_end - end fences that core has made for a device
 * @dev: DRM device
 * @owner: for which part of it, NULL for all
 *
 * When this returns, nobody looks at the owner of such a fence any more, be it that
 * the fence has signalled before.
 *
 * Context: Process context, sleeps.
 */
void drm_unplug_fences_end(struct drm_device *dev, void *owner)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct drm_unplug_fence *fence, *next;
	unsigned long gp;
	LIST_HEAD(fences);

	/* Another task may be about to end some of those. */
	scoped_guard(mutex, &unplug->fences_ending) {
		scoped_guard(spinlock_irqsave, &drm_unplug_fences_lock)
			list_for_each_entry_safe(fence, next, &unplug->fences, node)
				if (!owner || fence->owner == owner)
					list_move_tail(&fence->node, &fences);

		list_for_each_entry(fence, &fences, node)
			drm_dev_fence_force(dev, &fence->base);

		scoped_guard(spinlock_irqsave, &drm_unplug_fences_lock) {
			if (!list_empty(&fences))
				drm_unplug_fences_signalled(unplug);
			gp = unplug->fences_gp;
		}

		list_for_each_entry_safe(fence, next, &fences, node)
			drm_unplug_fence_forget(fence);
	}

	/* Whoever asks for a name holds no lock, and gets it from the owner. */
	cond_synchronize_rcu(gp);
}

/**
 * drm_unplug_event_fence - the fence of an event that is delivered
 * @dev: DRM device
 * @fence: fence of the event, about to signal: with an error, if @dev is gone
 *
 * Context: Any context.
 */
void drm_unplug_event_fence(struct drm_device *dev, struct dma_fence *fence)
{
	if (unlikely(drm_dev_is_gone(dev)))
		drm_dev_fence_force(dev, fence);
}

void drm_unplug_fences_init(struct drm_unplug *unplug)
{
	INIT_LIST_HEAD(&unplug->fences);
	mutex_init(&unplug->fences_ending);
	unplug->fences_gp = get_completed_synchronize_rcu();

	guard(spinlock_irqsave)(&drm_unplug_fences_lock);

	list_add(&unplug->devices, &drm_unplug_devices);
}

void drm_unplug_fences_fini(struct drm_unplug *unplug)
{
	drm_unplug_fences_end(unplug->dev, NULL);

	guard(spinlock_irqsave)(&drm_unplug_fences_lock);

	list_del(&unplug->devices);
}
