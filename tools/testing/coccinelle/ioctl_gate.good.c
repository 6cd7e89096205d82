// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/ioctl_gate.cocci: nothing is to be found here.

static long afterwards(struct file *file, unsigned int cmd, unsigned long arg)
{
	long ret = drm_ioctl(file, cmd, arg);

	if (ret == -EINVAL)
		count_errors(file);
	return ret;
}

static long with_gate(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct drm_file *file_priv = file->private_data;
	struct drm_device *dev = file_priv->minor->dev;
	long ret;

	if (drm_dev_is_gone(dev))
		return -ENODEV;
	ret = pm_runtime_get_sync(dev->dev);
	if (ret >= 0)
		ret = drm_ioctl(file, cmd, arg);
	pm_runtime_put_autosuspend(dev->dev);
	return ret;
}

/* Not a wrapper of drm_ioctl(). */
static long other(struct file *file, unsigned int cmd, unsigned long arg)
{
	return pm_runtime_get_sync(file->private_data);
}

static const struct file_operations fops1 = {
	.unlocked_ioctl = afterwards,
	.compat_ioctl = with_gate,
};

static const struct file_operations fops2 = {
	.unlocked_ioctl = other,
};

static const struct file_operations fops3 = {
	.unlocked_ioctl = drm_ioctl,
};
