// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/pci.h>

#include <drm/gpu_scheduler.h>

#include <kunit/visibility.h>

#include "amdgpu.h"
#include "amdgpu_ring.h"
#include "amdgpu_unplug.h"
#include "amdgpu_userq.h"
#include "amdgpu_userq_fence.h"

/*
 * How long an orderly removal lets the hardware work on what it has begun. Time
 * enough for what ends at all: a job runs into its timeout after 2 s at least.
 */
#define AMDGPU_UNPLUG_DRAIN	(2 * HZ)

static struct amdgpu_ring *amdgpu_unplug_ring(struct amdgpu_device *adev, int i)
{
	struct amdgpu_ring *ring = adev->rings[i];

	return ring && ring->fence_drv.initialized ? ring : NULL;
}

static struct dma_fence *amdgpu_unplug_last_fence(struct amdgpu_ring *ring)
{
	struct amdgpu_fence_driver *drv = &ring->fence_drv;
	u32 seq = READ_ONCE(drv->sync_seq);
	struct dma_fence __rcu **slot;

	if (!seq)
		return NULL;

	slot = (struct dma_fence __rcu **)&drv->fences[seq & drv->num_fences_mask];

	guard(rcu)();

	return dma_fence_get_rcu_safe(slot);
}

static bool amdgpu_unplug_drain(struct amdgpu_device *adev)
{
	long left = AMDGPU_UNPLUG_DRAIN;
	struct amdgpu_ring *ring;
	struct dma_fence *fence;
	int i;

	for (i = 0; i < AMDGPU_MAX_RINGS && left > 0; i++) {
		ring = amdgpu_unplug_ring(adev, i);
		fence = ring ? amdgpu_unplug_last_fence(ring) : NULL;
		if (!fence)
			continue;
		left = dma_fence_wait_timeout(fence, false, left);
		dma_fence_put(fence);
	}

	return left > 0;
}

/* So that nobody asks the hardware to give up a queue. */
static void amdgpu_unplug_lose_userq(struct amdgpu_device *adev)
{
	struct amdgpu_usermode_queue *queue;
	unsigned long id;

	xa_for_each(&adev->userq_doorbell_xa, id, queue)
		if (queue->state == AMDGPU_USERQ_STATE_MAPPED)
			queue->state = AMDGPU_USERQ_STATE_HUNG;
}

static void amdgpu_unplug_quiesce(struct drm_device *dev, bool lost)
{
	struct amdgpu_device *adev = drm_to_adev(dev);
	struct amdgpu_ring *ring;
	int i;

	amdgpu_amdkfd_unplug_begin(adev, lost);

	if (lost) {
		adev->no_hw_access = true;
		amdgpu_unplug_lose_userq(adev);
		return;
	}

	for (i = 0; i < AMDGPU_MAX_RINGS; i++) {
		ring = amdgpu_unplug_ring(adev, i);
		if (ring)
			drm_sched_pause(&ring->sched);
	}

	/* What hangs must not write any more when its fence signals. */
	if (!amdgpu_unplug_drain(adev)) {
		dev_warn(adev->dev, "work does not end, stopping all DMA\n");
		pci_clear_master(adev->pdev);
	}
}

static void amdgpu_unplug_signal_userq(struct amdgpu_device *adev)
{
	struct amdgpu_usermode_queue *queue;
	unsigned long id;

	xa_for_each(&adev->userq_doorbell_xa, id, queue)
		amdgpu_userq_fence_driver_force_completion(queue);
}

static void amdgpu_unplug_signal(struct drm_device *dev, int error)
{
	struct amdgpu_device *adev = drm_to_adev(dev);
	struct amdgpu_ring *ring;
	int i;

	for (i = 0; i < AMDGPU_MAX_RINGS; i++) {
		ring = amdgpu_unplug_ring(adev, i);
		if (!ring)
			continue;
		/* A full ring keeps the scheduler from being stopped ... */
		amdgpu_fence_driver_force_completion(ring, NULL);
		drm_sched_unplug(&ring->sched);
		/* ... which may have been about to emit one more job. */
		amdgpu_fence_driver_force_completion(ring, NULL);
	}

	amdgpu_unplug_signal_userq(adev);
}

static void amdgpu_unplug_unmap(struct drm_device *dev, bool lost)
{
	struct amdgpu_device *adev = drm_to_adev(dev);

	adev->no_hw_access = true;
	if (adev->rmmio)
		amdgpu_device_unmap_mmio(adev);
}

VISIBLE_IF_KUNIT const struct drm_unplug_ops amdgpu_unplug_ops = {
	.quiesce = amdgpu_unplug_quiesce,
	.signal = amdgpu_unplug_signal,
	.unmap = amdgpu_unplug_unmap,
};

int amdgpu_unplug_register(struct amdgpu_device *adev)
{
	return drm_dev_unplug_register(adev_to_drm(adev), &amdgpu_unplug_ops);
}
