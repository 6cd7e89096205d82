// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/section_wait.cocci: nothing is to be found here.

static int before_and_after(struct drm_device *dev, struct dma_fence *fence, void __user *to)
{
	int idx, ret;

	ret = dma_fence_wait(fence, true);
	if (ret)
		return ret;
	if (!drm_dev_enter(dev, &idx))
		return -ENODEV;
	writel(1, dev->regs);
	drm_dev_exit(idx);
	return copy_to_user(to, &ret, 4);
}

static void not_entered(struct drm_device *dev, struct dma_fence *fence)
{
	int idx;

	if (!drm_dev_enter(dev, &idx)) {
		dma_fence_wait(fence, false);
		return;
	}
	drm_dev_exit(idx);
}

static int harmless(struct drm_device *dev, struct dma_fence *fence, struct ring *ring)
{
	int idx, ret;

	if (!drm_dev_enter(dev, &idx))
		goto out;
	ret = drm_dev_fence_wait(dev, fence, false);
	wait_event_timeout(ring->wait, ring->space, HZ);
	drm_dev_exit(idx);
out:
	dma_fence_wait(fence, true);
	return ret;
}

static int after_exit(struct drm_device *dev, struct dma_fence *fence)
{
	int idx, ret;

	if (drm_dev_enter(dev, &idx)) {
		start(dev);
		drm_dev_exit(idx);
		ret = dma_fence_wait(fence, true);
	} else {
		ret = dma_fence_wait(fence, true);
	}
	return ret;
}

static int after_its_block(struct drm_device *dev, struct dma_fence *fence)
{
	dma_fence_wait(fence, true);
	if (fence) {
		CLASS(drm_dev_section, section)(dev);
		if (section.dev)
			start(dev);
	}
	return dma_fence_wait(fence, true);
}
