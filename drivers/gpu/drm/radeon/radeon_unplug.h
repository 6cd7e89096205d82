/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef __RADEON_UNPLUG_H__
#define __RADEON_UNPLUG_H__

#include <linux/types.h>

struct dma_fence;
struct radeon_device;
struct radeon_fence;

/**
 * struct radeon_unplug - what outlives the registers of a device
 * @regs: memory that takes their place
 * @doorbells: memory that takes the place of the doorbells
 * @numb: they have done so
 * @rmmio: the registers, to be unmapped when nobody can be at them any more; who
 *	is closing a file may have looked up where they were
 * @doorbell: the doorbells, likewise
 * @uvd_fence: the fence of the UVD ring, see radeon_unplug_signal()
 * @given_back: see radeon_unplug_give_back()
 */
struct radeon_unplug {
	void *regs;
	void *doorbells;
	bool numb;
	void __iomem *rmmio;
	u32 __iomem *doorbell;
	u32 uvd_fence;
	bool given_back;
};

int radeon_unplug_register(struct radeon_device *rdev);
void radeon_unplug_stop(struct radeon_device *rdev);
void radeon_unplug_give_back(struct radeon_device *rdev);
void radeon_unplug_fini(struct radeon_device *rdev);
int radeon_unplug_fence_queue_init(struct radeon_device *rdev);
void radeon_unplug_fence_add(struct radeon_fence *fence);
void radeon_unplug_fence_release(struct dma_fence *f);
void radeon_unplug_fence(struct radeon_fence *fence);

#endif
