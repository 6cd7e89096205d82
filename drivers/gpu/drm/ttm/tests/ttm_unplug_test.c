// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * ttm_device_unmap_dma(): whose memory it takes from the device, what it leaves as it is,
 * and that it comes to an end whatever others do with their buffers meanwhile.
 */

#include <linux/completion.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include <drm/ttm/ttm_resource.h>
#include <drm/ttm/ttm_tt.h>

#include "ttm_kunit_helpers.h"

#define BOS	3

struct unplug_bo {
	struct ttm_buffer_object *bo;
	struct ttm_tt *tt;
	struct work_struct put;
};

/* Somebody in the middle of freeing a buffer, if a test wants that. */
static struct completion releasing, go_on;
static bool release_stops;

static struct ttm_tt *unplug_tt_create(struct ttm_buffer_object *bo, u32 flags)
{
	struct ttm_tt *tt = kzalloc_obj(*tt);

	if (tt && ttm_sg_tt_init(tt, bo, flags, ttm_cached)) {
		kfree(tt);
		return NULL;
	}
	return tt;
}

/* UML may have no DMA API, so that nothing is really mapped. */
static int unplug_tt_populate(struct ttm_device *bdev, struct ttm_tt *tt,
			      struct ttm_operation_ctx *ctx)
{
	pgoff_t i;

	for (i = 0; i < tt->num_pages; i++) {
		tt->pages[i] = alloc_page(GFP_KERNEL);
		if (!tt->pages[i])
			return -ENOMEM;
		tt->pages[i]->private = 0;
		tt->dma_address[i] = page_to_phys(tt->pages[i]);
	}
	return 0;
}

static void unplug_tt_unpopulate(struct ttm_device *bdev, struct ttm_tt *tt)
{
	pgoff_t i;

	for (i = 0; i < tt->num_pages; i++)
		__free_page(tt->pages[i]);
}

static void unplug_tt_destroy(struct ttm_device *bdev, struct ttm_tt *tt)
{
	ttm_tt_fini(tt);
	kfree(tt);
}

static void unplug_release_notify(struct ttm_buffer_object *bo)
{
	if (release_stops) {
		complete(&releasing);
		wait_for_completion(&go_on);
	}
}

static struct ttm_device_funcs unplug_funcs = {
	.ttm_tt_create = unplug_tt_create,
	.ttm_tt_populate = unplug_tt_populate,
	.ttm_tt_unpopulate = unplug_tt_unpopulate,
	.ttm_tt_destroy = unplug_tt_destroy,
	.release_notify = unplug_release_notify,
};

static void bo_put_work(struct work_struct *work)
{
	struct unplug_bo *b = container_of(work, struct unplug_bo, put);

	ttm_bo_fini(b->bo);
}

/* A buffer in system memory; in @bulk if there is one. */
static void bo_init(struct kunit *test, struct unplug_bo *b, struct dma_resv *resv,
		    struct ttm_lru_bulk_move *bulk)
{
	struct ttm_test_devices *priv = test->priv;
	struct ttm_place *place = ttm_place_kunit_init(test, TTM_PL_SYSTEM, 0);
	struct ttm_operation_ctx ctx = { };
	struct ttm_buffer_object *bo;

	bo = ttm_bo_kunit_init(test, priv, 2 * PAGE_SIZE, resv);
	bo->type = ttm_bo_type_device;
	b->bo = bo;
	INIT_WORK(&b->put, bo_put_work);

	dma_resv_lock(bo->base.resv, NULL);
	if (bulk)
		ttm_bo_set_bulk_move(bo, bulk);
	KUNIT_ASSERT_EQ(test, 0, ttm_resource_alloc(bo, place, &bo->resource, NULL));
	KUNIT_ASSERT_EQ(test, 0, ttm_tt_create(bo, false));
	b->tt = bo->ttm;
	KUNIT_ASSERT_EQ(test, 0, ttm_tt_populate(priv->ttm_dev, bo->ttm, &ctx));
	dma_resv_unlock(bo->base.resv);
}

static void bo_put(struct unplug_bo *b)
{
	dma_resv_lock(b->bo->base.resv, NULL);
	ttm_bo_set_bulk_move(b->bo, NULL);
	dma_resv_unlock(b->bo->base.resv);
	ttm_bo_fini(b->bo);
}

/* Those that are pinned, those that are not; and not those without pages. */
static void drm_test_unplug_ttm_unmaps_all(struct kunit *test)
{
	struct ttm_test_devices *priv = test->priv;
	struct unplug_bo b[BOS];
	int i;

	for (i = 0; i < BOS; i++)
		bo_init(test, &b[i], NULL, NULL);

	dma_resv_lock(b[0].bo->base.resv, NULL);
	ttm_bo_pin(b[0].bo);
	dma_resv_unlock(b[0].bo->base.resv);
	ttm_tt_unpopulate(priv->ttm_dev, b[2].tt);

	ttm_device_unmap_dma(priv->ttm_dev);

	KUNIT_EXPECT_NULL(test, b[0].tt->dma_address);
	KUNIT_EXPECT_NULL(test, b[1].tt->dma_address);
	KUNIT_EXPECT_NOT_NULL(test, b[2].tt->dma_address);
	/* The pages stay. */
	KUNIT_EXPECT_TRUE(test, ttm_tt_is_populated(b[0].tt));
	KUNIT_EXPECT_TRUE(test, ttm_tt_is_populated(b[1].tt));
	/* And so do the lists. */
	KUNIT_EXPECT_TRUE(test, list_is_singular(&priv->ttm_dev->unevictable));

	dma_resv_lock(b[0].bo->base.resv, NULL);
	ttm_bo_unpin(b[0].bo);
	dma_resv_unlock(b[0].bo->base.resv);
	for (i = 0; i < BOS; i++)
		bo_put(&b[i]);
}

/* The range of a bulk move still begins and ends with what is in the list. */
static void drm_test_unplug_ttm_leaves_bulk_moves(struct kunit *test)
{
	struct ttm_test_devices *priv = test->priv;
	struct ttm_lru_bulk_move bulk;
	struct ttm_lru_bulk_move_pos *pos = &bulk.pos[TTM_PL_SYSTEM][0];
	struct unplug_bo b[BOS], other;
	struct list_head *lru = &ttm_manager_type(priv->ttm_dev, TTM_PL_SYSTEM)->lru[0];
	struct dma_resv resv;
	int i;

	dma_resv_init(&resv);
	ttm_lru_bulk_move_init(&bulk);
	for (i = 0; i < BOS; i++)
		bo_init(test, &b[i], &resv, &bulk);
	bo_init(test, &other, NULL, NULL);

	ttm_device_unmap_dma(priv->ttm_dev);

	for (i = 0; i < BOS; i++)
		KUNIT_EXPECT_NULL(test, b[i].tt->dma_address);
	KUNIT_EXPECT_NULL(test, other.tt->dma_address);
	KUNIT_EXPECT_EQ(test, list_count_nodes(lru), BOS + 1);
	KUNIT_EXPECT_PTR_EQ(test, pos->first, b[0].bo->resource);
	KUNIT_EXPECT_PTR_EQ(test, pos->last, b[BOS - 1].bo->resource);

	/* The first and the last buffer are where the range has to find its new ends. */
	bo_put(&b[0]);
	KUNIT_EXPECT_PTR_EQ(test, pos->first, b[1].bo->resource);
	bo_put(&b[BOS - 1]);
	KUNIT_EXPECT_PTR_EQ(test, pos->last, b[1].bo->resource);
	bo_put(&b[1]);
	KUNIT_EXPECT_NULL(test, pos->first);
	bo_put(&other);
	ttm_lru_bulk_move_fini(priv->ttm_dev, &bulk);
	dma_resv_fini(&resv);
}

static void go_on_work(struct work_struct *work)
{
	complete(&go_on);
}

/* Who frees a buffer unmaps it, which has to be done when the driver is unbound. */
static void drm_test_unplug_ttm_waits_for_release(struct kunit *test)
{
	struct ttm_test_devices *priv = test->priv;
	struct delayed_work later;
	struct unplug_bo b;

	bo_init(test, &b, NULL, NULL);

	init_completion(&releasing);
	init_completion(&go_on);
	release_stops = true;
	queue_work(system_unbound_wq, &b.put);
	wait_for_completion(&releasing);

	INIT_DELAYED_WORK_ONSTACK(&later, go_on_work);
	schedule_delayed_work(&later, msecs_to_jiffies(50));
	ttm_device_unmap_dma(priv->ttm_dev);
	KUNIT_EXPECT_TRUE(test, !b.bo->ttm || !b.bo->ttm->dma_address);

	release_stops = false;
	flush_work(&b.put);
	flush_delayed_work(&later);
	destroy_delayed_work_on_stack(&later);
}

static const char *unplug_fence_name(struct dma_fence *fence)
{
	return "unplug";
}

static const struct dma_fence_ops unplug_fence_ops = {
	.get_driver_name = unplug_fence_name,
	.get_timeline_name = unplug_fence_name,
};

/* What waits to be freed is unmapped, and its fence is not waited for. */
static void drm_test_unplug_ttm_unmaps_what_is_freed_later(struct kunit *test)
{
	struct ttm_test_devices *priv = test->priv;
	struct dma_fence *fence;
	struct unplug_bo b;
	spinlock_t lock;	/* of the fence */

	spin_lock_init(&lock);
	fence = kzalloc_obj(*fence);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	dma_fence_init(fence, &unplug_fence_ops, &lock, dma_fence_context_alloc(1), 1);

	bo_init(test, &b, NULL, NULL);
	dma_resv_lock(b.bo->base.resv, NULL);
	KUNIT_ASSERT_EQ(test, 0, dma_resv_reserve_fences(b.bo->base.resv, 1));
	dma_resv_add_fence(b.bo->base.resv, fence, DMA_RESV_USAGE_KERNEL);
	dma_resv_unlock(b.bo->base.resv);
	ttm_bo_fini(b.bo);
	KUNIT_EXPECT_TRUE(test, b.bo->deleted);

	ttm_device_unmap_dma(priv->ttm_dev);
	KUNIT_EXPECT_PTR_EQ(test, b.bo->ttm, b.tt);
	KUNIT_EXPECT_NULL(test, b.tt->dma_address);

	dma_fence_signal(fence);
	flush_workqueue(priv->ttm_dev->wq);
	dma_fence_put(fence);
}

/* A lock that nobody gives back costs one buffer, and not the removal. */
static void drm_test_unplug_ttm_does_not_wait_for_locks(struct kunit *test)
{
	struct ttm_test_devices *priv = test->priv;
	struct unplug_bo b[2];
	unsigned long start;

	bo_init(test, &b[0], NULL, NULL);
	bo_init(test, &b[1], NULL, NULL);

	dma_resv_lock(b[0].bo->base.resv, NULL);
	start = jiffies;
	ttm_device_unmap_dma(priv->ttm_dev);
	KUNIT_EXPECT_TRUE(test, time_before(jiffies, start + 5 * HZ));
	dma_resv_unlock(b[0].bo->base.resv);

	KUNIT_EXPECT_NOT_NULL(test, b[0].tt->dma_address);
	KUNIT_EXPECT_NULL(test, b[1].tt->dma_address);

	bo_put(&b[0]);
	bo_put(&b[1]);
}

static int unplug_init(struct kunit *test)
{
	struct ttm_test_devices *priv;
	struct ttm_device *ttm_dev;

	release_stops = false;
	priv = ttm_test_devices_basic(test);
	test->priv = priv;

	ttm_dev = kunit_kzalloc(test, sizeof(*ttm_dev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ttm_dev);
	KUNIT_ASSERT_EQ(test, 0, ttm_device_init(ttm_dev, &unplug_funcs, priv->drm->dev,
						 priv->drm->anon_inode->i_mapping,
						 priv->drm->vma_offset_manager, 0));
	priv->ttm_dev = ttm_dev;
	return 0;
}

static struct kunit_case unplug_cases[] = {
	KUNIT_CASE(drm_test_unplug_ttm_unmaps_all),
	KUNIT_CASE(drm_test_unplug_ttm_leaves_bulk_moves),
	KUNIT_CASE(drm_test_unplug_ttm_waits_for_release),
	KUNIT_CASE(drm_test_unplug_ttm_unmaps_what_is_freed_later),
	KUNIT_CASE(drm_test_unplug_ttm_does_not_wait_for_locks),
	{}
};

static struct kunit_suite unplug_suite = {
	.name = "drm_unplug_ttm",
	.init = unplug_init,
	.exit = ttm_test_devices_fini,
	.test_cases = unplug_cases,
};

kunit_test_suites(&unplug_suite);

MODULE_DESCRIPTION("Tests of ttm_device_unmap_dma()");
MODULE_LICENSE("Dual MIT/GPL");
