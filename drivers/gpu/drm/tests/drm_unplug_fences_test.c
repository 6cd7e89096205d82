// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Fences that core makes for a device, and waits for fences of others. The
 * identifiers in the comments name the property proved: F is for fences, T for
 * teardown, U for ioctls.
 */

#include <linux/completion.h>
#include <linux/dma-fence.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include <drm/drm_atomic_state_helper.h>
#include <drm/drm_crtc.h>
#include <drm/drm_drv.h>
#include <drm/drm_encoder.h>
#include <drm/drm_file.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_kunit_helpers.h>
#include <drm/drm_managed.h>
#include <drm/drm_modeset_helper_vtables.h>
#include <drm/drm_unplug.h>
#include <drm/drm_writeback.h>

#include <kunit/resource.h>
#include <kunit/test.h>

#include "../drm_crtc_internal.h"
#include "../drm_unplug_internal.h"
#include "drm_unplug_mock.h"

/* A device with a CRTC and a writeback connector in its own memory */

static const struct drm_crtc_funcs fence_crtc_funcs = {
	.atomic_destroy_state = drm_atomic_helper_crtc_destroy_state,
	.atomic_duplicate_state = drm_atomic_helper_crtc_duplicate_state,
	.reset = drm_atomic_helper_crtc_reset,
};

static const struct drm_connector_funcs fence_connector_funcs = {
	.atomic_destroy_state = drm_atomic_helper_connector_destroy_state,
	.atomic_duplicate_state = drm_atomic_helper_connector_duplicate_state,
	.reset = drm_atomic_helper_connector_reset,
};

static const struct drm_connector_helper_funcs fence_connector_helper_funcs = {
};

struct fence_crtc {
	struct drm_crtc base;
};

/**
 * struct fence_dev - a device that makes fences
 * @mdev: the device; the test has a reference
 * @crtc: its CRTC
 * @writeback: its writeback connector
 */
struct fence_dev {
	struct mock_dev *mdev;
	struct drm_crtc *crtc;
	struct drm_writeback_connector *writeback;
};

static void fence_dev_init(struct kunit *test, struct fence_dev *fdev)
{
	static const u32 formats[] = { DRM_FORMAT_XRGB8888 };
	struct drm_encoder *encoder;
	struct drm_device *dev;
	struct drm_plane *plane;
	struct fence_crtc *crtc;

	fdev->mdev = mock_dev_alloc(test, &mock_driver);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fdev->mdev);
	dev = &fdev->mdev->drm;

	plane = drm_kunit_helper_create_primary_plane(test, dev, NULL, NULL, NULL, 0, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, plane);
	crtc = drmm_crtc_alloc_with_planes(dev, struct fence_crtc, base, plane, NULL,
					   &fence_crtc_funcs, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, crtc);
	fdev->crtc = &crtc->base;

	encoder = drmm_plain_encoder_alloc(dev, NULL, DRM_MODE_ENCODER_VIRTUAL, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, encoder);
	encoder->possible_crtcs = drm_crtc_mask(fdev->crtc);
	fdev->writeback = drmm_kzalloc(dev, sizeof(*fdev->writeback), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fdev->writeback);
	drm_connector_helper_add(&fdev->writeback->base, &fence_connector_helper_funcs);
	KUNIT_ASSERT_EQ(test, 0,
			drmm_writeback_connector_init(dev, fdev->writeback,
						      &fence_connector_funcs, encoder,
						      formats, ARRAY_SIZE(formats)));

	drm_mode_config_reset(dev);
	KUNIT_ASSERT_EQ(test, drm_dev_register(dev, 0), 0);
	drm_dev_get(dev);
}

/* The driver is unbound, but a client still has the device. */
static void fence_dev_unbind(struct fence_dev *fdev)
{
	drm_dev_unplug(&fdev->mdev->drm);
	mock_dev_free(fdev->mdev);
}

/* The client closes it, and with that all its memory goes. */
static void fence_dev_close(struct fence_dev *fdev)
{
	drm_dev_put(&fdev->mdev->drm);
}

typedef struct dma_fence *(*fence_make)(struct fence_dev *fdev);

static struct dma_fence *fence_of_crtc(struct fence_dev *fdev)
{
	return drm_crtc_create_fence(fdev->crtc);
}

static struct dma_fence *fence_of_writeback(struct fence_dev *fdev)
{
	return drm_writeback_get_out_fence(fdev->writeback);
}

struct fence_kind {
	const char *name;
	fence_make make;
};

static const struct fence_kind fence_kinds[] = {
	{ "crtc", fence_of_crtc },
	{ "writeback", fence_of_writeback },
};

KUNIT_ARRAY_PARAM_DESC(fence_kind, fence_kinds, name);

static struct dma_fence *fence_make_one(struct kunit *test, struct fence_dev *fdev)
{
	const struct fence_kind *kind = test->param_value;
	struct dma_fence *fence = kind->make(fdev);

	KUNIT_ASSERT_NOT_NULL(test, fence);
	return fence;
}

/*
 * F1, F3: a fence whose event never comes ends once the driver is unbound, not
 * before: until then the device may be at work. It does not wait for clients.
 */
static void drm_test_unplug_fence_unbind(struct kunit *test)
{
	struct dma_fence *fence;
	struct fence_dev fdev;

	fence_dev_init(test, &fdev);
	fence = fence_make_one(test, &fdev);

	drm_dev_unplug(&fdev.mdev->drm);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(fence));
	fence_dev_unbind(&fdev);
	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(fence));
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence), -ENODEV);

	fence_dev_close(&fdev);
	dma_fence_put(fence);
}

/* T3: a fence that was made when all was over, and one that has signalled. */
static void drm_test_unplug_fence_outlive(struct kunit *test)
{
	struct dma_fence *late, *old;
	struct fence_dev fdev;

	fence_dev_init(test, &fdev);
	old = fence_make_one(test, &fdev);
	dma_fence_signal(old);
	fence_dev_unbind(&fdev);
	late = fence_make_one(test, &fdev);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(late));

	fence_dev_close(&fdev);
	/* All of these take the lock of the fence. */
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(old), 1);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(late), -ENODEV);
	dma_fence_signal(old);
	dma_fence_put(old);
	dma_fence_put(late);
}

static const struct drm_crtc_funcs old_crtc_funcs = {
	.atomic_destroy_state = drm_atomic_helper_crtc_destroy_state,
	.atomic_duplicate_state = drm_atomic_helper_crtc_duplicate_state,
	.destroy = drm_crtc_cleanup,
	.reset = drm_atomic_helper_crtc_reset,
};

static const struct drm_connector_funcs old_connector_funcs = {
	.atomic_destroy_state = drm_atomic_helper_connector_destroy_state,
	.atomic_duplicate_state = drm_atomic_helper_connector_duplicate_state,
	.destroy = drm_connector_cleanup,
	.reset = drm_atomic_helper_connector_reset,
};

/* T3: a driver may free its CRTCs and connectors when it is unbound, not later. */
static void drm_test_unplug_fence_cleanup(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	struct drm_writeback_connector *writeback;
	struct dma_fence *fence[2];
	struct drm_plane *plane;
	struct drm_crtc *crtc;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	plane = drm_kunit_helper_create_primary_plane(test, &mdev->drm, NULL, NULL, NULL, 0,
						      NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, plane);
	crtc = kunit_kzalloc(test, sizeof(*crtc), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, crtc);
	KUNIT_ASSERT_EQ(test, 0, drm_crtc_init_with_planes(&mdev->drm, crtc, plane, NULL,
							   &old_crtc_funcs, NULL));
	writeback = kunit_kzalloc(test, sizeof(*writeback), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, writeback);
	KUNIT_ASSERT_EQ(test, 0, drm_connector_init(&mdev->drm, &writeback->base,
						    &old_connector_funcs,
						    DRM_MODE_CONNECTOR_WRITEBACK));

	fence[0] = drm_crtc_create_fence(crtc);
	KUNIT_ASSERT_NOT_NULL(test, fence[0]);
	fence[1] = drm_writeback_get_out_fence(writeback);
	KUNIT_ASSERT_NOT_NULL(test, fence[1]);

	drm_crtc_cleanup(crtc);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence[0]), -ENODEV);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence[1]), 0);
	drm_connector_cleanup(&writeback->base);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence[1]), -ENODEV);

	dma_fence_put(fence[0]);
	dma_fence_put(fence[1]);
}

/* A fence that was given up does not stay for ever. */
static void drm_test_unplug_fence_forget(struct kunit *test)
{
	struct dma_fence *fence[2];
	struct fence_dev fdev;

	fence_dev_init(test, &fdev);
	for (int i = 0; i < 100; i++)
		dma_fence_put(fence_make_one(test, &fdev));
	fence[0] = fence_make_one(test, &fdev);
	dma_fence_signal(fence[0]);
	fence[1] = fence_make_one(test, &fdev);
	KUNIT_EXPECT_EQ(test, 1,
			list_count_nodes(&drm_unplug_of(&fdev.mdev->drm)->fences));

	fence_dev_unbind(&fdev);
	fence_dev_close(&fdev);
	dma_fence_put(fence[0]);
	dma_fence_put(fence[1]);
}

/* F1: the event of a device that is gone is delivered, its fence has the error. */
static void drm_test_unplug_fence_event(struct kunit *test)
{
	struct fence_dev fdev;
	struct dma_fence *fence[2];

	fence_dev_init(test, &fdev);
	for (int i = 0; i < ARRAY_SIZE(fence); i++) {
		struct drm_pending_event *event = kzalloc_obj(*event);

		KUNIT_ASSERT_NOT_NULL(test, event);
		fence[i] = fence_of_crtc(&fdev);
		KUNIT_ASSERT_NOT_NULL(test, fence[i]);
		event->fence = dma_fence_get(fence[i]);
		if (i)
			drm_dev_unregister(&fdev.mdev->drm);
		drm_send_event(&fdev.mdev->drm, event);
		KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(fence[i]));
		KUNIT_EXPECT_EQ(test, fence[i]->error, i ? -ENODEV : 0);
		dma_fence_put(fence[i]);
	}

	fence_dev_unbind(&fdev);
	fence_dev_close(&fdev);
}

/* drm_dev_fence_end(), drm_dev_wait_event() and finding a device */

static const char *foreign_name(struct dma_fence *fence)
{
	return "drm-unplug-test";
}

static const struct dma_fence_ops foreign_ops = {
	.get_driver_name = foreign_name,
	.get_timeline_name = foreign_name,
};

static struct dma_fence *foreign_fence(struct kunit *test)
{
	struct dma_fence *fence = kzalloc_obj(*fence);

	KUNIT_ASSERT_NOT_NULL(test, fence);
	dma_fence_init(fence, &foreign_ops, NULL, dma_fence_context_alloc(1), 1);
	return fence;
}

static void drm_test_unplug_fence_end(struct kunit *test)
{
	struct dma_fence *fence = foreign_fence(test);

	KUNIT_EXPECT_TRUE(test, drm_dev_fence_end(fence, -ENODEV));
	KUNIT_EXPECT_FALSE(test, drm_dev_fence_end(fence, -EIO));
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence), -ENODEV);
	dma_fence_put(fence);
}

struct waiter {
	struct drm_device *dev;
	struct dma_fence *fence;
	wait_queue_head_t answers;
	bool answered;
};

static long wait_for_fence(struct mock_client *client, void *data)
{
	struct waiter *waiter = data;

	return drm_dev_fence_wait(waiter->dev, waiter->fence, false);
}

static long wait_for_answer(struct mock_client *client, void *data)
{
	struct waiter *waiter = data;

	return drm_dev_wait_event(waiter->dev, waiter->answers,
				  READ_ONCE(waiter->answered));
}

static void answer_fence(struct waiter *waiter)
{
	dma_fence_signal(waiter->fence);
}

static void answer_event(struct waiter *waiter)
{
	WRITE_ONCE(waiter->answered, true);
	wake_up(&waiter->answers);
}

struct wait_kind {
	const char *name;
	mock_fn wait;
	void (*answer)(struct waiter *waiter);
};

static const struct wait_kind wait_kinds[] = {
	{ "fence", wait_for_fence, answer_fence },
	{ "event", wait_for_answer, answer_event },
};

KUNIT_ARRAY_PARAM_DESC(wait_kind, wait_kinds, name);

/* U4: an uninterruptible wait ends with the answer, or when the device goes. */
static void drm_test_unplug_wait_answer(struct kunit *test)
{
	const struct wait_kind *kind = test->param_value;
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct waiter waiter = { .dev = &mdev->drm, .fence = foreign_fence(test) };

	init_waitqueue_head(&waiter.answers);
	mock_start(client, kind->wait, &waiter);
	mock_wait_asleep(client);
	kind->answer(&waiter);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	KUNIT_EXPECT_EQ(test, mock_run(client, kind->wait, &waiter), 0);
	dma_fence_put(waiter.fence);

	waiter.fence = foreign_fence(test);
	waiter.answered = false;
	mock_start(client, kind->wait, &waiter);
	mock_wait_asleep(client);
	drm_dev_unregister(&mdev->drm);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	KUNIT_EXPECT_EQ(test, mock_run(client, kind->wait, &waiter), -ENODEV);
	/* An answer is an answer. */
	kind->answer(&waiter);
	KUNIT_EXPECT_EQ(test, mock_run(client, kind->wait, &waiter), 0);
	dma_fence_put(waiter.fence);
}

/* T4: a device that comes back is another one, on the same device of the bus. */
static void drm_test_unplug_of_parent(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct drm_device *first = &mdev->drm, *second;

	KUNIT_EXPECT_PTR_EQ(test, drm_dev_of_parent(NULL), NULL);
	KUNIT_EXPECT_PTR_EQ(test, drm_dev_of_parent(mdev->parent), first);
	KUNIT_EXPECT_FALSE(test, drm_dev_has_left(first));
	KUNIT_EXPECT_FALSE(test, drm_dev_has_left(NULL));

	drm_dev_unregister(first);
	KUNIT_EXPECT_TRUE(test, drm_dev_has_left(first));
	KUNIT_EXPECT_PTR_EQ(test, drm_dev_of_parent(mdev->parent), NULL);
	KUNIT_EXPECT_PTR_EQ(test, drm_dev_get_unless_left(first), first);
	drm_dev_put(first);

	second = drm_dev_alloc(&mock_driver_bare, mdev->parent);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, second);
	KUNIT_EXPECT_PTR_EQ(test, drm_dev_of_parent(mdev->parent), second);
	KUNIT_EXPECT_TRUE(test, drm_dev_has_left(first));
	KUNIT_EXPECT_FALSE(test, drm_dev_has_left(second));
	drm_dev_put(second);

	/* It was never registered, and does not exist any more. */
	KUNIT_EXPECT_TRUE(test, drm_dev_has_left(second));
	KUNIT_EXPECT_PTR_EQ(test, drm_dev_get_unless_left(second), NULL);
}

/* A look at a fence, under RCU, that takes until @leave. */
struct look {
	struct completion entered;
	bool leave;
};

static long look_fn(struct mock_client *client, void *data)
{
	struct look *look = data;

	guard(rcu)();
	complete(&look->entered);
	while (!READ_ONCE(look->leave))
		cpu_relax();

	return 0;
}

struct fences_end {
	struct drm_device *dev;
	void *owner;
};

static long fences_end_fn(struct mock_client *client, void *data)
{
	struct fences_end *end = data;

	drm_unplug_fences_end(end->dev, end->owner);

	return 0;
}

/*
 * F1, T3: who frees the owner of fences waits for those who look at one of them, be it
 * that it has signalled by itself. And not where there were none.
 */
static void drm_test_unplug_fences_look(struct kunit *test)
{
	struct mock_client *looker = mock_client_new(test), *ender = mock_client_new(test);
	struct look look = { .entered = COMPLETION_INITIALIZER_ONSTACK(look.entered) };
	struct fence_dev fdev;
	struct fences_end end;
	struct dma_fence *fence = NULL;
	unsigned int i;

	fence_dev_init(test, &fdev);
	end = (struct fences_end){ &fdev.mdev->drm, fdev.crtc };
	for (i = 0; i < 3; i++) {
		reinit_completion(&look.entered);
		WRITE_ONCE(look.leave, false);
		if (i) {
			fence = fence_of_crtc(&fdev);
			KUNIT_ASSERT_NOT_NULL(test, fence);
		}
		mock_start(looker, look_fn, &look);
		KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&look.entered, MOCK_TIMEOUT), 0);
		if (i == 2)
			dma_fence_signal(fence);
		mock_start(ender, fences_end_fn, &end);
		if (i)
			KUNIT_EXPECT_FALSE(test, mock_returns_early(ender));
		else
			KUNIT_EXPECT_EQ(test, mock_finish(ender), 0);
		WRITE_ONCE(look.leave, true);
		KUNIT_EXPECT_EQ(test, mock_finish(looker), 0);
		if (!i)
			continue;
		KUNIT_EXPECT_EQ(test, mock_finish(ender), 0);
		KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence), i == 2 ? 1 : -ENODEV);
		dma_fence_put(fence);
	}
	fence_dev_unbind(&fdev);
	fence_dev_close(&fdev);
}

/*
 * F1, T5: who ends fences has them on a list of its own, so others wait for it. To stop
 * it there would take a callback with interrupts off, so the test is that other task.
 */
static void drm_test_unplug_fences_concurrent(struct kunit *test)
{
	struct mock_client *ender = mock_client_new(test);
	struct drm_unplug *unplug;
	struct dma_fence *fence;
	struct fence_dev fdev;
	struct fences_end end;

	fence_dev_init(test, &fdev);
	unplug = drm_unplug_of(&fdev.mdev->drm);
	end = (struct fences_end){ &fdev.mdev->drm, fdev.crtc };
	fence = fence_of_crtc(&fdev);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	mutex_lock(&unplug->fences_ending);
	mock_start(ender, fences_end_fn, &end);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(ender));
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(fence));
	mutex_unlock(&unplug->fences_ending);
	KUNIT_EXPECT_EQ(test, mock_finish(ender), 0);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence), -ENODEV);
	dma_fence_put(fence);
	fence_dev_unbind(&fdev);
	fence_dev_close(&fdev);
}

static struct kunit_case drm_unplug_fences_tests[] = {
	KUNIT_CASE_PARAM(drm_test_unplug_fence_unbind, fence_kind_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_fence_outlive, fence_kind_gen_params),
	KUNIT_CASE(drm_test_unplug_fence_cleanup),
	KUNIT_CASE_PARAM(drm_test_unplug_fence_forget, fence_kind_gen_params),
	KUNIT_CASE(drm_test_unplug_fence_event),
	KUNIT_CASE(drm_test_unplug_fence_end),
	KUNIT_CASE_PARAM(drm_test_unplug_wait_answer, wait_kind_gen_params),
	KUNIT_CASE(drm_test_unplug_of_parent),
	KUNIT_CASE(drm_test_unplug_fences_look),
	KUNIT_CASE(drm_test_unplug_fences_concurrent),
	{}
};

static struct kunit_suite drm_unplug_fences_suite = {
	.name = "drm_unplug_fences",
	.test_cases = drm_unplug_fences_tests,
};

kunit_test_suite(drm_unplug_fences_suite);
