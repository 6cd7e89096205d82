/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef __AMDGPU_UNPLUG_H__
#define __AMDGPU_UNPLUG_H__

#include <drm/drm_drv.h>
#include <drm/drm_unplug.h>

#include "amdgpu.h"

struct drm_client_dev;
struct kfd_dev;
struct mm_struct;

int amdgpu_unplug_register(struct amdgpu_device *adev);
bool amdgpu_unplug_stop_userq(struct amdgpu_device *adev);
void amdgpu_unplug_signal_userq(struct amdgpu_device *adev);
#if IS_ENABLED(CONFIG_KUNIT)
struct amdgpu_usermode_queue;
struct amdgpu_userq_fence;

extern const struct drm_unplug_ops amdgpu_unplug_ops;
int amdgpu_userq_fence_alloc(struct amdgpu_usermode_queue *userq,
			     struct amdgpu_userq_fence **pfence);
void amdgpu_userq_fence_init(struct amdgpu_usermode_queue *userq,
			     struct amdgpu_userq_fence *fence, u64 seq);
#endif
void amdgpu_device_unmap_mmio(struct amdgpu_device *adev);
void amdgpu_preempt_mgr_sysfs_fini(struct amdgpu_device *adev);

#if IS_ENABLED(CONFIG_HSA_AMD)
void kgd2kfd_client_unregister(struct drm_client_dev *client);
void kgd2kfd_unplug_begin(struct kfd_dev *kfd, bool lost);
bool kgd2kfd_unplug_lost_gpu(const struct mm_struct *mm, const void *process_info);
#else
#define kgd2kfd_client_unregister	NULL
static inline void kgd2kfd_unplug_begin(struct kfd_dev *kfd, bool lost) { }
#endif

static inline void amdgpu_amdkfd_unplug_begin(struct amdgpu_device *adev, bool lost)
{
	if (adev->kfd.dev)
		kgd2kfd_unplug_begin(adev->kfd.dev, lost);
}

/* What the fence of a job signals with that is not run to its end. */
static inline int amdgpu_unplug_error(struct amdgpu_device *adev, int error)
{
	return drm_dev_is_gone(adev_to_drm(adev)) ? -ENODEV : error;
}

/* After a rebind the PCI device belongs to another instance. */
static inline bool amdgpu_unplug_owns_pdev(struct amdgpu_device *adev)
{
	return pci_get_drvdata(adev->pdev) == adev_to_drm(adev);
}

#endif
