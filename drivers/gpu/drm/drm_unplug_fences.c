// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-fence.h>
#include <linux/export.h>
#include <linux/sched/signal.h>

#include <drm/drm_unplug.h>

#include "drm_unplug_internal.h"

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

	drm_unplug_wait_begin(dev, &unplug);
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
	drm_unplug_wait_end(dev, &unplug);

	dma_fence_remove_callback(fence, &waiter.cb);

	return ret;
}
EXPORT_SYMBOL(drm_dev_fence_wait);
