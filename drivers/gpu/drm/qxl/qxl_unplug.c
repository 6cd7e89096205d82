// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/wait.h>

#include <drm/drm_unplug.h>

#include "qxl_drv.h"
#include "qxl_object.h"

/*
 * What the host had not released when it was reset, it never will. Nor does it
 * use it any more.
 */
static void qxl_end_releases(struct qxl_device *qdev)
{
	struct qxl_release *release;
	int id;

	for (;;) {
		id = 0;
		scoped_guard(spinlock, &qdev->release_idr_lock)
			release = idr_get_next(&qdev->release_idr, &id);
		if (!release)
			return;

		if (dma_fence_was_initialized(&release->base))
			drm_dev_fence_force(&qdev->ddev, &release->base);
		qxl_release_free(qdev, release);
	}
}

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

	if (qdev->stopped)
		return;
	qdev->stopped = true;

	/*
	 * Disabling the plane leaves it behind if the shadow of the framebuffer was
	 * dropped by the cleanup of an earlier commit.
	 */
	if (qdev->primary_bo)
		qxl_io_destroy_primary(qdev);

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
	qxl_end_releases(qdev);
	wake_up_all(&qdev->release_event);
}
