/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A mock device with real nodes, and mock clients of it: what the tests of the
 * unplug core share. All that is made here goes away with the test.
 */
#ifndef _DRM_UNPLUG_MOCK_H_
#define _DRM_UNPLUG_MOCK_H_

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/sched.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>

#include <kunit/test.h>

/* How long a thing may take that has to happen. Nothing succeeds by waiting. */
#define MOCK_TIMEOUT	(10 * HZ)

/*
 * How long to look at a thing that must not happen, such as an unplug that
 * returns too early. A longer time finds a failure more reliably, a shorter
 * one does not make a test fail.
 */
#define MOCK_GRACE	msecs_to_jiffies(30)

/**
 * struct mock_gate - a place where a mock handler can be made to stop
 * @entered: completed by the handler
 * @leave: completed by the test, upon which the handler goes on
 */
struct mock_gate {
	struct completion entered;
	struct completion leave;
};

void mock_gate_init(struct mock_gate *gate);
int mock_gate_pass(struct mock_gate *gate);
void mock_gate_wait(struct kunit *test, struct mock_gate *gate);

/**
 * struct mock_dev - a DRM device
 * @drm: the device; it stays valid while the test, a file or a map refers to it
 * @test: the test
 * @parent: the device on the bus
 * @opening: where open() stops, if set
 * @mapping: where mmap() stops, if set
 * @load: what ->load does, if the driver is mock_driver_load
 * @unload: what ->unload does, if the driver is mock_driver_load
 * @unloads: how often it was called: once, if unregistering ran once
 */
struct mock_dev {
	struct drm_device drm;
	struct kunit *test;
	struct device *parent;
	struct mock_gate *opening;
	struct mock_gate *mapping;
	int (*load)(struct mock_dev *mdev);
	void (*unload)(struct mock_dev *mdev);
	atomic_t unloads;
};

#define to_mock_dev(dev)	container_of(dev, struct mock_dev, drm)

extern const struct drm_driver mock_driver;	/* KMS, render, GEM, syncobjs */
extern const struct drm_driver mock_driver_load;	/* the same, with ->load and ->unload */
extern const struct drm_driver mock_driver_bare;	/* a primary node, no more */
extern const struct drm_driver mock_driver_accel;	/* an accel node, no more */

struct mock_dev *mock_dev_alloc(struct kunit *test, const struct drm_driver *driver);
struct mock_dev *mock_dev_new(struct kunit *test);
void mock_dev_free(struct mock_dev *mdev);

struct path;

int mock_node(struct kunit *test, unsigned int major, unsigned int index, struct path *path);
struct file *mock_open_node(struct kunit *test, unsigned int major, unsigned int index,
			    unsigned int flags);
struct file *mock_open(struct mock_dev *mdev, unsigned int flags);
void mock_close(struct file *file);

static inline struct drm_file *mock_drm_file(struct file *file)
{
	return file->private_data;
}

struct mock_client;
typedef long (*mock_fn)(struct mock_client *client, void *data);

/**
 * struct mock_client - a thread with an address space, as user space has one
 * @test: the test
 * @worker: the thread
 * @mm: its address space
 * @owns_mm: it was made for this client, rather than borrowed from another one
 * @user: a page of its own memory, for arguments and results
 * @fn: what it was last told to do
 * @data: argument of @fn
 * @ret: result of @fn
 * @work: carries @fn to the thread
 * @running: @fn has been started and not been waited for
 * @done: completed when @fn has returned
 * @node: entry in the list of all clients
 */
struct mock_client {
	struct kunit *test;
	struct kthread_worker *worker;
	struct mm_struct *mm;
	bool owns_mm;
	void __user *user;
	mock_fn fn;
	void *data;
	long ret;
	struct kthread_work work;
	bool running;
	struct completion done;
	struct list_head node;
};

struct mock_client *mock_client_new(struct kunit *test);
struct mock_client *mock_client_thread(struct mock_client *process);
void mock_client_free(struct mock_client *client);

void mock_start(struct mock_client *client, mock_fn fn, void *data);
bool mock_returned(struct mock_client *client);
bool mock_returns_early(struct mock_client *client);
void mock_wait_asleep(struct mock_client *client);
long mock_finish(struct mock_client *client);
long mock_run(struct mock_client *client, mock_fn fn, void *data);

/*
 * A real fork(), where tests are linked with what it takes. The child is a
 * function of the test that runs in a copy of the address space, and in a task
 * that is no kernel thread. Elsewhere mock_fork() returns -EOPNOTSUPP.
 */
pid_t mock_fork(int (*child)(void *), void *data);
void mock_fork_exit(void);
void mock_fork_wait(pid_t pid);

/*
 * Most tests run twice, for the two ways out of a system. mock_leave_params is
 * for KUNIT_CASE_PARAM(), the others do it as the parameter says.
 */
const void *mock_leave_params(struct kunit *test, const void *prev, char *desc);
mock_fn mock_leave_fn(struct kunit *test);
void mock_leave(struct kunit *test, struct mock_dev *mdev);

long mock_unplug(struct mock_client *client, void *dev);
long mock_unregister(struct mock_client *client, void *dev);
void mock_wait_gone(struct kunit *test, struct drm_device *dev);

struct mock_ioctl {
	struct file *file;
	unsigned int cmd;
	void *arg;
};

long mock_ioctl_fn(struct mock_client *client, void *ioctl);
long mock_ioctl(struct mock_client *client, struct file *file, unsigned int cmd, void *arg);

/**
 * struct mock_map - a map for mock_map_fn() to make
 * @file: the file
 * @offset: where in it
 * @size: how much of it, in bytes
 * @flags: flags of mmap(), or 0 for MAP_SHARED
 * @addr: where it is, if mock_map_fn() has returned 0
 */
struct mock_map {
	struct file *file;
	u64 offset;
	size_t size;
	unsigned long flags;
	unsigned long addr;
};

/**
 * struct mock_touch - an access for mock_touch_fn() to make
 * @addr: address in the client
 * @value: what is written, or has been read
 * @write: whether it writes
 */
struct mock_touch {
	unsigned long addr;
	u32 value;
	bool write;
};

long mock_map_fn(struct mock_client *client, void *map);
long mock_touch_fn(struct mock_client *client, void *touch);
void mock_poke(struct mock_client *client, unsigned long addr, u32 value);
u32 mock_peek(struct mock_client *client, unsigned long addr);

/**
 * mock_wait_until - wait for a condition that has to come true
 * @test: the test, which fails if it does not
 * @cond: the condition
 */
#define mock_wait_until(test, cond)					\
do {									\
	unsigned long __end = jiffies + MOCK_TIMEOUT;			\
	bool __true;							\
	while (!(__true = (cond)) && time_before(jiffies, __end))	\
		schedule_timeout_uninterruptible(1);			\
	KUNIT_EXPECT_TRUE_MSG(test, __true, "waited too long");		\
} while (0)

#endif
