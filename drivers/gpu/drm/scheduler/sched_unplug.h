/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _DRM_GPU_SCHEDULER_UNPLUG_H_
#define _DRM_GPU_SCHEDULER_UNPLUG_H_

#include <linux/dma-fence.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <drm/gpu_scheduler.h>

struct drm_device;

/**
 * struct drm_sched_state - the part of a scheduler that its entities keep
 *
 * An entity lives as long as the file that it belongs to, a scheduler as long
 * as its driver is bound. What an entity needs after that is in here. Each
 * entity and each of its jobs has a reference, by way of
 * &drm_sched_entity_stats.state.
 *
 * Prebuilt drivers know the layout of the public structures, so this hangs off
 * the run queues, which they only ever see from outside.
 */
struct drm_sched_state {
	/** @rq: what &drm_gpu_scheduler.sched_rq points to */
	struct drm_sched_rq rq[DRM_SCHED_PRIORITY_COUNT];

	/** @kref: of the scheduler until drm_sched_fini(), and its entities */
	struct kref kref;

	/** @rcu: some look at @ended without a reference */
	struct rcu_head rcu;

	/** @ops: of the scheduler */
	const struct drm_sched_backend_ops *ops;

	/** @dev: see drm_dev_of_parent() */
	struct drm_device *dev;

	/** @lock: protects @error, @ended, @dying and @num_dying */
	spinlock_t lock;

	/** @error: of jobs that are not run any more, valid if @ended */
	int error;

	/**
	 * @ended: the scheduler takes no more jobs and may even be gone. Does
	 * not change back. Whoever saw it unset in an RCU section can rely on
	 * the scheduler until the end of that.
	 */
	bool ended;

	/** @users: tasks that need the scheduler outside of an RCU section */
	atomic_t users;

	/** @dying: jobs of killed entities that wait for other fences */
	struct list_head dying;

	/** @num_dying: these, and the ones that are being freed */
	unsigned int num_dying;

	/** @quiet: woken when @users or @num_dying drops to 0 */
	wait_queue_head_t quiet;
};

/**
 * struct drm_sched_flush - a task in drm_sched_entity_flush()
 * @state: of the scheduler
 * @dev: reference to the device, if there is one
 * @unplug: lets an unplug wake the task, if there is a @dev
 */
struct drm_sched_flush {
	struct drm_sched_state *state;
	struct drm_device *dev;
	struct wait_queue_entry unplug;
};

int drm_sched_state_init(struct drm_gpu_scheduler *sched);
void drm_sched_state_fini(struct drm_gpu_scheduler *sched);
void drm_sched_state_put(struct drm_sched_state *state);

void drm_sched_leave(struct drm_gpu_scheduler *sched);
int drm_sched_result(struct drm_gpu_scheduler *sched, int result);

int drm_sched_entity_check(struct drm_sched_entity *entity);
bool drm_sched_entity_ended(struct drm_sched_entity *entity);
void drm_sched_entity_set_rq(struct drm_sched_entity *entity, struct drm_sched_rq *rq);
bool drm_sched_push_begin(struct drm_sched_entity *entity);
void drm_sched_push_end(void);
void drm_sched_entity_wake(struct drm_sched_entity *entity);
struct drm_sched_state *drm_sched_kill_begin(struct drm_sched_entity *entity);
void drm_sched_kill_end(struct drm_sched_state *state);

bool drm_sched_flush_begin(struct drm_sched_flush *flush, struct drm_sched_entity *entity);
bool drm_sched_flush_over(struct drm_sched_flush *flush);
void drm_sched_flush_end(struct drm_sched_flush *flush);

void drm_sched_job_dying(struct drm_sched_job *job);
bool drm_sched_job_await(struct drm_sched_job *job, struct dma_fence *fence,
			 dma_fence_func_t func);
void drm_sched_job_woken(struct drm_sched_job *job);
void drm_sched_job_dead(struct drm_sched_job *job);

#endif
