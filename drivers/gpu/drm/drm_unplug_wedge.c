// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/export.h>

#include <drm/drm_drv.h>
#include <drm/drm_unplug.h>

#include "drm_unplug_internal.h"

/**
 * DOC: wedged devices
 *
 * A device that is beyond repair is gone for its clients in the same way as one
 * that was pulled out, only that its driver and its nodes are still there. The
 * prerequisites of drm_dev_wedged_event() in Documentation/gpu/drm-uapi.rst are
 * what an unplug does anyway. drm_dev_wedge() sees to those that core can see
 * to: ioctls fail with ENODEV, sleepers wake up, drm_dev_enter() fails, maps lose
 * the device, and fences of CRTCs and writeback connectors end.
 *
 * There is no way back but a new device: to unbind the driver and bind it again.
 */

/**
 * drm_dev_wedge - close a device that is beyond repair, and tell user space
 * @dev: DRM device
 * @method: see drm_dev_wedged_event()
 * @info: see drm_dev_wedged_event()
 *
 * The driver has stopped the device from writing to memory before. Fences of its
 * own it ends in its &drm_unplug_ops.signal, which this calls; one without hooks
 * ends them before, or later, see drm_dev_fence_force() and drm_sched_unplug().
 *
 * This also calls &drm_unplug_ops.quiesce, and a later unplug does so only if the
 * hardware has been lost since: what was stopped has to stay so.
 *
 * Can be called again, and before or at the same time as drm_dev_unplug() or
 * drm_dev_unregister(), which have the rest of the work to do.
 *
 * Context: Process context, may sleep. Must not be called from inside a section
 * of @dev, which includes all ioctl handlers, nor with a lock that ioctl or fault
 * handlers of the driver take: use a work item.
 *
 * Returns:
 * 0 on success, or an error if the event could not be sent. The device is closed
 * in any case.
 */
int drm_dev_wedge(struct drm_device *dev, unsigned long method,
		  struct drm_wedge_task_info *info)
{
	drm_unplug_abort(dev);
	drm_unplug_fences_end(dev, NULL);

	return drm_dev_wedged_event(dev, method, info);
}
EXPORT_SYMBOL(drm_dev_wedge);
