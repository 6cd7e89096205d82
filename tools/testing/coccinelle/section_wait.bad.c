// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/section_wait.cocci: a line with "report" is to be found.

static int after_enter(struct drm_device *dev, struct dma_fence *fence)
{
	int idx, ret;

	if (!drm_dev_enter(dev, &idx))
		return -ENODEV;
	ret = dma_fence_wait(fence, false);	/* report */
	drm_dev_exit(idx);
	return ret;
}

static void inside_block(struct drm_device *dev, struct dma_resv *resv)
{
	int idx;

	if (drm_dev_enter(dev, &idx)) {
		dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, false, HZ);	/* report */
		drm_dev_exit(idx);
	}
}

static long deep(void __user *to, void *from)
{
	return copy_to_user(to, from, 4);
}

static int through_a_function(struct drm_device *dev, void __user *to, bool more)
{
	int idx, ret = 0, value = 0;

	if (!drm_dev_enter(dev, &idx))
		return -ENODEV;
	if (more)
		ret = deep(to, &value);	/* report */
	drm_dev_exit(idx);
	return ret;
}

static vm_fault_t with_condition(struct vm_fault *vmf, struct drm_device *dev, bool wedged)
{
	vm_fault_t ret = VM_FAULT_SIGBUS;
	int idx;

	if (wedged || !drm_dev_enter(dev, &idx))
		return ret;
	ret = ttm_bo_vm_fault_reserved(vmf, 0, 1);	/* report */
	drm_dev_exit(idx);
	return ret;
}

static void unbounded(struct drm_device *dev, struct ring *ring)
{
	int idx;

	if (!drm_dev_enter(dev, &idx))
		return;
	wait_event(ring->wait, ring->space);	/* report */
	drm_dev_exit(idx);
}

static vm_fault_t with_else(struct vm_fault *vmf, struct drm_device *dev)
{
	vm_fault_t ret;
	int idx;

	if (drm_dev_enter(dev, &idx)) {
		ret = notify(vmf);
		if (ret) {
			drm_dev_exit(idx);
			goto unlock;
		}
		ret = ttm_bo_vm_fault_reserved(vmf, 0, 1);	/* report */
		drm_dev_exit(idx);
	} else {
		ret = ttm_bo_vm_dummy_page(vmf, 0);
	}
unlock:
	return ret;
}

static int to_the_end_of_its_block(struct drm_device *dev, struct dma_fence *fence)
{
	CLASS(drm_dev_section, section)(dev);
	if (!section.dev)
		return -ENODEV;

	scoped_guard(mutex, &dev->lock) {
		if (start(dev))
			dma_fence_wait(fence, false);	/* report */
	}
	return 0;
}
