// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/section_unplug.cocci: a line with "report" is to be found.

static void straight(struct drm_device *dev)
{
	int idx;

	if (!drm_dev_enter(dev, &idx))
		return;
	if (!alive(dev))
		drm_dev_unplug(dev);	/* report */
	drm_dev_exit(idx);
}

static void lost(struct drm_device *dev)
{
	drm_dev_unplug(dev);
}

static int reset(struct drm_device *dev)
{
	if (!alive(dev))
		lost(dev);
	return -EIO;
}

static int flush(struct drm_device *dev)
{
	int idx, ret = 0;

	if (drm_dev_enter(dev, &idx)) {
		ret = reset(dev);	/* report */
		drm_dev_exit(idx);
	}
	return ret;
}

static void to_the_end_of_its_block(struct drm_device *dev)
{
	CLASS(drm_dev_section, section)(dev);
	if (section.dev)
		reset(dev);	/* report */
}
