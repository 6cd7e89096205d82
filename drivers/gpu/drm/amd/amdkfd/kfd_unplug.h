/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef __KFD_UNPLUG_H__
#define __KFD_UNPLUG_H__

#include <linux/types.h>

struct kfd_dev;
struct kfd_node;
struct kfd_process;
struct vm_area_struct;

void kfd_unplug_get(struct kfd_dev *kfd);
void kfd_unplug_put(struct kfd_dev *kfd);
bool kfd_unplug_cut_off(const struct kfd_node *node);
bool kfd_unplug_lost_gpu(struct kfd_process *p);
int kfd_unplug_mmap(struct kfd_node *node, struct kfd_process *p, struct vm_area_struct *vma,
		    int (*map)(struct kfd_node *node, struct kfd_process *p,
			       struct vm_area_struct *vma));

#endif
