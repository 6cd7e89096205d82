// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/virtio_dma_buf.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include <drm/drm_gem.h>
#include <drm/drm_prime.h>
#include <drm/drm_unplug.h>
#include <drm/drm_vma_manager.h>

#include "drm_unplug_internal.h"

/**
 * DOC: shared buffers
 *
 * A buffer that was exported lives on in other devices and in file descriptors.
 * Core keeps a list of the dma-bufs of each device. When the device goes, the
 * callbacks of each are replaced, under its reservation lock, and importers are
 * told that the mappings they have are void (dma_buf_invalidate_mappings()).
 * From then on the driver is only called to give back what it has given out:
 *
 * ================== ==========================================================
 * attach, pin, map   fail with ENODEV, map and pin also for what is attached
 *                    already. Where the exporter has no attach callback, attach
 *                    succeeds, and map fails.
 * vmap               succeeds: a page of zeros that belongs to this map and
 *                    repeats itself. Importers do not expect it to fail.
 * begin_cpu_access   succeeds, as the map does not need the device; ENODEV where
 *                    another device has not finished with the buffer
 * mmap               gives a lost map
 * detach, unpin,     work as ever
 * unmap, vunmap,
 * release
 * ================== ==========================================================
 *
 * An importer that is static, or that has the buffer pinned, keeps its mapping
 * until it lets go. For system memory nothing is wrong with that. For memory of
 * the device it goes on to use addresses where nothing answers any more.
 *
 * A task that waits in begin_cpu_access when the device goes is woken with ENODEV,
 * whosever fence it is that it waits for. Exporters with callbacks of their own
 * use drm_dev_dmabuf_begin_cpu_access().
 *
 * Somebody may hold a reservation lock while waiting for a fence of the device,
 * which the driver ends after this. So the unplug waits for these locks, but not
 * for long; what is late is done by a worker.
 */

/* How long an unplug waits for the reservation locks of its dma-bufs. */
#define DRM_UNPLUG_DMABUF_WAIT	HZ

/* The callbacks of a driver, and those that replace them. */
struct drm_unplug_dmabuf_ops {
	/* Virtio looks for more behind the callbacks, whoever is the exporter. */
	struct virtio_dma_buf_ops gone;
	const struct dma_buf_ops *driver;
	struct list_head node;
};

/* A dma-buf of a device. */
struct drm_unplug_dmabuf {
	struct hlist_node node;
	struct drm_unplug *unplug;
	struct dma_buf *dmabuf;
	/* What it shows in the kernel if it was mapped there after the unplug. */
	struct page *page;
	void *vaddr;
	/* The driver was passed by, and must not be asked to undo it. */
	bool vmap_gone;
	struct work_struct revoke_work;
	/* Somebody has a reference in order to revoke it, and the use of @taken. */
	bool revoking;
	struct list_head taken;
};

static struct drm_unplug_dmabuf *drm_unplug_dmabuf_find(struct drm_unplug *unplug,
							const struct dma_buf *dmabuf)
{
	struct drm_unplug_dmabuf *buf;

	lockdep_assert_held(&unplug->dmabufs_lock);

	hash_for_each_possible(unplug->dmabufs, buf, node, (unsigned long)dmabuf)
		if (buf->dmabuf == dmabuf)
			return buf;

	return NULL;
}

/* That of a dma-buf that the caller keeps from being released. */
static struct drm_unplug_dmabuf *drm_unplug_dmabuf_of(struct dma_buf *dmabuf)
{
	struct drm_gem_object *obj = dmabuf->priv;
	struct drm_unplug *unplug = drm_unplug_of(obj->dev);

	guard(spinlock)(&unplug->dmabufs_lock);

	return drm_unplug_dmabuf_find(unplug, dmabuf);
}

static int drm_unplug_dmabuf_attach(struct dma_buf *dmabuf,
				    struct dma_buf_attachment *attach)
{
	return -ENODEV;
}

static int drm_unplug_dmabuf_pin(struct dma_buf_attachment *attach)
{
	return -ENODEV;
}

static struct sg_table *drm_unplug_dmabuf_map(struct dma_buf_attachment *attach,
					      enum dma_data_direction dir)
{
	return ERR_PTR(-ENODEV);
}

/**
 * drm_dev_dmabuf_begin_cpu_access - wait until the CPU may use a buffer
 * @dmabuf: the dma-buf, whose &dma_buf.priv is a GEM object
 * @dir: direction of the access
 *
 * For &dma_buf_ops.begin_cpu_access. dma-buf itself waits for the fences of a
 * buffer afterwards, and knows nothing of devices that go.
 *
 * Context: Process context, sleeps.
 *
 * Returns:
 * 0 if all fences have signalled, -ENODEV if some have not and the device is
 * gone, or -ERESTARTSYS if it was interrupted.
 */
int drm_dev_dmabuf_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct drm_gem_object *obj = dmabuf->priv;
	bool write = dir == DMA_BIDIRECTIONAL || dir == DMA_TO_DEVICE;

	return drm_dev_resv_wait(obj->dev, dmabuf->resv, dma_resv_usage_rw(write), true);
}
EXPORT_SYMBOL(drm_dev_dmabuf_begin_cpu_access);

static int drm_unplug_dmabuf_end_cpu_access(struct dma_buf *dmabuf,
					    enum dma_data_direction dir)
{
	return 0;
}

static int drm_unplug_dmabuf_get_uuid(struct dma_buf *dmabuf, uuid_t *uuid)
{
	return -ENODEV;
}

static int drm_unplug_dmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct drm_gem_object *obj = dmabuf->priv;

	vma->vm_pgoff += drm_vma_node_start(&obj->vma_node);

	return drm_unplug_mmap_gone(obj, vma);
}

/**
 * drm_unplug_dmabuf_vmap - map a dma-buf of a gone device for the kernel
 * @dmabuf: the dma-buf
 * @map: where to return the address
 *
 * dma_buf_vmap() takes it as a bug if this fails, so it succeeds if it can.
 *
 * Context: Process context, reservation lock held.
 *
 * Returns:
 * 0, -ENOMEM, or -ENODEV if @dmabuf was not exported through core.
 */
int drm_unplug_dmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct drm_unplug_dmabuf *buf = drm_unplug_dmabuf_of(dmabuf);
	unsigned long i, n = PAGE_ALIGN(dmabuf->size) >> PAGE_SHIFT;
	struct page **pages;

	dma_resv_assert_held(dmabuf->resv);

	if (!buf)
		return -ENODEV;

	pages = kvmalloc_array(n, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;

	buf->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (buf->page) {
		for (i = 0; i < n; i++)
			pages[i] = buf->page;
		buf->vaddr = vmap(pages, n, VM_MAP, PAGE_KERNEL);
	}
	kvfree(pages);

	if (!buf->vaddr) {
		if (buf->page)
			__free_page(buf->page);
		buf->page = NULL;
		return -ENOMEM;
	}

	iosys_map_set_vaddr(map, buf->vaddr);

	return 0;
}

static int drm_unplug_dmabuf_vmap_gone(struct dma_buf *dmabuf, struct iosys_map *map)
{
	int ret = drm_unplug_dmabuf_vmap(dmabuf, map);

	if (!ret)
		drm_unplug_dmabuf_of(dmabuf)->vmap_gone = true;

	return ret;
}

/**
 * drm_unplug_dmabuf_vunmap - undo drm_unplug_dmabuf_vmap()
 * @dmabuf: the dma-buf
 * @map: what was returned
 *
 * Context: Process context, reservation lock held.
 *
 * Returns:
 * False if @map was not made there.
 */
bool drm_unplug_dmabuf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct drm_unplug_dmabuf *buf = drm_unplug_dmabuf_of(dmabuf);

	if (!buf || !buf->vaddr || map->is_iomem || map->vaddr != buf->vaddr)
		return false;

	vunmap(buf->vaddr);
	__free_page(buf->page);
	buf->vaddr = NULL;
	buf->page = NULL;
	buf->vmap_gone = false;

	return true;
}

/* What the driver has mapped it undoes, even where core gave it zeros to map. */
static void drm_unplug_dmabuf_vunmap_gone(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct drm_unplug_dmabuf *buf = drm_unplug_dmabuf_of(dmabuf);
	const struct dma_buf_ops *driver;

	driver = container_of(dmabuf->ops, struct drm_unplug_dmabuf_ops, gone.ops)->driver;
	if (buf->vmap_gone)
		drm_unplug_dmabuf_vunmap(dmabuf, map);
	else if (driver->vunmap)
		driver->vunmap(dmabuf, map);
}

/* Callbacks are looked at twice, to see whether they are there and to call them. */
static struct drm_unplug_dmabuf_ops *drm_unplug_dmabuf_ops_new(const struct dma_buf_ops *driver)
{
	struct drm_unplug_dmabuf_ops *new = kzalloc_obj(*new);

	if (!new)
		return NULL;

	new->driver = driver;
	new->gone.device_attach = drm_unplug_dmabuf_attach;
	new->gone.get_uuid = drm_unplug_dmabuf_get_uuid;
	new->gone.ops = *driver;
	if (driver->attach)
		new->gone.ops.attach = drm_unplug_dmabuf_attach;
	if (driver->pin)
		new->gone.ops.pin = drm_unplug_dmabuf_pin;
	new->gone.ops.map_dma_buf = drm_unplug_dmabuf_map;
	new->gone.ops.begin_cpu_access = drm_dev_dmabuf_begin_cpu_access;
	if (driver->end_cpu_access)
		new->gone.ops.end_cpu_access = drm_unplug_dmabuf_end_cpu_access;
	if (driver->mmap)
		new->gone.ops.mmap = drm_unplug_dmabuf_mmap;
	if (driver->vmap) {
		new->gone.ops.vmap = drm_unplug_dmabuf_vmap_gone;
		new->gone.ops.vunmap = drm_unplug_dmabuf_vunmap_gone;
	}

	return new;
}

/* One copy for each table, made when it is first seen, so that revoking cannot fail. */
static int drm_unplug_dmabuf_ops_add(struct drm_unplug *unplug,
				     const struct dma_buf_ops *driver)
{
	struct drm_unplug_dmabuf_ops *ops, *new;

	scoped_guard(spinlock, &unplug->dmabufs_lock)
		list_for_each_entry(ops, &unplug->dmabuf_ops, node)
			if (ops->driver == driver)
				return 0;

	new = drm_unplug_dmabuf_ops_new(driver);
	if (!new)
		return -ENOMEM;

	guard(spinlock)(&unplug->dmabufs_lock);
	list_for_each_entry(ops, &unplug->dmabuf_ops, node) {
		if (ops->driver == driver) {
			kfree(new);
			return 0;
		}
	}
	list_add(&new->node, &unplug->dmabuf_ops);

	return 0;
}

/* A reference to a dma-buf that is in the list, or false if it is on its way out. */
static bool drm_unplug_dmabuf_get(struct drm_unplug_dmabuf *buf)
{
	struct dma_buf *dmabuf = buf->dmabuf;
	struct file *file;

	/* A dma-buf can last longer than its file, which then is something else. */
	file = get_file_active(&dmabuf->file);
	if (!file)
		return false;
	if (file->private_data == dmabuf)
		return true;
	fput(file);

	return false;
}

static void drm_unplug_dmabuf_revoke(struct drm_unplug_dmabuf *buf)
{
	struct drm_unplug *unplug = buf->unplug;
	struct dma_buf *dmabuf = buf->dmabuf;
	struct drm_unplug_dmabuf_ops *ops;

	dma_resv_assert_held(dmabuf->resv);

	scoped_guard(spinlock, &unplug->dmabufs_lock)
		list_for_each_entry(ops, &unplug->dmabuf_ops, node)
			if (ops->driver == dmabuf->ops)
				WRITE_ONCE(dmabuf->ops, &ops->gone.ops);

	dma_buf_invalidate_mappings(dmabuf);
}

/* Undoes what drm_unplug_dmabufs_take() did. */
static void drm_unplug_dmabuf_revoked(struct drm_unplug_dmabuf *buf)
{
	struct drm_unplug *unplug = buf->unplug;
	struct dma_buf *dmabuf = buf->dmabuf;

	scoped_guard(spinlock, &unplug->dmabufs_lock)
		buf->revoking = false;

	if (atomic_dec_and_test(&unplug->dmabufs_revoking))
		wake_up_var(&unplug->dmabufs_revoking);

	/* Can be the last thing that keeps the device. */
	dma_buf_put(dmabuf);
}

static void drm_unplug_dmabuf_revoke_work(struct work_struct *work)
{
	struct drm_unplug_dmabuf *buf =
		container_of(work, struct drm_unplug_dmabuf, revoke_work);
	struct dma_buf *dmabuf = buf->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	drm_unplug_dmabuf_revoke(buf);
	dma_resv_unlock(dmabuf->resv);

	drm_unplug_dmabuf_revoked(buf);
}

/**
 * drm_unplug_dmabuf_add - a buffer is exported
 * @dev: device that exports it
 * @dmabuf: the dma-buf, which holds a reference to @dev until
 *	drm_unplug_dmabuf_del() is called
 *
 * Can be called again when the driver has set the callbacks. On error, the caller
 * drops the dma-buf.
 *
 * Returns:
 * 0, -ENOMEM, or -ENODEV if the device is gone, so that the dma-buf may not be
 * revoked any more.
 */
int drm_unplug_dmabuf_add(struct drm_device *dev, struct dma_buf *dmabuf)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct drm_unplug_dmabuf *buf;
	int ret;

	ret = drm_unplug_dmabuf_ops_add(unplug, dmabuf->ops);
	if (ret)
		return ret;

	scoped_guard(spinlock, &unplug->dmabufs_lock)
		buf = drm_unplug_dmabuf_find(unplug, dmabuf);
	if (!buf) {
		buf = kzalloc_obj(*buf);
		if (!buf)
			return -ENOMEM;

		buf->unplug = unplug;
		buf->dmabuf = dmabuf;
		INIT_WORK(&buf->revoke_work, drm_unplug_dmabuf_revoke_work);
		scoped_guard(spinlock, &unplug->dmabufs_lock)
			hash_add(unplug->dmabufs, &buf->node, (unsigned long)dmabuf);
	}

	/* An unplug that sets this later finds the callbacks that are there now. */
	guard(spinlock)(&unplug->dmabufs_lock);

	return READ_ONCE(unplug->gone) ? -ENODEV : 0;
}

/**
 * drm_unplug_export - let a dma-buf go with the device that exports it
 * @obj: GEM object
 * @dmabuf: made from it just now, so that it has no maps yet
 *
 * drm_gem_dmabuf_export() has done so. Core calls this for what a driver returns
 * from &drm_gem_object_funcs.export: it may have made the dma-buf itself, which is
 * taken if it keeps a reference to the device, or set the callbacks afterwards.
 *
 * Returns:
 * 0 or an error of drm_unplug_dmabuf_add().
 */
int drm_unplug_export(struct drm_gem_object *obj, struct dma_buf *dmabuf)
{
	struct drm_unplug *unplug = drm_unplug_of(obj->dev);
	bool known;

	scoped_guard(spinlock, &unplug->dmabufs_lock)
		known = drm_unplug_dmabuf_find(unplug, dmabuf);

	if (!known) {
		if (dmabuf->ops->release != drm_gem_dmabuf_release || dmabuf->priv != obj)
			return 0;
		dmabuf->file->f_mapping = obj->dev->anon_inode->i_mapping;
	}

	return drm_unplug_dmabuf_add(obj->dev, dmabuf);
}

/**
 * drm_unplug_dmabuf_del - an exported buffer is released
 * @dev: device that has exported it
 * @dmabuf: the dma-buf
 */
void drm_unplug_dmabuf_del(struct drm_device *dev, struct dma_buf *dmabuf)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct drm_unplug_dmabuf *buf;

	scoped_guard(spinlock, &unplug->dmabufs_lock) {
		buf = drm_unplug_dmabuf_find(unplug, dmabuf);
		if (buf)
			hash_del(&buf->node);
	}
	kfree(buf);
}

/* Those of the dma-bufs of a device that nobody is about to revoke. */
static void drm_unplug_dmabufs_take(struct drm_unplug *unplug, struct list_head *bufs)
{
	struct drm_unplug_dmabuf *buf;
	struct hlist_node *tmp;
	int bucket;

	guard(spinlock)(&unplug->dmabufs_lock);
	hash_for_each_safe(unplug->dmabufs, bucket, tmp, buf, node) {
		if (buf->revoking || !drm_unplug_dmabuf_get(buf))
			continue;
		buf->revoking = true;
		atomic_inc(&unplug->dmabufs_revoking);
		list_add(&buf->taken, bufs);
	}
}

/**
 * drm_unplug_dmabufs_revoke - take the dma-bufs of a gone device from its driver
 * @unplug: state of the device
 *
 * To be called when no section runs any more. What is exported from then on fails.
 * Several tasks can call this at a time: each takes those that are left, and waits
 * for the others' as it waits for the worker.
 */
void drm_unplug_dmabufs_revoke(struct drm_unplug *unplug)
{
	struct drm_unplug_dmabuf *buf, *next;
	LIST_HEAD(bufs);

	drm_unplug_dmabufs_take(unplug, &bufs);
	list_for_each_entry_safe(buf, next, &bufs, taken) {
		struct dma_buf *dmabuf = buf->dmabuf;

		if (!dma_resv_trylock(dmabuf->resv)) {
			queue_work(drm_unplug_revoke_wq, &buf->revoke_work);
			continue;
		}
		drm_unplug_dmabuf_revoke(buf);
		dma_resv_unlock(dmabuf->resv);
		drm_unplug_dmabuf_revoked(buf);
	}

	wait_var_event_timeout(&unplug->dmabufs_revoking,
			       !atomic_read(&unplug->dmabufs_revoking),
			       DRM_UNPLUG_DMABUF_WAIT);
}

void drm_unplug_dmabufs_init(struct drm_unplug *unplug)
{
	spin_lock_init(&unplug->dmabufs_lock);
	INIT_LIST_HEAD(&unplug->dmabuf_ops);
	hash_init(unplug->dmabufs);
	atomic_set(&unplug->dmabufs_revoking, 0);
}

void drm_unplug_dmabufs_fini(struct drm_unplug *unplug)
{
	struct drm_unplug_dmabuf_ops *ops, *next;

	/* Dma-bufs hold references to the device, so there is none left. */
	WARN_ON(!hash_empty(unplug->dmabufs));

	list_for_each_entry_safe(ops, next, &unplug->dmabuf_ops, node)
		kfree(ops);
}
