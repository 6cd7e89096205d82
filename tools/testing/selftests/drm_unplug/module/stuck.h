/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* What /dev/drm-stuck does, see stuck.c. */
#ifndef DRM_UNPLUG_STUCK_H
#define DRM_UNPLUG_STUCK_H

#include <linux/ioctl.h>

/* Returns a sync_file whose fence does not signal by itself. */
#define STUCK_FENCE	_IO('U', 1)
/* Sits in a section of the DRM device that the file descriptor is of. */
#define STUCK_HOLD	_IO('U', 2)
/* Lets all fences signal and all sections end that came from this file. */
#define STUCK_RELEASE	_IO('U', 3)
/* Plugs in the display "stuck"; the argument is an enum stuck_plug. */
#define STUCK_PLUG	_IO('U', 4)
/* Its hardware does nothing any more: no vblank comes. */
#define STUCK_DIE	_IO('U', 5)
/* It goes on as if nothing had been. */
#define STUCK_REVIVE	_IO('U', 7)
/* Its driver is told that it has been pulled. */
#define STUCK_PULL	_IO('U', 6)

/* What its commits end with, and its remove callback. */
enum stuck_plug {
	STUCK_WAIT_FOR_VBLANKS,
	STUCK_WAIT_FOR_FLIP_DONE,
	STUCK_NO_SHUTDOWN,	/* the same, and no drm_atomic_helper_shutdown() */
};

#endif
