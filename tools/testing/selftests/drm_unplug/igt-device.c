// SPDX-License-Identifier: GPL-2.0
/*
 * Make IGT's core_hotunplug run on a device that IGT would skip. To be preloaded.
 *
 * The test opens "any" device, a list in IGT's library that lacks bochs, cirrus, qxl and
 * radeon and excludes virtio-gpu, and then insists on a render node, which display-only
 * devices do not have.  It does nothing with either but open and close it.  So these two
 * functions open the guest's one device, and the primary node where no render node is.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include <drm/drm.h>

static int open_first(const char *format, int base)
{
	char path[64];
	int i, fd;

	for (i = 0; i < 64; i++) {
		struct drm_version v;

		snprintf(path, sizeof(path), format, base + i);
		fd = open(path, O_RDWR);
		if (fd < 0)
			continue;
		memset(&v, 0, sizeof(v));
		/* The node of a device that is gone may still be there. */
		if (!ioctl(fd, DRM_IOCTL_VERSION, &v))
			return fd;
		close(fd);
	}
	return -1;
}

int __drm_open_driver(int chipset)
{
	return open_first("/dev/dri/card%d", 0);
}

int __drm_open_driver_render(int chipset)
{
	int fd = open_first("/dev/dri/renderD%d", 128);

	return fd < 0 ? __drm_open_driver(chipset) : fd;
}
