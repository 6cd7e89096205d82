// SPDX-License-Identifier: GPL-2.0
/*
 * Lets user space sit in a section of a DRM device, as a driver does that waits
 * for its hardware. For tools/bench; works with any drm.ko of the same layout.
 *
 *	echo "FD MS" >/sys/kernel/debug/hold_section
 *
 * enters the section of the device that FD of the writer is open on, and leaves it
 * after MS milliseconds; then the write returns. Reading tells how many are in one.
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>

#define HOLD_DRM_MAJOR	226

static struct dentry *hold_file;
static atomic_t hold_count = ATOMIC_INIT(0);

static int hold_section(struct file *drm_file, unsigned int ms)
{
	struct drm_file *priv = drm_file->private_data;
	int idx;

	if (!S_ISCHR(file_inode(drm_file)->i_mode) ||
	    imajor(file_inode(drm_file)) != HOLD_DRM_MAJOR)
		return -EINVAL;

	if (!drm_dev_enter(priv->minor->dev, &idx))
		return -ENODEV;

	atomic_inc(&hold_count);
	msleep(ms);
	atomic_dec(&hold_count);
	drm_dev_exit(idx);

	return 0;
}

static ssize_t hold_write(struct file *file, const char __user *user, size_t len, loff_t *pos)
{
	struct file *drm_file;
	unsigned int fd, ms;
	char text[32] = {};
	int ret;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, user, len))
		return -EFAULT;
	if (sscanf(text, "%u %u", &fd, &ms) != 2)
		return -EINVAL;

	drm_file = fget(fd);
	if (!drm_file)
		return -EBADF;
	ret = hold_section(drm_file, ms);
	fput(drm_file);

	return ret ?: len;
}

static ssize_t hold_read(struct file *file, char __user *user, size_t len, loff_t *pos)
{
	char text[16];
	int n = scnprintf(text, sizeof(text), "%d\n", atomic_read(&hold_count));

	return simple_read_from_buffer(user, len, pos, text, n);
}

static const struct file_operations hold_fops = {
	.owner = THIS_MODULE,
	.read = hold_read,
	.write = hold_write,
};

static int __init hold_init(void)
{
	hold_file = debugfs_create_file("hold_section", 0600, NULL, NULL, &hold_fops);

	return PTR_ERR_OR_ZERO(hold_file);
}
module_init(hold_init);

static void __exit hold_exit(void)
{
	debugfs_remove(hold_file);
}
module_exit(hold_exit);

MODULE_DESCRIPTION("Hold a section of a DRM device");
MODULE_LICENSE("GPL");
