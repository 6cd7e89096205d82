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
/* Plugs in the display "stuck"; the argument is the end of its commits. */
#define STUCK_PLUG	_IO('U', 4)
/* Its hardware does nothing any more: no vblank comes. */
#define STUCK_DIE	_IO('U', 5)
/* Its driver is told that it has been pulled. */
#define STUCK_PULL	_IO('U', 6)

enum stuck_tail {
	STUCK_TAIL_VBLANKS,	/* drm_atomic_helper_wait_for_vblanks() */
	STUCK_TAIL_FLIP_DONE,	/* drm_atomic_helper_wait_for_flip_done() */
};

#endif
