// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/jiffies.h>

#include <drm/ttm/ttm_backup.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_resource.h>
#include <drm/ttm/ttm_tt.h>

#include "ttm_bo_internal.h"
#include "ttm_pool_internal.h"

/* How long the removal of a driver waits for buffers that others have locked, in all. */
#define TTM_UNPLUG_DMA_WAIT	HZ

static void ttm_tt_unmap_dma(struct ttm_pool *pool, struct ttm_tt *tt)
{
	pgoff_t i, pages;

	/* What others have exported is theirs to unmap, see drm_prime_gem_destroy(). */
	if (!ttm_tt_is_populated(tt) || tt->page_flags & TTM_TT_FLAG_EXTERNAL ||
	    !tt->pages || !tt->dma_address)
		return;

	for (i = 0; i < tt->num_pages; i += pages) {
		struct page *page = tt->pages[i];

		pages = 1;
		if (!page || ttm_backup_page_ptr_is_handle(page))
			continue;
		/* The order of an allocation stands with its first page. */
		pages = 1UL << page->private;
		dma_unmap_page(pool->dev, tt->dma_address[i], pages << PAGE_SHIFT,
			       DMA_BIDIRECTIONAL);
	}

	/* It lies behind the array of pages, and tells the pool that nothing is mapped. */
	tt->dma_address = NULL;
}

/*
 * Returns false if the buffer is somebody else's at the moment: being freed, which
 * unmaps it, or locked, perhaps on behalf of another device and for as long as that
 * takes. Leaves the lists as they are. Drops and takes lru_lock.
 */
static bool ttm_res_unmap_dma(struct ttm_device *bdev, struct ttm_resource *res)
{
	struct ttm_buffer_object *bo = res->bo;
	bool locked;

	lockdep_assert_held(&bdev->lru_lock);

	/* What others have exported is not ours to lock either. */
	if (bo->type == ttm_bo_type_sg)
		return true;
	if (!ttm_bo_get_unless_zero(bo))
		return false;
	spin_unlock(&bdev->lru_lock);

	locked = dma_resv_trylock(bo->base.resv);
	if (locked) {
		if (bo->ttm)
			ttm_tt_unmap_dma(&bdev->pool, bo->ttm);
		dma_resv_unlock(bo->base.resv);
	}
	ttm_bo_put(bo);

	spin_lock(&bdev->lru_lock);
	return locked;
}

/* No bulk move has anything in this list, so that a hitch stays where it is put. */
static bool ttm_unevictable_unmap_dma(struct ttm_device *bdev)
{
	struct ttm_lru_item hitch, *lru;
	bool done = true;

	ttm_lru_item_init(&hitch, TTM_LRU_HITCH);

	spin_lock(&bdev->lru_lock);
	list_add(&hitch.link, &bdev->unevictable);
	while (!list_is_last(&hitch.link, &bdev->unevictable)) {
		lru = list_next_entry(&hitch, link);
		list_move(&hitch.link, &lru->link);
		if (ttm_lru_item_is_res(lru))
			done &= ttm_res_unmap_dma(bdev, ttm_lru_item_to_res(lru));
	}
	list_del(&hitch.link);
	spin_unlock(&bdev->lru_lock);

	return done;
}

static bool ttm_manager_unmap_dma(struct ttm_resource_manager *man)
{
	struct ttm_resource_cursor cursor;
	struct ttm_resource *res;
	bool done = true;

	ttm_resource_cursor_init(&cursor, man);

	spin_lock(&man->bdev->lru_lock);
	ttm_resource_manager_for_each_res(&cursor, res)
		done &= ttm_res_unmap_dma(man->bdev, res);
	ttm_resource_cursor_fini(&cursor);
	spin_unlock(&man->bdev->lru_lock);

	return done;
}

static bool ttm_lru_unmap_dma(struct ttm_device *bdev)
{
	struct ttm_resource_manager *man;
	bool done;
	int i;

	/* In the order in which a buffer moves when it is unpinned, and when it is swapped out. */
	done = ttm_unevictable_unmap_dma(bdev);
	for (i = TTM_NUM_MEM_TYPES - 1; i >= TTM_PL_SYSTEM; i--) {
		man = ttm_manager_type(bdev, i);
		if (man && man->use_tt)
			done &= ttm_manager_unmap_dma(man);
	}

	return done;
}

/**
 * ttm_device_unmap_dma - take all memory from a device that has left
 * @bdev: the device, unplugged and switched off
 *
 * A buffer lives until its last user has gone, but the DMA API is there for a
 * device only as long as its driver is bound. So what the device could still
 * read and write is unmapped now. The pages stay, and with them all that the
 * kernel has mapped, unlike with ttm_device_clear_dma_mappings(), which is for
 * drivers whose teardown does not look at its rings and fences any more.
 *
 * Pages of a pool that uses the coherent allocator cannot be unmapped without
 * freeing them, and are left alone. So is what others have exported, and user
 * memory, see drm_dev_map_sgtable().
 *
 * Whoever is freeing a buffer, and so unmaps it, is waited for. Whoever keeps one
 * locked for long does not hold this up: it stays mapped then, with a warning.
 *
 * Context: from the remove callback of the driver, after drm_dev_unplug() and
 * when the hardware is off. May sleep, takes reservation locks.
 */
void ttm_device_unmap_dma(struct ttm_device *bdev)
{
	unsigned long end = jiffies + TTM_UNPLUG_DMA_WAIT;

	if (ttm_pool_uses_dma_alloc(&bdev->pool))
		return;

	/*
	 * The worker that frees buffers is not waited for: fences may hold it up. What
	 * it has not got to is in the lists like everything else.
	 */
	while (!ttm_lru_unmap_dma(bdev)) {
		if (time_after(jiffies, end)) {
			dev_warn(bdev->pool.dev, "a buffer is locked and stays mapped\n");
			return;
		}
		fsleep(1000);
	}
}
EXPORT_SYMBOL(ttm_device_unmap_dma);
