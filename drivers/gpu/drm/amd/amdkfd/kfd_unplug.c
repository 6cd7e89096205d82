// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <drm/drm_client.h>
#include <drm/drm_unplug.h>

#include "amdgpu.h"
#include "amdgpu_amdkfd.h"
#include "amdgpu_unplug.h"
#include "kfd_device_queue_manager.h"
#include "kfd_events.h"
#include "kfd_priv.h"
#include "kfd_unplug.h"

/*
 * A process has data of each GPU (struct kfd_process_device) until its address
 * space is gone. So that nobody has to wait for that, these pin the GPU: they
 * hold the file that the GEM handles of KFD belong to, which holds the device.
 */

void kfd_unplug_get(struct kfd_dev *kfd)
{
	refcount_inc(&kfd->client_users);
}

void kfd_unplug_put(struct kfd_dev *kfd)
{
	if (refcount_dec_and_test(&kfd->client_users))
		drm_client_release(&kfd->adev->kfd.client);
}

/* The driver, which is one of the users, is being unbound. */
void kgd2kfd_client_unregister(struct drm_client_dev *client)
{
	kfd_unplug_put(container_of(client, struct amdgpu_device, kfd.client)->kfd.dev);
}

/**
 * kgd2kfd_unplug_begin - let no process begin to use a GPU
 * @kfd: GPU that is about to go
 * @lost: its hardware is gone already
 */
void kgd2kfd_unplug_begin(struct kfd_dev *kfd, bool lost)
{
	struct device_queue_manager *dqm;
	int i;

	/* It may be lost while it is being removed in order. */
	if (!kfd->init_complete || (kfd->unplugged && !lost))
		return;

	for (i = 0; i < kfd->num_nodes; i++) {
		dqm = kfd->nodes[i]->dqm;
		if (lost) {
			/*
			 * Do not ask for queues to be mapped, nor to be unmapped,
			 * and do not try to reset any. This cannot take the lock:
			 * its owner may be waiting for an answer, until a timeout.
			 */
			dqm->is_hws_hang = true;
			WRITE_ONCE(dqm->sched_halt, true);
			WRITE_ONCE(dqm->active_runlist, false);
		}
		if (!kfd->unplugged)
			kfd_topology_remove_device(kfd->nodes[i]);
	}

	/* Processes that are created now have still found it. */
	mutex_lock(&kfd_processes_mutex);
	kfd->unplugged = true;
	mutex_unlock(&kfd_processes_mutex);
}

/*
 * Did the process ever do anything with a GPU that has gone? One that has left
 * together with another GPU may have its turn to be removed yet.
 */
bool kfd_unplug_lost_gpu(struct kfd_process *p)
{
	struct kfd_dev *kfd;
	int i;

	for (i = 0; i < p->n_pdds; i++) {
		kfd = p->pdds[i]->dev->kfd;
		if (p->pdds[i]->drm_priv &&
		    (kfd->unplugged || drm_dev_is_lost(adev_to_drm(kfd->adev))))
			return true;
	}

	return false;
}

/* The same of the process that this is the memory of. One address space may have several. */
bool kgd2kfd_unplug_lost_gpu(const struct mm_struct *mm, const void *process_info)
{
	struct kfd_process *p;

	guard(srcu)(&kfd_processes_srcu);
	hash_for_each_possible_rcu(kfd_processes_table, p, kfd_processes, (uintptr_t)mm)
		if (p->mm == mm && p->kgd_process_info == process_info)
			return kfd_unplug_lost_gpu(p);

	return false;
}

/* Can nothing be asked of the GPU for good? During a reset it is only for a while. */
bool kfd_unplug_cut_off(const struct kfd_node *node)
{
	return node->kfd->unplugged && node->adev->no_hw_access;
}

/**
 * kfd_unplug_mmap - map registers so that the map survives an unplug
 * @node: GPU that they belong to
 * @p: process that they are mapped for
 * @vma: VMA for them
 * @map: does the mapping
 *
 * Returns:
 * What @map returns, or -ENODEV or -ENOMEM.
 */
int kfd_unplug_mmap(struct kfd_node *node, struct kfd_process *p, struct vm_area_struct *vma,
		    int (*map)(struct kfd_node *node, struct kfd_process *p,
			       struct vm_area_struct *vma))
{
	CLASS(drm_dev_section, section)(adev_to_drm(node->adev));
	int ret;

	if (!section.dev)
		return -ENODEV;

	ret = map(node, p, vma);
	if (ret)
		return ret;

	return drm_dev_unplug_mmap(adev_to_drm(node->adev), vma);
}

/**
 * kgd2kfd_teardown_processes - part with the processes of a GPU
 * @adev: GPU whose queues have been stopped by kgd2kfd_suspend()
 *
 * Processes that use it are told by their events. Their queues on other GPUs
 * stay stopped, too: they share buffers with those that are lost. All other
 * processes go on.
 */
void kgd2kfd_teardown_processes(struct amdgpu_device *adev)
{
	struct kfd_dev *kfd = adev->kfd.dev;
	struct kfd_process *p;
	unsigned int bucket;
	int idx;

	if (!kfd || !kfd->init_complete)
		return;

	/* A probe that fails has not begun. */
	kgd2kfd_unplug_begin(kfd, false);
	amdgpu_amdkfd_clear_kfd_mapping(adev);

	idx = srcu_read_lock(&kfd_processes_srcu);
	hash_for_each_rcu(kfd_processes_table, bucket, p, kfd_processes)
		if (kfd_unplug_lost_gpu(p))
			kfd_signal_process_terminate_event(p);
	srcu_read_unlock(&kfd_processes_srcu, idx);

	kgd2kfd_resume_process(kfd);
}
