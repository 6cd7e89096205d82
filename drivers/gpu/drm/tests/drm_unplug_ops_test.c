// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The hooks of a driver: which of them is called when, and how often. The
 * identifiers in the comments name the property proved: D is for drivers, F for
 * fences, T for teardown.
 */

#include <linux/dma-fence.h>

#include <drm/drm_drv.h>
#include <drm/drm_unplug.h>

#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../drm_unplug_internal.h"
#include "drm_unplug_mock.h"

/**
 * struct ops_state - what the hooks have seen
 * @mdev: the device
 * @inside: hooks that are running
 * @overlaps: one was called while another one was running
 * @quiesced: calls of quiesce
 * @signalled: calls of signal
 * @unmapped: calls of unmap
 * @too_early: calls before it was their turn
 * @pulled: the hardware is lost
 * @lost: what the hooks were told
 * @error: what signal was told
 * @fence: signal ends it, if set
 * @stop: where quiesce stops, if set
 */
struct ops_state {
	struct mock_dev *mdev;
	atomic_t inside;
	int overlaps;
	int quiesced;
	int signalled;
	int unmapped;
	int too_early;
	bool pulled;
	bool lost;
	int error;
	struct dma_fence *fence;
	struct mock_gate *stop;
};

static struct ops_state *ops_begin(struct drm_device *dev)
{
	struct ops_state *state = to_mock_dev(dev)->test->priv;

	if (atomic_inc_return(&state->inside) > 1)
		state->overlaps++;

	return state;
}

static void ops_end(struct ops_state *state)
{
	atomic_dec(&state->inside);
}

static void ops_quiesce(struct drm_device *dev, bool lost)
{
	struct ops_state *state = ops_begin(dev);

	if (!drm_dev_is_gone(dev) || state->signalled || state->unmapped)
		state->too_early++;
	if (state->stop)
		mock_gate_pass(state->stop);
	state->lost |= lost;
	WRITE_ONCE(state->quiesced, state->quiesced + 1);
	ops_end(state);
}

static void ops_signal(struct drm_device *dev, int error)
{
	struct ops_state *state = ops_begin(dev);
	struct dma_fence *fence = READ_ONCE(state->fence);

	if (!state->quiesced || state->unmapped)
		state->too_early++;
	state->error = error;
	if (fence)
		drm_dev_fence_end(fence, error);
	WRITE_ONCE(state->signalled, state->signalled + 1);
	ops_end(state);
}

static void ops_unmap(struct drm_device *dev, bool lost)
{
	struct ops_state *state = ops_begin(dev);

	state->lost |= lost;
	state->unmapped++;
	ops_end(state);
}

static const struct drm_unplug_ops ops = {
	.quiesce = ops_quiesce,
	.signal = ops_signal,
	.unmap = ops_unmap,
};

static int ops_init(struct kunit *test)
{
	struct ops_state *state = kunit_kzalloc(test, sizeof(*state), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, state);
	test->priv = state;
	state->mdev = mock_dev_alloc(test, &mock_driver);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, state->mdev);
	KUNIT_ASSERT_EQ(test, drm_dev_unplug_register(&state->mdev->drm, &ops), 0);

	return 0;
}

static void ops_check(struct kunit *test)
{
	struct ops_state *state = test->priv;

	KUNIT_EXPECT_EQ(test, state->quiesced, 1);
	KUNIT_EXPECT_EQ(test, state->too_early, 0);
	KUNIT_EXPECT_EQ(test, state->overlaps, 0);
	KUNIT_EXPECT_EQ(test, state->error, -ENODEV);
	KUNIT_EXPECT_FALSE(test, state->lost);
	KUNIT_EXPECT_EQ(test, state->unmapped, 0);

	mock_dev_free(state->mdev);
	KUNIT_EXPECT_EQ(test, state->unmapped, 1);
	KUNIT_EXPECT_EQ(test, state->too_early, 0);
}

struct ops_section {
	struct drm_device *dev;
	struct mock_gate gate;
	struct dma_fence *fence;
};

/* A handler that makes a fence when the test says so, and waits for it. */
static long ops_handler(struct mock_client *client, void *data)
{
	struct ops_section *s = data;
	struct ops_state *state = to_mock_dev(s->dev)->test->priv;
	int idx;

	if (!drm_dev_enter(s->dev, &idx))
		return -ENODEV;

	mock_gate_pass(&s->gate);
	if (s->fence) {
		WRITE_ONCE(state->fence, s->fence);
		dma_fence_wait(s->fence, false);
	}
	drm_dev_exit(idx);

	return 0;
}

static const char *ops_fence_name(struct dma_fence *fence)
{
	return "ops";
}

static const struct dma_fence_ops ops_fence_ops = {
	.get_driver_name = ops_fence_name,
	.get_timeline_name = ops_fence_name,
};

/* The device goes while a handler runs. Returns when fences have been ended once. */
static void ops_leave_in_section(struct kunit *test, struct mock_client *handler,
				 struct ops_section *s, struct mock_client *remover)
{
	struct ops_state *state = test->priv;

	mock_gate_init(&s->gate);
	KUNIT_ASSERT_EQ(test, drm_dev_register(s->dev, 0), 0);
	mock_start(handler, ops_handler, s);
	mock_gate_wait(test, &s->gate);

	mock_start(remover, mock_leave_fn(test), s->dev);
	mock_wait_until(test, READ_ONCE(state->signalled));
}

/*
 * D2, F3, T1: the hardware is stopped before fences signal, and these do before
 * handlers are waited for, since a handler may wait for one. Once the last one
 * has returned, they do so again.
 */
static void drm_test_unplug_ops_order(struct kunit *test)
{
	struct ops_state *state = test->priv;
	struct mock_client *handler = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct ops_section s = { .dev = &state->mdev->drm };
	int before;

	ops_leave_in_section(test, handler, &s, remover);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(remover));
	before = READ_ONCE(state->signalled);

	complete_all(&s.gate.leave);
	mock_finish(handler);
	mock_finish(remover);
	KUNIT_EXPECT_GT(test, state->signalled, before);
	ops_check(test);
}

/* F2, T1: a fence that a handler makes during the unplug does not hold it up. */
static void drm_test_unplug_ops_late_fence(struct kunit *test)
{
	struct ops_state *state = test->priv;
	struct mock_client *handler = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct dma_fence fence;
	struct ops_section s = { .dev = &state->mdev->drm, .fence = &fence };

	dma_fence_init(&fence, &ops_fence_ops, NULL, dma_fence_context_alloc(1), 1);
	ops_leave_in_section(test, handler, &s, remover);
	complete_all(&s.gate.leave);

	/* Otherwise the two wait for each other. */
	mock_wait_until(test, mock_returned(handler));
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(&fence), -ENODEV);
	drm_dev_fence_end(&fence, 0);
	mock_finish(handler);
	mock_finish(remover);
	ops_check(test);
}

/* The device is registered, and an unplug by @remover waits in a hook. */
static void ops_stop(struct kunit *test, struct mock_client *remover, struct mock_gate *stop)
{
	struct ops_state *state = test->priv;
	struct drm_device *dev = &state->mdev->drm;

	mock_gate_init(stop);
	state->stop = stop;
	KUNIT_ASSERT_EQ(test, drm_dev_register(dev, 0), 0);
	mock_start(remover, mock_unplug, dev);
	mock_gate_wait(test, stop);
}

/* T5: several tasks unplug, the hooks run one at a time. */
static void drm_test_unplug_ops_concurrent(struct kunit *test)
{
	struct ops_state *state = test->priv;
	struct mock_client *first = mock_client_new(test);
	struct mock_client *second = mock_client_new(test);
	struct drm_device *dev = &state->mdev->drm;
	struct mock_gate stop;

	ops_stop(test, first, &stop);
	mock_start(second, mock_unplug, dev);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(second));
	KUNIT_EXPECT_EQ(test, state->signalled, 0);

	complete_all(&stop.leave);
	mock_finish(first);
	mock_finish(second);
	ops_check(test);
}

/* T1: an unplug whose hook waits, maybe for who is in a section, is looked after. */
static void drm_test_unplug_ops_stuck(struct kunit *test)
{
	struct ops_state *state = test->priv;
	struct mock_client *remover = mock_client_new(test);
	struct drm_device *dev = &state->mdev->drm;
	struct mock_gate stop;

	ops_stop(test, remover, &stop);
	mock_wait_until(test, READ_ONCE(drm_unplug_of(dev)->stall_rounds) > 1);
	complete_all(&stop.leave);
	mock_finish(remover);
	ops_check(test);
}

/* T5: a device that never got as far as to be registered. */
static void drm_test_unplug_ops_failed_probe(struct kunit *test)
{
	struct ops_state *state = test->priv;

	mock_dev_free(state->mdev);
	KUNIT_EXPECT_EQ(test, state->quiesced, 0);
	KUNIT_EXPECT_EQ(test, state->signalled, 0);
	KUNIT_EXPECT_EQ(test, state->unmapped, 1);
}

/* D2: a device that is registered once more has to be stopped once more. */
static void drm_test_unplug_ops_registered_again(struct kunit *test)
{
	struct ops_state *state = test->priv;
	struct drm_device *dev = &state->mdev->drm;

	KUNIT_ASSERT_EQ(test, drm_dev_register(dev, 0), 0);
	drm_dev_unregister(dev);
	KUNIT_EXPECT_EQ(test, state->quiesced, 1);

	state->quiesced = 0;
	state->signalled = 0;
	KUNIT_ASSERT_EQ(test, drm_dev_register(dev, 0), 0);
	KUNIT_EXPECT_EQ(test, state->quiesced, 0);
	mock_leave(test, state->mdev);
	ops_check(test);
}

static bool ops_is_lost(const struct drm_device *dev)
{
	struct ops_state *state = to_mock_dev(dev)->test->priv;

	return state->pulled;
}

/* D2: a device that was stopped since it is wedged is pulled out after that. */
static void drm_test_unplug_ops_wedged_and_lost(struct kunit *test)
{
	struct ops_state *state = test->priv;
	struct drm_device *dev = &state->mdev->drm;
	unsigned int i;

	kunit_activate_static_stub(test, drm_dev_is_lost, ops_is_lost);
	KUNIT_ASSERT_EQ(test, drm_dev_register(dev, 0), 0);
	for (i = 0; i < 2; i++) {
		drm_dev_wedge(dev, DRM_WEDGE_RECOVERY_REBIND, NULL);
		KUNIT_EXPECT_EQ(test, state->quiesced, 1);
		KUNIT_EXPECT_FALSE(test, state->lost);
	}

	state->pulled = true;
	state->signalled = 0;
	drm_dev_unplug(dev);
	KUNIT_EXPECT_EQ(test, state->quiesced, 2);
	KUNIT_EXPECT_TRUE(test, state->lost);
	drm_dev_unplug(dev);
	KUNIT_EXPECT_EQ(test, state->quiesced, 2);
	KUNIT_EXPECT_EQ(test, state->too_early, 0);
	mock_dev_free(state->mdev);
}

static struct kunit_case drm_unplug_ops_tests[] = {
	KUNIT_CASE_PARAM(drm_test_unplug_ops_order, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ops_late_fence, mock_leave_params),
	KUNIT_CASE(drm_test_unplug_ops_concurrent),
	KUNIT_CASE(drm_test_unplug_ops_stuck),
	KUNIT_CASE(drm_test_unplug_ops_failed_probe),
	KUNIT_CASE_PARAM(drm_test_unplug_ops_registered_again, mock_leave_params),
	KUNIT_CASE(drm_test_unplug_ops_wedged_and_lost),
	{}
};

static struct kunit_suite drm_unplug_ops_suite = {
	.name = "drm_unplug_ops",
	.init = ops_init,
	.test_cases = drm_unplug_ops_tests,
};

kunit_test_suite(drm_unplug_ops_suite);
