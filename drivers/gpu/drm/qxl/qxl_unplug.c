// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/wait.h>

#include "qxl_drv.h"
#include "qxl_object.h"

/**
 * qxl_device_stop - let the host forget everything, and silence it
 * @qdev: device, may be lost already
 *
 * To be called while the driver is bound. What comes after, down to the last
 * close, must leave rings and ports alone: another instance of the driver may be
 * using them by then.
 *
 * Context: Process context, sleeps for a second if the host does not answer.
 */
void qxl_device_stop(struct qxl_device *qdev)
{
	struct drm_device *dev = &qdev->ddev;
	int i;

	for (i = 0; i < ARRAY_SIZE(qdev->current_release_bo); i++) {
		if (!qdev->current_release_bo[i])
			continue;
		qxl_bo_unpin(qdev->current_release_bo[i]);
		qxl_bo_unref(&qdev->current_release_bo[i]);
		qdev->current_release_bo_offset[i] = 0;
	}

	/* The host releases what it was given into the release ring. */
	qxl_io_notify_oom(qdev);
	wait_event_timeout(qdev->release_event,
			   !atomic_read(&qdev->release_count), HZ);
	flush_work(&qdev->gc_work);

	/* Surfaces are evicted with the help of the host. */
	qxl_surf_evict(qdev);
	qxl_vram_evict(qdev);

	qdev->ram_header->int_mask = 0;
	free_irq(to_pci_dev(dev->dev)->irq, dev);
	cancel_work_sync(&qdev->client_monitors_config_work);
	cancel_work_sync(&qdev->gc_work);

	qxl_io_reset(qdev);
}
