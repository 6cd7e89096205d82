// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The section, the order of an unplug, the gate before ioctls and open(), and
 * minor numbers. The identifiers in the comments name the property proved: U is
 * for nodes, ioctls and events, T for teardown, D for drivers.
 *
 * Most of this cannot be built for a kernel without the unplug core, which has
 * no drm_dev_is_gone() and no DRM_UNPLUG_* flags. That the tests can fail is
 * shown by changing the core instead, see tools/tree/kunit-mutants.
 */

#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>

#include <drm/drm_accel.h>
#include <drm/drm_atomic_state_helper.h>
#include <drm/drm_connector.h>
#include <drm/drm_drv.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>
#include <drm/drm_unplug.h>

#include <kunit/resource.h>
#include <kunit/test.h>

#include "../drm_unplug_internal.h"
#include "drm_unplug_mock.h"

/* Driver sections */

struct section {
	struct drm_device *dev;
	struct mock_gate gate;
	bool entered;
	atomic_t ended;
};

static void section_init(struct section *section, struct drm_device *dev)
{
	section->dev = dev;
	section->entered = false;
	atomic_set(&section->ended, 0);
	mock_gate_init(&section->gate);
}

/* Stay in a section until the test lets go. */
static long section_hold(struct mock_client *client, void *data)
{
	struct section *section = data;
	int idx;

	if (!drm_dev_enter(section->dev, &idx)) {
		complete_all(&section->gate.entered);
		return -ENODEV;
	}
	section->entered = true;
	mock_gate_pass(&section->gate);
	atomic_set(&section->ended, 1);
	drm_dev_exit(idx);

	return 0;
}

/* Unplug, and tell whether the section had ended by then. */
static long section_unplug(struct mock_client *client, void *data)
{
	struct section *section = data;

	drm_dev_unplug(section->dev);

	return atomic_read(&section->ended);
}

static long srcu_sync(struct mock_client *client, void *data)
{
	struct drm_unplug *unplug = data;

	synchronize_srcu_expedited(&unplug->srcu);
	return 0;
}

/*
 * SRCU counts readers in one of two counters, which change places with each
 * grace period. While a section holds one of them, let new sections use the
 * other: the cookies of the two then differ, and must not be mixed up. @client
 * is busy until the section ends.
 */
static void srcu_switch_counters(struct kunit *test, struct mock_client *client,
				 struct drm_device *dev)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct srcu_ctr __percpu *before = READ_ONCE(unplug->srcu.srcu_ctrp);

	mock_start(client, srcu_sync, unplug);
	mock_wait_until(test, READ_ONCE(unplug->srcu.srcu_ctrp) != before);
}

/* U3, D1: an unplug returns only after a section that has begun before. */
static void drm_test_unplug_section_waited_for(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *reader = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct section section;

	section_init(&section, &mdev->drm);
	mock_start(reader, section_hold, &section);
	mock_gate_wait(test, &section.gate);

	mock_start(remover, section_unplug, &section);
	mock_wait_gone(test, &mdev->drm);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
			       "the unplug did not wait for a section");

	complete_all(&section.gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(reader), 0);
	KUNIT_EXPECT_EQ_MSG(test, mock_finish(remover), 1,
			    "the section had not ended when the unplug returned");
}

struct crowd {
	struct drm_device *dev;
	bool over;
	bool stop;
	atomic_t entered;
	atomic_t late;
};

/* Enter and leave as fast as can be, and look whether the unplug has returned. */
static long crowd_read(struct mock_client *client, void *data)
{
	struct crowd *crowd = data;
	int idx, inner;

	while (!READ_ONCE(crowd->stop) && !signal_pending(current)) {
		if (!drm_dev_enter(crowd->dev, &idx)) {
			cond_resched();
			continue;
		}
		atomic_inc(&crowd->entered);
		if (drm_dev_enter(crowd->dev, &inner)) {
			if (READ_ONCE(crowd->over))
				atomic_inc(&crowd->late);
			drm_dev_exit(inner);
		}
		if (READ_ONCE(crowd->over))
			atomic_inc(&crowd->late);
		drm_dev_exit(idx);
	}

	return 0;
}

/*
 * U3: tasks that enter and leave all the time, nested, do not keep an unplug
 * from returning, and none is in a section after it has.
 */
static void drm_test_unplug_section_concurrent(struct kunit *test)
{
	struct mock_client *readers[4];
	struct mock_client *remover = mock_client_new(test);
	unsigned int i, round;

	for (i = 0; i < ARRAY_SIZE(readers); i++)
		readers[i] = mock_client_new(test);

	for (round = 0; round < 10; round++) {
		struct mock_dev *mdev = mock_dev_new(test);
		struct crowd crowd = { .dev = &mdev->drm };
		int before;

		for (i = 0; i < ARRAY_SIZE(readers); i++)
			mock_start(readers[i], crowd_read, &crowd);

		mock_wait_until(test, atomic_read(&crowd.entered) > 100);
		mock_start(remover, mock_unplug, &mdev->drm);
		KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
		WRITE_ONCE(crowd.over, true);
		before = atomic_read(&crowd.entered);
		schedule_timeout_uninterruptible(1);
		WRITE_ONCE(crowd.stop, true);

		for (i = 0; i < ARRAY_SIZE(readers); i++)
			KUNIT_EXPECT_EQ(test, mock_finish(readers[i]), 0);
		KUNIT_EXPECT_EQ_MSG(test, atomic_read(&crowd.late), 0,
				    "a section ran after the unplug had returned");
		KUNIT_EXPECT_EQ_MSG(test, atomic_read(&crowd.entered), before,
				    "a section began after the unplug had returned");
	}
}

/* U3: nested sections are left in either order, and the last one counts. */
static void drm_test_unplug_section_nested(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct drm_device *dev = &mdev->drm;
	int outer, middle, inner;

	KUNIT_ASSERT_TRUE(test, drm_dev_enter(dev, &outer));
	KUNIT_EXPECT_TRUE(test, drm_dev_enter(dev, &middle));
	drm_dev_exit(middle);
	KUNIT_EXPECT_TRUE(test, drm_dev_enter(dev, &middle));

	mock_start(remover, mock_unplug, dev);
	mock_wait_gone(test, dev);
	mock_wait_until(test, drm_dev_is_unplugged(dev));
	KUNIT_EXPECT_FALSE_MSG(test, drm_dev_enter(dev, &inner),
			       "a section began while another one was waited for");

	drm_dev_exit(outer);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
			       "the unplug did not wait for the nested section");
	drm_dev_exit(middle);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
}

/* T2: an unplug does not wait for a section of another device. */
static void drm_test_unplug_section_other_device(struct kunit *test)
{
	struct mock_dev *leaving = mock_dev_new(test), *staying = mock_dev_new(test);
	struct mock_client *reader = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct section section;
	int idx;

	section_init(&section, &staying->drm);
	mock_start(reader, section_hold, &section);
	mock_gate_wait(test, &section.gate);

	mock_start(remover, mock_unplug, &leaving->drm);
	KUNIT_EXPECT_NE_MSG(test, 0,
			    wait_for_completion_timeout(&remover->done, MOCK_TIMEOUT),
			    "the unplug waits for a section of another device");

	KUNIT_EXPECT_FALSE(test, drm_dev_enter(&leaving->drm, &idx));
	KUNIT_EXPECT_TRUE(test, drm_dev_enter(&staying->drm, &idx));
	drm_dev_exit(idx);

	complete_all(&section.gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(reader), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
}

/*
 * T2, D1: drm_dev_exit() ends the section of the device whose cookie it is
 * given, not the one that was entered last.
 */
static void drm_test_unplug_section_exit_finds_device(struct kunit *test)
{
	struct mock_dev *a = mock_dev_new(test), *b = mock_dev_new(test);
	struct mock_client *remove_a = mock_client_new(test);
	struct mock_client *remove_b = mock_client_new(test);
	int idx_a, idx_b;

	KUNIT_ASSERT_TRUE(test, drm_dev_enter(&a->drm, &idx_a));
	KUNIT_EXPECT_TRUE(test, drm_dev_enter(&b->drm, &idx_b));
	KUNIT_EXPECT_NE(test, idx_a, idx_b);
	drm_dev_exit(idx_a);

	mock_start(remove_b, mock_unplug, &b->drm);
	KUNIT_EXPECT_EQ(test, mock_run(remove_a, mock_unplug, &a->drm), 0);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remove_b),
			       "leaving the section of A has ended that of B");
	drm_dev_exit(idx_b);
	KUNIT_EXPECT_EQ(test, mock_finish(remove_b), 0);
}

/*
 * U3: the sections of two tasks overlap. The end of the first is not the end of
 * the second, which is waited for.
 */
static void drm_test_unplug_section_two_tasks(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *first = mock_client_new(test);
	struct mock_client *second = mock_client_new(test);
	struct mock_client *sync = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct section sections[2];

	section_init(&sections[0], &mdev->drm);
	section_init(&sections[1], &mdev->drm);
	mock_start(first, section_hold, &sections[0]);
	mock_gate_wait(test, &sections[0].gate);
	srcu_switch_counters(test, sync, &mdev->drm);
	mock_start(second, section_hold, &sections[1]);
	mock_gate_wait(test, &sections[1].gate);

	mock_start(remover, section_unplug, &sections[1]);
	mock_wait_gone(test, &mdev->drm);
	complete_all(&sections[0].gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(first), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(sync), 0);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
			       "the section of one task has ended that of another");

	complete_all(&sections[1].gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(second), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 1);
}

/*
 * U3: one task has two sections with different cookies. Each cookie ends the
 * section that it came from, in either order.
 */
static void drm_test_unplug_section_two_counters(struct kunit *test)
{
	struct mock_client *sync = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	unsigned int order;

	for (order = 0; order < 2; order++) {
		struct mock_dev *mdev = mock_dev_new(test);
		int idx[2];

		KUNIT_ASSERT_TRUE(test, drm_dev_enter(&mdev->drm, &idx[0]));
		srcu_switch_counters(test, sync, &mdev->drm);
		KUNIT_EXPECT_TRUE(test, drm_dev_enter(&mdev->drm, &idx[1]));
		KUNIT_EXPECT_NE(test, idx[0], idx[1]);

		mock_start(remover, mock_unplug, &mdev->drm);
		mock_wait_gone(test, &mdev->drm);
		drm_dev_exit(idx[order]);
		KUNIT_EXPECT_FALSE(test, mock_returns_early(remover));
		drm_dev_exit(idx[!order]);
		KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
		KUNIT_EXPECT_EQ(test, mock_finish(sync), 0);
	}
}

/*
 * T3: a section may end after the last reference to the device is gone. Its
 * state is freed later. KASAN reports what this gets wrong.
 */
static void drm_test_unplug_section_outlives_device(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	int outer, inner;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	KUNIT_ASSERT_TRUE(test, drm_dev_enter(&mdev->drm, &outer));
	KUNIT_EXPECT_TRUE(test, drm_dev_enter(&mdev->drm, &inner));

	mock_dev_free(mdev);
	/* Whoever frees without looking has time to do so. */
	schedule_timeout_uninterruptible(MOCK_GRACE);

	drm_dev_exit(inner);
	drm_dev_exit(outer);
}

static int section_class(struct drm_device *dev, struct mock_gate *gate)
{
	CLASS(drm_dev_section, section)(dev);
	if (!section.dev)
		return -ENODEV;

	return gate ? mock_gate_pass(gate) : 0;
}

static long section_class_hold(struct mock_client *client, void *data)
{
	struct section *section = data;

	return section_class(section->dev, &section->gate);
}

/* U3, D1: the class enters, holds and leaves as the two functions do. */
static void drm_test_unplug_section_class(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *reader = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct section section;

	KUNIT_EXPECT_EQ(test, section_class(&mdev->drm, NULL), 0);

	section_init(&section, &mdev->drm);
	mock_start(reader, section_class_hold, &section);
	mock_gate_wait(test, &section.gate);
	mock_start(remover, mock_unplug, &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(remover));
	complete_all(&section.gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(reader), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);

	KUNIT_EXPECT_EQ(test, section_class(&mdev->drm, NULL), -ENODEV);
}

/* Repeated and concurrent unplugs */

static struct mock_dev *dev_new_load(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver_load);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);

	return mdev;
}

/* T5: however often and in which order it is called, a device leaves once. */
static void drm_test_unplug_repeated(struct kunit *test)
{
	static void (* const call[])(struct drm_device *dev) = {
		drm_dev_unplug, drm_dev_unregister,
	};
	unsigned int order;
	bool entered;
	int idx;

	for (order = 0; order < 8; order++) {
		struct mock_dev *mdev = dev_new_load(test);

		call[order & 1](&mdev->drm);
		KUNIT_EXPECT_TRUE(test, drm_dev_is_gone(&mdev->drm));
		KUNIT_EXPECT_EQ(test, atomic_read(&mdev->unloads), 1);
		call[order >> 1 & 1](&mdev->drm);
		call[order >> 2 & 1](&mdev->drm);
		KUNIT_EXPECT_TRUE(test, drm_dev_is_gone(&mdev->drm));
		KUNIT_EXPECT_EQ(test, atomic_read(&mdev->unloads), 1);
		KUNIT_EXPECT_FALSE(test, mdev->drm.registered);

		/* Unplugged is what it is if any of them was an unplug. */
		entered = drm_dev_enter(&mdev->drm, &idx);
		if (entered)
			drm_dev_exit(idx);
		KUNIT_EXPECT_EQ(test, entered, order == 7);
	}
}

/* T5, T6: to unplug what was unregistered before waits for sections, too. */
static void drm_test_unplug_after_unregister(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *reader = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct section section;

	drm_dev_unregister(&mdev->drm);

	section_init(&section, &mdev->drm);
	mock_start(reader, section_hold, &section);
	mock_gate_wait(test, &section.gate);
	KUNIT_EXPECT_TRUE_MSG(test, section.entered,
			      "hardware is off limits although it was only unregistered");

	mock_start(remover, section_unplug, &section);
	mock_wait_until(test, drm_dev_is_unplugged(&mdev->drm));
	KUNIT_EXPECT_FALSE(test, mock_returns_early(remover));
	complete_all(&section.gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(reader), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 1);
}

static struct mock_gate unload_gate;

static void unload_stop(struct mock_dev *mdev)
{
	mock_gate_pass(&unload_gate);
}

/* T5: of several tasks, one unregisters, and none returns before it is done. */
static void drm_test_unplug_concurrent(struct kunit *test)
{
	struct mock_dev *mdev = dev_new_load(test);
	struct mock_client *removers[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(removers); i++)
		removers[i] = mock_client_new(test);

	mock_gate_init(&unload_gate);
	mdev->unload = unload_stop;
	for (i = 0; i < ARRAY_SIZE(removers); i++)
		mock_start(removers[i], i & 1 ? mock_unregister : mock_unplug, &mdev->drm);

	mock_gate_wait(test, &unload_gate);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(removers[0]));
	for (i = 1; i < ARRAY_SIZE(removers); i++)
		KUNIT_EXPECT_FALSE_MSG(test, mock_returned(removers[i]),
				       "returned while another task was still at it");
	complete_all(&unload_gate.leave);
	for (i = 0; i < ARRAY_SIZE(removers); i++)
		KUNIT_EXPECT_EQ(test, mock_finish(removers[i]), 0);

	KUNIT_EXPECT_EQ(test, atomic_read(&mdev->unloads), 1);
	KUNIT_EXPECT_TRUE(test, drm_dev_is_unplugged(&mdev->drm));
}

static void unload_again(struct mock_dev *mdev)
{
	drm_dev_unregister(&mdev->drm);
	drm_dev_unplug(&mdev->drm);
}

/* T5: a callback on the way out may unplug: it does not wait for itself. */
static void drm_test_unplug_recursive(struct kunit *test)
{
	struct mock_dev *mdev = dev_new_load(test);
	struct mock_client *remover = mock_client_new(test);

	mdev->unload = unload_again;
	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_unplug, &mdev->drm), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&mdev->unloads), 1);
	KUNIT_EXPECT_FALSE(test, mdev->drm.registered);
}

/* T5: to unplug a device that was never registered does no harm. */
static void drm_test_unplug_unregistered(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	int idx;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	KUNIT_EXPECT_FALSE(test, drm_dev_is_gone(&mdev->drm));
	drm_dev_unplug(&mdev->drm);
	KUNIT_EXPECT_TRUE(test, drm_dev_is_gone(&mdev->drm));
	KUNIT_EXPECT_FALSE(test, drm_dev_enter(&mdev->drm, &idx));
}

static struct mock_client *load_client;
static struct section load_section;

/* A client gets in, and then the probe fails. */
static int load_fails(struct mock_dev *mdev)
{
	section_init(&load_section, &mdev->drm);
	mock_start(load_client, section_hold, &load_section);
	mock_gate_wait(mdev->test, &load_section.gate);

	return -EIO;
}

static long dev_register(struct mock_client *client, void *dev)
{
	return drm_dev_register(dev, 0);
}

/*
 * T5: registering a device fails after user space has found it. That ends what
 * user space has begun, and waits for it.
 */
static void drm_test_unplug_failed_probe(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver_load);
	struct mock_client *prober = mock_client_new(test);
	int idx;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	load_client = mock_client_new(test);
	mdev->load = load_fails;

	mock_start(prober, dev_register, &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	KUNIT_EXPECT_TRUE(test, load_section.entered);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(prober),
			       "a failed probe did not wait for a section");
	complete_all(&load_section.gate.leave);

	KUNIT_EXPECT_EQ(test, mock_finish(load_client), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(prober), -EIO);
	KUNIT_EXPECT_TRUE(test, drm_dev_is_gone(&mdev->drm));
	KUNIT_EXPECT_FALSE(test, drm_dev_enter(&mdev->drm, &idx));
}

/* T4: a device that is registered again is there again. */
static void drm_test_unplug_registered_again(struct kunit *test)
{
	struct mock_dev *mdev = dev_new_load(test);
	unsigned int round;
	int idx;

	for (round = 1; round < 4; round++) {
		drm_dev_unplug(&mdev->drm);
		KUNIT_EXPECT_EQ(test, atomic_read(&mdev->unloads), round);
		KUNIT_EXPECT_TRUE(test, drm_dev_is_gone(&mdev->drm));

		KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);
		KUNIT_EXPECT_FALSE(test, drm_dev_is_gone(&mdev->drm));
		KUNIT_ASSERT_TRUE(test, drm_dev_enter(&mdev->drm, &idx));
		drm_dev_exit(idx);
	}
	drm_dev_unregister(&mdev->drm);
	KUNIT_EXPECT_EQ(test, atomic_read(&mdev->unloads), round);
}

/* Ioctls */

struct handler {
	struct mock_gate *gate;
	unsigned int runs;
	bool unplugs;
	int ret;
};

static int handler_func(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct handler *handler = *(struct handler **)data;
	int ret = 0;

	handler->runs++;
	if (handler->unplugs)
		drm_dev_unplug(dev);
	if (handler->gate)
		ret = mock_gate_pass(handler->gate);

	return ret ?: handler->ret;
}

struct call {
	struct file *file;
	struct handler *handler;
	u32 flags;
};

static long call_handler(struct mock_client *client, void *data)
{
	struct call *call = data;

	return drm_ioctl_kernel(call->file, handler_func, &call->handler, call->flags);
}

static long call_now(struct file *file, struct handler *handler, u32 flags)
{
	struct call call = { .file = file, .handler = handler, .flags = flags };

	return call_handler(NULL, &call);
}

static void set_late(bool late)
{
	WRITE_ONCE(drm_unplug_late, late);
}

static void late_reset(void *unused)
{
	set_late(false);
}

/*
 * Skip the check on entry, as debug_unplug_late does, until the end of the test:
 * handlers run as if they had started at the worst moment.
 */
static void late_start(struct kunit *test)
{
	set_late(true);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, late_reset, NULL), 0);
}

/* U2, D1: no handler runs on a device that is gone, whichever way it went. */
static void drm_test_unplug_ioctl_refused(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct handler handler = { .ret = 7 };

	KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), 7);
	KUNIT_EXPECT_EQ(test, handler.runs, 1);

	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, DRM_RENDER_ALLOW), -ENODEV);
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, DRM_UNPLUG_WAITS), -ENODEV);
	KUNIT_EXPECT_EQ(test, handler.runs, 1);
}

/* U2: ENODEV takes precedence over whatever else is wrong with an ioctl. */
static void drm_test_unplug_ioctl_enodev_first(struct kunit *test)
{
	static const unsigned int bad[] = {
		DRM_IO(0x9f),			/* no such driver ioctl */
		DRM_IO(0xff),			/* no such core ioctl */
		_IO('x', 0),			/* not one of DRM at all */
		DRM_IOCTL_VERSION,		/* bad pointer */
		DRM_IOCTL_SET_MASTER,
		DRM_IOCTL_MODE_GETRESOURCES,
	};
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct handler handler = {};
	unsigned int i;
	u8 arg[256] = {};

	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_LT(test, mock_ioctl(client, file, bad[i], arg), 0);

	mock_leave(test, mdev);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ_MSG(test, mock_ioctl(client, file, bad[i], arg), -ENODEV,
				    "cmd %#x", bad[i]);

	/* Nor does a missing right come first: this file is no master any more. */
	mock_drm_file(file)->authenticated = 0;
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, DRM_AUTH), -ENODEV);
	late_start(test);
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, DRM_AUTH), -ENODEV);
	KUNIT_EXPECT_EQ(test, handler.runs, 0);
}

/* U3: a handler that runs is waited for. */
static void drm_test_unplug_ioctl_in_flight(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct mock_gate gate;
	struct handler handler = { .gate = &gate };
	struct call call = { .file = file, .handler = &handler };

	mock_gate_init(&gate);
	mock_start(client, call_handler, &call);
	mock_gate_wait(test, &gate);

	mock_start(remover, mock_leave_fn(test), &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
			       "the unplug did not wait for a handler");
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ_MSG(test, mock_finish(client), 0,
			    "the handler succeeded, and so should its ioctl");
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
}

/*
 * U3: the section of an ioctl belongs to the task. Two tasks that share a file
 * overlap, and the handler that began last is waited for.
 */
static void drm_test_unplug_ioctl_shared_file(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *first = mock_client_new(test);
	struct mock_client *second = mock_client_thread(first);
	struct mock_client *sync = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct mock_gate gates[2];
	struct handler handlers[2] = { { .gate = &gates[0] }, { .gate = &gates[1] } };
	struct call calls[2] = {
		{ .file = file, .handler = &handlers[0] },
		{ .file = file, .handler = &handlers[1] },
	};

	mock_gate_init(&gates[0]);
	mock_gate_init(&gates[1]);
	mock_start(first, call_handler, &calls[0]);
	mock_gate_wait(test, &gates[0]);
	srcu_switch_counters(test, sync, &mdev->drm);
	mock_start(second, call_handler, &calls[1]);
	mock_gate_wait(test, &gates[1]);

	mock_start(remover, mock_leave_fn(test), &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	complete_all(&gates[0].leave);
	KUNIT_EXPECT_EQ(test, mock_finish(first), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(sync), 0);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
			       "the handler of one task has ended the section of another");
	complete_all(&gates[1].leave);
	KUNIT_EXPECT_EQ(test, mock_finish(second), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
}

/* U3: a crowd. However many handlers run, the unplug waits for the last. */
static void drm_test_unplug_ioctl_crowd(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *clients[24];
	struct mock_client *remover = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct mock_gate *gates;
	struct handler *handlers;
	struct call *calls;
	unsigned int i;

	gates = kunit_kcalloc(test, ARRAY_SIZE(clients), sizeof(*gates), GFP_KERNEL);
	handlers = kunit_kcalloc(test, ARRAY_SIZE(clients), sizeof(*handlers), GFP_KERNEL);
	calls = kunit_kcalloc(test, ARRAY_SIZE(clients), sizeof(*calls), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, gates && handlers && calls);

	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = mock_client_new(test);
		mock_gate_init(&gates[i]);
		handlers[i].gate = &gates[i];
		calls[i].file = file;
		calls[i].handler = &handlers[i];
		mock_start(clients[i], call_handler, &calls[i]);
		mock_gate_wait(test, &gates[i]);
	}

	mock_start(remover, mock_leave_fn(test), &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	/* From the middle to both ends. */
	for (i = 0; i < ARRAY_SIZE(clients) - 1; i++) {
		unsigned int n = (i + ARRAY_SIZE(clients) / 2) % ARRAY_SIZE(clients);

		complete_all(&gates[n].leave);
		KUNIT_EXPECT_EQ(test, mock_finish(clients[n]), 0);
	}
	KUNIT_EXPECT_FALSE(test, mock_returns_early(remover));
	i = ARRAY_SIZE(clients) / 2 - 1;
	complete_all(&gates[i].leave);
	KUNIT_EXPECT_EQ(test, mock_finish(clients[i]), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
}

/*
 * T1: an unplug from inside of a section would wait for itself. That is a bug of
 * the driver, which is told so, and does not hang.
 */
static void drm_test_unplug_ioctl_unplugs(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct handler handler = { .unplugs = true };

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), 0);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_TRUE(test, drm_dev_is_gone(&mdev->drm));
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, handler.runs, 1);
}

struct sleeper {
	struct call call;
	long ret;
	pid_t pid;
};

static int sleeper_child(void *data)
{
	struct sleeper *sleeper = data;

	sleeper->ret = call_handler(NULL, &sleeper->call);
	mock_fork_exit();
	return 0;
}

static long sleeper_parent(struct mock_client *client, void *data)
{
	struct sleeper *sleeper = data;

	sleeper->pid = mock_fork(sleeper_child, sleeper);
	if (sleeper->pid < 0)
		return sleeper->pid;
	mock_fork_wait(sleeper->pid);

	return 0;
}

/*
 * U4, T1: a handler of a driver that knows nothing of all this sleeps for ever,
 * but lets itself be interrupted. It is, and the client is told why. Only tasks
 * that return to user space can be interrupted this way.
 */
static void drm_test_unplug_ioctl_interrupted(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct mock_gate gate;
	struct handler handler = { .gate = &gate };
	struct sleeper sleeper = {
		.call = { .file = mock_open(mdev, O_RDWR), .handler = &handler },
	};

	mock_gate_init(&gate);
	mock_start(client, sleeper_parent, &sleeper);
	mock_wait_until(test, mock_returned(client) || completion_done(&gate.entered));
	if (mock_returned(client) && mock_finish(client) == -EOPNOTSUPP)
		kunit_skip(test, "no way to fork");

	mock_start(remover, mock_leave_fn(test), &mdev->drm);
	KUNIT_EXPECT_NE_MSG(test, 0,
			    wait_for_completion_timeout(&remover->done, MOCK_TIMEOUT),
			    "the sleeper was not interrupted");
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
	KUNIT_EXPECT_EQ(test, sleeper.ret, -ENODEV);
}

/* U2, U3: an ioctl without the right to it fails, and leaves no section behind. */
static void drm_test_unplug_ioctl_no_right(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct handler handler = {};

	mock_drm_file(file)->authenticated = 0;
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, DRM_AUTH), -EACCES);
	KUNIT_EXPECT_EQ(test, handler.runs, 0);
	KUNIT_EXPECT_EQ_MSG(test, mock_run(remover, mock_leave_fn(test), &mdev->drm), 0,
			    "a section was left open");
}

/*
 * U2: a handler that fails because the device goes under it reports that, not
 * how it has noticed. One that succeeds has succeeded.
 */
static void drm_test_unplug_ioctl_error_is_enodev(struct kunit *test)
{
	static const int errors[] = { -EIO, -ETIME, -EINTR, -ERESTARTSYS, -EACCES, -ENODEV };
	struct mock_dev *mdev = mock_dev_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct handler handler = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		handler.ret = errors[i];
		KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), errors[i]);
	}

	mock_leave(test, mdev);
	late_start(test);
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		handler.ret = errors[i];
		KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), -ENODEV);
		KUNIT_EXPECT_EQ(test, call_now(file, &handler, DRM_UNPLUG_WAITS), -ENODEV);
		KUNIT_EXPECT_EQ(test, call_now(file, &handler, DRM_UNPLUG_SAFE), errors[i]);
	}
	handler.ret = 3;
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), 3);
}

/* U2, U3: the same for a handler that the unplug has waited for. */
static void drm_test_unplug_ioctl_error_in_flight(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct mock_gate gate;
	struct handler handler = { .gate = &gate, .ret = -EIO };
	struct call call = { .file = mock_open(mdev, O_RDWR), .handler = &handler };

	mock_gate_init(&gate);
	mock_start(client, call_handler, &call);
	mock_gate_wait(test, &gate);
	mock_start(remover, mock_leave_fn(test), &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
}

/*
 * U2: an ioctl that is marked as safe goes on working. It holds no section: the
 * unplug does not wait for it.
 */
static void drm_test_unplug_ioctl_safe(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct mock_gate gate;
	struct handler handler = { .gate = &gate };
	struct call call = {
		.file = mock_open(mdev, O_RDWR), .handler = &handler, .flags = DRM_UNPLUG_SAFE,
	};

	mock_gate_init(&gate);
	mock_start(client, call_handler, &call);
	mock_gate_wait(test, &gate);
	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_leave_fn(test), &mdev->drm), 0);
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);

	handler.gate = NULL;
	KUNIT_EXPECT_EQ(test, call_now(call.file, &handler, DRM_UNPLUG_SAFE), 0);
	KUNIT_EXPECT_EQ(test, handler.runs, 2);
}

/* U4, T1: an unplug does not wait for an ioctl that only waits. */
static void drm_test_unplug_ioctl_waits(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct mock_gate gate;
	struct handler handler = { .gate = &gate, .ret = -ETIME };
	struct call call = {
		.file = mock_open(mdev, O_RDWR), .handler = &handler, .flags = DRM_UNPLUG_WAITS,
	};

	mock_gate_init(&gate);
	mock_start(client, call_handler, &call);
	mock_gate_wait(test, &gate);
	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_leave_fn(test), &mdev->drm), 0);
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	KUNIT_EXPECT_EQ(test, call_now(call.file, &handler, DRM_UNPLUG_WAITS), -ENODEV);
	KUNIT_EXPECT_EQ(test, handler.runs, 1);
}

/*
 * The debug switch does what tests in user space rely on: handlers run on a
 * device that is gone, whether called through drm_ioctl() or not, and an unplug
 * that is repeated meanwhile does not get stuck.
 */
static void drm_test_unplug_ioctl_late(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct drm_get_cap cap = { .capability = DRM_CAP_SYNCOBJ };
	struct mock_gate gate;
	struct handler handler = { .gate = &gate };
	struct call call = { .file = file, .handler = &handler };

	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, mock_ioctl(client, file, DRM_IOCTL_GET_CAP, &cap), -ENODEV);

	late_start(test);
	KUNIT_EXPECT_EQ(test, mock_ioctl(client, file, DRM_IOCTL_GET_CAP, &cap), 0);
	KUNIT_EXPECT_EQ(test, cap.value, 1);

	mock_gate_init(&gate);
	mock_start(client, call_handler, &call);
	mock_gate_wait(test, &gate);
	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_unplug, &mdev->drm), 0);
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);

	set_late(false);
	KUNIT_EXPECT_EQ(test, mock_ioctl(client, file, DRM_IOCTL_GET_CAP, &cap), -ENODEV);
}

/*
 * U2: the exception. A syncobj is software and can belong to clients of other
 * devices, so that creating, importing and signalling it still works.
 */
static void drm_test_unplug_ioctl_syncobj(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct drm_syncobj_create create = {};
	struct drm_syncobj_destroy destroy = {};

	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, mock_ioctl(client, file, DRM_IOCTL_SYNCOBJ_CREATE, &create), 0);
	KUNIT_EXPECT_NE(test, create.handle, 0);
	destroy.handle = create.handle;
	KUNIT_EXPECT_EQ(test, mock_ioctl(client, file, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), 0);
	KUNIT_EXPECT_EQ_MSG(test, mock_ioctl(client, file, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy),
			    -EINVAL, "its errors are its own");
}

/*
 * U2, U3: the flags of the core table. Nothing but syncobj ioctls is excepted,
 * and none is both safe and waiting.
 */
static void drm_test_unplug_ioctl_table(struct kunit *test)
{
	unsigned int nr, flags, safe = 0, waits = 0;

	for (nr = 0; nr < 0x100; nr++) {
		if (!drm_ioctl_flags(nr, &flags))
			continue;
		if (!(flags & (DRM_UNPLUG_SAFE | DRM_UNPLUG_WAITS)))
			continue;

		KUNIT_EXPECT_TRUE_MSG(test,
				      (nr >= _IOC_NR(DRM_IOCTL_SYNCOBJ_CREATE) &&
				       nr <= _IOC_NR(DRM_IOCTL_SYNCOBJ_SIGNAL)) ||
				      (nr >= _IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT) &&
				       nr <= _IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL)),
				      "ioctl %#x runs outside of a section", nr);
		KUNIT_EXPECT_NE(test, flags & (DRM_UNPLUG_SAFE | DRM_UNPLUG_WAITS),
				DRM_UNPLUG_SAFE | DRM_UNPLUG_WAITS);
		safe += !!(flags & DRM_UNPLUG_SAFE);
		waits += !!(flags & DRM_UNPLUG_WAITS);
	}
	KUNIT_EXPECT_GT(test, safe, 0);
	KUNIT_EXPECT_EQ_MSG(test, waits, 2, "SYNCOBJ_WAIT and SYNCOBJ_TIMELINE_WAIT");
}

/*
 * T6: an orderly removal. Clients are out, but the driver may still talk to the
 * hardware to switch it off.
 */
static void drm_test_unplug_gone_is_not_dead(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct handler handler = {};
	int idx;

	drm_dev_unregister(&mdev->drm);
	KUNIT_EXPECT_TRUE(test, drm_dev_is_gone(&mdev->drm));
	KUNIT_EXPECT_FALSE(test, drm_dev_is_unplugged(&mdev->drm));
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), -ENODEV);
	KUNIT_ASSERT_TRUE_MSG(test, drm_dev_enter(&mdev->drm, &idx),
			      "the driver cannot switch its hardware off");
	drm_dev_exit(idx);

	drm_dev_unplug(&mdev->drm);
	KUNIT_EXPECT_TRUE(test, drm_dev_is_unplugged(&mdev->drm));
	KUNIT_EXPECT_FALSE(test, drm_dev_enter(&mdev->drm, &idx));
}

/* Connectors */

static enum drm_connector_status mock_status;
static bool mock_status_gone;

static void connector_early_unregister(struct drm_connector *connector)
{
	mock_status = connector->status;
	mock_status_gone = drm_dev_is_gone(connector->dev);
}

static const struct drm_connector_funcs connector_funcs = {
	.fill_modes = NULL,
	.early_unregister = connector_early_unregister,
	.reset = drm_atomic_helper_connector_reset,
	.atomic_duplicate_state = drm_atomic_helper_connector_duplicate_state,
	.atomic_destroy_state = drm_atomic_helper_connector_destroy_state,
};

/*
 * U6: by the time that connectors and nodes are taken away and user space is
 * told, ioctls fail and the connectors are disconnected.
 */
static void drm_test_unplug_connectors(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	struct drm_connector *connectors;
	u64 epoch;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	connectors = drmm_kcalloc(&mdev->drm, 2, sizeof(*connectors), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, connectors);
	KUNIT_ASSERT_EQ(test, drmm_connector_init(&mdev->drm, &connectors[0], &connector_funcs,
						  DRM_MODE_CONNECTOR_VIRTUAL, NULL), 0);
	KUNIT_ASSERT_EQ(test, drmm_connector_init(&mdev->drm, &connectors[1], &connector_funcs,
						  DRM_MODE_CONNECTOR_VIRTUAL, NULL), 0);
	KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);
	connectors[0].status = connector_status_connected;
	connectors[1].status = connector_status_disconnected;
	epoch = connectors[0].epoch_counter;

	mock_status = connector_status_connected;
	mock_status_gone = false;
	mock_leave(test, mdev);

	KUNIT_EXPECT_EQ(test, mock_status, connector_status_disconnected);
	KUNIT_EXPECT_TRUE(test, mock_status_gone);
	KUNIT_EXPECT_EQ(test, connectors[0].status, connector_status_disconnected);
	KUNIT_EXPECT_EQ(test, connectors[1].status, connector_status_disconnected);
	KUNIT_EXPECT_NE(test, connectors[0].epoch_counter, epoch);
}

/* open() */

/* U1: the node of a device that is gone, by number and by a path held open. */
static void drm_test_unplug_open_gone(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	unsigned int primary = mdev->drm.primary->index;
	unsigned int render = mdev->drm.render->index;
	struct file *file = mock_open(mdev, O_RDWR), *again;

	again = dentry_open(&file->f_path, O_RDWR, current_cred());
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, again);
	__fput_sync(again);

	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, PTR_ERR(mock_open_node(test, DRM_MAJOR, primary, O_RDWR)), -ENXIO);
	KUNIT_EXPECT_EQ(test, PTR_ERR(mock_open_node(test, DRM_MAJOR, render, O_RDWR)), -ENXIO);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dentry_open(&file->f_path, O_RDWR, current_cred())),
			-ENXIO);

	/* Late close, after which nobody has a reference. */
	mock_close(file);
	KUNIT_EXPECT_EQ(test, PTR_ERR(mock_open_node(test, DRM_MAJOR, primary, O_RDWR)), -ENXIO);
}

struct open_call {
	struct mock_dev *mdev;
	struct path path;
};

static long open_primary(struct mock_client *client, void *data)
{
	struct open_call *call = data;
	struct file *file = dentry_open(&call->path, O_RDWR, current_cred());

	if (IS_ERR(file))
		return PTR_ERR(file);

	__fput_sync(file);
	return 0;
}

/* U1, U3, T5: the driver's open callback runs in a section, too. */
static void drm_test_unplug_open_in_flight(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct open_call call = { .mdev = mdev };
	struct mock_gate gate;

	KUNIT_ASSERT_EQ(test, mock_node(test, DRM_MAJOR, mdev->drm.primary->index, &call.path), 0);
	mock_gate_init(&gate);
	mdev->opening = &gate;
	mock_start(client, open_primary, &call);
	mock_gate_wait(test, &gate);

	mock_start(remover, mock_leave_fn(test), &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
			       "the unplug did not wait for an open");
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
	KUNIT_EXPECT_EQ(test, mock_run(client, open_primary, &call), -ENXIO);
}

/*
 * T3: a file is closed after the device has gone and its driver has dropped the
 * last reference of its own. KASAN reports what this gets wrong.
 */
static void drm_test_unplug_late_close(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	struct handler handler = {};
	struct file *file;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);
	file = mock_open_node(test, DRM_MAJOR, mdev->drm.primary->index, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);

	mock_leave(test, mdev);
	mock_dev_free(mdev);
	KUNIT_EXPECT_EQ(test, call_now(file, &handler, 0), -ENODEV);
	__fput_sync(file);
}

/* Minor numbers */

static int minor_once(struct kunit *test, struct device *parent)
{
	struct drm_device *dev = drm_dev_alloc(&mock_driver_bare, parent);
	int index;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	index = dev->primary->index;
	drm_dev_put(dev);

	return index;
}

/*
 * U8: a number is given out again only after all others, so that a device which
 * comes back is not taken for the one that left.
 */
static void drm_test_unplug_minor_cyclic(struct kunit *test)
{
	struct device *parent = mock_dev_alloc(test, &mock_driver)->parent;
	int seen[64], index;
	unsigned int i;

	memset(seen, -1, sizeof(seen));
	for (i = 0; i < 200; i++) {
		index = minor_once(test, parent);
		KUNIT_ASSERT_GE(test, index, 0);
		KUNIT_ASSERT_LT(test, index, 64);
		/* Some can be taken by devices that are there, but not many. */
		if (seen[index] >= 0)
			KUNIT_EXPECT_GT_MSG(test, i - seen[index], 32,
					    "number %d was used again too early", index);
		seen[index] = i;
	}
}

static void devs_put(void *data)
{
	struct drm_device **dev = data;

	for (; *dev; dev++)
		drm_dev_put(*dev);
}

/*
 * U8: when the first 64 numbers are taken, others follow, in turn as well, and
 * the nodes beyond 255 can be opened.
 */
static void drm_test_unplug_minor_extended(struct kunit *test)
{
	struct device *parent = mock_dev_alloc(test, &mock_driver)->parent;
	struct drm_device **devs;
	struct file *file;
	int index = 0, last;
	unsigned int i;

	devs = kunit_kcalloc(test, 66, sizeof(*devs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, devs);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, devs_put, devs), 0);
	for (i = 0; index < 64; i++) {
		KUNIT_ASSERT_LT(test, i, 65);
		devs[i] = drm_dev_alloc(&mock_driver_bare, parent);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, devs[i]);
		index = devs[i]->primary->index;
	}
	KUNIT_EXPECT_GE(test, index, 192);

	do {
		last = index;
		index = minor_once(test, parent);
		KUNIT_EXPECT_EQ(test, index, last + 1);
	} while (index < 256);

	drm_dev_put(devs[--i]);
	devs[i] = drm_dev_alloc(&mock_driver_bare, parent);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, devs[i]);
	index = devs[i]->primary->index;
	KUNIT_ASSERT_GT(test, index, 256);
	KUNIT_ASSERT_EQ(test, drm_dev_register(devs[i], 0), 0);
	file = mock_open_node(test, DRM_MAJOR, index, O_RDWR);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, file);
	if (!IS_ERR_OR_NULL(file))
		__fput_sync(file);
	drm_dev_unplug(devs[i]);
	KUNIT_EXPECT_EQ(test, PTR_ERR(mock_open_node(test, DRM_MAJOR, index, O_RDWR)), -ENXIO);
}

/* U8: an accel device gets a number whose node exists, or none. */
static void drm_test_unplug_minor_accel(struct kunit *test)
{
	struct device *parent = mock_dev_alloc(test, &mock_driver)->parent;
	struct drm_device **devs, *dev;
	unsigned int i;

	if (!IS_ENABLED(CONFIG_DRM_ACCEL))
		kunit_skip(test, "needs CONFIG_DRM_ACCEL");

	devs = kunit_kcalloc(test, ACCEL_MAX_MINORS + 2, sizeof(*devs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, devs);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, devs_put, devs), 0);

	for (i = 0; i <= ACCEL_MAX_MINORS; i++) {
		dev = drm_dev_alloc(&mock_driver_accel, parent);
		if (IS_ERR(dev))
			break;
		devs[i] = dev;
		KUNIT_EXPECT_LT(test, dev->accel->index, ACCEL_MAX_MINORS);
	}
	KUNIT_EXPECT_LE(test, i, ACCEL_MAX_MINORS);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dev), -EBUSY);
}

static struct kunit_case drm_unplug_tests[] = {
	KUNIT_CASE(drm_test_unplug_section_waited_for),
	KUNIT_CASE(drm_test_unplug_section_concurrent),
	KUNIT_CASE(drm_test_unplug_section_nested),
	KUNIT_CASE(drm_test_unplug_section_other_device),
	KUNIT_CASE(drm_test_unplug_section_exit_finds_device),
	KUNIT_CASE(drm_test_unplug_section_two_tasks),
	KUNIT_CASE(drm_test_unplug_section_two_counters),
	KUNIT_CASE(drm_test_unplug_section_outlives_device),
	KUNIT_CASE(drm_test_unplug_section_class),
	KUNIT_CASE(drm_test_unplug_repeated),
	KUNIT_CASE(drm_test_unplug_after_unregister),
	KUNIT_CASE(drm_test_unplug_concurrent),
	KUNIT_CASE(drm_test_unplug_recursive),
	KUNIT_CASE(drm_test_unplug_unregistered),
	KUNIT_CASE(drm_test_unplug_failed_probe),
	KUNIT_CASE(drm_test_unplug_registered_again),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_refused, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_enodev_first, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_in_flight, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_shared_file, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_crowd, mock_leave_params),
	KUNIT_CASE(drm_test_unplug_ioctl_unplugs),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_interrupted, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_no_right, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_error_is_enodev, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_error_in_flight, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_safe, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_waits, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_late, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_ioctl_syncobj, mock_leave_params),
	KUNIT_CASE(drm_test_unplug_ioctl_table),
	KUNIT_CASE(drm_test_unplug_gone_is_not_dead),
	KUNIT_CASE_PARAM(drm_test_unplug_connectors, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_open_gone, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_open_in_flight, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_late_close, mock_leave_params),
	KUNIT_CASE(drm_test_unplug_minor_cyclic),
	KUNIT_CASE(drm_test_unplug_minor_extended),
	KUNIT_CASE(drm_test_unplug_minor_accel),
	{}
};

static struct kunit_suite drm_unplug_test_suite = {
	.name = "drm_unplug",
	.test_cases = drm_unplug_tests,
};

kunit_test_suite(drm_unplug_test_suite);

MODULE_DESCRIPTION("KUnit tests of the DRM unplug core");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("Dual MIT/GPL");
