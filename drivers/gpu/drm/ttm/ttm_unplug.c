// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>

#include <drm/ttm/ttm_backup.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_resource.h>
#include <drm/ttm/ttm_tt.h>

#include "ttm_bo_internal.h"
#include "ttm_pool_internal.h"

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

static void ttm_lru_unmap_dma(struct ttm_device *bdev, struct list_head *list)
{
	struct ttm_resource *res;

	spin_lock(&bdev->lru_lock);
	while ((res = ttm_lru_first_res_or_null(list))) {
		struct ttm_buffer_object *bo = res->bo;

		/* Nothing is evicted any more, so that nobody misses it there. */
		list_del_init(&res->lru.link);
		if (!ttm_bo_get_unless_zero(bo))
			continue;
		spin_unlock(&bdev->lru_lock);

		dma_resv_lock(bo->base.resv, NULL);
		if (bo->ttm)
			ttm_tt_unmap_dma(&bdev->pool, bo->ttm);
		dma_resv_unlock(bo->base.resv);
		ttm_bo_put(bo);

		spin_lock(&bdev->lru_lock);
	}
	spin_unlock(&bdev->lru_lock);
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
 * freeing them, and are left alone.
 *
 * Context: from the remove callback of the driver, after drm_dev_unplug() and
 * when the hardware is off. May sleep, takes reservation locks.
 */
void ttm_device_unmap_dma(struct ttm_device *bdev)
{
	struct ttm_resource_manager *man;
	unsigned int i, j;

	if (ttm_pool_uses_dma_alloc(&bdev->pool))
		return;

	/* Buffers whose last user has gone are freed by it. */
	drain_workqueue(bdev->wq);

	ttm_lru_unmap_dma(bdev, &bdev->unevictable);
	for (i = TTM_PL_SYSTEM; i < TTM_NUM_MEM_TYPES; i++) {
		man = ttm_manager_type(bdev, i);
		if (!man || !man->use_tt)
			continue;

		for (j = 0; j < TTM_MAX_BO_PRIORITY; j++)
			ttm_lru_unmap_dma(bdev, &man->lru[j]);
	}
}
EXPORT_SYMBOL(ttm_device_unmap_dma);
