// SPDX-License-Identifier: GPL-2.0
/*
 * A DRM device whose buffers come from the GEM DMA helper, as those of most
 * displays on embedded boards do, and which needs no hardware.  The helper fills
 * a map inside of ->mmap and has no fault handler.
 *
 * The parameter "hold" is the number of a process whose mmap() stops where the
 * driver is done with it and mm has not made the map known yet.  "held" says that
 * it has come there.  It goes on when "hold" is cleared, or after ten seconds.
 *
 * It knows nothing of the unplug core, and works with any drm.ko of the same
 * layout.
 */
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_gem_dma_helper.h>
#include <drm/drm_ioctl.h>

#define UNPLUG_DMA	"unplug_dma"

static DECLARE_WAIT_QUEUE_HEAD(unplug_dma_wait);
static int unplug_dma_hold;
static bool unplug_dma_held;

static int unplug_dma_hold_set(const char *val, const struct kernel_param *kp)
{
	int ret = param_set_int(val, kp);

	wake_up_all(&unplug_dma_wait);

	return ret;
}

static const struct kernel_param_ops unplug_dma_hold_ops = {
	.set = unplug_dma_hold_set,
	.get = param_get_int,
};

module_param_cb(hold, &unplug_dma_hold_ops, &unplug_dma_hold, 0600);
MODULE_PARM_DESC(hold, "Process whose mmap() is to stop");
module_param_named(held, unplug_dma_held, bool, 0400);
MODULE_PARM_DESC(held, "It has");

static int unplug_dma_mmap(struct file *file, struct vm_area_struct *vma)
{
	int ret = drm_gem_mmap(file, vma);

	if (!ret && READ_ONCE(unplug_dma_hold) == task_tgid_nr(current)) {
		WRITE_ONCE(unplug_dma_held, true);
		wait_event_timeout(unplug_dma_wait, !READ_ONCE(unplug_dma_hold), 10 * HZ);
	}

	return ret;
}

static const struct file_operations unplug_dma_fops = {
	.owner = THIS_MODULE,
	.open = drm_open,
	.release = drm_release,
	.unlocked_ioctl = drm_ioctl,
	.compat_ioctl = drm_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = unplug_dma_mmap,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

static const struct drm_driver unplug_dma_driver = {
	.driver_features = DRIVER_GEM,
	.fops = &unplug_dma_fops,
	.name = UNPLUG_DMA,
	.desc = "GEM DMA buffers without a device",
	.major = 1,
	DRM_GEM_DMA_DRIVER_OPS,
};

static int unplug_dma_probe(struct platform_device *pdev)
{
	struct drm_device *drm;
	int ret;

	ret = dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;

	drm = drm_dev_alloc(&unplug_dma_driver, &pdev->dev);
	if (IS_ERR(drm))
		return PTR_ERR(drm);

	ret = drm_dev_register(drm, 0);
	if (ret) {
		drm_dev_put(drm);
		return ret;
	}
	platform_set_drvdata(pdev, drm);

	return 0;
}

static void unplug_dma_remove(struct platform_device *pdev)
{
	struct drm_device *drm = platform_get_drvdata(pdev);

	drm_dev_unplug(drm);
	drm_dev_put(drm);
}

static struct platform_driver unplug_dma_platform_driver = {
	.probe = unplug_dma_probe,
	.remove = unplug_dma_remove,
	.driver.name = UNPLUG_DMA,
};

static struct platform_device *unplug_dma_device;

static int __init unplug_dma_init(void)
{
	int ret = platform_driver_register(&unplug_dma_platform_driver);

	if (ret)
		return ret;

	unplug_dma_device = platform_device_register_simple(UNPLUG_DMA, PLATFORM_DEVID_NONE,
							    NULL, 0);
	if (IS_ERR(unplug_dma_device)) {
		platform_driver_unregister(&unplug_dma_platform_driver);
		return PTR_ERR(unplug_dma_device);
	}

	return 0;
}
module_init(unplug_dma_init);

static void __exit unplug_dma_exit(void)
{
	platform_device_unregister(unplug_dma_device);
	platform_driver_unregister(&unplug_dma_platform_driver);
}
module_exit(unplug_dma_exit);

MODULE_DESCRIPTION("DRM device with GEM DMA buffers, for the drm_unplug tests");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");
