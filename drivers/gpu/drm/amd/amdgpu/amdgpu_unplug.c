// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/pci.h>

#include <drm/gpu_scheduler.h>
#include <kunit/visibility.h>

#include "amdgpu.h"
#include "amdgpu_ring.h"
#include "amdgpu_unplug.h"

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

static struct dma_fence *amdgpu_unplug_fence(struct amdgpu_ring *ring, u32 seq)
{
	seq &= ring->fence_drv.num_fences_mask;
	guard(rcu)();

	return dma_fence_get_rcu_safe((struct dma_fence __rcu **)&ring->fence_drv.fences[seq]);
}

static bool amdgpu_unplug_drain(struct amdgpu_device *adev)
{
	long left = AMDGPU_UNPLUG_DRAIN;
	struct amdgpu_ring *ring;
	struct dma_fence *fence;
	int i;

	for (i = 0; i < AMDGPU_MAX_RINGS && left > 0; i++) {
		ring = amdgpu_unplug_ring(adev, i);
		fence = ring ? amdgpu_unplug_fence(ring, READ_ONCE(ring->fence_drv.sync_seq)) :
			       NULL;
		if (!fence)
			continue;
		left = dma_fence_wait_timeout(fence, false, left);
		dma_fence_put(fence);
	}

	return left > 0;
}

static void amdgpu_unplug_each_sched(struct amdgpu_device *adev,
				     void (*func)(struct drm_gpu_scheduler *sched))
{
	struct amdgpu_ring *ring;
	int i;

	for (i = 0; i < AMDGPU_MAX_RINGS; i++) {
		ring = amdgpu_unplug_ring(adev, i);
		if (ring)
			func(&ring->sched);
	}
}

static void amdgpu_unplug_quiesce(struct drm_device *dev, bool lost)
{
	struct amdgpu_device *adev = drm_to_adev(dev);
	bool idle;

	amdgpu_amdkfd_unplug_begin(adev, lost);

	if (lost) {
		adev->no_hw_access = true;
		amdgpu_unplug_stop_userq(adev);
		return;
	}

	amdgpu_unplug_each_sched(adev, drm_sched_pause);
	idle = amdgpu_unplug_drain(adev);
	if (idle) {
		/* A job may still have been on its way. */
		amdgpu_unplug_each_sched(adev, drm_sched_halt);
		idle = amdgpu_unplug_drain(adev);
	}

	/* What goes on must not write any more when its fence signals. */
	if (amdgpu_unplug_stop_userq(adev) || !idle) {
		dev_printk(idle ? KERN_INFO : KERN_WARNING, adev->dev, "%s, stopping all DMA\n",
			   idle ? "user queues are left" : "work does not end");
		pci_clear_master(adev->pdev);
	}
}

static void amdgpu_unplug_force(struct amdgpu_ring *ring)
{
	struct dma_fence *fence;
	u32 i;

	amdgpu_fence_driver_force_completion(ring, NULL);

	/* Its number may have been written before a fence had got to its slot. */
	for (i = 0; i <= ring->fence_drv.num_fences_mask; i++) {
		fence = amdgpu_unplug_fence(ring, i);
		if (fence)
			drm_dev_fence_force(adev_to_drm(ring->adev), fence);
		dma_fence_put(fence);
	}
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
		amdgpu_unplug_force(ring);
		drm_sched_unplug(&ring->sched);
		/* ... which may have been about to emit one more job. */
		amdgpu_unplug_force(ring);
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
