// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-fence.h>
#include <linux/firmware.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vga_switcheroo.h>
#include <linux/vgaarb.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include <drm/drm_crtc_helper.h>
#include <drm/drm_managed.h>
#include <drm/drm_probe_helper.h>
#include <drm/drm_unplug.h>

#include "radeon.h"
#include "radeon_asic.h"
#include "radeon_audio.h"
#include "radeon_mode.h"
#include "radeon_unplug.h"

/*
 * The teardown of this driver is one long walk over the hardware, of which the
 * last close of a file needs a part, and all of which accesses registers. It is
 * not taken apart. When the hardware goes, or when the driver has switched it
 * off, memory takes the place of the registers, and the rest of the teardown
 * talks to that. It reads as zeros, which mostly means idle.
 */

/* How long an orderly removal lets the hardware work on what it has begun. */
#define RADEON_UNPLUG_DRAIN	(2 * HZ)

/*
 * A page table in VRAM has a copy in memory, which takes its place, also where the
 * entries in VRAM have half its size: nobody reads it any more. There is always one
 * for those who bind and unbind pages meanwhile. A table in RAM stays as it is.
 */
static void radeon_unplug_gart(struct radeon_device *rdev)
{
	if (!rdev->gart.robj || rdev->gart.ptr == rdev->gart.pages_entry)
		return;

	WRITE_ONCE(rdev->gart.ptr, rdev->gart.pages_entry);
	/* For radeon_gart_bind() and radeon_gart_unbind(). */
	synchronize_rcu();
}

static void radeon_unplug_numb(struct radeon_device *rdev)
{
	struct radeon_unplug *unplug = &rdev->unplug;

	if (unplug->numb)
		return;

	unplug->numb = true;
	unplug->rmmio = rdev->rmmio;
	rdev->rmmio = (__force void __iomem *)unplug->regs;
	if (rdev->doorbell.ptr) {
		unplug->doorbell = rdev->doorbell.ptr;
		rdev->doorbell.ptr = (__force u32 __iomem *)unplug->doorbells;
	}
	radeon_unplug_gart(rdev);
}

static bool radeon_unplug_drain(struct radeon_device *rdev, unsigned long end)
{
	int i;

	for (i = 0; i < RADEON_NUM_RINGS; i++)
		while (rdev->fence_drv[i].initialized && radeon_fence_count_emitted(rdev, i)) {
			if (time_after(jiffies, end))
				return false;
			fsleep(1000);
		}

	return true;
}

/*
 * Who has got past radeon_ring_lock() before the device was gone has its work in a
 * ring when this returns, and nobody else gets past it. It may be in there waiting
 * for hardware that does nothing, or for as long as it takes.
 */
static bool radeon_unplug_close_rings(struct radeon_device *rdev, unsigned long end)
{
	while (!mutex_trylock(&rdev->ring_lock)) {
		if (time_after(jiffies, end))
			return false;
		fsleep(1000);
	}
	mutex_unlock(&rdev->ring_lock);

	return true;
}

static void radeon_unplug_quiesce(struct drm_device *dev, bool lost)
{
	struct radeon_device *rdev = dev->dev_private;
	unsigned long end = jiffies + RADEON_UNPLUG_DRAIN;

	if (lost) {
		radeon_unplug_numb(rdev);
	} else if (!radeon_unplug_close_rings(rdev, end) || !radeon_unplug_drain(rdev, end)) {
		dev_warn(rdev->dev, "work does not end, stopping all DMA\n");
		pci_clear_master(rdev->pdev);
	}
}

/**
 * struct radeon_fence_queue - what fences need, for as long as there is one
 * @ref: of the device, and of each fence
 * @head: &radeon_device.fence_queue; its lock is that of the fences
 * @lock: protects @fences; taken inside of the other
 * @fences: those that the device has not ended when it went
 */
struct radeon_fence_queue {
	struct kref ref;
	wait_queue_head_t head;
	/* Callbacks free fences, and hold that of @head. */
	spinlock_t lock;
	struct list_head fences;
};

static struct radeon_fence_queue *radeon_unplug_fence_queue(struct radeon_fence *fence)
{
	return container_of(dma_fence_spinlock(&fence->base), struct radeon_fence_queue, head.lock);
}

static void radeon_unplug_fence_queue_free(struct kref *ref)
{
	kfree(container_of(ref, struct radeon_fence_queue, ref));
}

static void radeon_unplug_fence_queue_put(struct drm_device *dev, void *queue)
{
	kref_put(&((struct radeon_fence_queue *)queue)->ref, radeon_unplug_fence_queue_free);
}

/**
 * radeon_unplug_fence_queue_init - make the wait queue for fences
 * @rdev: radeon device
 *
 * Returns:
 * 0 or -ENOMEM.
 */
int radeon_unplug_fence_queue_init(struct radeon_device *rdev)
{
	struct radeon_fence_queue *queue = kmalloc_obj(*queue);

	if (!queue)
		return -ENOMEM;

	kref_init(&queue->ref);
	init_waitqueue_head(&queue->head);
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->fences);
	rdev->fence_queue = &queue->head;

	return drmm_add_action_or_reset(rdev_to_drm(rdev), radeon_unplug_fence_queue_put, queue);
}

/**
 * radeon_unplug_fence_add - a fence needs the wait queue from now on
 * @fence: fence that was just initialised
 */
void radeon_unplug_fence_add(struct radeon_fence *fence)
{
	struct radeon_fence_queue *queue = radeon_unplug_fence_queue(fence);

	kref_get(&queue->ref);
	guard(spinlock_irqsave)(&queue->lock);
	list_add_tail(&fence->all, &queue->fences);
}

/**
 * radeon_unplug_fence_release - &dma_fence_ops.release
 * @f: a fence of radeon
 */
void radeon_unplug_fence_release(struct dma_fence *f)
{
	struct radeon_fence *fence = container_of(f, struct radeon_fence, base);
	struct radeon_fence_queue *queue = radeon_unplug_fence_queue(fence);

	scoped_guard(spinlock_irqsave, &queue->lock)
		list_del_init(&fence->all);
	dma_fence_free(f);
	kref_put(&queue->ref, radeon_unplug_fence_queue_free);
}

/* A fence that exists, which is not in the list any more, with a reference. */
static struct radeon_fence *radeon_unplug_fence_take(struct radeon_fence_queue *queue)
{
	struct radeon_fence *fence;

	guard(spinlock_irqsave)(&queue->lock);
	while ((fence = list_first_entry_or_null(&queue->fences, struct radeon_fence, all))) {
		list_del_init(&fence->all);
		if (dma_fence_get_rcu(&fence->base))
			return fence;
	}

	return NULL;
}

/*
 * A fence works out from the device whether it has signalled, until it was asked the
 * first time. After this none does. All have been reached by now, or were forced.
 */
static void radeon_unplug_end_fences(struct radeon_device *rdev)
{
	struct radeon_fence_queue *queue =
		container_of(rdev->fence_queue, struct radeon_fence_queue, head);
	struct radeon_fence *fence;

	while ((fence = radeon_unplug_fence_take(queue))) {
		scoped_guard(spinlock_irqsave, dma_fence_spinlock(&fence->base)) {
			radeon_unplug_fence(fence);
			dma_fence_signal_locked(&fence->base);
		}
		dma_fence_put(&fence->base);
	}
}

/**
 * radeon_unplug_fence - note with the fence that it has not really been reached
 * @fence: fence that is about to signal
 */
void radeon_unplug_fence(struct radeon_fence *fence)
{
	struct radeon_fence_driver *drv = &fence->rdev->fence_drv[fence->ring];

	/*
	 * Whoever else gets here does the same, so no lock is needed. Pairs with
	 * radeon_unplug_signal().
	 */
	if (unlikely(smp_load_acquire(&drv->ended)) && fence->seq > drv->ended_at &&
	    !test_bit(DMA_FENCE_FLAG_SIGNALED_BIT, &fence->base.flags))
		WRITE_ONCE(fence->base.error, -ENODEV);
}

/* That of UVD is in VRAM, where nothing can be written to when the device is lost. */
static void radeon_unplug_uvd_fence(struct radeon_device *rdev, struct radeon_fence_driver *drv)
{
	rdev->unplug.uvd_fence = (__force u32)cpu_to_le32(lower_32_bits(drv->ended_at));
	/* Whoever reads it there finds something that makes sense. */
	smp_store_release(&drv->cpu_addr, &rdev->unplug.uvd_fence);
}

static void radeon_unplug_signal(struct drm_device *dev, int error)
{
	struct radeon_device *rdev = dev->dev_private;
	struct radeon_fence_driver *drv;
	int i;

	for (i = 0; i < RADEON_NUM_RINGS; i++) {
		drv = &rdev->fence_drv[i];
		if (!drv->initialized)
			continue;

		if (!drv->ended) {
			radeon_fence_process(rdev, i);
			drv->ended_at = atomic64_read(&drv->last_seq);
			/* Whoever sees it ended sees where, see radeon_unplug_fence(). */
			smp_store_release(&drv->ended, true);
			if (i == R600_RING_TYPE_UVD_INDEX)
				radeon_unplug_uvd_fence(rdev, drv);
		}
		radeon_fence_driver_force_completion(rdev, i);
		radeon_fence_process(rdev, i);
	}

	radeon_unplug_end_fences(rdev);

	/* Nobody is to reset what is not there. */
	rdev->needs_reset = false;
	wake_up_all(rdev->fence_queue);

	for (i = 0; i < rdev->num_crtc; i++)
		radeon_crtc_handle_flip(rdev, i);
}

static void radeon_unplug_unmap(struct drm_device *dev, bool lost)
{
	struct radeon_device *rdev = dev->dev_private;

	/* Probe has failed. */
	if (!rdev || !rdev->rmmio)
		return;

	/* See radeon_unplug_fini(). */
	radeon_unplug_numb(rdev);
	if (rdev->rio_mem)
		pci_iounmap(rdev->pdev, rdev->rio_mem);
	rdev->rio_mem = NULL;
}

static const struct drm_unplug_ops radeon_unplug_ops = {
	.quiesce = radeon_unplug_quiesce,
	.signal = radeon_unplug_signal,
	.unmap = radeon_unplug_unmap,
};

/**
 * radeon_unplug_register - get ready for the device to go
 * @rdev: radeon device, set up but not registered
 *
 * Returns:
 * 0 or an error.
 */
int radeon_unplug_register(struct radeon_device *rdev)
{
	struct radeon_unplug *unplug = &rdev->unplug;

	unplug->regs = vzalloc(rdev->rmmio_size);
	if (!unplug->regs)
		return -ENOMEM;

	if (rdev->doorbell.ptr) {
		unplug->doorbells = vzalloc(rdev->doorbell.num_doorbells * sizeof(u32));
		if (!unplug->doorbells)
			return -ENOMEM;
	}

	return drm_dev_unplug_register(rdev_to_drm(rdev), &radeon_unplug_ops);
}

static void radeon_unplug_cancel_work(struct work_struct *work)
{
	if (work->func)
		cancel_work_sync(work);
}

/* What the interrupt handler has left to others. */
static void radeon_unplug_cancel_irq(struct radeon_device *rdev)
{
	radeon_unplug_cancel_work(&rdev->dp_work);
	radeon_unplug_cancel_work(&rdev->audio_work);
	radeon_unplug_cancel_work(&rdev->pm.dpm.thermal.work);
	if (rdev->hotplug_work.work.func)
		cancel_delayed_work_sync(&rdev->hotplug_work);
}

/* What has been used last is switched off some time later, if it is not too late by then. */
static void radeon_unplug_cancel(struct radeon_device *rdev)
{
	if (rdev->uvd.idle_work.work.func)
		cancel_delayed_work_sync(&rdev->uvd.idle_work);
	if (rdev->vce.idle_work.work.func)
		cancel_delayed_work_sync(&rdev->vce.idle_work);
}

/**
 * radeon_unplug_stop - switch the hardware off
 * @rdev: radeon device that was unplugged
 */
void radeon_unplug_stop(struct radeon_device *rdev)
{
	struct drm_device *dev = rdev_to_drm(rdev);
	int i;

	rdev->shutdown = true;

	if (radeon_is_px(dev)) {
		pm_runtime_get_sync(dev->dev);
		pm_runtime_forbid(dev->dev);
		pm_runtime_dont_use_autosuspend(dev->dev);
	}

	if (rdev->mode_info.mode_config_initialized) {
		drm_kms_helper_poll_fini(dev);
		radeon_hpd_fini(rdev);
		for (i = 0; i < rdev->num_crtc; i++) {
			if (!rdev->mode_info.crtcs[i])
				continue;
			flush_workqueue(rdev->mode_info.crtcs[i]->flip_queue);
			radeon_crtc_handle_flip(rdev, i);
		}
		drm_helper_force_disable_all(dev);
	}

	radeon_acpi_fini(rdev);
	/* No ioctl is there to start it again, see also radeon_uvd_free_handles(). */
	radeon_unplug_cancel(rdev);
	/* Unmaps the page table, while clients may be closing. */
	radeon_unplug_gart(rdev);
	radeon_suspend(rdev);
	radeon_irq_kms_fini(rdev);
	radeon_unplug_cancel_irq(rdev);
	if (rdev->mman.initialized)
		ttm_device_unmap_dma(&rdev->mman.bdev);
	radeon_dummy_page_fini(rdev);
	radeon_unplug_give_back(rdev);
}

/**
 * radeon_unplug_give_back - part with what belongs to the PCI device
 * @rdev: radeon device
 *
 * The next instance of the driver takes it, which may be before this one is
 * freed.
 */
void radeon_unplug_give_back(struct radeon_device *rdev)
{
	if (rdev->unplug.given_back)
		return;

	rdev->unplug.given_back = true;
	radeon_audio_component_fini(rdev);
	radeon_pm_sysfs_fini(rdev);
	if (!pci_is_thunderbolt_attached(rdev->pdev))
		vga_switcheroo_unregister_client(rdev->pdev);
	if (rdev->flags & RADEON_IS_PX)
		vga_switcheroo_fini_domain_pm_ops(rdev->dev);
	vga_client_unregister(rdev->pdev);
}

/* What each chip's cp_init or init_microcode has got; UVD and VCE free their own. */
static void radeon_unplug_free_firmware(struct radeon_device *rdev)
{
	const struct firmware **firmware[] = {
		&rdev->me_fw, &rdev->pfp_fw, &rdev->ce_fw, &rdev->mec_fw, &rdev->mec2_fw,
		&rdev->rlc_fw, &rdev->mc_fw, &rdev->sdma_fw, &rdev->smc_fw,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(firmware); i++) {
		release_firmware(*firmware[i]);
		*firmware[i] = NULL;
	}
}

/**
 * radeon_unplug_fini - give up the registers, or what has taken their place
 * @rdev: radeon device that is about to be freed
 */
void radeon_unplug_fini(struct radeon_device *rdev)
{
	struct radeon_unplug *unplug = &rdev->unplug;

	radeon_unplug_cancel_irq(rdev);
	radeon_unplug_cancel(rdev);
	radeon_unplug_end_fences(rdev);
	/* For those who are just asking a fence. */
	synchronize_rcu();
	iounmap(unplug->numb ? unplug->rmmio : rdev->rmmio);
	if (unplug->doorbell || rdev->doorbell.ptr)
		iounmap(unplug->doorbell ?: rdev->doorbell.ptr);
	radeon_unplug_free_firmware(rdev);
	vfree(unplug->regs);
	vfree(unplug->doorbells);
	rdev->rmmio = NULL;
	rdev->doorbell.ptr = NULL;
}
