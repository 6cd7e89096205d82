// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What becomes of jobs and entities when the device goes. The identifiers in
 * the comments name the property proved: F is for fences, T for teardown.
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_unplug.h>

#include <kunit/device.h>
#include <kunit/test-bug.h>

#include "sched_tests.h"

/* How long a thing may take that has to happen. Nothing succeeds by waiting. */
#define UNPLUG_TIMEOUT	(10 * HZ)

/* How long to look at a thing that must not happen. */
#define UNPLUG_GRACE	msecs_to_jiffies(30)

/**
 * struct unplug_ctx - a device with one mock scheduler
 * @drm: the device
 * @sched: the scheduler, whose jobs never end unless they have a duration
 * @ops: of the scheduler
 * @run_job: run_job() of the mock scheduler
 * @timedout_job: timedout_job() of the mock scheduler
 * @fini: @sched was torn down
 * @freed: how many jobs were
 * @slow: that takes some time in a worker
 * @timedout: completed by unplug_timedout_job()
 */
struct unplug_ctx {
	struct drm_device *drm;
	struct drm_mock_scheduler *sched;
	struct drm_sched_backend_ops ops;
	bool fini;
	atomic_t freed;
	bool slow;
	struct completion timedout;
};

DEFINE_DRM_GEM_FOPS(unplug_fops);

static const struct drm_driver unplug_driver = {
	.fops = &unplug_fops,
	.name = "sched-unplug",
	.desc = "mock device for unplug tests of the scheduler",
};

static struct unplug_ctx *unplug_ctx(void)
{
	return kunit_get_current_test()->priv;
}

/* The callbacks run in threads that do not belong to a test. */
static struct unplug_ctx *unplug_ctx_of(struct drm_mock_sched_job *job)
{
	return job->test->priv;
}

/* Unlike that of the mock scheduler it takes jobs that have never run. */
static void unplug_free_job(struct drm_sched_job *sched_job)
{
	struct drm_mock_sched_job *job = drm_sched_job_to_mock_job(sched_job);
	struct unplug_ctx *ctx = unplug_ctx_of(job);

	if (ctx->slow && (current->flags & PF_WQ_WORKER))
		schedule_timeout_uninterruptible(UNPLUG_GRACE);
	if (kref_read(&job->hw_fence.refcount))
		dma_fence_put(&job->hw_fence);
	drm_sched_job_cleanup(sched_job);
	/* To be caught if it is used again. */
	memset(&job->base, 0x6b, sizeof(job->base));
	atomic_inc(&ctx->freed);
}

/* A driver that finds its hardware missing. */
static enum drm_gpu_sched_stat unplug_timedout_job(struct drm_sched_job *sched_job)
{
	complete(&unplug_ctx_of(drm_sched_job_to_mock_job(sched_job))->timedout);
	return DRM_GPU_SCHED_STAT_ENODEV;
}

static void unplug_sched_init(struct kunit *test, u32 credits, long timeout,
			      enum drm_gpu_sched_stat (*timedout)(struct drm_sched_job *))
{
	struct unplug_ctx *ctx = test->priv;
	struct drm_sched_init_args args = {
		.ops = &ctx->ops,
		.num_rqs = DRM_SCHED_PRIORITY_COUNT,
		.credit_limit = credits,
		.timeout = timeout,
		.name = "unplug",
		.dev = ctx->drm->dev,
	};

	ctx->sched = drm_mock_sched_new(test, timeout);
	ctx->ops = *ctx->sched->base.ops;
	/* No real driver has it. */
	ctx->ops.cancel_job = NULL;
	ctx->ops.free_job = unplug_free_job;
	if (timedout)
		ctx->ops.timedout_job = timedout;

	drm_sched_fini(&ctx->sched->base);
	KUNIT_ASSERT_EQ(test, drm_sched_init(&ctx->sched->base, &args), 0);
	ctx->fini = false;
}

static void unplug_sched_fini(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;

	drm_sched_fini(&ctx->sched->base);
	/* A driver frees it now. */
	memset(&ctx->sched->base, 0x6b, sizeof(ctx->sched->base));
	ctx->fini = true;
}

static int unplug_init(struct kunit *test)
{
	struct unplug_ctx *ctx;
	struct device *parent;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;
	init_completion(&ctx->timedout);

	parent = kunit_device_register(test, "sched-unplug");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, parent);
	ctx->drm = drm_dev_alloc(&unplug_driver, parent);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->drm);
	KUNIT_ASSERT_EQ(test, drm_dev_register(ctx->drm, 0), 0);

	unplug_sched_init(test, U32_MAX, MAX_SCHEDULE_TIMEOUT, NULL);

	return 0;
}

static void unplug_exit(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;

	if (!ctx || !ctx->drm)
		return;
	drm_dev_unplug(ctx->drm);
	if (ctx->sched && !ctx->fini)
		unplug_sched_fini(test);
	drm_dev_put(ctx->drm);
}

static struct drm_mock_sched_entity *unplug_entity(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;

	return drm_mock_sched_entity_new(test, DRM_SCHED_PRIORITY_NORMAL, ctx->sched);
}

/* A fence of another device. */
static const char *unplug_fence_name(struct dma_fence *fence)
{
	return "foreign";
}

static const struct dma_fence_ops unplug_fence_ops = {
	.get_driver_name = unplug_fence_name,
	.get_timeline_name = unplug_fence_name,
};

static struct dma_fence *unplug_foreign_fence(struct kunit *test)
{
	struct dma_fence *fence = kzalloc_obj(*fence);

	KUNIT_ASSERT_NOT_NULL(test, fence);
	dma_fence_init(fence, &unplug_fence_ops, NULL, dma_fence_context_alloc(1), 1);

	return fence;
}

/**
 * struct unplug_job - a job that was submitted
 * @job: the job, not to be touched any more
 * @fence: its fence
 */
struct unplug_job {
	struct drm_mock_sched_job *job;
	struct dma_fence *fence;
};

static struct unplug_job unplug_submit(struct kunit *test,
				       struct drm_mock_sched_entity *entity,
				       struct dma_fence *dependency,
				       unsigned int duration_us)
{
	struct drm_mock_sched_job *job = drm_mock_sched_job_new(test, entity);
	struct unplug_job ret = { .job = job };

	drm_mock_sched_job_set_duration_us(job, duration_us);
	if (dependency)
		KUNIT_ASSERT_EQ(test, drm_sched_job_add_dependency(&job->base,
								   dma_fence_get(dependency)),
				0);
	drm_sched_job_arm(&job->base);
	ret.fence = dma_fence_get(&job->base.s_fence->finished);
	drm_sched_entity_push_job(&job->base);

	return ret;
}

static void unplug_wait_running(struct kunit *test, struct unplug_job *job)
{
	KUNIT_ASSERT_TRUE(test, drm_mock_sched_job_wait_scheduled(job->job, UNPLUG_TIMEOUT));
}

static void unplug_expect(struct kunit *test, struct unplug_job *job, int error)
{
	KUNIT_EXPECT_GT(test, dma_fence_wait_timeout(job->fence, false, UNPLUG_TIMEOUT), 0);
	KUNIT_EXPECT_EQ(test, job->fence->error, error);
}

static void unplug_expect_freed(struct kunit *test, int jobs)
{
	struct unplug_ctx *ctx = test->priv;
	unsigned long end = jiffies + UNPLUG_TIMEOUT;

	while (atomic_read(&ctx->freed) < jobs && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->freed), jobs);
}

/* Ways for the jobs to learn that the device is gone */

static void unplug_by_fini(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;

	drm_dev_unplug(ctx->drm);
	unplug_sched_fini(test);
}

static void unplug_by_call(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;

	drm_dev_unplug(ctx->drm);
	drm_sched_unplug(&ctx->sched->base);
}

struct unplug_way {
	const char *name;
	void (*unplug)(struct kunit *test);
};

static const struct unplug_way unplug_ways[] = {
	{ "drm_sched_fini", unplug_by_fini },
	{ "drm_sched_unplug", unplug_by_call },
};

KUNIT_ARRAY_PARAM_DESC(unplug_way, unplug_ways, name);

static void unplug_now(struct kunit *test)
{
	const struct unplug_way *way = test->param_value;

	way->unplug(test);
}

/*
 * F1: jobs that run, jobs that wait for another one to run and jobs that wait
 * for another device, without cancel_job. They end in their order.
 */
static void unplug_jobs(struct kunit *test)
{
	struct drm_mock_sched_entity *entity[2];
	struct unplug_job job[6];
	struct dma_fence *foreign = unplug_foreign_fence(test);
	int i;

	drm_sched_fini(&unplug_ctx()->sched->base);
	unplug_sched_init(test, 2, MAX_SCHEDULE_TIMEOUT, NULL);
	entity[0] = unplug_entity(test);
	entity[1] = unplug_entity(test);

	/* Two run, there is no room for more. The last two have to wait anyway. */
	job[0] = unplug_submit(test, entity[0], NULL, 0);
	job[1] = unplug_submit(test, entity[1], NULL, 0);
	unplug_wait_running(test, &job[0]);
	unplug_wait_running(test, &job[1]);
	job[2] = unplug_submit(test, entity[0], NULL, 0);
	job[3] = unplug_submit(test, entity[0], job[1].fence, 0);
	job[4] = unplug_submit(test, entity[1], foreign, 0);
	job[5] = unplug_submit(test, entity[1], NULL, 0);

	unplug_now(test);

	for (i = 0; i < ARRAY_SIZE(job); i++) {
		KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(job[i].fence));
		unplug_expect(test, &job[i], -ENODEV);
	}
	unplug_expect_freed(test, ARRAY_SIZE(job));
	KUNIT_EXPECT_LE(test, job[0].fence->timestamp, job[2].fence->timestamp);
	KUNIT_EXPECT_LE(test, job[2].fence->timestamp, job[3].fence->timestamp);
	KUNIT_EXPECT_LE(test, job[1].fence->timestamp, job[4].fence->timestamp);
	KUNIT_EXPECT_LE(test, job[4].fence->timestamp, job[5].fence->timestamp);

	/* The entity does not listen any more. */
	dma_fence_signal(foreign);
	dma_fence_put(foreign);
	for (i = 0; i < ARRAY_SIZE(job); i++)
		dma_fence_put(job[i].fence);
	drm_mock_sched_entity_free(entity[0]);
	drm_mock_sched_entity_free(entity[1]);
}

/* F1: the error that a driver has for a job that it cancels is not the reason. */
static void unplug_driver_error(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct drm_mock_sched_entity *entity = unplug_entity(test);
	struct unplug_job job;

	job = unplug_submit(test, entity, NULL, 0);
	unplug_wait_running(test, &job);

	drm_dev_unplug(ctx->drm);
	scoped_guard(spinlock_irq, &ctx->sched->lock) {
		dma_fence_set_error(&job.job->hw_fence, -ECANCELED);
		list_del(&job.job->link);
		dma_fence_signal_locked(&job.job->hw_fence);
	}
	unplug_expect(test, &job, -ENODEV);

	dma_fence_put(job.fence);
	drm_mock_sched_entity_free(entity);
	unplug_sched_fini(test);
}

/* F1: a timeout handler that gives up does not lose the job. */
static void unplug_timeout(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct drm_mock_sched_entity *entity;
	struct unplug_job job;

	drm_sched_fini(&ctx->sched->base);
	unplug_sched_init(test, U32_MAX, 1, unplug_timedout_job);
	entity = unplug_entity(test);

	job = unplug_submit(test, entity, NULL, 0);
	unplug_wait_running(test, &job);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&ctx->timedout, UNPLUG_TIMEOUT), 0);
	flush_delayed_work(&ctx->sched->base.work_tdr);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(job.fence));

	unplug_now(test);
	unplug_expect(test, &job, -ENODEV);
	unplug_expect_freed(test, 1);

	dma_fence_put(job.fence);
	drm_mock_sched_entity_free(entity);
}

/* F2: no new jobs, and one that was made before is not left behind. */
static void unplug_late_job(struct kunit *test)
{
	struct drm_mock_sched_entity *entity = unplug_entity(test);
	struct drm_mock_sched_job *made, *armed, *late;
	struct dma_fence *fence[2];

	made = drm_mock_sched_job_new(test, entity);
	armed = drm_mock_sched_job_new(test, entity);
	drm_sched_job_arm(&armed->base);
	fence[0] = dma_fence_get(&armed->base.s_fence->finished);

	drm_dev_unplug(unplug_ctx()->drm);
	drm_sched_unplug(&unplug_ctx()->sched->base);

	drm_sched_entity_push_job(&armed->base);
	drm_sched_job_arm(&made->base);
	fence[1] = dma_fence_get(&made->base.s_fence->finished);
	drm_sched_entity_push_job(&made->base);

	late = kunit_kzalloc(test, sizeof(*late), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, late);
	KUNIT_EXPECT_EQ(test, drm_sched_job_init(&late->base, &entity->base, 1, NULL, 1),
			-ENODEV);

	for (int i = 0; i < ARRAY_SIZE(fence); i++) {
		KUNIT_EXPECT_GT(test, dma_fence_wait_timeout(fence[i], false,
							     UNPLUG_TIMEOUT), 0);
		KUNIT_EXPECT_EQ(test, fence[i]->error, -ENODEV);
		dma_fence_put(fence[i]);
	}

	/* Waits until they are freed, too. */
	unplug_sched_fini(test);
	KUNIT_EXPECT_EQ(test, atomic_read(&unplug_ctx()->freed), 2);
	drm_mock_sched_entity_free(entity);
}

/* F1, T1: jobs of a killed entity that wait for another device, or their kin. */
static void unplug_killed(struct kunit *test)
{
	struct drm_mock_sched_entity *entity[2] = { unplug_entity(test), unplug_entity(test) };
	struct dma_fence *foreign[2] = { unplug_foreign_fence(test), unplug_foreign_fence(test) };
	unsigned long end = jiffies + UNPLUG_TIMEOUT;
	struct unplug_job job[5];
	int i;

	job[0] = unplug_submit(test, entity[0], NULL, 0);
	unplug_wait_running(test, &job[0]);
	job[1] = unplug_submit(test, entity[0], foreign[0], 0);
	job[2] = unplug_submit(test, entity[0], NULL, 0);
	job[3] = unplug_submit(test, entity[1], foreign[1], 0);
	job[4] = unplug_submit(test, entity[1], NULL, 0);
	drm_sched_entity_fini(&entity[0]->base);
	drm_sched_entity_fini(&entity[1]->base);

	/* One waits for a job that runs, the other for the other device by now. */
	while (list_empty(&foreign[1]->cb_list) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(job[1].fence));
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(job[3].fence));

	unplug_ctx()->slow = true;
	unplug_now(test);

	KUNIT_EXPECT_EQ(test, atomic_read(&unplug_ctx()->freed), ARRAY_SIZE(job));
	for (i = 0; i < ARRAY_SIZE(job); i++) {
		KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(job[i].fence));
		unplug_expect(test, &job[i], -ENODEV);
		dma_fence_put(job[i].fence);
	}

	for (i = 0; i < ARRAY_SIZE(foreign); i++) {
		dma_fence_signal(foreign[i]);
		dma_fence_put(foreign[i]);
	}
}

/* The same, while the other device signals. */
static void unplug_killed_race(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	int i, round;

	for (round = 0; round < 50; round++) {
		struct drm_mock_sched_entity *entity;
		struct dma_fence *foreign[4];
		struct unplug_job job[ARRAY_SIZE(foreign)];

		drm_sched_fini(&ctx->sched->base);
		unplug_sched_init(test, U32_MAX, MAX_SCHEDULE_TIMEOUT, NULL);
		atomic_set(&ctx->freed, 0);
		entity = unplug_entity(test);

		for (i = 0; i < ARRAY_SIZE(foreign); i++) {
			foreign[i] = unplug_foreign_fence(test);
			job[i] = unplug_submit(test, entity, foreign[i], 0);
		}
		drm_sched_entity_fini(&entity->base);
		for (i = 0; i < ARRAY_SIZE(foreign) / 2; i++)
			dma_fence_signal(foreign[i]);
		if (round & 1)
			udelay(round);

		drm_sched_unplug(&ctx->sched->base);

		KUNIT_EXPECT_EQ(test, atomic_read(&ctx->freed), ARRAY_SIZE(job));
		for (i = 0; i < ARRAY_SIZE(foreign); i++) {
			KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(job[i].fence));
			dma_fence_put(job[i].fence);
			dma_fence_signal(foreign[i]);
			dma_fence_put(foreign[i]);
		}
	}
}

/* F2: against a client that does not stop. */
struct unplug_pusher {
	struct kunit *test;
	struct drm_mock_sched_entity *entity;
	struct drm_mock_sched_job *job;
	struct dma_fence *fence[2000];
	struct completion started;
	int num;
	int error;
};

static enum hrtimer_restart unplug_no_timer(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

static int unplug_push(void *data)
{
	struct unplug_pusher *pusher = data;

	for (int i = 0; i < ARRAY_SIZE(pusher->fence); i++) {
		struct drm_mock_sched_job *job = &pusher->job[i];

		pusher->error = drm_sched_job_init(&job->base, &pusher->entity->base,
						   1, NULL, 1);
		if (pusher->error)
			break;
		job->test = pusher->test;
		init_completion(&job->done);
		INIT_LIST_HEAD(&job->link);
		hrtimer_setup(&job->timer, unplug_no_timer, CLOCK_MONOTONIC,
			      HRTIMER_MODE_ABS);
		drm_sched_job_arm(&job->base);
		pusher->fence[pusher->num++] = dma_fence_get(&job->base.s_fence->finished);
		drm_sched_entity_push_job(&job->base);
		if (i == 10)
			complete(&pusher->started);
	}
	complete(&pusher->started);
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);

	return 0;
}

static void unplug_push_race(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct unplug_pusher *pusher;
	struct task_struct *task;

	pusher = kunit_kzalloc(test, sizeof(*pusher), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pusher);
	pusher->test = test;
	pusher->job = kvcalloc(ARRAY_SIZE(pusher->fence), sizeof(*pusher->job), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pusher->job);
	init_completion(&pusher->started);
	drm_sched_fini(&ctx->sched->base);
	unplug_sched_init(test, 5, MAX_SCHEDULE_TIMEOUT, NULL);
	pusher->entity = unplug_entity(test);
	task = kthread_run(unplug_push, pusher, "unplug-push");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);

	wait_for_completion(&pusher->started);
	drm_dev_unplug(ctx->drm);
	drm_sched_unplug(&ctx->sched->base);
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, pusher->error, pusher->num < ARRAY_SIZE(pusher->fence) ?
			-ENODEV : 0);

	unplug_sched_fini(test);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->freed), pusher->num);
	for (int i = 0; i < pusher->num; i++) {
		KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(pusher->fence[i]));
		KUNIT_EXPECT_EQ(test, pusher->fence[i]->error, -ENODEV);
		dma_fence_put(pusher->fence[i]);
	}
	drm_mock_sched_entity_free(pusher->entity);
	/* The fences of the mock hardware are in there. */
	synchronize_rcu();
	kvfree(pusher->job);
}

/* T3: entities that are closed after the scheduler is gone. */
enum unplug_past { PAST_NONE, PAST_FINISHED, PAST_RUNNING, PAST_QUEUED };

struct unplug_life {
	const char *name;
	enum unplug_past past;
};

static const struct unplug_life unplug_lives[] = {
	{ "no job", PAST_NONE },
	{ "a job that has finished", PAST_FINISHED },
	{ "a job that runs", PAST_RUNNING },
	{ "a job in the queue", PAST_QUEUED },
};

KUNIT_ARRAY_PARAM_DESC(unplug_life, unplug_lives, name);

static void unplug_outlive(struct kunit *test, bool gone)
{
	const struct unplug_life *life = test->param_value;
	struct drm_mock_sched_entity *entity = unplug_entity(test);
	struct dma_fence *foreign = unplug_foreign_fence(test);
	struct unplug_job job = {};

	if (life->past != PAST_NONE) {
		job = unplug_submit(test, entity, life->past == PAST_QUEUED ? foreign : NULL,
				    life->past == PAST_FINISHED ? 1 : 0);
		if (life->past != PAST_QUEUED)
			unplug_wait_running(test, &job);
		if (life->past == PAST_FINISHED)
			unplug_expect(test, &job, 0);
	}

	if (gone)
		drm_dev_unplug(unplug_ctx()->drm);
	else if (life->past == PAST_RUNNING)
		drm_mock_sched_advance(unplug_ctx()->sched, 1);
	unplug_sched_fini(test);

	/* Of another device, so it knows nothing of this. */
	dma_fence_signal(foreign);
	dma_fence_put(foreign);

	if (life->past == PAST_QUEUED)
		unplug_expect(test, &job, gone ? -ENODEV : -ESRCH);
	if (life->past == PAST_RUNNING)
		unplug_expect(test, &job, gone ? -ENODEV : 0);
	dma_fence_put(job.fence);

	drm_mock_sched_entity_free(entity);
}

static void unplug_outlive_gone(struct kunit *test)
{
	unplug_outlive(test, true);
}

static void unplug_outlive_there(struct kunit *test)
{
	unplug_outlive(test, false);
}

/* A scheduler that is torn down at run time: the driver's error, not ours. */
static void unplug_not_gone(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct drm_mock_sched_entity *entity;
	struct dma_fence *foreign = unplug_foreign_fence(test);
	struct drm_mock_scheduler *mock;
	struct unplug_job job[2];

	mock = drm_mock_sched_new(test, MAX_SCHEDULE_TIMEOUT);
	ctx->ops.cancel_job = mock->base.ops->cancel_job;
	drm_mock_sched_fini(mock);

	entity = unplug_entity(test);
	job[0] = unplug_submit(test, entity, NULL, 0);
	unplug_wait_running(test, &job[0]);
	job[1] = unplug_submit(test, entity, foreign, 0);

	unplug_sched_fini(test);
	unplug_expect(test, &job[0], -ECANCELED);
	unplug_expect(test, &job[1], -ESRCH);
	unplug_expect_freed(test, 2);

	for (int i = 0; i < ARRAY_SIZE(job); i++)
		dma_fence_put(job[i].fence);
	dma_fence_signal(foreign);
	dma_fence_put(foreign);
	drm_mock_sched_entity_free(entity);
}

/* T1: close() does not wait for jobs that nobody is going to run. */
struct unplug_flusher {
	struct drm_mock_sched_entity *entity;
	struct completion done;
};

static int unplug_flush(void *data)
{
	struct unplug_flusher *flusher = data;

	drm_sched_entity_flush(&flusher->entity->base, MAX_SCHEDULE_TIMEOUT);
	complete(&flusher->done);

	return 0;
}

static void unplug_flush_wakes(struct kunit *test, void (*unplug)(struct kunit *test))
{
	struct dma_fence *foreign = unplug_foreign_fence(test);
	struct unplug_flusher flusher = {
		.entity = unplug_entity(test),
		.done = COMPLETION_INITIALIZER_ONSTACK(flusher.done),
	};
	struct unplug_job job;
	struct task_struct *task;

	job = unplug_submit(test, flusher.entity, foreign, 0);
	task = kthread_create(unplug_flush, &flusher, "unplug-flush");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	wake_up_process(task);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&flusher.done, UNPLUG_GRACE), 0);

	unplug(test);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&flusher.done, UNPLUG_TIMEOUT), 0);

	/* Whatever has come of that: the rest must not wait for ever. */
	dma_fence_signal(foreign);
	dma_fence_put(foreign);
	kthread_stop(task);
	put_task_struct(task);
	dma_fence_put(job.fence);
	drm_sched_entity_fini(&flusher.entity->base);
}

static void unplug_only_drm(struct kunit *test)
{
	drm_dev_unplug(unplug_ctx()->drm);
}

static void unplug_only_sched(struct kunit *test)
{
	drm_sched_unplug(&unplug_ctx()->sched->base);
}

static void unplug_flush_gone(struct kunit *test)
{
	unplug_flush_wakes(test, unplug_only_drm);
}

static void unplug_flush_ended(struct kunit *test)
{
	unplug_flush_wakes(test, unplug_only_sched);
}

/* And a task that begins to flush after that does not wait at all. */
static void unplug_flush_late(struct kunit *test)
{
	struct drm_mock_sched_entity *entity = unplug_entity(test);
	struct dma_fence *foreign = unplug_foreign_fence(test);
	struct unplug_job job;

	job = unplug_submit(test, entity, foreign, 0);
	drm_dev_unplug(unplug_ctx()->drm);
	drm_sched_entity_destroy(&entity->base);
	unplug_sched_fini(test);
	unplug_expect(test, &job, -ENODEV);

	dma_fence_put(job.fence);
	dma_fence_signal(foreign);
	dma_fence_put(foreign);
}

/*
 * F3: hardware that can still write gets the time to end what it does, or is
 * stopped by the timeout handler. No job is begun after that.
 */
struct unplug_remover {
	struct kunit *test;
	struct completion done;
};

static int unplug_remove(void *data)
{
	struct unplug_remover *remover = data;

	unplug_sched_fini(remover->test);
	complete(&remover->done);

	return 0;
}

static void unplug_orderly(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct unplug_remover remover = {
		.test = test,
		.done = COMPLETION_INITIALIZER_ONSTACK(remover.done),
	};
	struct drm_mock_sched_entity *entity;
	struct task_struct *task;
	struct unplug_job job[2];

	drm_sched_fini(&ctx->sched->base);
	unplug_sched_init(test, 1, MAX_SCHEDULE_TIMEOUT, NULL);
	entity = unplug_entity(test);
	job[0] = unplug_submit(test, entity, NULL, 0);
	unplug_wait_running(test, &job[0]);
	job[1] = unplug_submit(test, entity, NULL, 0);

	drm_dev_unregister(ctx->drm);
	task = kthread_create(unplug_remove, &remover, "unplug-remove");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	wake_up_process(task);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&remover.done, UNPLUG_GRACE), 0);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(job[0].fence));
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(job[1].fence));

	/* The hardware is done with the first one, and is not given the second. */
	drm_mock_sched_advance(ctx->sched, 1);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&remover.done, 2 * UNPLUG_TIMEOUT), 0);
	kthread_stop(task);
	put_task_struct(task);

	unplug_expect(test, &job[0], 0);
	unplug_expect(test, &job[1], -ENODEV);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->sched->hw_timeline.next_seqno), 1);
	unplug_expect_freed(test, 2);

	dma_fence_put(job[0].fence);
	dma_fence_put(job[1].fence);
	drm_mock_sched_entity_free(entity);
}

static void unplug_orderly_hang(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct drm_mock_sched_entity *entity;
	struct unplug_job job;

	drm_sched_fini(&ctx->sched->base);
	unplug_sched_init(test, U32_MAX, 5 * HZ, NULL);
	entity = unplug_entity(test);
	job = unplug_submit(test, entity, NULL, 0);
	unplug_wait_running(test, &job);
	drm_sched_suspend_timeout(&ctx->sched->base);

	drm_dev_unregister(ctx->drm);
	drm_sched_resume_timeout(&ctx->sched->base, HZ / 10);
	unplug_sched_fini(test);

	KUNIT_EXPECT_TRUE(test, job.job->flags & DRM_MOCK_SCHED_JOB_TIMEDOUT);
	unplug_expect(test, &job, -ENODEV);

	dma_fence_put(job.fence);
	drm_mock_sched_entity_free(entity);
}

/* F3: a job whose work is queued already does not get to the hardware. */
struct unplug_blocker {
	struct work_struct work;
	struct completion done;
};

static void unplug_block(struct work_struct *work)
{
	wait_for_completion(&container_of(work, struct unplug_blocker, work)->done);
}

static void unplug_halt(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct drm_gpu_scheduler *sched = &ctx->sched->base, never = {};
	struct drm_mock_sched_entity *entity = unplug_entity(test);
	struct unplug_blocker blocker = {
		.done = COMPLETION_INITIALIZER_ONSTACK(blocker.done),
	};
	struct unplug_job job;

	INIT_WORK_ONSTACK(&blocker.work, unplug_block);
	queue_work(sched->submit_wq, &blocker.work);
	job = unplug_submit(test, entity, NULL, 0);
	KUNIT_ASSERT_TRUE(test, work_pending(&sched->work_run_job));

	drm_sched_halt(&never);
	drm_sched_halt(sched);
	complete(&blocker.done);
	/* As a timeout handler does when it is through. */
	drm_sched_wqueue_start(sched);
	flush_workqueue(sched->submit_wq);
	destroy_work_on_stack(&blocker.work);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->sched->hw_timeline.next_seqno), 0);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(job.fence));

	drm_dev_unplug(ctx->drm);
	drm_sched_unplug(sched);
	unplug_expect(test, &job, -ENODEV);
	unplug_sched_fini(test);
	unplug_expect_freed(test, 1);

	dma_fence_put(job.fence);
	drm_mock_sched_entity_free(entity);
}

/* F2: a job finds no scheduler to run it, as all are just being ended. */
static void unplug_none_ready(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct drm_mock_scheduler *other = drm_mock_sched_new(test, MAX_SCHEDULE_TIMEOUT);
	struct drm_gpu_scheduler *list[] = { &ctx->sched->base, &other->base };
	struct drm_mock_sched_entity *entity;
	struct unplug_job job;

	entity = kunit_kzalloc(test, sizeof(*entity), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, entity);
	entity->test = test;
	KUNIT_ASSERT_EQ(test, drm_sched_entity_init(&entity->base, DRM_SCHED_PRIORITY_NORMAL,
						    list, ARRAY_SIZE(list), NULL), 0);

	list[0]->ready = false;
	list[1]->ready = false;
	job = unplug_submit(test, entity, NULL, 0);
	unplug_wait_running(test, &job);

	unplug_by_call(test);
	unplug_expect(test, &job, -ENODEV);

	dma_fence_put(job.fence);
	drm_mock_sched_entity_free(entity);
	drm_mock_sched_fini(other);
}

/* It may be called more than once, and for a scheduler that was never used. */
static void unplug_twice(struct kunit *test)
{
	struct unplug_ctx *ctx = test->priv;
	struct drm_gpu_scheduler never = {};

	drm_sched_unplug(&never);
	drm_sched_unplug(&ctx->sched->base);
	drm_sched_unplug(&ctx->sched->base);
	drm_dev_unplug(ctx->drm);
	drm_sched_unplug(&ctx->sched->base);
	unplug_sched_fini(test);
}

static struct kunit_case unplug_tests[] = {
	KUNIT_CASE_PARAM(unplug_jobs, unplug_way_gen_params),
	KUNIT_CASE(unplug_driver_error),
	KUNIT_CASE_PARAM(unplug_timeout, unplug_way_gen_params),
	KUNIT_CASE(unplug_late_job),
	KUNIT_CASE_PARAM(unplug_killed, unplug_way_gen_params),
	KUNIT_CASE(unplug_killed_race),
	KUNIT_CASE(unplug_push_race),
	KUNIT_CASE_PARAM(unplug_outlive_gone, unplug_life_gen_params),
	KUNIT_CASE_PARAM(unplug_outlive_there, unplug_life_gen_params),
	KUNIT_CASE(unplug_not_gone),
	KUNIT_CASE(unplug_flush_gone),
	KUNIT_CASE(unplug_flush_ended),
	KUNIT_CASE(unplug_flush_late),
	KUNIT_CASE(unplug_orderly),
	KUNIT_CASE(unplug_orderly_hang),
	KUNIT_CASE(unplug_halt),
	KUNIT_CASE(unplug_none_ready),
	KUNIT_CASE(unplug_twice),
	{}
};

static struct kunit_suite unplug_suite = {
	.name = "drm_unplug_sched",
	.init = unplug_init,
	.exit = unplug_exit,
	.test_cases = unplug_tests,
};

kunit_test_suite(unplug_suite);
