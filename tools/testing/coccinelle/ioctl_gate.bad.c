// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/ioctl_gate.cocci: a line with "report" is to be found.

static long with_power(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct drm_file *file_priv = file->private_data;
	struct drm_device *dev = file_priv->minor->dev;
	long ret;

	ret = pm_runtime_get_sync(dev->dev);	/* report */
	if (ret < 0)
		goto out;
	ret = drm_ioctl(file, cmd, arg);
out:
	pm_runtime_put_autosuspend(dev->dev);	/* report */
	return ret;	/* report */
}

static long wedged(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct sample *sample = to_sample(file);

	if (sample->wedged)
		return -ECANCELED;	/* report */
	return drm_ioctl(file, cmd, arg);
}

static long dispatch(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (_IOC_NR(cmd)) {
	case 7:
		return private_ioctl(file, arg);	/* report */
	default:
		return drm_ioctl(file, cmd, arg);
	}
}

static const struct file_operations fops1 = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = with_power,
	.compat_ioctl = wedged,
};

static const struct file_operations fops2 = {
	.unlocked_ioctl = dispatch,
	.llseek = noop_llseek,
};
