// SPDX-License-Identifier: GPL-2.0 OR MIT

#include "amdgpu.h"
#include "amdgpu_unplug.h"
#include "amdgpu_userq.h"
#include "amdgpu_userq_fence.h"

/**
 * amdgpu_unplug_stop_userq - ask nothing more of the engines of user queues
 * @adev: device that is gone
 *
 * To have the firmware unmap a queue takes &amdgpu_userq_mgr.userq_mutex, with
 * which others wait for the fences of queues. So they are given up as they are.
 *
 * A queue that is not mapped counts as well: somebody may be about to map it.
 *
 * Returns:
 * True if an engine may go on working for a user queue.
 */
bool amdgpu_unplug_stop_userq(struct amdgpu_device *adev)
{
	struct amdgpu_usermode_queue *queue;
	unsigned long id, flags;
	bool runs = false;

	/* Whoever frees a queue takes it out first. */
	xa_lock_irqsave(&adev->userq_doorbell_xa, flags);
	xa_for_each(&adev->userq_doorbell_xa, id, queue) {
		queue->state = AMDGPU_USERQ_STATE_HUNG;
		runs = true;
	}
	xa_unlock_irqrestore(&adev->userq_doorbell_xa, flags);

	return runs;
}

/**
 * amdgpu_unplug_signal_userq - end the fences of all user queues
 * @adev: device that is gone
 */
void amdgpu_unplug_signal_userq(struct amdgpu_device *adev)
{
	struct amdgpu_usermode_queue *queue;
	unsigned long id, flags;

	/* As an interrupt does. This also keeps the last fence of each from being freed. */
	xa_lock_irqsave(&adev->userq_doorbell_xa, flags);
	xa_for_each(&adev->userq_doorbell_xa, id, queue)
		amdgpu_userq_fence_driver_force_completion(queue);
	xa_unlock_irqrestore(&adev->userq_doorbell_xa, flags);
}
