// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_print.h>
#include <drm/drm_unplug.h>

#include "drm_unplug_internal.h"

/**
 * DOC: DMA mappings
 *
 * A buffer lives until its last user has gone, which can be long after the driver
 * was unbound. The DMA API is there for a device only as long as a driver is bound:
 * after that the IOMMU may work for somebody else, such as a guest that the device
 * was handed to, and of a device that was removed the DMA API does not even know any
 * more that there was an IOMMU (iommu_deinit_device()).
 *
 * So core keeps account of what helpers have mapped for a device, imported dma-bufs
 * and the pages of GEM SHMEM objects, and unmaps it when the remove callback of the
 * driver has returned: the hardware is off then, and not before. The tables of pages
 * stay until their owners free them, but the addresses in them mean nothing any more;
 * that of an import belongs to the exporter, and is gone.
 *
 * Some drivers unmap and free the table of a GEM SHMEM object without the helper. So
 * core keeps such a record by the object, until that is released, and looks at the
 * object, under its reservation lock, whether it still has that table.
 *
 * Drivers based on TTM have ttm_device_unmap_dma() for their own buffers. Coherent
 * memory (GEM DMA) cannot be unmapped without being freed and is left to the last
 * close.
 */

/* How long the removal of a driver waits for reservation locks, in all. */
#define DRM_UNPLUG_DMA_WAIT	HZ

/* Of a device that its driver has not from devm_drm_dev_alloc(). */
static void drm_unplug_dma_unbound(struct device *parent, void *res)
{
	struct drm_device **data = res, *dev;

	/* It may be gone for good, and its memory another device's. */
	dev = drm_dev_get_unless_left(*data);
	if (!dev)
		return;
	if (dev->dev == parent)
		drm_unplug_dma_unmap(drm_unplug_of(dev));
	drm_dev_put(dev);
}

static int drm_unplug_dma_match(struct device *parent, void *res, void *dev)
{
	return *(struct drm_device **)res == dev;
}

/*
 * A record for something to be mapped; and see to it that it is unmapped in time. An
 * ERR_PTR() of -ENODEV if it is too late for that.
 */
static struct drm_unplug_dma *drm_unplug_dma_new(struct drm_device *dev)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct drm_unplug_dma *dma;
	struct drm_device **res;

	if (READ_ONCE(unplug->dma_closed))
		return ERR_PTR(-ENODEV);

	if (!unplug->managed && !xchg(&unplug->dma_armed, true)) {
		res = devres_alloc(drm_unplug_dma_unbound, sizeof(*res), GFP_KERNEL);
		if (!res) {
			WRITE_ONCE(unplug->dma_armed, false);
			return ERR_PTR(-ENOMEM);
		}
		*res = dev;
		devres_add(dev->dev, res);
	}

	dma = kzalloc_obj(*dma);

	return dma ?: ERR_PTR(-ENOMEM);
}

/* False if the driver has been unbound meanwhile: the caller has to unmap it. */
static bool drm_unplug_dma_add(struct drm_unplug *unplug, struct drm_unplug_dma *dma,
			       struct sg_table *sgt, struct dma_buf_attachment *attach,
			       enum dma_data_direction dir)
{
	dma->sgt = sgt;
	dma->attach = attach;
	dma->dir = dir;
	dma->mapped = true;

	scoped_guard(spinlock, &unplug->dma_lock) {
		if (!unplug->dma_closed) {
			hash_add(unplug->dma, &dma->node, (unsigned long)sgt);
			return true;
		}
	}
	kfree(dma);

	return false;
}

/*
 * Forgets @sgt. Returns whether it is the caller's to unmap, as is what core never
 * knew. Until drm_unplug_dma_unmapped() tells that this is done, the driver is not
 * unbound.
 */
static bool drm_unplug_dma_del(struct drm_unplug *unplug, const struct sg_table *sgt)
{
	struct drm_unplug_dma *dma;
	bool mapped;

	scoped_guard(spinlock, &unplug->dma_lock) {
		hash_for_each_possible(unplug->dma, dma, node, (unsigned long)sgt)
			if (!dma->shmem && dma->sgt == sgt)
				break;
		if (dma)
			hash_del(&dma->node);
		mapped = !dma || dma->mapped;
		if (mapped)
			atomic_inc(&unplug->dma_unmapping);
	}
	kfree(dma);

	return mapped;
}

static void drm_unplug_dma_unmapped(struct drm_unplug *unplug)
{
	if (atomic_dec_and_test(&unplug->dma_unmapping))
		wake_up_var(&unplug->dma_unmapping);
}

/**
 * drm_dev_map_sgtable - map pages for a device until its driver is unbound
 * @dev: DRM device, the parent of which does the DMA
 * @sgt: the pages
 * @dir: direction of the transfers
 *
 * Like dma_map_sgtable(), but what is still mapped when the driver is unbound is
 * unmapped then. See the overview on DMA mappings.
 *
 * Context: Process context, may sleep.
 *
 * Returns:
 * 0, -ENODEV if the driver was unbound, or a negative errno of dma_map_sgtable().
 */
int drm_dev_map_sgtable(struct drm_device *dev, struct sg_table *sgt,
			enum dma_data_direction dir)
{
	struct drm_unplug_dma *dma;
	int ret;

	dma = drm_unplug_dma_new(dev);
	if (IS_ERR(dma))
		return PTR_ERR(dma);

	ret = dma_map_sgtable(dev->dev, sgt, dir, 0);
	if (ret) {
		kfree(dma);
		return ret;
	}
	if (!drm_unplug_dma_add(drm_unplug_of(dev), dma, sgt, NULL, dir)) {
		dma_unmap_sgtable(dev->dev, sgt, dir, 0);
		return -ENODEV;
	}

	return 0;
}
EXPORT_SYMBOL(drm_dev_map_sgtable);

/**
 * drm_dev_unmap_sgtable - undo drm_dev_map_sgtable()
 * @dev: DRM device
 * @sgt: what was mapped; by dma_map_sgtable() will do as well
 * @dir: direction of the transfers
 *
 * @sgt can be freed afterwards, whether it was this that has unmapped it or core.
 *
 * Context: Any but interrupts.
 */
void drm_dev_unmap_sgtable(struct drm_device *dev, struct sg_table *sgt,
			   enum dma_data_direction dir)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);

	if (!drm_unplug_dma_del(unplug, sgt))
		return;
	dma_unmap_sgtable(dev->dev, sgt, dir, 0);
	drm_unplug_dma_unmapped(unplug);
}
EXPORT_SYMBOL(drm_dev_unmap_sgtable);

static struct drm_unplug_dma *drm_unplug_shmem_find(struct drm_unplug *unplug,
						    const struct drm_gem_shmem_object *shmem)
{
	struct drm_unplug_dma *dma;

	lockdep_assert_held(&unplug->dma_lock);

	hash_for_each_possible(unplug->dma, dma, node, (unsigned long)shmem)
		if (dma->shmem == shmem)
			return dma;

	return NULL;
}

/**
 * drm_dev_map_shmem - map the pages of a GEM SHMEM object until the driver is unbound
 * @shmem: the object
 * @sgt: its pages, which the caller makes its &drm_gem_shmem_object.sgt
 *
 * Like drm_dev_map_sgtable(), but the driver may unmap and free @sgt by itself, as
 * long as it clears &drm_gem_shmem_object.sgt under the same lock.
 *
 * Context: Process context, reservation lock of the object held.
 *
 * Returns:
 * 0, -ENODEV if the driver was unbound, or a negative errno of dma_map_sgtable().
 */
int drm_dev_map_shmem(struct drm_gem_shmem_object *shmem, struct sg_table *sgt)
{
	struct drm_device *dev = shmem->base.dev;
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct drm_unplug_dma *dma, *new;
	bool closed;
	int ret;

	dma_resv_assert_held(shmem->base.resv);

	new = drm_unplug_dma_new(dev);
	if (IS_ERR(new))
		return PTR_ERR(new);

	ret = dma_map_sgtable(dev->dev, sgt, DMA_BIDIRECTIONAL, 0);
	if (ret) {
		kfree(new);
		return ret;
	}

	*new = (struct drm_unplug_dma) {
		.sgt = sgt, .shmem = shmem, .dir = DMA_BIDIRECTIONAL, .mapped = true,
	};
	scoped_guard(spinlock, &unplug->dma_lock) {
		closed = unplug->dma_closed;
		/* It had a table before. */
		dma = drm_unplug_shmem_find(unplug, shmem);
		if (dma && !closed) {
			dma->sgt = sgt;
			dma->mapped = true;
		} else if (!closed) {
			hash_add(unplug->dma, &new->node, (unsigned long)shmem);
			new = NULL;
		}
	}
	kfree(new);
	if (closed) {
		dma_unmap_sgtable(dev->dev, sgt, DMA_BIDIRECTIONAL, 0);
		return -ENODEV;
	}

	return 0;
}
EXPORT_SYMBOL(drm_dev_map_shmem);

/**
 * drm_dev_unmap_shmem - undo drm_dev_map_shmem()
 * @shmem: the object, which still has the table; any other will do as well
 *
 * Context: Process context, reservation lock of the object held.
 */
void drm_dev_unmap_shmem(struct drm_gem_shmem_object *shmem)
{
	struct drm_device *dev = shmem->base.dev;
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct drm_unplug_dma *dma;
	bool mapped = true;

	dma_resv_assert_held(shmem->base.resv);

	scoped_guard(spinlock, &unplug->dma_lock) {
		dma = drm_unplug_shmem_find(unplug, shmem);
		if (dma) {
			mapped = dma->mapped || dma->sgt != shmem->sgt;
			dma->mapped = false;
			/* The next one may have the same address. */
			dma->sgt = NULL;
		}
		if (mapped)
			atomic_inc(&unplug->dma_unmapping);
	}
	if (!mapped)
		return;
	dma_unmap_sgtable(dev->dev, shmem->sgt, DMA_BIDIRECTIONAL, 0);
	drm_unplug_dma_unmapped(unplug);
}
EXPORT_SYMBOL(drm_dev_unmap_shmem);

/**
 * drm_dev_release_shmem - a GEM SHMEM object is released
 * @shmem: the object, which has no table any more
 *
 * To be called before its reservation object goes.
 *
 * Context: Process context. May have to wait for the end of a driver, see
 * drm_unplug_dma_unmap(), which is not long.
 */
void drm_dev_release_shmem(struct drm_gem_shmem_object *shmem)
{
	struct drm_unplug *unplug = drm_unplug_of(shmem->base.dev);
	struct drm_unplug_dma *dma;

	scoped_guard(spinlock, &unplug->dma_lock) {
		dma = drm_unplug_shmem_find(unplug, shmem);
		if (dma) {
			/* Who looks at the object has no reference to it. */
			wait_var_event_spinlock(&dma->used, !dma->used, &unplug->dma_lock);
			hash_del(&dma->node);
		}
	}
	kfree(dma);
}
EXPORT_SYMBOL(drm_dev_release_shmem);

/**
 * drm_dev_map_attachment - map a dma-buf for a device until its driver is unbound
 * @dev: DRM device, the importer
 * @attach: its attachment
 *
 * Like dma_buf_map_attachment(), both ways, but what is still mapped when the driver
 * is unbound is unmapped then, and the table is freed. See the overview on DMA
 * mappings. For drivers that do not use drm_gem_prime_import().
 *
 * Context: Process context, with the reservation lock of the dma-buf held.
 *
 * Returns:
 * The table, as dma_buf_map_attachment() does, or an ERR_PTR(), of -ENODEV if the
 * driver was unbound.
 */
struct sg_table *drm_dev_map_attachment(struct drm_device *dev,
					struct dma_buf_attachment *attach)
{
	struct drm_unplug_dma *dma;
	struct sg_table *sgt;

	dma = drm_unplug_dma_new(dev);
	if (IS_ERR(dma))
		return ERR_CAST(dma);

	sgt = dma_buf_map_attachment(attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt)) {
		kfree(dma);
		return sgt;
	}
	if (!drm_unplug_dma_add(drm_unplug_of(dev), dma, sgt, attach, DMA_BIDIRECTIONAL)) {
		dma_buf_unmap_attachment(attach, sgt, DMA_BIDIRECTIONAL);
		return ERR_PTR(-ENODEV);
	}

	return sgt;
}
EXPORT_SYMBOL(drm_dev_map_attachment);

/**
 * drm_dev_unmap_attachment - undo drm_dev_map_attachment()
 * @dev: DRM device, the importer
 * @attach: its attachment
 * @sgt: what was mapped, by core or by the driver itself; core may have unmapped it
 *
 * Context: Process context, with the reservation lock of the dma-buf held.
 */
void drm_dev_unmap_attachment(struct drm_device *dev, struct dma_buf_attachment *attach,
			      struct sg_table *sgt)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);

	/* Who unmaps it on behalf of core has this lock, and relies on @attach. */
	dma_resv_assert_held(attach->dmabuf->resv);

	if (!drm_unplug_dma_del(unplug, sgt))
		return;
	dma_buf_unmap_attachment(attach, sgt, DMA_BIDIRECTIONAL);
	drm_unplug_dma_unmapped(unplug);
}
EXPORT_SYMBOL(drm_dev_unmap_attachment);

/**
 * drm_unplug_map_attachment - drm_dev_map_attachment() without the lock
 * @dev: the importer
 * @attach: its attachment
 *
 * Context: Process context, takes the reservation lock of the dma-buf.
 *
 * Returns:
 * The table, as dma_buf_map_attachment() does, or an ERR_PTR().
 */
struct sg_table *drm_unplug_map_attachment(struct drm_device *dev,
					   struct dma_buf_attachment *attach)
{
	struct sg_table *sgt;

	dma_resv_lock(attach->dmabuf->resv, NULL);
	sgt = drm_dev_map_attachment(dev, attach);
	dma_resv_unlock(attach->dmabuf->resv);

	return sgt;
}

/**
 * drm_unplug_unmap_attachment - drm_dev_unmap_attachment() without the lock
 * @dev: the importer
 * @attach: its attachment
 * @sgt: what was mapped
 *
 * Context: Process context, takes the reservation lock of the dma-buf.
 */
void drm_unplug_unmap_attachment(struct drm_device *dev, struct dma_buf_attachment *attach,
				 struct sg_table *sgt)
{
	dma_resv_lock(attach->dmabuf->resv, NULL);
	drm_dev_unmap_attachment(dev, attach, sgt);
	dma_resv_unlock(attach->dmabuf->resv);
}

/*
 * The dma-buf of an import that is mapped, in @bucket or behind it, with a reference.
 * Each import has its turn once.
 */
static struct dma_buf *drm_unplug_import_next(struct drm_unplug *unplug, int *bucket)
{
	struct drm_unplug_dma *dma;

	guard(spinlock)(&unplug->dma_lock);
	for (; *bucket < HASH_SIZE(unplug->dma); (*bucket)++) {
		hlist_for_each_entry(dma, &unplug->dma[*bucket], node) {
			if (dma->attach && dma->mapped && !dma->tried) {
				dma->tried = true;
				/* The importer has one as long as this is in the list. */
				get_dma_buf(dma->attach->dmabuf);
				return dma->attach->dmabuf;
			}
		}
	}

	return NULL;
}

/* An import of @dmabuf that was mapped, and is the caller's to unmap now. */
static struct drm_unplug_dma *drm_unplug_import_take(struct drm_unplug *unplug,
						     struct dma_buf *dmabuf, int bucket)
{
	struct drm_unplug_dma *dma;

	dma_resv_assert_held(dmabuf->resv);

	guard(spinlock)(&unplug->dma_lock);
	hlist_for_each_entry(dma, &unplug->dma[bucket], node) {
		if (dma->attach && dma->mapped && dma->attach->dmabuf == dmabuf) {
			dma->mapped = false;
			return dma;
		}
	}

	return NULL;
}

static bool drm_unplug_dma_lock_resv(struct dma_resv *resv, unsigned long end)
{
	while (!dma_resv_trylock(resv)) {
		if (time_after(jiffies, end))
			return false;
		fsleep(1000);
	}

	return true;
}

static void drm_unplug_imports_unmap(struct drm_unplug *unplug, unsigned long end)
{
	struct drm_unplug_dma *dma;
	struct dma_buf *dmabuf;
	unsigned int locked = 0;
	int bucket = 0;

	while ((dmabuf = drm_unplug_import_next(unplug, &bucket))) {
		if (drm_unplug_dma_lock_resv(dmabuf->resv, end)) {
			dma = drm_unplug_import_take(unplug, dmabuf, bucket);
			if (dma)
				dma_buf_unmap_attachment(dma->attach, dma->sgt, dma->dir);
			dma_resv_unlock(dmabuf->resv);
		} else {
			locked++;
		}
		dma_buf_put(dmabuf);
	}

	if (locked)
		drm_warn(unplug->dev, "%u imported buffers are locked and stay mapped\n", locked);
}

/* A GEM SHMEM object that is mapped, in @bucket or behind it. It stays while it is used. */
static struct drm_unplug_dma *drm_unplug_shmem_next(struct drm_unplug *unplug, int *bucket)
{
	struct drm_unplug_dma *dma;

	guard(spinlock)(&unplug->dma_lock);
	for (; *bucket < HASH_SIZE(unplug->dma); (*bucket)++) {
		hlist_for_each_entry(dma, &unplug->dma[*bucket], node) {
			if (dma->shmem && dma->mapped && !dma->tried) {
				dma->tried = true;
				dma->used = true;
				return dma;
			}
		}
	}

	return NULL;
}

/* The reservation lock of the object is held. */
static void drm_unplug_shmem_unmap(struct drm_unplug *unplug, struct drm_unplug_dma *dma)
{
	struct sg_table *sgt = dma->shmem->sgt;
	bool mapped;

	scoped_guard(spinlock, &unplug->dma_lock) {
		/* If it is another one, the driver has freed that which core knew. */
		mapped = dma->mapped && dma->sgt == sgt;
		if (!mapped)
			dma->sgt = NULL;
		dma->mapped = false;
	}
	if (mapped)
		dma_unmap_sgtable(unplug->dev->dev, sgt, dma->dir, 0);
}

static void drm_unplug_shmems_unmap(struct drm_unplug *unplug, unsigned long end)
{
	struct drm_unplug_dma *dma;
	unsigned int locked = 0;
	int bucket = 0;

	while ((dma = drm_unplug_shmem_next(unplug, &bucket))) {
		struct dma_resv *resv = dma->shmem->base.resv;

		if (drm_unplug_dma_lock_resv(resv, end)) {
			drm_unplug_shmem_unmap(unplug, dma);
			dma_resv_unlock(resv);
		} else {
			locked++;
		}

		guard(spinlock)(&unplug->dma_lock);
		dma->used = false;
		wake_up_var_locked(&dma->used, &unplug->dma_lock);
	}

	if (locked)
		drm_warn(unplug->dev, "%u buffers are locked and stay mapped\n", locked);
}

/**
 * drm_unplug_dma_unmap - take all memory from a device whose driver is unbound
 * @unplug: state of the device
 *
 * Whoever locks a buffer for long, waiting for a fence of somebody else, does not
 * hold this up: the buffer stays mapped then, with a warning. Whoever is about to
 * unmap one is waited for, which is not long. Nothing can be mapped from then on, and
 * what was just being mapped is unmapped again by those who did it.
 *
 * Context: Process context, takes reservation locks.
 */
void drm_unplug_dma_unmap(struct drm_unplug *unplug)
{
	unsigned long end = jiffies + DRM_UNPLUG_DMA_WAIT;
	struct drm_unplug_dma *dma;
	int bucket;

	scoped_guard(spinlock, &unplug->dma_lock)
		WRITE_ONCE(unplug->dma_closed, true);

	for (bucket = 0; bucket < HASH_SIZE(unplug->dma); bucket++) {
		guard(spinlock)(&unplug->dma_lock);
		hlist_for_each_entry(dma, &unplug->dma[bucket], node) {
			if (dma->attach || dma->shmem || !dma->mapped)
				continue;
			dma_unmap_sgtable(unplug->dev->dev, dma->sgt, dma->dir, 0);
			dma->mapped = false;
		}
	}
	drm_unplug_shmems_unmap(unplug, end);
	drm_unplug_imports_unmap(unplug, end);
	wait_var_event(&unplug->dma_unmapping, !atomic_read(&unplug->dma_unmapping));
}

void drm_unplug_dma_init(struct drm_unplug *unplug)
{
	spin_lock_init(&unplug->dma_lock);
	hash_init(unplug->dma);
}

void drm_unplug_dma_fini(struct drm_unplug *unplug)
{
	struct drm_unplug_dma *dma;
	struct hlist_node *tmp;
	int bucket;

	if (unplug->dma_armed)
		devres_destroy(unplug->dev->dev, drm_unplug_dma_unbound,
			       drm_unplug_dma_match, unplug->dev);

	/* Of buffers that the driver has lost. */
	hash_for_each_safe(unplug->dma, bucket, tmp, dma, node)
		kfree(dma);
}
