// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/virtio.h>
#include <linux/virtio_config.h>

#include <drm/drm_unplug.h>

#include "virtgpu_drv.h"

/*
 * The host may read and write memory of the guest until it has answered the
 * command that says so, or until the device is reset. When the device goes,
 * commands are not sent any more, so there is only the latter left: the device is
 * reset before the first thing is given up that a command would have had to be
 * sent for. What the host had not answered by then ends with ENODEV.
 */

/**
 * virtio_gpu_stop - stop the host
 * @vgdev: device that is gone, or whose probe has failed
 *
 * When this returns, the host does not touch memory of the guest any more.
 *
 * Context: Process context, sleeps. Can be repeated.
 */
void virtio_gpu_stop(struct virtio_gpu_device *vgdev)
{
	guard(mutex)(&vgdev->stop_lock);

	if (vgdev->stopped)
		return;

	virtio_reset_device(vgdev->vdev);
	vgdev->stopped = true;
}

/**
 * virtio_gpu_fence_abort - end a fence that the host is not going to signal
 * @vgdev: device
 * @fence: fence in no list
 * @error: why
 */
void virtio_gpu_fence_abort(struct virtio_gpu_device *vgdev,
			    struct virtio_gpu_fence *fence, int error)
{
	if (error == -ENODEV)
		drm_dev_fence_force(vgdev->ddev, &fence->f);
	else
		drm_dev_fence_end(&fence->f, error);
	if (fence->e) {
		drm_send_event(vgdev->ddev, &fence->e->base);
		fence->e = NULL;
	}
}

/**
 * virtio_gpu_refuse - take back a command, the device is gone
 * @vgdev: device
 * @vbuf: command, is freed
 * @fence: its fence, or NULL; not in a list
 *
 * Context: Process context, sleeps.
 *
 * Returns:
 * -ENODEV.
 */
int virtio_gpu_refuse(struct virtio_gpu_device *vgdev,
		      struct virtio_gpu_vbuffer *vbuf,
		      struct virtio_gpu_fence *fence)
{
	virtio_gpu_stop(vgdev);

	if (fence) {
		if (vbuf->objs)
			virtio_gpu_array_unlock_resv(vbuf->objs);
		virtio_gpu_fence_abort(vgdev, fence, -ENODEV);
	}
	if (vbuf->objs)
		virtio_gpu_array_put_free(vbuf->objs);
	virtio_gpu_free_vbuf(vgdev, vbuf);

	return -ENODEV;
}

/**
 * virtio_gpu_wait_detached - wait until the host has let go of memory
 * @vgdev: device
 * @fence: of the command that told it to
 *
 * Context: Process context, sleeps. The caller may hold reservation locks of
 * other devices, so this must not depend on when the driver is unbound.
 */
void virtio_gpu_wait_detached(struct virtio_gpu_device *vgdev,
			      struct virtio_gpu_fence *fence)
{
	if (!drm_dev_fence_wait(vgdev->ddev, &fence->f, false))
		return;

	/* The device is gone. It is polite to give the host a moment. */
	if (!dma_fence_wait_timeout(&fence->f, false, HZ / 10))
		virtio_gpu_stop(vgdev);
}

static void virtio_gpu_end_queue(struct virtio_gpu_device *vgdev,
				 struct virtio_gpu_queue *queue)
{
	struct virtio_gpu_vbuffer *vbuf;

	cancel_work_sync(&queue->dequeue_work);

	while ((vbuf = virtqueue_detach_unused_buf(queue->vq))) {
		/* All other callbacks are for waiters, who have left. */
		if (vbuf->resp_cb == virtio_gpu_cmd_unref_cb)
			vbuf->resp_cb(vgdev, vbuf);
		if (vbuf->objs)
			virtio_gpu_array_put_free(vbuf->objs);
		virtio_gpu_free_vbuf(vgdev, vbuf);
	}
}

static struct virtio_gpu_fence *virtio_gpu_pop_fence(struct virtio_gpu_fence_driver *drv)
{
	struct virtio_gpu_fence *fence;

	guard(spinlock_irqsave)(&drv->lock);

	fence = list_first_entry_or_null(&drv->fences, struct virtio_gpu_fence, node);
	if (fence)
		list_del(&fence->node);

	return fence;
}

/**
 * virtio_gpu_end - end what the host has not answered
 * @vgdev: device that was stopped, with its queues still there
 *
 * Context: Process context, sleeps.
 */
void virtio_gpu_end(struct virtio_gpu_device *vgdev)
{
	struct virtio_gpu_fence *fence;

	cancel_work_sync(&vgdev->config_changed_work);

	/* Before the memory is freed that they protect. */
	while ((fence = virtio_gpu_pop_fence(&vgdev->fence_drv))) {
		virtio_gpu_fence_abort(vgdev, fence, -ENODEV);
		dma_fence_put(&fence->f);
	}

	virtio_gpu_end_queue(vgdev, &vgdev->ctrlq);
	virtio_gpu_end_queue(vgdev, &vgdev->cursorq);
	flush_work(&vgdev->obj_free_work);
}
