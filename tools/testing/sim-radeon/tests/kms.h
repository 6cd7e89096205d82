/* SPDX-License-Identifier: GPL-2.0 */
/* The least of a display client: a mode set, then flips that wait for a fence. */
#ifndef SIM_KMS_H
#define SIM_KMS_H

#include <stdint.h>

struct kms {
	int fd;
	uint32_t crtc, connector, plane;
	uint32_t fb[2];
};

/* Opens the primary node of the card, and shows the first of two pictures. */
void kms_start(struct kms *kms, unsigned int card);
/* Shows the other picture as soon as the fence signals, without waiting; 0 or -errno. */
int kms_flip(struct kms *kms, unsigned int picture, int in_fence);

#endif
