// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_accel.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_kunit_helpers.h>
#include <drm/drm_unplug.h>

#include <kunit/device.h>
#include <kunit/resource.h>
#include <kunit/test.h>

#include "drm_unplug_mock.h"

/* Gates */

void mock_gate_init(struct mock_gate *gate)
{
	init_completion(&gate->entered);
	init_completion(&gate->leave);
}

/* In a handler: stop until the test says otherwise, or gives up. */
int mock_gate_pass(struct mock_gate *gate)
{
	complete_all(&gate->entered);
	return wait_for_completion_interruptible(&gate->leave);
}

/* In the test: the handler has stopped there. */
void mock_gate_wait(struct kunit *test, struct mock_gate *gate)
{
	KUNIT_ASSERT_NE_MSG(test, 0,
			    wait_for_completion_timeout(&gate->entered, MOCK_TIMEOUT),
			    "the handler was not reached");
}

/* Devices */

static int mock_drm_open(struct drm_device *dev, struct drm_file *file)
{
	struct mock_dev *mdev = to_mock_dev(dev);

	return mdev->opening ? mock_gate_pass(mdev->opening) : 0;
}

static int mock_drm_load(struct drm_device *dev, unsigned long flags)
{
	struct mock_dev *mdev = to_mock_dev(dev);

	return mdev->load ? mdev->load(mdev) : 0;
}

static void mock_drm_unload(struct drm_device *dev)
{
	struct mock_dev *mdev = to_mock_dev(dev);

	atomic_inc(&mdev->unloads);
	if (mdev->unload)
		mdev->unload(mdev);
}

/* Stops when the driver is done with the map, and mm has not made it known. */
static int mock_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mock_dev *mdev = to_mock_dev(mock_drm_file(file)->minor->dev);
	int ret = drm_gem_mmap(file, vma);

	if (!ret && mdev->mapping)
		mock_gate_pass(mdev->mapping);

	return ret;
}

static const struct file_operations mock_fops = {
	.owner = THIS_MODULE,
	.open = drm_open,
	.release = drm_release,
	.unlocked_ioctl = drm_ioctl,
	.compat_ioctl = drm_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.get_unmapped_area = drm_gem_get_unmapped_area,
	.mmap = mock_mmap,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

#define MOCK_FEATURES	(DRIVER_GEM | DRIVER_MODESET | DRIVER_ATOMIC | DRIVER_RENDER |	\
			 DRIVER_SYNCOBJ | DRIVER_SYNCOBJ_TIMELINE)

const struct drm_driver mock_driver = {
	.driver_features = MOCK_FEATURES,
	.fops = &mock_fops,
	.open = mock_drm_open,
	.name = "unplug-mock",
	.desc = "mock device for unplug tests",
	DRM_GEM_SHMEM_DRIVER_OPS,
	.gem_prime_import_sg_table = drm_gem_shmem_prime_import_sg_table,
};

const struct drm_driver mock_driver_load = {
	.driver_features = MOCK_FEATURES,
	.fops = &mock_fops,
	.open = mock_drm_open,
	.load = mock_drm_load,
	.unload = mock_drm_unload,
	.name = "unplug-mock-load",
	.desc = "mock device for unplug tests",
};

const struct drm_driver mock_driver_bare = {
	.fops = &mock_fops,
	.name = "unplug-mock-bare",
	.desc = "mock device for unplug tests",
};

static const struct file_operations mock_accel_fops = {
	.owner = THIS_MODULE,
	DRM_ACCEL_FOPS,
};

const struct drm_driver mock_driver_accel = {
	.driver_features = DRIVER_COMPUTE_ACCEL,
	.fops = &mock_accel_fops,
	.name = "unplug-mock-accel",
	.desc = "mock device for unplug tests",
};

/* A device that is not registered. It is of no use to the caller on failure. */
struct mock_dev *mock_dev_alloc(struct kunit *test, const struct drm_driver *driver)
{
	static atomic_t count = ATOMIC_INIT(0);
	struct mock_dev *mdev;
	struct device *parent;
	char name[32];

	snprintf(name, sizeof(name), "drm-unplug-%d", atomic_inc_return(&count));
	parent = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, parent);

	mdev = drm_kunit_helper_alloc_drm_device_with_driver(test, parent, struct mock_dev,
							     drm, driver);
	if (IS_ERR(mdev))
		return mdev;

	mdev->test = test;
	mdev->parent = parent;
	atomic_set(&mdev->unloads, 0);

	return mdev;
}

static void mock_dev_leave(void *data)
{
	struct drm_device *dev = data;

	drm_dev_unplug(dev);
	flush_delayed_fput();
	drm_dev_put(dev);
}

/* A device that has nodes, and is unplugged at the end of the test if not before. */
struct mock_dev *mock_dev_new(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);

	drm_dev_get(&mdev->drm);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_dev_leave, &mdev->drm), 0);

	return mdev;
}

/*
 * Give up what the bus has of a device from mock_dev_alloc(): drops the last
 * reference unless the test holds one.
 */
void mock_dev_free(struct mock_dev *mdev)
{
	kunit_device_unregister(mdev->test, mdev->parent);
}

/* Nodes: in a file system of their own, which nobody else sees */

static void mock_nodes_unmount(void *mnt)
{
	flush_delayed_fput();
	kern_unmount(mnt);
}

static int mock_nodes_init(struct kunit_resource *res, void *unused)
{
	struct file_system_type *type = get_fs_type("ramfs");
	struct vfsmount *mnt;

	if (!type)
		return -ENODEV;

	mnt = kern_mount(type);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);

	res->data = mnt;
	return 0;
}

static void mock_nodes_free(struct kunit_resource *res)
{
	mock_nodes_unmount(res->data);
}

static bool mock_nodes_match(struct kunit *test, struct kunit_resource *res, void *unused)
{
	return res->free == mock_nodes_free;
}

static struct vfsmount *mock_nodes(struct kunit *test)
{
	struct kunit_resource *res = kunit_find_resource(test, mock_nodes_match, NULL);
	struct vfsmount *mnt;

	if (!res)
		return kunit_alloc_resource(test, mock_nodes_init, mock_nodes_free,
					    GFP_KERNEL, NULL);

	mnt = res->data;
	kunit_put_resource(res);
	return mnt;
}

static void mock_path_put(void *data)
{
	struct path *path = data;

	path_put(path);
	kfree(path);
}

/*
 * Find or make the node with these numbers, like mknod. @path is valid until the
 * end of the test.
 */
int mock_node(struct kunit *test, unsigned int major, unsigned int index, struct path *path)
{
	struct vfsmount *mnt = mock_nodes(test);
	struct path *held;
	struct dentry *dentry;
	char name[32];
	int ret = 0;

	if (!mnt)
		return -ENODEV;

	snprintf(name, sizeof(name), "%u:%u", major, index);
	dentry = start_creating_noperm(mnt->mnt_root, &QSTR(name));
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);

	if (d_is_negative(dentry))
		ret = vfs_mknod(&nop_mnt_idmap, d_inode(mnt->mnt_root), dentry,
				S_IFCHR | 0600, MKDEV(major, index), NULL);
	if (!ret) {
		path->mnt = mnt;
		path->dentry = dentry;
		path_get(path);
	}
	end_creating(dentry);
	if (ret)
		return ret;

	held = kmemdup(path, sizeof(*path), GFP_KERNEL);
	if (!held) {
		path_put(path);
		return -ENOMEM;
	}

	return kunit_add_action_or_reset(test, mock_path_put, held);
}

struct file *mock_open_node(struct kunit *test, unsigned int major, unsigned int index,
			    unsigned int flags)
{
	struct path path;
	int ret;

	ret = mock_node(test, major, index, &path);
	if (ret)
		return ERR_PTR(ret);

	return dentry_open(&path, flags | O_LARGEFILE, current_cred());
}

KUNIT_DEFINE_ACTION_WRAPPER(mock_fput, __fput_sync, struct file *);

/* Open the primary node. To be closed by mock_close() or by the end of the test. */
struct file *mock_open(struct mock_dev *mdev, unsigned int flags)
{
	struct kunit *test = mdev->test;
	struct file *file;

	file = mock_open_node(test, DRM_MAJOR, mdev->drm.primary->index, flags);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_fput, file), 0);

	return file;
}

void mock_close(struct file *file)
{
	struct drm_file *priv = mock_drm_file(file);
	struct kunit *test = to_mock_dev(priv->minor->dev)->test;

	kunit_release_action(test, mock_fput, file);
}

/* Clients */

static LIST_HEAD(mock_clients);
static DEFINE_MUTEX(mock_clients_lock);

static void mock_client_work(struct kthread_work *work)
{
	struct mock_client *client = container_of(work, struct mock_client, work);

	client->ret = client->fn(client, client->data);
	/* A thread with a signal pending would not sleep any more. */
	flush_signals(current);
	complete_all(&client->done);
}

static long mock_client_enter(struct mock_client *client, void *unused)
{
	unsigned long user;
	int ret;

	/* So that a sleep which nobody ends does not end the test run. */
	allow_signal(SIGKILL);

	if (!client->owns_mm) {
		kthread_use_mm(client->mm);
	} else {
		ret = kunit_attach_mm();
		if (ret)
			return ret;
		client->mm = current->mm;
	}

	user = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(user))
		return user;

	client->user = (void __user *)user;
	return 0;
}

static long mock_client_leave(struct mock_client *client, void *unused)
{
	/* A borrowed mm is given back. One of its own goes some time after the thread. */
	if (client->owns_mm)
		vm_munmap(0, TASK_SIZE);
	else
		kthread_unuse_mm(client->mm);
	return 0;
}

static void mock_client_destroy(void *data)
{
	struct mock_client *client = data, *other;

	/* Only after a failure does any of them sleep: all must wake for one to end. */
	scoped_guard(mutex, &mock_clients_lock) {
		list_for_each_entry(other, &mock_clients, node)
			if (other->running)
				send_sig(SIGKILL, other->worker->task, 1);
		list_del(&client->node);
	}

	kthread_flush_worker(client->worker);
	if (client->user) {
		mock_start(client, mock_client_leave, NULL);
		kthread_flush_worker(client->worker);
	}
	kthread_destroy_worker(client->worker);
	flush_delayed_fput();
	kfree(client);
}

static struct mock_client *mock_client_make(struct kunit *test, struct mm_struct *mm)
{
	struct mock_client *client = kzalloc_obj(*client);

	KUNIT_ASSERT_NOT_NULL(test, client);
	client->test = test;
	client->mm = mm;
	client->owns_mm = !mm;
	init_completion(&client->done);
	kthread_init_work(&client->work, mock_client_work);
	client->worker = kthread_run_worker(0, "drm-unplug-client");
	if (IS_ERR(client->worker)) {
		kfree(client);
		KUNIT_FAIL_AND_ABORT(test, "no thread");
	}

	scoped_guard(mutex, &mock_clients_lock)
		list_add_tail(&client->node, &mock_clients);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_client_destroy, client), 0);
	KUNIT_ASSERT_EQ(test, mock_run(client, mock_client_enter, NULL), 0);

	return client;
}

/* A process with one thread. */
struct mock_client *mock_client_new(struct kunit *test)
{
	return mock_client_make(test, NULL);
}

/* One more thread of a process. */
struct mock_client *mock_client_thread(struct mock_client *process)
{
	return mock_client_make(process->test, process->mm);
}

/* The process exits. */
void mock_client_free(struct mock_client *client)
{
	kunit_release_action(client->test, mock_client_destroy, client);
}

/* Let the client do something, and do not wait for it. */
void mock_start(struct mock_client *client, mock_fn fn, void *data)
{
	client->fn = fn;
	client->data = data;
	client->running = true;
	reinit_completion(&client->done);
	kthread_queue_work(client->worker, &client->work);
}

bool mock_returned(struct mock_client *client)
{
	return completion_done(&client->done);
}

/* Does it return although it should not yet? */
bool mock_returns_early(struct mock_client *client)
{
	return wait_for_completion_timeout(&client->done, MOCK_GRACE);
}

/* What the client was told to do has put it to sleep. */
void mock_wait_asleep(struct mock_client *client)
{
	mock_wait_until(client->test, mock_returned(client) ||
			(READ_ONCE(client->worker->current_work) == &client->work &&
			 !task_is_running(client->worker->task)));
	KUNIT_EXPECT_FALSE_MSG(client->test, mock_returned(client),
			       "%ps has returned %ld at once", client->fn, client->ret);
}

/* Wait for the client. It is killed if that takes too long, and the test fails. */
long mock_finish(struct mock_client *client)
{
	if (!wait_for_completion_timeout(&client->done, MOCK_TIMEOUT)) {
		KUNIT_FAIL(client->test, "%ps does not return", client->fn);
		send_sig(SIGKILL, client->worker->task, 1);
		KUNIT_ASSERT_NE(client->test, 0,
				wait_for_completion_timeout(&client->done, MOCK_TIMEOUT));
	}
	client->running = false;

	return client->ret;
}

long mock_run(struct mock_client *client, mock_fn fn, void *data)
{
	mock_start(client, fn, data);
	return mock_finish(client);
}

/* Children */

#if defined(CONFIG_UML) && !defined(MODULE)
pid_t mock_fork(int (*child)(void *), void *data)
{
	struct kernel_clone_args args = {
		.exit_signal = SIGCHLD,
		.fn = child,
		.fn_arg = data,
	};

	return kernel_clone(&args);
}

void mock_fork_exit(void)
{
	do_exit(0);
}

void mock_fork_wait(pid_t pid)
{
	kernel_wait(pid, NULL);
}
#else
pid_t mock_fork(int (*child)(void *), void *data)
{
	return -EOPNOTSUPP;
}

void mock_fork_exit(void)
{
}

void mock_fork_wait(pid_t pid)
{
}
#endif

/* What clients do */

long mock_unplug(struct mock_client *client, void *dev)
{
	drm_dev_unplug(dev);
	return 0;
}

long mock_unregister(struct mock_client *client, void *dev)
{
	drm_dev_unregister(dev);
	return 0;
}

static const struct mock_way_out {
	const char *name;
	mock_fn fn;
} mock_ways_out[] = {
	{ "unplug", mock_unplug },
	{ "unregister", mock_unregister },
};

KUNIT_ARRAY_PARAM_DESC(mock_leave, mock_ways_out, name);

const void *mock_leave_params(struct kunit *test, const void *prev, char *desc)
{
	return mock_leave_gen_params(test, prev, desc);
}

mock_fn mock_leave_fn(struct kunit *test)
{
	const struct mock_way_out *way = test->param_value;

	return way->fn;
}

void mock_leave(struct kunit *test, struct mock_dev *mdev)
{
	mock_leave_fn(test)(NULL, &mdev->drm);
}

void mock_wait_gone(struct kunit *test, struct drm_device *dev)
{
	mock_wait_until(test, drm_dev_is_gone(dev));
}

long mock_ioctl_fn(struct mock_client *client, void *data)
{
	struct mock_ioctl *io = data;
	size_t size = _IOC_SIZE(io->cmd);
	long ret;

	if (copy_to_user(client->user, io->arg, size))
		return -EFAULT;

	ret = io->file->f_op->unlocked_ioctl(io->file, io->cmd, (unsigned long)client->user);

	if (copy_from_user(io->arg, client->user, size))
		return -EFAULT;

	return ret;
}

long mock_ioctl(struct mock_client *client, struct file *file, unsigned int cmd, void *arg)
{
	struct mock_ioctl io = { .file = file, .cmd = cmd, .arg = arg };

	return mock_run(client, mock_ioctl_fn, &io);
}

/* What a client does with memory that it maps */

long mock_map_fn(struct mock_client *client, void *data)
{
	struct mock_map *map = data;
	unsigned long addr;

	addr = vm_mmap(map->file, 0, map->size, PROT_READ | PROT_WRITE,
		       map->flags ?: MAP_SHARED, map->offset);
	if (IS_ERR_VALUE(addr))
		return addr;
	map->addr = addr;

	return 0;
}

long mock_touch_fn(struct mock_client *client, void *data)
{
	struct mock_touch *touch = data;
	void __user *uptr = (void __user *)touch->addr;

	if (touch->write)
		return copy_to_user(uptr, &touch->value, sizeof(touch->value)) ? -EFAULT : 0;

	return copy_from_user(&touch->value, uptr, sizeof(touch->value)) ? -EFAULT : 0;
}

void mock_poke(struct mock_client *client, unsigned long addr, u32 value)
{
	struct mock_touch touch = { .addr = addr, .value = value, .write = true };

	KUNIT_EXPECT_EQ_MSG(client->test, mock_run(client, mock_touch_fn, &touch), 0,
			    "a program would get SIGBUS here");
}

u32 mock_peek(struct mock_client *client, unsigned long addr)
{
	struct mock_touch touch = { .addr = addr };

	KUNIT_EXPECT_EQ_MSG(client->test, mock_run(client, mock_touch_fn, &touch), 0,
			    "a program would get SIGBUS here");

	return touch.value;
}
