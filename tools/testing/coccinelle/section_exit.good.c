// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/section_exit.cocci: nothing is to be found here.

static int jump(struct drm_device *dev)
{
	int idx, ret;

	if (!drm_dev_enter(dev, &idx))
		return -ENODEV;
	ret = start(dev);
	if (ret)
		goto out;
	ret = more(dev);
out:
	drm_dev_exit(idx);
	return ret;
}

static void no_return(struct drm_device *dev)
{
	int idx;

	if (!drm_dev_enter(dev, &idx))
		return;
	start(dev);
	drm_dev_exit(idx);
}

static void skip(struct drm_device *dev)
{
	int idx;

	if (!drm_dev_enter(dev, &idx))
		goto out;
	start(dev);
	drm_dev_exit(idx);
out:
	stop(dev);
}

static int block(struct drm_device *dev)
{
	int idx;

	if (drm_dev_enter(dev, &idx)) {
		if (start(dev)) {
			drm_dev_exit(idx);
			return -EIO;
		}
		drm_dev_exit(idx);
	} else {
		return -ENODEV;
	}
	return 0;
}

static int short_block(struct drm_device *dev)
{
	int idx, ret = 0;

	if (drm_dev_enter(dev, &idx)) {
		ret = start(dev);
		drm_dev_exit(idx);
	}
	if (ret)
		complain(dev);
	return ret;
}

static void nested(struct drm_device *dev, struct thing *thing)
{
	int idx;

	if (thing->id >= 0 && drm_dev_enter(dev, &idx)) {
		if (start(dev)) {
			drm_dev_exit(idx);
			goto out;
		}
		drm_dev_exit(idx);
	}
out:
	free(thing);
}
