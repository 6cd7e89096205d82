// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/section_exit.cocci: a line with "report" is to be found.

static int early_return(struct drm_device *dev)
{
	int idx, ret;

	if (!drm_dev_enter(dev, &idx))	/* report */
		return -ENODEV;
	ret = start(dev);
	if (ret)
		return ret;
	drm_dev_exit(idx);
	return 0;
}

static void to_the_end(struct drm_device *dev, bool more)
{
	int idx;

	if (!drm_dev_enter(dev, &idx))	/* report */
		return;
	start(dev);
	if (more)
		drm_dev_exit(idx);
}

static void block(struct drm_device *dev)
{
	int idx;

	if (drm_dev_enter(dev, &idx))	{ /* report */
		start(dev);
	}
}

static int block_return(struct drm_device *dev)
{
	int idx;

	if (drm_dev_enter(dev, &idx)) { /* report */
		if (start(dev))
			return -EIO;
		drm_dev_exit(idx);
	}
	return 0;
}

static int jump(struct drm_device *dev)
{
	int idx, ret;

	if (!drm_dev_enter(dev, &idx))	/* report */
		return -ENODEV;
	ret = start(dev);
	if (ret)
		goto out;
	drm_dev_exit(idx);
out:
	return ret;
}

static int block_else(struct drm_device *dev)
{
	int idx;

	if (drm_dev_enter(dev, &idx)) {	/* report */
		start(dev);
	} else {
		return -ENODEV;
	}
	return 0;
}
