// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * virtio-gpu and a host that does not answer. The identifiers in the comments
 * name the property proved: U is for ioctls, M for maps, F for fences, B for buffers
 * that are shared, T for teardown.
 */

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pfn.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_dma_buf.h>
#include <linux/virtio_gpu.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_prime.h>
#include <drm/drm_syncobj.h>
#include <drm/drm_unplug.h>
#include <drm/virtgpu_drm.h>

#include <kunit/device.h>
#include <kunit/resource.h>
#include <kunit/test.h>

#include "drm_unplug_mock.h"

MODULE_IMPORT_NS("DMA_BUF");

/* The host: answers that all is well, until it stalls */

#define HOST_RING	16

/*
 * Memory of the host that the guest may map, with blobs and virgl. There is nothing
 * behind the end of memory: who touches it is found out.
 */
#define HOST_VISIBLE	(4 * PAGE_SIZE)
#define HOST_PFN	(max_pfn + PFN_DOWN(SZ_1G))
#define HOST_BLOBS	(BIT_ULL(VIRTIO_GPU_F_VIRGL) | BIT_ULL(VIRTIO_GPU_F_RESOURCE_BLOB))

/**
 * struct host - a virtio-gpu device
 * @vdev: the device, in the guest's view
 * @test: the test
 * @parent: the device that @vdev sits on
 * @dma: what @parent needs for DMA
 * @features: offered
 * @vq: control and cursor queue
 * @next: what the host looks at next, in each
 * @work: the host's thread
 * @lock: serialises @work
 * @status: of the device; 0 after a reset, with which the host is done
 * @resets: how often it was reset
 * @stalled: it does nothing any more
 * @gone: @vdev was unregistered
 * @released: completed when the last reference to @vdev is dropped
 */
struct host {
	struct virtio_device vdev;
	struct kunit *test;
	struct device *parent;
	struct device_dma_parameters dma;
	u64 features;
	struct virtqueue *vq[2];
	u16 next[2];
	struct work_struct work;
	struct mutex lock;	/* serialises @work, reset and the queues */
	u8 status;
	int resets;
	bool stalled;
	bool gone;
	struct completion released;
};

#define to_host(vdev_)	container_of(vdev_, struct host, vdev)

static void host_answer(struct virtio_gpu_ctrl_hdr *cmd, struct virtio_gpu_ctrl_hdr *resp)
{
	struct virtio_gpu_resp_map_info *map_info = (void *)resp;

	resp->type = cpu_to_le32(VIRTIO_GPU_RESP_OK_NODATA);
	if (le32_to_cpu(cmd->type) == VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB) {
		resp->type = cpu_to_le32(VIRTIO_GPU_RESP_OK_MAP_INFO);
		map_info->map_info = VIRTIO_GPU_MAP_CACHE_CACHED;
	}
	resp->flags = cmd->flags & cpu_to_le32(VIRTIO_GPU_FLAG_FENCE);
	resp->fence_id = cmd->fence_id;
}

/* The first of the buffers of a command that the host can write to, or read. */
static void *host_buffer(struct host *host, const struct vring *ring, u16 head, bool write)
{
	struct vring_desc *table = ring->desc, *desc = &table[head];
	u16 flags = virtio16_to_cpu(&host->vdev, desc->flags);

	if (flags & VRING_DESC_F_INDIRECT) {
		table = phys_to_virt(virtio64_to_cpu(&host->vdev, desc->addr));
		desc = table;
	}

	for (;;) {
		flags = virtio16_to_cpu(&host->vdev, desc->flags);
		if (!!(flags & VRING_DESC_F_WRITE) == write)
			return phys_to_virt(virtio64_to_cpu(&host->vdev, desc->addr));
		if (!(flags & VRING_DESC_F_NEXT))
			return NULL;
		desc = &table[virtio16_to_cpu(&host->vdev, desc->next)];
	}
}

static void host_serve(struct host *host, int i)
{
	struct virtio_device *vdev = &host->vdev;
	const struct vring *ring = virtqueue_get_vring(host->vq[i]);
	u16 used = virtio16_to_cpu(vdev, ring->used->idx);

	while (host->next[i] != virtio16_to_cpu(vdev, READ_ONCE(ring->avail->idx))) {
		struct vring_used_elem *elem = &ring->used->ring[used % ring->num];
		void *cmd, *resp;
		u16 head;

		/* The index before the entry. */
		virt_rmb();
		head = virtio16_to_cpu(vdev, ring->avail->ring[host->next[i] % ring->num]);
		cmd = host_buffer(host, ring, head, false);
		resp = host_buffer(host, ring, head, true);
		if (cmd && resp)
			host_answer(cmd, resp);

		elem->id = cpu_to_virtio32(vdev, head);
		elem->len = cpu_to_virtio32(vdev, sizeof(struct virtio_gpu_ctrl_hdr));
		/* The entry before the index. */
		virt_wmb();
		ring->used->idx = cpu_to_virtio16(vdev, ++used);
		host->next[i]++;
		vring_interrupt(0, host->vq[i]);
	}
}

static void host_work(struct work_struct *work)
{
	struct host *host = container_of(work, struct host, work);

	guard(mutex)(&host->lock);

	for (int i = 0; i < ARRAY_SIZE(host->vq); i++)
		if (host->status && !host->stalled && host->vq[i])
			host_serve(host, i);
}

static bool host_notify(struct virtqueue *vq)
{
	schedule_work(&to_host(vq->vdev)->work);
	return true;
}

static void host_get(struct virtio_device *vdev, unsigned int offset, void *buf,
		     unsigned int len)
{
	/* No display: this is about the rest. */
	struct virtio_gpu_config config = {};

	memcpy(buf, (void *)&config + offset, len);
}

static void host_set(struct virtio_device *vdev, unsigned int offset, const void *buf,
		     unsigned int len)
{
}

static u8 host_get_status(struct virtio_device *vdev)
{
	return to_host(vdev)->status;
}

static void host_set_status(struct virtio_device *vdev, u8 status)
{
	to_host(vdev)->status = status;
}

static void host_reset(struct virtio_device *vdev)
{
	struct host *host = to_host(vdev);

	guard(mutex)(&host->lock);

	host->status = 0;
	host->resets++;
}

static void host_del_vqs(struct virtio_device *vdev)
{
	struct host *host = to_host(vdev);

	guard(mutex)(&host->lock);

	for (int i = 0; i < ARRAY_SIZE(host->vq); i++) {
		if (host->vq[i])
			vring_del_virtqueue(host->vq[i]);
		host->vq[i] = NULL;
	}
}

static int host_find_vqs(struct virtio_device *vdev, unsigned int nvqs, struct virtqueue *vqs[],
			 struct virtqueue_info info[], struct irq_affinity *desc)
{
	struct host *host = to_host(vdev);

	guard(mutex)(&host->lock);

	for (unsigned int i = 0; i < nvqs; i++) {
		host->vq[i] = vring_create_virtqueue(i, HOST_RING, PAGE_SIZE, vdev, true, false,
						     false, host_notify, info[i].callback,
						     info[i].name);
		if (!host->vq[i])
			return -ENOMEM;
		host->vq[i]->num_max = HOST_RING;
		host->next[i] = 0;
		vqs[i] = host->vq[i];
	}

	return 0;
}

static u64 host_get_features(struct virtio_device *vdev)
{
	return to_host(vdev)->features;
}

static int host_finalize_features(struct virtio_device *vdev)
{
	return 0;
}

static bool host_get_shm_region(struct virtio_device *vdev, struct virtio_shm_region *region,
				u8 id)
{
	struct host *host = to_host(vdev);

	if (id != VIRTIO_GPU_SHM_ID_HOST_VISIBLE || (host->features & HOST_BLOBS) != HOST_BLOBS)
		return false;

	region->addr = PFN_PHYS(HOST_PFN);
	region->len = HOST_VISIBLE;

	return true;
}

static const struct virtio_config_ops host_ops = {
	.get = host_get,
	.set = host_set,
	.get_status = host_get_status,
	.set_status = host_set_status,
	.reset = host_reset,
	.find_vqs = host_find_vqs,
	.del_vqs = host_del_vqs,
	.get_features = host_get_features,
	.finalize_features = host_finalize_features,
	.get_shm_region = host_get_shm_region,
};

static void host_release(struct device *dev)
{
	complete(&to_host(dev_to_virtio(dev))->released);
}

static void host_remove(void *data)
{
	struct host *host = data;

	if (!host->gone) {
		host->gone = true;
		unregister_virtio_device(&host->vdev);
	}
	flush_delayed_fput();
	wait_for_completion(&host->released);
	cancel_work_sync(&host->work);
	/* The last reference to the DRM device may have been a fence's. */
	rcu_barrier();
	kfree(host);
}

static struct host *host_new(struct kunit *test, u64 features)
{
	static atomic_t count = ATOMIC_INIT(0);
	struct host *host = kzalloc_obj(*host);
	char name[32];

	KUNIT_ASSERT_NOT_NULL(test, host);
	host->test = test;
	host->features = BIT_ULL(VIRTIO_F_VERSION_1) | features;
	INIT_WORK(&host->work, host_work);
	mutex_init(&host->lock);
	init_completion(&host->released);

	snprintf(name, sizeof(name), "drm-unplug-host-%d", atomic_inc_return(&count));
	host->parent = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, host->parent);
	host->parent->dma_parms = &host->dma;
	dma_coerce_mask_and_coherent(host->parent, DMA_BIT_MASK(64));

	host->vdev.dev.parent = host->parent;
	host->vdev.dev.release = host_release;
	host->vdev.id.device = VIRTIO_ID_GPU;
	host->vdev.config = &host_ops;
	KUNIT_ASSERT_EQ(test, register_virtio_device(&host->vdev), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, host_remove, host), 0);
	KUNIT_ASSERT_NOT_NULL_MSG(test, host->vdev.priv, "virtio-gpu does not take the device");

	return host;
}

static struct drm_device *host_drm(struct host *host)
{
	return host->vdev.priv;
}

static void host_stall(struct host *host)
{
	guard(mutex)(&host->lock);

	host->stalled = true;
}

static long host_unplug(struct mock_client *client, void *data)
{
	struct host *host = data;

	host->gone = true;
	unregister_virtio_device(&host->vdev);
	return 0;
}

KUNIT_DEFINE_ACTION_WRAPPER(host_fput, __fput_sync, struct file *);

static struct file *host_open(struct kunit *test, struct host *host)
{
	struct file *file = mock_open_node(test, DRM_MAJOR, host_drm(host)->render->index, O_RDWR);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, host_fput, file), 0);

	return file;
}

/* Commands of a client, with a syncobj for the fence */

struct exec {
	struct file *file;
	u32 syncobj;
};

#define EXEC_COMMAND	1024	/* in the page of the client */
#define EXEC_SYNCOBJ	2048

static long exec_fn(struct mock_client *client, void *data)
{
	struct exec *exec = data;
	struct drm_virtgpu_execbuffer_syncobj syncobj = { .handle = exec->syncobj };
	struct drm_virtgpu_execbuffer arg = {
		.size = 16,
		.command = (unsigned long)client->user + EXEC_COMMAND,
		.syncobj_stride = sizeof(syncobj),
		.num_out_syncobjs = 1,
		.out_syncobjs = (unsigned long)client->user + EXEC_SYNCOBJ,
	};
	struct mock_ioctl io = {
		.file = exec->file, .cmd = DRM_IOCTL_VIRTGPU_EXECBUFFER, .arg = &arg,
	};

	if (copy_to_user(client->user + EXEC_SYNCOBJ, &syncobj, sizeof(syncobj)))
		return -EFAULT;

	return mock_ioctl_fn(client, &io);
}

/* Until the ring is full, and the device gone. */
static long exec_many_fn(struct mock_client *client, void *data)
{
	long ret;

	do
		ret = exec_fn(client, data);
	while (!ret);

	return ret;
}

static u32 exec_syncobj(struct kunit *test, struct mock_client *client, struct file *file)
{
	struct drm_syncobj_create arg = {};

	KUNIT_ASSERT_EQ(test, mock_ioctl(client, file, DRM_IOCTL_SYNCOBJ_CREATE, &arg), 0);
	return arg.handle;
}

static struct dma_fence *exec_fence(struct kunit *test, struct exec *exec)
{
	struct drm_syncobj *syncobj = drm_syncobj_find(mock_drm_file(exec->file), exec->syncobj);
	struct dma_fence *fence;

	KUNIT_ASSERT_NOT_NULL(test, syncobj);
	fence = drm_syncobj_fence_get(syncobj);
	drm_syncobj_put(syncobj);

	return fence;
}

struct witness {
	struct dma_fence_cb cb;
	struct host *host;
	bool signalled;
	bool host_works;
};

static void witness_signal(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct witness *witness = container_of(cb, struct witness, cb);

	witness->signalled = true;
	witness->host_works = witness->host->status;
}

/* The host works, if it does. This is what the others build on. */
static void drm_test_unplug_virtio_answered(struct kunit *test)
{
	struct host *host = host_new(test, BIT_ULL(VIRTIO_GPU_F_VIRGL));
	struct mock_client *client = mock_client_new(test);
	struct exec exec = { .file = host_open(test, host) };
	struct dma_fence *fence;

	exec.syncobj = exec_syncobj(test, client, exec.file);
	KUNIT_EXPECT_EQ(test, mock_run(client, exec_fn, &exec), 0);
	fence = exec_fence(test, &exec);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	KUNIT_EXPECT_GT(test, dma_fence_wait_timeout(fence, false, MOCK_TIMEOUT), 0);
	KUNIT_EXPECT_EQ(test, fence->error, 0);

	KUNIT_EXPECT_EQ(test, mock_run(client, host_unplug, host), 0);
	KUNIT_EXPECT_EQ(test, mock_run(client, exec_fn, &exec), -ENODEV);
	dma_fence_put(fence);
}

/* F1, F3: what the host has not answered ends, once the host has been stopped. */
static void drm_test_unplug_virtio_fence(struct kunit *test)
{
	struct host *host = host_new(test, BIT_ULL(VIRTIO_GPU_F_VIRGL));
	struct mock_client *client = mock_client_new(test);
	struct exec exec = { .file = host_open(test, host) };
	struct witness witness = { .host = host };
	struct dma_fence *fence;

	exec.syncobj = exec_syncobj(test, client, exec.file);
	host_stall(host);
	KUNIT_EXPECT_EQ(test, mock_run(client, exec_fn, &exec), 0);
	fence = exec_fence(test, &exec);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	KUNIT_ASSERT_EQ(test, dma_fence_add_callback(fence, &witness.cb, witness_signal), 0);

	KUNIT_EXPECT_EQ(test, mock_run(client, host_unplug, host), 0);
	KUNIT_EXPECT_TRUE(test, witness.signalled);
	KUNIT_EXPECT_FALSE(test, witness.host_works);
	KUNIT_EXPECT_EQ(test, fence->error, -ENODEV);
	if (!witness.signalled)
		dma_fence_remove_callback(fence, &witness.cb);

	/* T3: it stays when all else is closed. */
	kunit_release_action(test, host_fput, exec.file);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence), -ENODEV);
	dma_fence_put(fence);
}

/* U4, F2: a client that waits for room in the ring, and its fence. */
static void drm_test_unplug_virtio_ring_full(struct kunit *test)
{
	struct host *host = host_new(test, BIT_ULL(VIRTIO_GPU_F_VIRGL));
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct exec exec = { .file = host_open(test, host) };
	struct dma_fence *fence;

	exec.syncobj = exec_syncobj(test, client, exec.file);
	host_stall(host);
	mock_start(client, exec_many_fn, &exec);
	mock_wait_asleep(client);

	KUNIT_EXPECT_EQ(test, mock_run(remover, host_unplug, host), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	fence = exec_fence(test, &exec);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence), -ENODEV);
	dma_fence_put(fence);
}

/* A buffer of another device in virtio-gpu, and the other way round */

static struct dma_buf *share_export(struct kunit *test, struct mock_dev *mdev)
{
	struct drm_gem_shmem_object *shmem = drm_gem_shmem_create(&mdev->drm, PAGE_SIZE);
	struct dma_buf *buf;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shmem);
	buf = drm_gem_prime_export(&shmem->base, O_RDWR);
	drm_gem_object_put(&shmem->base);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);

	return buf;
}

struct share {
	struct host *host;
	struct drm_gem_object *obj;
};

/* How often the host had been reset when the buffer was free. */
static long share_drop(struct mock_client *client, void *data)
{
	struct share *share = data;

	drm_gem_object_put(share->obj);
	return READ_ONCE(share->host->resets);
}

/*
 * B4, F3: giving back an imported buffer waits for the host with the lock of the
 * exporter held, but not for longer than the device is there, and not until the
 * host could write to memory that is not the buffer's any more.
 */
static void drm_test_unplug_virtio_detach(struct kunit *test)
{
	struct host *host = host_new(test, BIT_ULL(VIRTIO_GPU_F_RESOURCE_BLOB));
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct mock_dev *exporter = mock_dev_new(test);
	struct dma_buf *buf = share_export(test, exporter);
	struct drm_device *drm = host_drm(host);
	struct share share = { .host = host };
	int resets = host->resets;

	share.obj = drm->driver->gem_prime_import(drm, buf);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, share.obj);
	host_stall(host);
	mock_start(client, share_drop, &share);
	mock_wait_asleep(client);
	KUNIT_EXPECT_FALSE(test, dma_resv_trylock(buf->resv));

	KUNIT_EXPECT_EQ(test, mock_run(remover, host_unplug, host), 0);
	KUNIT_EXPECT_GT(test, mock_finish(client), resets);
	KUNIT_EXPECT_TRUE(test, dma_resv_trylock(buf->resv));
	dma_resv_unlock(buf->resv);
	dma_buf_put(buf);
}

/* B4: the same after the device is gone, when nothing is sent to the host. */
static void drm_test_unplug_virtio_detach_late(struct kunit *test)
{
	struct host *host = host_new(test, BIT_ULL(VIRTIO_GPU_F_RESOURCE_BLOB));
	struct mock_client *client = mock_client_new(test);
	struct mock_dev *exporter = mock_dev_new(test);
	struct dma_buf *buf = share_export(test, exporter);
	struct drm_device *drm = host_drm(host);
	struct file *file = host_open(test, host);
	struct drm_gem_object *obj;
	u32 handle;

	obj = drm->driver->gem_prime_import(drm, buf);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, obj);
	KUNIT_ASSERT_EQ(test, drm_gem_handle_create(mock_drm_file(file), obj, &handle), 0);
	drm_gem_object_put(obj);

	KUNIT_EXPECT_EQ(test, mock_run(client, host_unplug, host), 0);
	kunit_release_action(test, host_fput, file);
	KUNIT_EXPECT_TRUE(test, dma_resv_trylock(buf->resv));
	dma_resv_unlock(buf->resv);
	dma_buf_put(buf);
}

/* B1: another virtio device asks for the name of a buffer. */
static long share_uuid(struct mock_client *client, void *buf)
{
	uuid_t uuid;

	return virtio_dma_buf_get_uuid(buf, &uuid);
}

static void drm_test_unplug_virtio_uuid(struct kunit *test)
{
	struct host *host = host_new(test, BIT_ULL(VIRTIO_GPU_F_RESOURCE_UUID));
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct file *file = host_open(test, host);
	struct drm_mode_create_dumb dumb = { .width = 16, .height = 16, .bpp = 32 };
	struct drm_device *drm = host_drm(host);
	struct drm_gem_object *obj;
	struct dma_buf *buf;

	KUNIT_ASSERT_EQ(test, drm->driver->dumb_create(mock_drm_file(file), drm, &dumb), 0);
	obj = drm_gem_object_lookup(mock_drm_file(file), dumb.handle);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	host_stall(host);
	buf = obj->funcs->export(obj, O_RDWR);
	drm_gem_object_put(obj);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);

	mock_start(client, share_uuid, buf);
	mock_wait_asleep(client);
	KUNIT_EXPECT_EQ(test, mock_run(remover, host_unplug, host), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	dma_buf_put(buf);
}

/* Memory of the host in the guest: mapped by the driver itself, without a fault handler */

struct blob {
	struct host *host;
	struct mock_map map;
};

/* Is the memory of the host behind it? */
static long map_is_host_fn(struct mock_client *client, void *data)
{
	struct mock_map *map = data;
	struct follow_pfnmap_args args = { .address = map->addr };
	bool same;

	guard(mmap_read_lock)(current->mm);

	args.vma = vma_lookup(current->mm, map->addr);
	if (!args.vma || follow_pfnmap_start(&args))
		return false;
	same = args.pfn == HOST_PFN;
	follow_pfnmap_end(&args);

	return same;
}

static void map_expect(struct mock_client *client, const struct mock_map *map, u32 value)
{
	unsigned long at;

	for (at = 0; at < map->size; at += PAGE_SIZE)
		KUNIT_EXPECT_EQ(client->test, mock_peek(client, map->addr + at), value);
}

static void blob_new(struct kunit *test, struct mock_client *client, struct blob *blob,
		     bool stalled)
{
	struct drm_virtgpu_resource_create_blob create = {
		.blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
		.size = HOST_VISIBLE,
		.blob_id = 1,
	};
	struct drm_virtgpu_map map = {};

	KUNIT_ASSERT_FALSE(test, pfn_valid(HOST_PFN));
	blob->host = host_new(test, HOST_BLOBS);
	blob->map.file = host_open(test, blob->host);
	if (stalled)
		host_stall(blob->host);
	KUNIT_ASSERT_EQ(test, 0, mock_ioctl(client, blob->map.file,
					    DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create));
	map.handle = create.bo_handle;
	KUNIT_ASSERT_EQ(test, 0, mock_ioctl(client, blob->map.file, DRM_IOCTL_VIRTGPU_MAP, &map));
	blob->map.offset = map.offset;
	blob->map.size = HOST_VISIBLE;
}

/*
 * M1, M2, M5: a map of memory of the host, made before or after, shows zeros and what
 * the client writes when the device is gone.
 */
static void drm_test_unplug_virtio_host_visible(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct blob blob = {};
	struct mock_map late;
	unsigned long at;

	blob_new(test, client, &blob, false);
	KUNIT_ASSERT_EQ(test, mock_run(client, mock_map_fn, &blob.map), 0);
	KUNIT_EXPECT_TRUE(test, mock_run(client, map_is_host_fn, &blob.map));

	KUNIT_EXPECT_EQ(test, mock_run(remover, host_unplug, blob.host), 0);
	KUNIT_EXPECT_FALSE(test, mock_run(client, map_is_host_fn, &blob.map));
	map_expect(client, &blob.map, 0);
	late = blob.map;
	KUNIT_EXPECT_EQ(test, mock_run(client, mock_map_fn, &late), 0);
	KUNIT_EXPECT_NE(test, late.addr, blob.map.addr);
	map_expect(client, &late, 0);

	for (at = 0; at < HOST_VISIBLE; at += PAGE_SIZE)
		mock_poke(client, blob.map.addr + at, 1);
	map_expect(client, &blob.map, 1);
	KUNIT_EXPECT_FALSE(test, mock_run(client, map_is_host_fn, &blob.map));
}

/* T1, M2: a client waits in mmap() for a host that does not answer, and tries again. */
static void drm_test_unplug_virtio_host_visible_wait(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct blob blob = {};

	blob_new(test, client, &blob, true);
	mock_start(client, mock_map_fn, &blob.map);
	mock_wait_asleep(client);

	KUNIT_EXPECT_EQ(test, mock_run(remover, host_unplug, blob.host), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	KUNIT_EXPECT_EQ(test, mock_run(client, mock_map_fn, &blob.map), 0);
	map_expect(client, &blob.map, 0);
}

static struct kunit_case drm_unplug_virtio_tests[] = {
	KUNIT_CASE(drm_test_unplug_virtio_answered),
	KUNIT_CASE(drm_test_unplug_virtio_fence),
	KUNIT_CASE(drm_test_unplug_virtio_ring_full),
	KUNIT_CASE(drm_test_unplug_virtio_detach),
	KUNIT_CASE(drm_test_unplug_virtio_detach_late),
	KUNIT_CASE(drm_test_unplug_virtio_uuid),
	KUNIT_CASE(drm_test_unplug_virtio_host_visible),
	KUNIT_CASE(drm_test_unplug_virtio_host_visible_wait),
	{}
};

static struct kunit_suite drm_unplug_virtio_suite = {
	.name = "drm_unplug_virtio",
	.test_cases = drm_unplug_virtio_tests,
};

kunit_test_suite(drm_unplug_virtio_suite);
