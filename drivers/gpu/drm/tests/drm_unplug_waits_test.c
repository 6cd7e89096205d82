// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sleepers and events: who sleeps in core when the device goes, and what read()
 * and poll() say. U4 and U5 are about waits and events, T1 is that an unplug
 * returns whatever clients do, T2 that it leaves other devices alone.
 */

#include <linux/dma-fence.h>
#include <linux/eventfd.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/syscalls.h>

#include <drm/drm_atomic_state_helper.h>
#include <drm/drm_crtc.h>
#include <drm/drm_file.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_kunit_helpers.h>
#include <drm/drm_syncobj.h>
#include <drm/drm_unplug.h>
#include <drm/drm_vblank.h>

#include <kunit/resource.h>
#include <kunit/test.h>

#include "../drm_unplug_internal.h"
#include "drm_unplug_mock.h"

/* Events */

struct mock_event {
	struct drm_event base;
	u64 number;
};

struct event {
	struct drm_pending_event base;
	struct mock_event event;
};

/* Promise an event to a client. */
static struct event *event_promise(struct kunit *test, struct file *file, u64 number)
{
	struct drm_file *priv = mock_drm_file(file);
	struct event *e = kzalloc_obj(*e);

	KUNIT_ASSERT_NOT_NULL(test, e);
	e->event.base.type = 0x80000000;
	e->event.base.length = sizeof(e->event);
	e->event.number = number;
	KUNIT_ASSERT_EQ(test, drm_event_reserve_init(priv->minor->dev, priv, &e->base,
						     &e->event.base), 0);

	return e;
}

static void event_send(struct file *file, struct event *e)
{
	drm_send_event(mock_drm_file(file)->minor->dev, &e->base);
}

struct read_call {
	struct file *file;
	size_t size;
	u8 data[128] __aligned(8);
};

static long read_fn(struct mock_client *client, void *data)
{
	struct read_call *call = data;
	loff_t pos = 0;
	ssize_t ret;

	ret = call->file->f_op->read(call->file, client->user, call->size, &pos);
	if (ret > 0 && copy_from_user(call->data, client->user, ret))
		return -EFAULT;

	return ret;
}

static long read_now(struct mock_client *client, struct file *file)
{
	struct read_call call = { .file = file, .size = sizeof(call.data) };

	return mock_run(client, read_fn, &call);
}

/* The number of the event at that place in what was read. */
static u64 read_number(struct read_call *call, unsigned int place)
{
	return ((struct mock_event *)call->data)[place].number;
}

/* U5: with nothing to read, the answer is ENODEV, for good, and never 0. */
static void drm_test_unplug_read_gone(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct file *nonblock = mock_open(mdev, O_RDWR | O_NONBLOCK);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, read_now(client, nonblock), -EAGAIN);
	mock_leave(test, mdev);
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
		KUNIT_EXPECT_EQ(test, read_now(client, nonblock), -ENODEV);
	}
}

/* U5: a task asleep in read() is woken, all of them if they share the file. */
static void drm_test_unplug_read_asleep(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *clients[3];
	struct file *file = mock_open(mdev, O_RDWR);
	struct read_call calls[3];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = mock_client_new(test);
		calls[i].file = file;
		calls[i].size = sizeof(calls[i].data);
		mock_start(clients[i], read_fn, &calls[i]);
		mock_wait_asleep(clients[i]);
	}

	mock_leave(test, mdev);
	for (i = 0; i < ARRAY_SIZE(clients); i++)
		KUNIT_EXPECT_EQ(test, mock_finish(clients[i]), -ENODEV);
}

/* U5: events that were sent before are read first, in order, once. */
static void drm_test_unplug_read_events_first(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct read_call call = { .file = file, .size = sizeof(struct mock_event) };
	u64 i;

	for (i = 1; i <= 3; i++)
		event_send(file, event_promise(test, file, i));

	mock_leave(test, mdev);
	for (i = 1; i <= 3; i++) {
		KUNIT_EXPECT_EQ(test, mock_run(client, read_fn, &call), call.size);
		KUNIT_EXPECT_EQ(test, read_number(&call, 0), i);
	}
	KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
}

/* U5: the same, all in one read(): what there is, and the error next time. */
static void drm_test_unplug_read_events_at_once(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct read_call call = { .file = file, .size = sizeof(call.data) };

	event_send(file, event_promise(test, file, 11));
	event_send(file, event_promise(test, file, 12));
	mock_leave(test, mdev);

	KUNIT_EXPECT_EQ(test, mock_run(client, read_fn, &call),
			2 * sizeof(struct mock_event));
	KUNIT_EXPECT_EQ(test, read_number(&call, 0), 11);
	KUNIT_EXPECT_EQ(test, read_number(&call, 1), 12);
	KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
}

/*
 * U5: an event that was promised and comes only after the unplug is waited for.
 * Who must not sleep is told to try again.
 */
static void drm_test_unplug_read_event_promised(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct read_call call = { .file = file, .size = sizeof(call.data) };
	struct event *e = event_promise(test, file, 5);

	mock_leave(test, mdev);
	file->f_flags |= O_NONBLOCK;
	KUNIT_EXPECT_EQ(test, read_now(client, file), -EAGAIN);
	file->f_flags &= ~O_NONBLOCK;

	mock_start(client, read_fn, &call);
	mock_wait_asleep(client);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(client));
	event_send(file, e);
	KUNIT_EXPECT_EQ(test, mock_finish(client), sizeof(e->event));
	KUNIT_EXPECT_EQ(test, read_number(&call, 0), 5);
	KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
}

/* U5: a promise that is taken back wakes who waits for it. */
static void drm_test_unplug_read_event_cancelled(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct read_call call = { .file = file, .size = sizeof(call.data) };
	struct event *e = event_promise(test, file, 5);

	mock_leave(test, mdev);
	mock_start(client, read_fn, &call);
	mock_wait_asleep(client);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(client));
	drm_event_cancel_free(&mdev->drm, &e->base);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
}

/* What epoll does: sits in the wait queue and asks when it is called. */
struct poller {
	struct poll_table_struct table;
	struct wait_queue_entry entry;
	wait_queue_head_t *head;
	atomic_t wakes;
	__poll_t reported;
};

static int poller_wake(struct wait_queue_entry *entry, unsigned int mode, int sync, void *key)
{
	struct poller *poller = container_of(entry, struct poller, entry);

	atomic_inc(&poller->wakes);
	poller->reported |= key_to_poll(key);
	return 0;
}

static void poller_queue(struct file *file, wait_queue_head_t *head,
			 struct poll_table_struct *table)
{
	struct poller *poller = container_of(table, struct poller, table);

	poller->head = head;
	init_waitqueue_func_entry(&poller->entry, poller_wake);
	add_wait_queue(head, &poller->entry);
}

/* KUnit compares integers, which a __poll_t is not for sparse. */
#define POLL_INT(mask)	((__force unsigned int)(__poll_t)(mask))
#define POLL_EVENT	POLL_INT(EPOLLIN | EPOLLRDNORM)
#define POLL_GONE	POLL_INT(EPOLLHUP | EPOLLERR)

static unsigned int poller_start(struct poller *poller, struct file *file)
{
	memset(poller, 0, sizeof(*poller));
	init_poll_funcptr(&poller->table, poller_queue);
	poller->table._key = EPOLLIN | EPOLLHUP | EPOLLERR;

	return POLL_INT(vfs_poll(file, &poller->table));
}

static void poller_end(struct poller *poller)
{
	if (poller->head)
		remove_wait_queue(poller->head, &poller->entry);
}

static unsigned int poll_now(struct file *file)
{
	return POLL_INT(vfs_poll(file, NULL));
}

/*
 * U5: pollers are woken, once, all that share the file; from then on poll() says
 * so until read() has reported it. Each open file has to be told.
 */
static void drm_test_unplug_poll_latched(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR), *other = mock_open(mdev, O_RDWR);
	struct poller pollers[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pollers); i++)
		KUNIT_EXPECT_EQ(test, poller_start(&pollers[i], file), 0);

	mock_leave(test, mdev);
	/* Who asks again has nothing more to tell. */
	drm_dev_unplug(&mdev->drm);
	drm_dev_unregister(&mdev->drm);
	for (i = 0; i < ARRAY_SIZE(pollers); i++) {
		poller_end(&pollers[i]);
		KUNIT_EXPECT_EQ(test, atomic_read(&pollers[i].wakes), 1);
		KUNIT_EXPECT_EQ(test, POLL_INT(pollers[i].reported) & POLL_GONE, POLL_GONE);
	}

	KUNIT_EXPECT_EQ(test, poll_now(file), POLL_GONE);
	KUNIT_EXPECT_EQ(test, poll_now(file), POLL_GONE);
	KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
	KUNIT_EXPECT_EQ_MSG(test, poll_now(file), 0, "a level that stays up");
	KUNIT_EXPECT_EQ_MSG(test, poll_now(other), POLL_GONE, "another file was told");
	KUNIT_EXPECT_EQ(test, read_now(client, other), -ENODEV);
	KUNIT_EXPECT_EQ(test, poll_now(other), 0);
}

/* U5: reading an event that is left is not being told: poll() goes on. */
static void drm_test_unplug_poll_with_events(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);

	event_send(file, event_promise(test, file, 1));
	KUNIT_EXPECT_EQ(test, poll_now(file), POLL_EVENT);
	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, poll_now(file), POLL_EVENT | POLL_GONE);
	KUNIT_EXPECT_GT(test, read_now(client, file), 0);
	KUNIT_EXPECT_EQ(test, poll_now(file), POLL_GONE);
	KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
	KUNIT_EXPECT_EQ(test, poll_now(file), 0);
}

/* Vblanks */

static int crtc_enable_vblank(struct drm_crtc *crtc)
{
	return 0;
}

static void crtc_disable_vblank(struct drm_crtc *crtc)
{
}

static const struct drm_crtc_funcs crtc_funcs = {
	.atomic_destroy_state = drm_atomic_helper_crtc_destroy_state,
	.atomic_duplicate_state = drm_atomic_helper_crtc_duplicate_state,
	.reset = drm_atomic_helper_crtc_reset,
	.enable_vblank = crtc_enable_vblank,
	.disable_vblank = crtc_disable_vblank,
};

KUNIT_DEFINE_ACTION_WRAPPER(crtc_off, drm_crtc_vblank_off, struct drm_crtc *);
KUNIT_DEFINE_ACTION_WRAPPER(dev_unplug, drm_dev_unplug, struct drm_device *);

/* A device with a CRTC that is on, and a vblank that never comes. */
static struct drm_crtc *crtc_new(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	struct drm_plane *plane;
	struct drm_crtc *crtc;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	plane = drm_kunit_helper_create_primary_plane(test, &mdev->drm, NULL, NULL, NULL, 0,
						      NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, plane);
	crtc = drm_kunit_helper_create_crtc(test, &mdev->drm, plane, NULL, &crtc_funcs, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, crtc);
	KUNIT_ASSERT_EQ(test, drm_vblank_init(&mdev->drm, 1), 0);
	drm_mode_config_reset(&mdev->drm);
	KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);
	drm_crtc_vblank_on(crtc);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, crtc_off, crtc), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, dev_unplug, &mdev->drm), 0);

	return crtc;
}

/* U4: WAIT_VBLANK ends at once, and says why. Its own timeout is 3 s. */
static void drm_test_unplug_vblank_wait(struct kunit *test)
{
	struct drm_crtc *crtc = crtc_new(test);
	struct mock_dev *mdev = to_mock_dev(crtc->dev);
	struct mock_client *client = mock_client_new(test);
	union drm_wait_vblank arg = {
		.request = { .type = _DRM_VBLANK_RELATIVE, .sequence = 1 },
	};
	struct mock_ioctl io = {
		.file = mock_open(mdev, O_RDWR), .cmd = DRM_IOCTL_WAIT_VBLANK, .arg = &arg,
	};
	unsigned long start;

	mock_start(client, mock_ioctl_fn, &io);
	mock_wait_asleep(client);
	start = jiffies;
	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	KUNIT_EXPECT_TRUE_MSG(test, time_before(jiffies, start + 2 * HZ),
			      "the sleeper was not woken");
}

static long wait_one_vblank(struct mock_client *client, void *crtc)
{
	return drm_crtc_wait_one_vblank(crtc);
}

/* T5: the console waits for a vblank before it draws, and warns if there is none. */
static void drm_test_unplug_vblank_console(struct kunit *test)
{
	struct drm_crtc *crtc = crtc_new(test);
	struct mock_client *client = mock_client_new(test);

	mock_start(client, wait_one_vblank, crtc);
	mock_wait_asleep(client);
	mock_leave(test, to_mock_dev(crtc->dev));
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	drm_crtc_vblank_off(crtc);
	KUNIT_EXPECT_EQ(test, mock_run(client, wait_one_vblank, crtc), -ENODEV);
	drm_crtc_vblank_on(crtc);
}

static void vblank_event_ask(struct kunit *test, struct mock_client *client, struct file *file)
{
	union drm_wait_vblank arg = {
		.request = { .type = _DRM_VBLANK_RELATIVE | _DRM_VBLANK_EVENT, .sequence = 1 },
	};

	KUNIT_EXPECT_EQ(test, mock_ioctl(client, file, DRM_IOCTL_WAIT_VBLANK, &arg), 0);
}

/*
 * U5: an event that was asked for is sent at the end of drm_dev_unplug(). After
 * drm_dev_unregister() it comes when the driver switches the CRTC off.
 */
static void drm_test_unplug_vblank_event(struct kunit *test)
{
	struct drm_crtc *crtc = crtc_new(test);
	struct mock_dev *mdev = to_mock_dev(crtc->dev);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR | O_NONBLOCK);

	vblank_event_ask(test, client, file);
	mock_leave(test, mdev);
	if (!drm_dev_is_unplugged(crtc->dev)) {
		KUNIT_EXPECT_EQ(test, read_now(client, file), -EAGAIN);
		drm_crtc_vblank_off(crtc);
	}
	KUNIT_EXPECT_EQ(test, read_now(client, file), sizeof(struct drm_event_vblank));
	KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
	/* Once only. */
	drm_crtc_vblank_off(crtc);
	KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
	drm_crtc_vblank_on(crtc);
}

/* U5: and of a device that is wedged, which may stay like that for long. */
static void drm_test_unplug_vblank_event_wedge(struct kunit *test)
{
	struct drm_crtc *crtc = crtc_new(test);
	struct mock_dev *mdev = to_mock_dev(crtc->dev);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR | O_NONBLOCK);

	vblank_event_ask(test, client, file);
	KUNIT_EXPECT_EQ(test, drm_dev_wedge(crtc->dev, DRM_WEDGE_RECOVERY_REBIND, NULL), 0);
	KUNIT_EXPECT_EQ(test, read_now(client, file), sizeof(struct drm_event_vblank));
	KUNIT_EXPECT_EQ(test, read_now(client, file), -ENODEV);
	KUNIT_EXPECT_EQ(test, poll_now(file), 0);
}

/* Syncobjs */

struct fence {
	struct dma_fence base;
	spinlock_t lock;	/* of base */
};

static const char *fence_name(struct dma_fence *fence)
{
	return "drm-unplug-test";
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
};

static void fence_end(void *data)
{
	struct dma_fence *fence = data;

	dma_fence_signal(fence);
	dma_fence_put(fence);
}

/* A fence of somebody else's, that signals when the test says so. */
static struct dma_fence *fence_new(struct kunit *test)
{
	struct fence *fence = kzalloc_obj(*fence);

	KUNIT_ASSERT_NOT_NULL(test, fence);
	spin_lock_init(&fence->lock);
	dma_fence_init(&fence->base, &fence_ops, &fence->lock, dma_fence_context_alloc(1), 1);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, fence_end, &fence->base), 0);

	return &fence->base;
}

/* A new syncobj of the client that has @file, with @fence in it if there is one. */
static u32 syncobj_new(struct kunit *test, struct mock_client *client, struct file *file,
		       struct dma_fence *fence)
{
	struct drm_syncobj_create create = {};
	struct drm_syncobj *syncobj;

	KUNIT_ASSERT_EQ(test, mock_ioctl(client, file, DRM_IOCTL_SYNCOBJ_CREATE, &create), 0);
	if (fence) {
		syncobj = drm_syncobj_find(mock_drm_file(file), create.handle);
		KUNIT_ASSERT_NOT_NULL(test, syncobj);
		drm_syncobj_replace_fence(syncobj, fence);
		drm_syncobj_put(syncobj);
	}

	return create.handle;
}

struct wait_case {
	const char *name;
	u32 flags;
	bool fence;
	bool timeline;
	bool unregister;
};

static const struct wait_case wait_cases[] = {
	{ "fence", 0, true },
	{ "fence, unregister", 0, true, .unregister = true },
	{ "all fences", DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, true },
	{ "not submitted", DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, false },
	{ "not submitted, unregister", DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, false,
	  .unregister = true },
	{ "submitted later", DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, true },
	{ "timeline", 0, true, true },
	{ "timeline, not submitted", DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, false, true },
	{ "timeline, available", DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE, false, true },
};

KUNIT_ARRAY_PARAM_DESC(wait_case, wait_cases, name);

struct wait_call {
	struct file *file;
	const struct wait_case *c;
	u32 handle;
};

/* The handles and points that an ioctl points to are behind its argument. */
#define WAIT_HANDLES	256
#define WAIT_POINTS	512

static long wait_fn(struct mock_client *client, void *data)
{
	struct wait_call *call = data;
	struct drm_syncobj_timeline_wait timeline = {
		.handles = (unsigned long)client->user + WAIT_HANDLES,
		.points = (unsigned long)client->user + WAIT_POINTS,
		.timeout_nsec = S64_MAX,
		.count_handles = 1,
		.flags = call->c->flags,
	};
	struct drm_syncobj_wait wait = {
		.handles = timeline.handles,
		.timeout_nsec = S64_MAX,
		.count_handles = 1,
		.flags = call->c->flags,
	};
	struct mock_ioctl io = { .file = call->file };
	/* A fence on its own is all of the timeline. */
	u64 point = call->c->fence ? 0 : 1;

	if (copy_to_user(client->user + WAIT_HANDLES, &call->handle, sizeof(call->handle)) ||
	    copy_to_user(client->user + WAIT_POINTS, &point, sizeof(point)))
		return -EFAULT;

	io.cmd = call->c->timeline ? DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT : DRM_IOCTL_SYNCOBJ_WAIT;
	io.arg = call->c->timeline ? (void *)&timeline : (void *)&wait;

	return mock_ioctl_fn(client, &io);
}

/* U4, T1: a wait for a syncobj ends, with a fence or without, however long it is. */
static void drm_test_unplug_syncobj_wait(struct kunit *test)
{
	const struct wait_case *c = test->param_value;
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct wait_call call = { .file = mock_open(mdev, O_RDWR), .c = c };

	call.handle = syncobj_new(test, client, call.file, c->fence ? fence_new(test) : NULL);
	mock_start(client, wait_fn, &call);
	mock_wait_asleep(client);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(client));

	KUNIT_EXPECT_EQ(test, mock_run(remover, c->unregister ? mock_unregister : mock_unplug,
				       &mdev->drm), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
}

/* T2: the waits of another device go on, and end when their fence signals. */
static void drm_test_unplug_syncobj_wait_other_device(struct kunit *test)
{
	static const struct wait_case c = { "other", 0, true };
	struct mock_dev *leaving = mock_dev_new(test), *staying = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct wait_call call = { .file = mock_open(staying, O_RDWR), .c = &c };
	struct dma_fence *fence = fence_new(test);

	call.handle = syncobj_new(test, client, call.file, fence);
	mock_start(client, wait_fn, &call);
	mock_wait_asleep(client);
	drm_dev_unplug(&leaving->drm);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(client));
	dma_fence_signal(fence);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
}

struct find_call {
	struct file *file;
	u32 handle;
};

static int find_handler(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct find_call *call = data;
	struct dma_fence *fence;
	int ret;

	ret = drm_syncobj_find_fence(file, call->handle, 0,
				     DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, &fence);
	if (!ret)
		dma_fence_put(fence);

	return ret;
}

static long find_fn(struct mock_client *client, void *data)
{
	struct find_call *call = data;

	return drm_ioctl_kernel(call->file, find_handler, call, 0);
}

/*
 * U4, T1: a driver's submit ioctl waits for a fence to be submitted, and is in a
 * section while it does. Its own timeout is 5 s.
 */
static void drm_test_unplug_syncobj_find_fence(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct find_call call = { .file = mock_open(mdev, O_RDWR) };
	unsigned long start;

	call.handle = syncobj_new(test, client, call.file, NULL);
	mock_start(client, find_fn, &call);
	mock_wait_asleep(client);
	start = jiffies;
	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_unplug, &mdev->drm), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	KUNIT_EXPECT_TRUE_MSG(test, time_before(jiffies, start + 3 * HZ),
			      "the sleeper was not woken");
}

struct fence_call {
	struct drm_device *dev;
	struct dma_fence *fence;
	bool intr;
};

static long fence_wait_fn(struct mock_client *client, void *data)
{
	struct fence_call *call = data;

	return drm_dev_fence_wait(call->dev, call->fence, call->intr);
}

/*
 * U4, T1: what drivers use for fences, of their own device or another. The wait
 * ends with the device or the fence, and with a signal if that was asked for.
 */
static void drm_test_unplug_fence_wait(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test), *other = mock_dev_new(test);
	struct mock_client *clients[4];
	struct dma_fence *fence = fence_new(test), *never = fence_new(test);
	struct fence_call calls[] = {
		{ &mdev->drm, never, false },
		{ &mdev->drm, never, true },
		{ &other->drm, fence, false },
		{ &other->drm, never, true },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		clients[i] = mock_client_new(test);
		mock_start(clients[i], fence_wait_fn, &calls[i]);
		mock_wait_asleep(clients[i]);
	}

	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, mock_finish(clients[0]), -ENODEV);
	KUNIT_EXPECT_EQ(test, mock_finish(clients[1]), -ENODEV);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(clients[2]),
			       "a wait on behalf of another device was ended");
	KUNIT_EXPECT_FALSE(test, mock_returned(clients[3]));

	dma_fence_signal(fence);
	KUNIT_EXPECT_EQ(test, mock_finish(clients[2]), 0);
	send_sig(SIGKILL, clients[3]->worker->task, 1);
	KUNIT_EXPECT_EQ(test, mock_finish(clients[3]), -ERESTARTSYS);

	/* What has signalled has, on a device that is gone as well. */
	calls[0].fence = fence;
	KUNIT_EXPECT_EQ(test, mock_run(clients[0], fence_wait_fn, &calls[0]), 0);
	KUNIT_EXPECT_EQ(test, mock_run(clients[1], fence_wait_fn, &calls[1]), -ENODEV);
}

/*
 * Eventfds. Only a system call makes one, which tests can call where it is an
 * ordinary function that they are linked with.
 */
#if defined(CONFIG_UML) && !defined(MODULE)
static long eventfd_create(void)
{
	return sys_eventfd2(0, O_NONBLOCK | O_CLOEXEC);
}
#else
static long eventfd_create(void)
{
	return -EOPNOTSUPP;
}
#endif

struct eventfd {
	struct mock_client *client;
	int fd;
	struct file *file;
};

static long eventfd_open_fn(struct mock_client *client, void *data)
{
	struct eventfd *efd = data;

	efd->fd = eventfd_create();
	if (efd->fd < 0)
		return efd->fd;
	efd->file = fget(efd->fd);

	return 0;
}

static long eventfd_close_fn(struct mock_client *client, void *data)
{
	struct eventfd *efd = data;

	close_fd(efd->fd);
	fput(efd->file);
	return 0;
}

/* How often it was signalled since it was read last. */
static u64 eventfd_count(struct kunit *test, struct eventfd *efd)
{
	loff_t pos = 0;
	u64 count = 0;
	ssize_t ret = kernel_read(efd->file, &count, sizeof(count), &pos);

	if (ret == -EAGAIN)
		return 0;
	KUNIT_EXPECT_EQ(test, ret, sizeof(count));

	return count;
}

static void eventfd_open(struct kunit *test, struct mock_client *client, struct eventfd *efd)
{
	long ret = mock_run(client, eventfd_open_fn, efd);

	if (ret == -EOPNOTSUPP)
		kunit_skip(test, "no way to make an eventfd");
	KUNIT_ASSERT_EQ(test, ret, 0);
}

static long eventfd_wait(struct mock_client *client, struct file *file, u32 handle,
			 struct eventfd *efd, u32 flags)
{
	struct drm_syncobj_eventfd arg = {
		.handle = handle, .flags = flags, .fd = efd->fd,
	};

	return mock_ioctl(client, file, DRM_IOCTL_SYNCOBJ_EVENTFD, &arg);
}

/*
 * U4: an eventfd that waits for a syncobj fires when the device goes, once, even
 * if the fence signals after that. A new one cannot be added.
 */
static void drm_test_unplug_syncobj_eventfd(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct dma_fence *fence = fence_new(test);
	struct eventfd fired, with, without;
	u32 handle;

	eventfd_open(test, client, &fired);
	eventfd_open(test, client, &with);
	eventfd_open(test, client, &without);

	/* One whose fence has signalled before has nothing to do with all this. */
	handle = syncobj_new(test, client, file, dma_fence_get_stub());
	KUNIT_EXPECT_EQ(test, eventfd_wait(client, file, handle, &fired, 0), 0);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &fired), 1);

	handle = syncobj_new(test, client, file, fence);
	KUNIT_EXPECT_EQ(test, eventfd_wait(client, file, handle, &with, 0), 0);
	handle = syncobj_new(test, client, file, NULL);
	KUNIT_EXPECT_EQ(test, eventfd_wait(client, file, handle, &without,
					   DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE), 0);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &with), 0);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &without), 0);

	mock_leave(test, mdev);
	drm_dev_unplug(&mdev->drm);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &fired), 0);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &with), 1);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &without), 1);
	KUNIT_EXPECT_EQ(test, eventfd_wait(client, file, handle, &fired, 0), -ENODEV);

	dma_fence_signal(fence);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &with), 0);
	mock_close(file);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &without), 0);

	mock_run(client, eventfd_close_fn, &fired);
	mock_run(client, eventfd_close_fn, &with);
	mock_run(client, eventfd_close_fn, &without);
}

/*
 * T3: a syncobj, and an eventfd that waits for it, outlive the device. KASAN
 * reports what this gets wrong.
 */
static void drm_test_unplug_syncobj_outlives_device(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	struct mock_client *client = mock_client_new(test);
	struct dma_fence *fence = fence_new(test);
	struct drm_syncobj *syncobj;
	struct eventfd efd;
	struct file *file;
	u32 handle;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);
	eventfd_open(test, client, &efd);
	file = mock_open_node(test, DRM_MAJOR, mdev->drm.primary->index, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);

	handle = syncobj_new(test, client, file, fence);
	KUNIT_EXPECT_EQ(test, eventfd_wait(client, file, handle, &efd, 0), 0);
	syncobj = drm_syncobj_find(mock_drm_file(file), handle);
	drm_dev_unregister(&mdev->drm);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &efd), 1);
	__fput_sync(file);
	mock_dev_free(mdev);

	dma_fence_signal(fence);
	KUNIT_EXPECT_EQ(test, eventfd_count(test, &efd), 0);
	drm_syncobj_put(syncobj);
	mock_run(client, eventfd_close_fn, &efd);
}

/* T1, U4, U5: one client is asleep in each wait. The unplug returns, and so do they. */
static void drm_test_unplug_all_asleep(struct kunit *test)
{
	static const struct wait_case fence_case = { "fence", 0, true };
	static const struct wait_case submit_case = {
		"not submitted", DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, false,
	};
	struct drm_crtc *crtc = crtc_new(test);
	struct mock_dev *mdev = to_mock_dev(crtc->dev);
	struct file *file = mock_open(mdev, O_RDWR);
	struct mock_client *remover = mock_client_new(test);
	struct mock_client *clients[5];
	struct read_call reading = { .file = file, .size = sizeof(reading.data) };
	union drm_wait_vblank vblank = {
		.request = { .type = _DRM_VBLANK_RELATIVE, .sequence = 1 },
	};
	struct mock_ioctl vblank_io = {
		.file = file, .cmd = DRM_IOCTL_WAIT_VBLANK, .arg = &vblank,
	};
	struct wait_call waits[2] = {
		{ .file = file, .c = &fence_case }, { .file = file, .c = &submit_case },
	};
	struct find_call find = { .file = file };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = mock_client_new(test);
	waits[0].handle = syncobj_new(test, remover, file, fence_new(test));
	waits[1].handle = syncobj_new(test, remover, file, NULL);
	find.handle = syncobj_new(test, remover, file, NULL);

	mock_start(clients[0], read_fn, &reading);
	mock_start(clients[1], wait_fn, &waits[0]);
	mock_start(clients[2], wait_fn, &waits[1]);
	mock_start(clients[3], find_fn, &find);
	mock_start(clients[4], mock_ioctl_fn, &vblank_io);
	for (i = 0; i < ARRAY_SIZE(clients); i++)
		mock_wait_asleep(clients[i]);

	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_unplug, &mdev->drm), 0);
	for (i = 0; i < ARRAY_SIZE(clients); i++)
		KUNIT_EXPECT_EQ_MSG(test, mock_finish(clients[i]), -ENODEV, "client %u", i);
}

static struct kunit_case drm_unplug_waits_tests[] = {
	KUNIT_CASE_PARAM(drm_test_unplug_read_gone, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_read_asleep, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_read_events_first, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_read_events_at_once, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_read_event_promised, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_read_event_cancelled, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_poll_latched, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_poll_with_events, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_vblank_wait, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_vblank_console, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_vblank_event, mock_leave_params),
	KUNIT_CASE(drm_test_unplug_vblank_event_wedge),
	KUNIT_CASE_PARAM(drm_test_unplug_syncobj_wait, wait_case_gen_params),
	KUNIT_CASE(drm_test_unplug_syncobj_wait_other_device),
	KUNIT_CASE(drm_test_unplug_syncobj_find_fence),
	KUNIT_CASE_PARAM(drm_test_unplug_fence_wait, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_syncobj_eventfd, mock_leave_params),
	KUNIT_CASE(drm_test_unplug_syncobj_outlives_device),
	KUNIT_CASE(drm_test_unplug_all_asleep),
	{}
};

static struct kunit_suite drm_unplug_waits_test_suite = {
	.name = "drm_unplug_waits",
	.test_cases = drm_unplug_waits_tests,
};

kunit_test_suite(drm_unplug_waits_test_suite);
