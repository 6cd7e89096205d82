// SPDX-License-Identifier: GPL-2.0
/*
 * A framebuffer as firmware leaves one behind, for simpledrm, in memory that the
 * kernel was told to leave alone (memmap= on its command line).
 *
 * simpledrm itself is a part of this module, because Debian's kernel has none.
 * What the Makefile changes of it is its name, and that of its init_module().
 */
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/platform_data/simplefb.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>

#include "simple_framebuffer.h"

/* As tools/guest/devices has it, and away from the simulated cards */
#define BASE	0x54000000

static struct platform_device *framebuffer;

static int __init simple_framebuffer_init(void)
{
	static const struct simplefb_platform_data mode = {
		.width = 640,
		.height = 480,
		.stride = 640 * 4,
		.format = "x8r8g8b8",
	};
	const struct resource memory = DEFINE_RES_MEM(BASE, SZ_4M);
	int ret;

	/* Without memmap= it is memory that the kernel uses. */
	ret = region_intersects(BASE, SZ_4M, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE);
	if (ret != REGION_DISJOINT)
		return -EBUSY;

	ret = simpledrm_init();
	if (ret)
		return ret;

	framebuffer = platform_device_register_resndata(NULL, "simpledrm", PLATFORM_DEVID_NONE,
							&memory, 1, &mode, sizeof(mode));
	if (IS_ERR(framebuffer)) {
		simpledrm_exit();
		return PTR_ERR(framebuffer);
	}

	return 0;
}
module_init(simple_framebuffer_init);

static void __exit simple_framebuffer_exit(void)
{
	platform_device_unregister(framebuffer);
	simpledrm_exit();
}
module_exit(simple_framebuffer_exit);

MODULE_DESCRIPTION("simpledrm and a framebuffer for it, for the drm_unplug tests");
MODULE_LICENSE("GPL");
