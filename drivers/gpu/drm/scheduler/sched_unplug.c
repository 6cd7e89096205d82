// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <drm/drm_unplug.h>
#include <drm/gpu_scheduler.h>

#include "sched_internal.h"
#include "sched_unplug.h"

/**
 * DOC: Unplug
 *
 * When a device goes, no fence of a job may stay behind that never signals:
 * others wait for it, also on devices that are still there. drm_sched_fini()
 * sees to that if the device is gone (drm_dev_is_gone()), and so does
 * drm_sched_unplug() for drivers that keep their schedulers longer than their
 * hardware. The fences of all jobs signal with ENODEV: those that the hardware
 * was working on, those still in the queue of an entity, and those of entities
 * that were killed. So do the ones of jobs that are submitted later. Creating a
 * job fails with ENODEV.
 *
 * Entities can live longer than their scheduler. They keep what they need of it
 * (struct drm_sched_state), and no longer point to anything else.
 *
 * A fence must not signal while the hardware can still write to the memory of
 * its job. So the scheduler has to know when that is over:
 *
 * - After drm_dev_unplug() the driver is told to keep off the hardware, because
 *   it may be missing. Before it calls drm_sched_fini() or drm_sched_unplug()
 *   the driver must have stopped the hardware, if that is still there.
 * - After drm_dev_unregister() the hardware works. drm_sched_fini() gives jobs
 *   that are running the time to end, or to run into their timeout, so that
 *   &drm_sched_backend_ops.timedout_job stops them. Drivers need not do more.
 * - Jobs that have not begun to run are ended at once, after those.
 *
 * What an ended job depended on is not waited for. Fences of the same device
 * have ended by then. For those of another device that is no loss: whoever frees
 * or moves memory waits for all fences in its reservation object.
 *
 * Schedulers that are torn down while the device is there, such as those with
 * the lifetime of a queue, are none of this. If entities are left, they and
 * their jobs end as if they had been killed.
 */

/* How long jobs may run on, beyond their timeout or if they do not have one. */
#define DRM_SCHED_DRAIN		HZ
#define DRM_SCHED_DRAIN_MAX	(10 * HZ)

static struct drm_sched_state *drm_sched_state_of(struct drm_gpu_scheduler *sched)
{
	return container_of(sched->sched_rq[DRM_SCHED_PRIORITY_KERNEL],
			    struct drm_sched_state, rq[DRM_SCHED_PRIORITY_KERNEL]);
}

/**
 * drm_sched_state_init - allocate the run queues of a scheduler
 * @sched: scheduler instance, set up except for them
 *
 * Returns:
 * 0 or -ENOMEM.
 */
int drm_sched_state_init(struct drm_gpu_scheduler *sched)
{
	struct drm_sched_state *state;
	int i;

	state = kzalloc_obj(*state);
	if (!state)
		return -ENOMEM;

	kref_init(&state->kref);
	spin_lock_init(&state->lock);
	INIT_LIST_HEAD(&state->dying);
	init_waitqueue_head(&state->quiet);
	state->ops = sched->ops;
	state->dev = drm_dev_of_parent(sched->dev);

	for (i = DRM_SCHED_PRIORITY_KERNEL; i < sched->num_rqs; i++) {
		drm_sched_rq_init(sched, &state->rq[i]);
		sched->sched_rq[i] = &state->rq[i];
	}

	return 0;
}

/**
 * drm_sched_state_fini - the scheduler has no more use for its run queues
 * @sched: scheduler instance
 */
void drm_sched_state_fini(struct drm_gpu_scheduler *sched)
{
	drm_sched_state_put(drm_sched_state_of(sched));
}

static void drm_sched_state_release(struct kref *kref)
{
	struct drm_sched_state *state = container_of(kref, struct drm_sched_state, kref);

	kfree_rcu(state, rcu);
}

void drm_sched_state_put(struct drm_sched_state *state)
{
	if (state)
		kref_put(&state->kref, drm_sched_state_release);
}

static void drm_sched_state_exit(struct drm_sched_state *state)
{
	if (atomic_dec_and_test(&state->users))
		wake_up_all(&state->quiet);
	drm_sched_state_put(state);
}

/**
 * drm_sched_result - what the fence of a job signals with
 * @sched: scheduler instance
 * @result: 0 or the error that the job ended with
 *
 * A job that fails on a device that is gone has failed because of that, whatever
 * the driver says. It may know no better, as it has one way to cancel a job.
 *
 * Context: Any context.
 *
 * Returns:
 * The error to signal with, or 0.
 */
int drm_sched_result(struct drm_gpu_scheduler *sched, int result)
{
	if (result && sched->sched_rq && drm_dev_has_left(drm_sched_state_of(sched)->dev))
		return -ENODEV;

	return result;
}

/**
 * drm_sched_entity_ended - can an entity not run jobs any more
 * @entity: scheduler entity
 *
 * Context: Any context.
 *
 * Returns:
 * True if the scheduler of @entity has ended. Then it may have been freed.
 */
bool drm_sched_entity_ended(struct drm_sched_entity *entity)
{
	struct drm_sched_state *state = READ_ONCE(entity->stats->state);

	return state && READ_ONCE(state->ended);
}

/**
 * drm_sched_entity_check - can jobs be made for an entity
 * @entity: scheduler entity
 *
 * Returns:
 * 0 or an error.
 */
int drm_sched_entity_check(struct drm_sched_entity *entity)
{
	if (!entity->rq) {
		/*
		 * This will most likely be followed by missing frames or
		 * worse, so leave a trail in the logs.
		 */
		pr_err("drm_sched: entity has no rq!\n");
		return -ENOENT;
	}

	return drm_sched_entity_ended(entity) ? entity->stats->state->error : 0;
}

/**
 * drm_sched_entity_set_rq - let an entity use a run queue
 * @entity: scheduler entity
 * @rq: run queue of a scheduler that was not torn down, or NULL
 *
 * Context: &drm_sched_entity.lock is held or @entity is new.
 */
void drm_sched_entity_set_rq(struct drm_sched_entity *entity, struct drm_sched_rq *rq)
{
	struct drm_sched_state *old = entity->stats->state, *state = NULL;

	if (rq) {
		state = drm_sched_state_of(rq->sched);
		kref_get(&state->kref);
	}

	entity->rq = rq;
	WRITE_ONCE(entity->stats->state, state);
	drm_sched_state_put(old);
}

/**
 * drm_sched_push_begin - begin to push a job
 * @entity: scheduler entity
 *
 * Returns:
 * True if the scheduler takes the job, until drm_sched_push_end(). False if it
 * has ended.
 */
bool drm_sched_push_begin(struct drm_sched_entity *entity)
{
	rcu_read_lock();
	if (likely(!drm_sched_entity_ended(entity)))
		return true;
	rcu_read_unlock();

	return false;
}

void drm_sched_push_end(void)
{
	rcu_read_unlock();
}

/**
 * drm_sched_entity_wake - the next job of an entity may be able to run
 * @entity: scheduler entity
 *
 * Context: Any context.
 */
void drm_sched_entity_wake(struct drm_sched_entity *entity)
{
	guard(rcu)();

	if (likely(!drm_sched_entity_ended(entity)))
		drm_sched_wakeup(entity->rq->sched);
}

/**
 * drm_sched_kill_begin - begin to kill an entity
 * @entity: scheduler entity, with a run queue
 *
 * Context: &drm_sched_entity.lock is held.
 *
 * Returns:
 * To be given to drm_sched_kill_end() once all jobs of @entity are dying.
 */
struct drm_sched_state *drm_sched_kill_begin(struct drm_sched_entity *entity)
{
	struct drm_sched_state *state = entity->stats->state;

	kref_get(&state->kref);
	/* Those who find the entity off its list see this. */
	atomic_inc(&state->users);

	return state;
}

void drm_sched_kill_end(struct drm_sched_state *state)
{
	drm_sched_state_exit(state);
}

/**
 * drm_sched_flush_begin - begin to wait for an entity to become idle
 * @flush: to be given to drm_sched_flush_over() and drm_sched_flush_end()
 * @entity: scheduler entity, with a run queue
 *
 * Returns:
 * True if the caller may wait on the scheduler, until drm_sched_flush_end().
 * False if there is nothing to wait for.
 */
bool drm_sched_flush_begin(struct drm_sched_flush *flush, struct drm_sched_entity *entity)
{
	struct drm_sched_state *state = entity->stats->state;

	kref_get(&state->kref);
	atomic_inc(&state->users);
	/* Either this sees the end or the one who ends it sees this. */
	smp_mb__after_atomic();
	if (READ_ONCE(state->ended)) {
		drm_sched_state_exit(state);
		return false;
	}

	flush->state = state;
	flush->dev = drm_dev_get_unless_left(state->dev);
	if (flush->dev)
		drm_dev_wait_begin(flush->dev, &flush->unplug);

	return true;
}

/**
 * drm_sched_flush_over - is it no use to wait any longer
 * @flush: from drm_sched_flush_begin()
 *
 * Whether or not the hardware of a device that is gone goes on working, there
 * is nobody who would care.
 *
 * Returns:
 * True to give up.
 */
bool drm_sched_flush_over(struct drm_sched_flush *flush)
{
	return READ_ONCE(flush->state->ended) || drm_dev_has_left(flush->state->dev);
}

/**
 * drm_sched_flush_end - the wait is over
 * @flush: from drm_sched_flush_begin()
 */
void drm_sched_flush_end(struct drm_sched_flush *flush)
{
	if (flush->dev) {
		drm_dev_wait_end(flush->dev, &flush->unplug);
		drm_dev_put(flush->dev);
	}
	drm_sched_state_exit(flush->state);
}

/*
 * Jobs of entities that were killed: dying. Each waits for one fence after the
 * other before it signals its own and is freed, none of which must happen after
 * the scheduler has ended.
 *
 * &drm_sched_job.last_dependency tells whether the job waits. It is odd from
 * just before the callback is added until the callback is removed or has begun
 * to run, and only grows. As long as it is, &drm_sched_job.awaits is the fence,
 * which has a reference; then the same memory is used for the work.
 */

/**
 * drm_sched_job_dying - begin to kill a job
 * @job: armed job in no list
 */
void drm_sched_job_dying(struct drm_sched_job *job)
{
	struct drm_sched_state *state = job->entity_stats->state;

	job->last_dependency = 0;

	guard(spinlock)(&state->lock);

	list_add_tail(&job->list, &state->dying);
	state->num_dying++;
}

/**
 * drm_sched_job_await - let a dying job wait for a fence
 * @job: job
 * @fence: fence, with a reference that @func drops
 * @func: called when @fence signals, calls drm_sched_job_woken() first
 *
 * Returns:
 * True if @func is going to be called, unless the scheduler ends before. Then
 * the job must not be touched any more. False if there is nothing to wait for.
 */
bool drm_sched_job_await(struct drm_sched_job *job, struct dma_fence *fence,
			 dma_fence_func_t func)
{
	struct drm_sched_state *state = job->entity_stats->state;

	guard(spinlock)(&state->lock);

	if (state->ended)
		return false;

	job->awaits = fence;
	/* Pairs with drm_sched_job_unawait(). */
	smp_store_release(&job->last_dependency, job->last_dependency + 1);
	if (!dma_fence_add_callback(fence, &job->finish_cb, func))
		return true;

	drm_sched_job_woken(job);
	return false;
}

/**
 * drm_sched_job_woken - the fence that a dying job waited for has signalled
 * @job: job
 *
 * Context: Any context. Does nothing if the job does not wait.
 */
void drm_sched_job_woken(struct drm_sched_job *job)
{
	if (!(job->last_dependency & 1))
		return;

	WRITE_ONCE(job->last_dependency, job->last_dependency + 1);
	/*
	 * Before the fence and the callback give way to the work. Pairs with
	 * drm_sched_job_unawait().
	 */
	smp_wmb();
}

/* Take a dying job off the fence that it waits for. False if it does not. */
static bool drm_sched_job_unawait(struct drm_sched_job *job)
{
	struct dma_fence *fence;
	unsigned long flags;
	unsigned int seq;
	bool mine;

	/* Pairs with drm_sched_job_await(). */
	seq = smp_load_acquire(&job->last_dependency);
	if (!(seq & 1))
		return false;

	/* The callback drops its reference only after the number has changed. */
	scoped_guard(rcu) {
		fence = READ_ONCE(job->awaits);
		/* Was it still the fence? Pairs with drm_sched_job_woken(). */
		smp_rmb();
		if (READ_ONCE(job->last_dependency) != seq)
			return false;
		fence = dma_fence_get_rcu(fence);
	}
	if (!fence)
		return false;

	/* Callbacks run under this lock. */
	dma_fence_lock_irqsave(fence, flags);
	mine = READ_ONCE(job->last_dependency) == seq;
	if (mine) {
		list_del_init(&job->finish_cb.node);
		drm_sched_job_woken(job);
	}
	dma_fence_unlock_irqrestore(fence, flags);

	if (mine)
		dma_fence_put(fence);
	dma_fence_put(fence);

	return mine;
}

static bool drm_sched_fence_end(struct drm_sched_state *state, struct dma_fence *fence,
				int error)
{
	return error == -ENODEV ? drm_dev_fence_force(state->dev, fence) :
				  drm_dev_fence_end(fence, error);
}

/* Signal the fences of a job that was never run, and free it. */
static void drm_sched_job_bury(struct drm_sched_job *job, struct drm_sched_state *state,
			       int error)
{
	struct drm_sched_fence *s_fence = job->s_fence;

	drm_sched_fence_scheduled(s_fence, NULL);
	drm_sched_fence_end(state, &s_fence->finished, error);
	WARN_ON(s_fence->parent);
	state->ops->free_job(job);
}

static void drm_sched_job_buried(struct drm_sched_state *state)
{
	guard(spinlock)(&state->lock);

	if (!--state->num_dying)
		wake_up_all(&state->quiet);
}

/**
 * drm_sched_job_dead - end a dying job
 * @job: job that does not wait
 */
void drm_sched_job_dead(struct drm_sched_job *job)
{
	struct drm_sched_state *state = job->entity_stats->state;
	int error = -ESRCH;

	kref_get(&state->kref);

	scoped_guard(spinlock, &state->lock) {
		list_del_init(&job->list);
		if (state->ended)
			error = state->error;
		else if (drm_dev_has_left(state->dev))
			error = -ENODEV;
	}

	drm_sched_job_bury(job, state, error);
	drm_sched_job_buried(state);
	drm_sched_state_put(state);
}

static void drm_sched_end_dying(struct drm_sched_state *state)
{
	struct drm_sched_job *job, *next;
	LIST_HEAD(jobs);

	/* The others are about to end by themselves. */
	scoped_guard(spinlock, &state->lock)
		list_for_each_entry_safe(job, next, &state->dying, list)
			if (drm_sched_job_unawait(job))
				list_move_tail(&job->list, &jobs);

	list_for_each_entry_safe(job, next, &jobs, list) {
		list_del_init(&job->list);
		drm_sched_job_bury(job, state, state->error);
		drm_sched_job_buried(state);
	}
}

/* The entity is pinned and nobody but its callback uses this. */
static void drm_sched_entity_forget_dependency(struct drm_sched_entity *entity)
{
	struct dma_fence *fence;

	/* The callback drops the reference. */
	scoped_guard(rcu) {
		fence = READ_ONCE(entity->dependency);
		if (fence)
			fence = dma_fence_get_rcu(fence);
	}
	if (!fence)
		return;

	if (dma_fence_remove_callback(fence, &entity->cb)) {
		entity->dependency = NULL;
		dma_fence_put(fence);
	}
	dma_fence_put(fence);
}

static struct drm_sched_entity *drm_sched_rq_pin_entity(struct drm_sched_rq *rq)
{
	struct drm_sched_entity *entity;

	guard(spinlock)(&rq->lock);

	entity = list_first_entry_or_null(&rq->entities, struct drm_sched_entity, list);
	/* As if its job was about to be run: whoever kills it waits for that. */
	if (entity)
		reinit_completion(&entity->entity_idle);

	return entity;
}

/* Take the entities off a run queue, and their jobs off them. */
static void drm_sched_rq_detach(struct drm_sched_rq *rq, struct list_head *jobs)
{
	struct drm_sched_entity *entity;
	struct drm_sched_job *job;
	bool mine;

	while ((entity = drm_sched_rq_pin_entity(rq))) {
		scoped_guard(spinlock, &entity->lock) {
			mine = entity->rq == rq;
			if (mine) {
				entity->stopped = true;
				drm_sched_rq_remove_entity(rq, entity);
			}
		}

		if (mine) {
			drm_sched_entity_forget_dependency(entity);
			while ((job = drm_sched_entity_queue_pop(entity))) {
				job->entity = NULL;
				list_add_tail(&job->list, jobs);
			}
		}
		complete_all(&entity->entity_idle);
	}
}

static struct drm_sched_job *drm_sched_pop_pending(struct drm_gpu_scheduler *sched,
						   bool only_finished)
{
	struct drm_sched_job *job;

	guard(spinlock)(&sched->job_list_lock);

	job = list_first_entry_or_null(&sched->pending_list, struct drm_sched_job, list);
	if (!job || (only_finished && !dma_fence_is_signaled(&job->s_fence->finished)))
		return NULL;

	list_del_init(&job->list);

	return job;
}

/* End the jobs that the hardware was working on. */
static void drm_sched_end_pending(struct drm_gpu_scheduler *sched, bool gone)
{
	/* Otherwise they are not ours to end, which is said later. */
	bool all = gone || sched->ops->cancel_job;
	struct drm_device *dev = drm_sched_state_of(sched)->dev;
	struct drm_sched_job *job;

	while ((job = drm_sched_pop_pending(sched, !all))) {
		struct drm_sched_fence *s_fence = job->s_fence;

		if (gone) {
			if (s_fence->parent)
				dma_fence_remove_callback(s_fence->parent, &job->cb);
			if (drm_dev_fence_force(dev, &s_fence->finished)) {
				atomic_sub(job->credits, &sched->credit_count);
				atomic_dec(sched->score);
			}
		}

		if (sched->ops->cancel_job)
			sched->ops->cancel_job(job);
		sched->ops->free_job(job);
	}
}

static void drm_sched_end_queues(struct drm_gpu_scheduler *sched, int error)
{
	struct drm_sched_job *job, *next;
	LIST_HEAD(jobs);
	int i;

	sched->ready = false;
	WRITE_ONCE(sched->pause_submit, true);
	wake_up_all(&sched->job_scheduled);

	/* Some may not have seen it, and be about to queue a job or work. */
	synchronize_rcu();

	/* For good: a timeout handler restarts the scheduler when it is done. */
	disable_work_sync(&sched->work_run_job);
	disable_work_sync(&sched->work_free_job);
	disable_delayed_work_sync(&sched->work_tdr);

	for (i = DRM_SCHED_PRIORITY_KERNEL; i < sched->num_rqs; i++)
		drm_sched_rq_detach(sched->sched_rq[i], &jobs);

	/* Fences of one entity have to signal in their order. */
	drm_sched_end_pending(sched, error == -ENODEV);

	list_for_each_entry_safe(job, next, &jobs, list) {
		list_del_init(&job->list);
		atomic_dec(sched->score);
		drm_sched_job_bury(job, drm_sched_state_of(sched), error);
	}
}

static bool drm_sched_set_ended(struct drm_sched_state *state, int error)
{
	guard(spinlock)(&state->lock);

	if (state->ended)
		return false;

	state->error = error;
	WRITE_ONCE(state->ended, true);

	return true;
}

static void drm_sched_end(struct drm_gpu_scheduler *sched, int error)
{
	struct drm_sched_state *state = drm_sched_state_of(sched);

	if (drm_sched_set_ended(state, error))
		drm_sched_end_queues(sched, error);

	drm_sched_end_dying(state);

	/* Nothing of the scheduler is used after that. */
	wait_event(state->quiet, !atomic_read(&state->users) &&
		   !READ_ONCE(state->num_dying));
}

/**
 * drm_sched_pause - give the hardware no more jobs
 * @sched: scheduler instance
 *
 * For a driver that lets what runs come to an end before it stops the hardware
 * and calls drm_sched_unplug(). One more job may be on its way, for which see
 * drm_sched_halt().
 *
 * Context: Any context.
 */
void drm_sched_pause(struct drm_gpu_scheduler *sched)
{
	WRITE_ONCE(sched->pause_submit, true);
}
EXPORT_SYMBOL(drm_sched_pause);

/**
 * drm_sched_halt - give the hardware no more jobs, nor the one on its way
 * @sched: scheduler instance
 *
 * For good: nothing starts the scheduler again. What has been given to the
 * hardware by then can be waited for.
 *
 * Context: Process context, sleeps. Waits for &drm_sched_backend_ops.run_job, so
 * call drm_sched_pause() first and make sure that the hardware has room for jobs.
 */
void drm_sched_halt(struct drm_gpu_scheduler *sched)
{
	if (!sched->sched_rq)
		return;

	drm_sched_pause(sched);
	disable_work_sync(&sched->work_run_job);
}
EXPORT_SYMBOL(drm_sched_halt);

/**
 * drm_sched_unplug - end all jobs of a scheduler, its hardware is gone
 * @sched: scheduler instance
 *
 * For drivers whose device goes, and which do not call drm_sched_fini() when it
 * does but, for instance, when it is freed. Call it in the remove callback once
 * the hardware is stopped or known to be missing. All fences of jobs signal with
 * ENODEV, and all jobs are freed.
 *
 * drm_sched_fini() still has to be called. Nothing happens if this is repeated.
 *
 * Context: Process context, sleeps. Calls &drm_sched_backend_ops.free_job, so it
 * must not be called with a lock held that this takes, nor from one of the
 * callbacks of @sched. If a job has a reference to what @sched is a part of, the
 * caller needs one, too.
 */
void drm_sched_unplug(struct drm_gpu_scheduler *sched)
{
	if (sched->sched_rq)
		drm_sched_end(sched, -ENODEV);
}
EXPORT_SYMBOL(drm_sched_unplug);

static struct dma_fence *drm_sched_unfinished(struct drm_gpu_scheduler *sched)
{
	struct drm_sched_job *job;

	guard(spinlock)(&sched->job_list_lock);

	list_for_each_entry(job, &sched->pending_list, list)
		if (!dma_fence_is_signaled(&job->s_fence->finished))
			return dma_fence_get(&job->s_fence->finished);

	return NULL;
}

/* Let the jobs end that are running, in one way or another. Start no more. */
static void drm_sched_drain(struct drm_gpu_scheduler *sched)
{
	unsigned long end;
	struct dma_fence *fence;
	long left;

	drm_sched_halt(sched);

	end = jiffies + min_t(long, sched->timeout, DRM_SCHED_DRAIN_MAX) + DRM_SCHED_DRAIN;
	while ((fence = drm_sched_unfinished(sched))) {
		left = end - jiffies;
		if (left > 0)
			left = dma_fence_wait_timeout(fence, false, left);
		dma_fence_put(fence);
		if (left <= 0) {
			dev_warn(sched->dev, "%s: ending jobs that do not end by themselves\n",
				 sched->name);
			return;
		}
	}
}

static bool drm_sched_is_deserted(struct drm_gpu_scheduler *sched)
{
	struct drm_sched_state *state = drm_sched_state_of(sched);
	int i;

	for (i = DRM_SCHED_PRIORITY_KERNEL; i < sched->num_rqs; i++) {
		guard(spinlock)(&state->rq[i].lock);
		if (!list_empty(&state->rq[i].entities))
			return false;
	}

	guard(spinlock)(&state->lock);

	return !atomic_read(&state->users) && !state->num_dying;
}

/**
 * drm_sched_leave - part with entities, and with jobs if the device is gone
 * @sched: scheduler instance that is being torn down
 *
 * Context: Process context, sleeps.
 */
void drm_sched_leave(struct drm_gpu_scheduler *sched)
{
	struct drm_sched_state *state = drm_sched_state_of(sched);
	struct drm_device *dev;

	if (drm_dev_has_left(state->dev)) {
		dev = drm_dev_get_unless_left(state->dev);
		if (dev && !drm_dev_is_unplugged(dev) && !READ_ONCE(state->ended))
			drm_sched_drain(sched);
		drm_sched_end(sched, -ENODEV);
		if (dev)
			drm_dev_put(dev);
	} else if (!drm_sched_is_deserted(sched)) {
		drm_sched_end(sched, -ESRCH);
	} else {
		/* Entities that have never had a job do not know yet. */
		drm_sched_set_ended(state, -ESRCH);
	}
}
