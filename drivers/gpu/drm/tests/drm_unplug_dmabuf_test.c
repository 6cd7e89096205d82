// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Buffers shared between devices, B1 to B4 and T3: once the exporter is gone its
 * driver is asked for nothing any more, importers are told, and what they have
 * can be given back as late as they like. What a device has mapped for DMA, of
 * its own or of others, is unmapped when its driver is unbound.
 */

#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/iosys-map.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <drm/drm_gem.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_mode_config.h>
#include <drm/drm_prime.h>
#include <drm/drm_unplug.h>

#include <kunit/device.h>
#include <kunit/resource.h>
#include <kunit/test.h>

#include "../drm_unplug_internal.h"
#include "drm_unplug_mock.h"

#define SIZE		(4 * PAGE_SIZE)

/* Read where the memory of the device is read. */
#define DEVICE_BYTE	0xd5

/**
 * struct buffer - a buffer in mock device memory, and what was done to it
 * @base: the object
 * @memory: what stands for device memory
 * @pins: pin() minus unpin(), or attach() minus detach()
 * @maps: map() minus unmap()
 * @vmaps: vmap() minus vunmap()
 * @cpu: begin_cpu_access() minus end_cpu_access()
 * @calls: how often the driver was asked for anything
 * @gate: where pin() stops, if set
 * @unmapping: where unmap() stops, if set
 * @exporting: where export() stops before it sets callbacks of its own, if set
 */
struct buffer {
	struct drm_gem_object base;
	void *memory;
	int pins, maps, vmaps, cpu;
	int calls;
	struct mock_gate *gate, *unmapping, *exporting;
};

static struct buffer *to_buffer(struct drm_gem_object *obj)
{
	return container_of(obj, struct buffer, base);
}

static void buffer_free(struct drm_gem_object *obj)
{
	struct buffer *buffer = to_buffer(obj);

	drm_gem_object_release(obj);
	free_pages_exact(buffer->memory, obj->size);
	kfree(buffer);
}

static int buffer_pin(struct drm_gem_object *obj)
{
	struct buffer *buffer = to_buffer(obj);

	buffer->calls++;
	buffer->pins++;
	if (buffer->gate)
		mock_gate_pass(buffer->gate);

	return 0;
}

static void buffer_unpin(struct drm_gem_object *obj)
{
	to_buffer(obj)->pins--;
}

static struct sg_table *buffer_sg_table(struct drm_gem_object *obj)
{
	struct buffer *buffer = to_buffer(obj);
	struct sg_table *sgt = kzalloc_obj(*sgt);

	buffer->calls++;
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	if (sg_alloc_table(sgt, 1, GFP_KERNEL)) {
		kfree(sgt);
		return ERR_PTR(-ENOMEM);
	}
	sg_set_buf(sgt->sgl, buffer->memory, obj->size);

	return sgt;
}

static int buffer_vmap(struct drm_gem_object *obj, struct iosys_map *map)
{
	struct buffer *buffer = to_buffer(obj);

	buffer->calls++;
	buffer->vmaps++;
	iosys_map_set_vaddr(map, buffer->memory);

	return 0;
}

static void buffer_vunmap(struct drm_gem_object *obj, struct iosys_map *map)
{
	to_buffer(obj)->vmaps--;
}

/* A driver that leaves it all to core. */
static const struct drm_gem_object_funcs core_funcs = {
	.free = buffer_free,
	.pin = buffer_pin,
	.unpin = buffer_unpin,
	.get_sg_table = buffer_sg_table,
	.vmap = buffer_vmap,
	.vunmap = buffer_vunmap,
};

/* One that has callbacks of its own, and sets them when the dma-buf is there. */
static int own_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	return buffer_pin(dmabuf->priv);
}

static void own_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	buffer_unpin(dmabuf->priv);
}

static int own_pin(struct dma_buf_attachment *attach)
{
	return buffer_pin(attach->dmabuf->priv);
}

static void own_unpin(struct dma_buf_attachment *attach)
{
	buffer_unpin(attach->dmabuf->priv);
}

static struct sg_table *own_map(struct dma_buf_attachment *attach, enum dma_data_direction dir)
{
	struct sg_table *sgt = buffer_sg_table(attach->dmabuf->priv);

	if (!IS_ERR(sgt))
		to_buffer(attach->dmabuf->priv)->maps++;

	return sgt;
}

static void own_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	struct buffer *buffer = to_buffer(attach->dmabuf->priv);

	if (buffer->unmapping)
		mock_gate_pass(buffer->unmapping);
	buffer->maps--;
	sg_free_table(sgt);
	kfree(sgt);
}

static int own_begin(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	to_buffer(dmabuf->priv)->calls++;
	to_buffer(dmabuf->priv)->cpu++;

	return 0;
}

static int own_end(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	to_buffer(dmabuf->priv)->calls++;
	to_buffer(dmabuf->priv)->cpu--;

	return 0;
}

/* Something of its own around what core does, like amdgpu. */
static int own_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	int ret;

	buffer_pin(dmabuf->priv);
	ret = drm_gem_dmabuf_vmap(dmabuf, map);
	if (ret)
		buffer_unpin(dmabuf->priv);

	return ret;
}

static void own_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	drm_gem_dmabuf_vunmap(dmabuf, map);
	buffer_unpin(dmabuf->priv);
}

static const struct dma_buf_ops own_ops = {
	.attach = own_attach,
	.detach = own_detach,
	.pin = own_pin,
	.unpin = own_unpin,
	.map_dma_buf = own_map,
	.unmap_dma_buf = own_unmap,
	.begin_cpu_access = own_begin,
	.end_cpu_access = own_end,
	.vmap = own_vmap,
	.vunmap = own_vunmap,
	.release = drm_gem_dmabuf_release,
};

static struct dma_buf *own_export(struct drm_gem_object *obj, int flags)
{
	struct dma_buf *dmabuf = drm_gem_prime_export(obj, flags);

	if (IS_ERR(dmabuf))
		return dmabuf;
	if (to_buffer(obj)->exporting)
		mock_gate_pass(to_buffer(obj)->exporting);
	dmabuf->ops = &own_ops;

	return dmabuf;
}

static const struct drm_gem_object_funcs own_funcs = {
	.free = buffer_free,
	.export = own_export,
	.vmap = buffer_vmap,
	.vunmap = buffer_vunmap,
};

static struct buffer *buffer_new(struct kunit *test, struct mock_dev *mdev,
				 const struct drm_gem_object_funcs *funcs)
{
	struct buffer *buffer = kzalloc_obj(*buffer);

	KUNIT_ASSERT_NOT_NULL(test, buffer);
	buffer->memory = alloc_pages_exact(SIZE, GFP_KERNEL);
	if (!buffer->memory) {
		kfree(buffer);
		KUNIT_FAIL_AND_ABORT(test, "no memory");
	}
	memset(buffer->memory, DEVICE_BYTE, SIZE);
	buffer->base.funcs = funcs;
	drm_gem_private_object_init(&mdev->drm, &buffer->base, SIZE);

	return buffer;
}

/*
 * Exports as the ioctl does. Nobody but the dma-buf has the buffer then, nor,
 * after the end of @file, the device.
 */
static struct dma_buf *buffer_export(struct kunit *test, struct file *file,
				     struct buffer *buffer)
{
	struct drm_file *priv = mock_drm_file(file);
	struct dma_buf *dmabuf;
	u32 handle;

	KUNIT_ASSERT_EQ(test, drm_gem_handle_create(priv, &buffer->base, &handle), 0);
	drm_gem_object_put(&buffer->base);
	dmabuf = drm_gem_prime_handle_to_dmabuf(priv->minor->dev, priv, handle, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);

	return dmabuf;
}

/* Importers */

struct importer {
	struct kunit *test;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	struct mock_gate *gate;
	int told;
};

static void importer_told(struct dma_buf_attachment *attach)
{
	struct importer *importer = attach->importer_priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	importer->told++;
	if (importer->gate)
		mock_gate_pass(importer->gate);
	if (importer->sgt)
		dma_buf_unmap_attachment(attach, importer->sgt, DMA_BIDIRECTIONAL);
	importer->sgt = NULL;
}

static const struct dma_buf_attach_ops importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_told,
};

static void import(struct importer *importer, struct kunit *test, struct dma_buf *dmabuf,
		   struct device *dev, bool dynamic)
{
	struct dma_buf_attachment *attach;

	importer->test = test;
	attach = dynamic ? dma_buf_dynamic_attach(dmabuf, dev, &importer_ops, importer) :
			   dma_buf_attach(dmabuf, dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	importer->attach = attach;
}

static void import_map(struct importer *importer)
{
	importer->sgt = dma_buf_map_attachment_unlocked(importer->attach, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(importer->test, importer->sgt);
}

/* Each kind of exporter, and either way out. */
struct dmabuf_case {
	const char *name;
	const struct drm_gem_object_funcs *funcs;
	bool unregister;
};

static const struct dmabuf_case dmabuf_cases[] = {
	{ "core", &core_funcs },
	{ "core, unregister", &core_funcs, true },
	{ "own", &own_funcs },
	{ "own, unregister", &own_funcs, true },
};

KUNIT_ARRAY_PARAM_DESC(dmabuf_case, dmabuf_cases, name);

struct scene {
	struct mock_dev *mdev, *other;
	struct file *file;
	struct buffer *buffer;
	struct dma_buf *dmabuf;
};

static void scene_export(struct kunit *test, struct scene *scene,
			 const struct drm_gem_object_funcs *funcs)
{
	scene->mdev = mock_dev_new(test);
	scene->file = mock_open(scene->mdev, O_RDWR);
	scene->buffer = buffer_new(test, scene->mdev, funcs);
	scene->dmabuf = buffer_export(test, scene->file, scene->buffer);
}

static void scene_new(struct kunit *test, struct scene *scene)
{
	const struct dmabuf_case *c = test->param_value;

	scene_export(test, scene, c ? c->funcs : &own_funcs);
	scene->other = mock_dev_new(test);
}

static void scene_leave(struct kunit *test, struct scene *scene)
{
	const struct dmabuf_case *c = test->param_value;

	if (c && c->unregister)
		drm_dev_unregister(&scene->mdev->drm);
	else
		drm_dev_unplug(&scene->mdev->drm);
}

/* The driver was left alone since it was asked @calls times, and nothing is left over. */
static void scene_end(struct kunit *test, struct scene *scene, int calls)
{
	KUNIT_EXPECT_EQ_MSG(test, scene->buffer->calls, calls,
			    "the driver was called although it has no device");
	KUNIT_EXPECT_EQ(test, scene->buffer->pins, 0);
	KUNIT_EXPECT_EQ(test, scene->buffer->maps, 0);
	KUNIT_EXPECT_EQ(test, scene->buffer->vmaps, 0);
	KUNIT_EXPECT_EQ(test, scene->buffer->cpu, 0);
	dma_buf_put(scene->dmabuf);
	flush_delayed_fput();
}

/* How many dma-bufs the device keeps a record of. */
static unsigned int records(struct mock_dev *mdev)
{
	struct drm_unplug *unplug = drm_unplug_of(&mdev->drm);
	struct hlist_node *node;
	unsigned int bucket, count = 0;

	guard(spinlock)(&unplug->dmabufs_lock);
	for (bucket = 0; bucket < HASH_SIZE(unplug->dmabufs); bucket++)
		hlist_for_each(node, &unplug->dmabufs[bucket])
			count++;

	return count;
}

/* B1: nobody can attach to a buffer of a gone device, and its driver is not asked. */
static void drm_test_unplug_dmabuf_attach(struct kunit *test)
{
	struct dma_buf_attachment *attach;
	struct scene scene;
	unsigned int dynamic;

	scene_new(test, &scene);
	KUNIT_EXPECT_EQ(test, records(scene.mdev), 1);
	scene_leave(test, &scene);
	for (dynamic = 0; dynamic < 2; dynamic++) {
		attach = dynamic ? dma_buf_dynamic_attach(scene.dmabuf, scene.other->parent,
							  &importer_ops, NULL) :
				   dma_buf_attach(scene.dmabuf, scene.other->parent);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(attach), -ENODEV);
		if (!IS_ERR(attach))
			dma_buf_detach(scene.dmabuf, attach);
	}
	scene_end(test, &scene, 0);
}

/* B1, B3: what is attached cannot be mapped any more, and can be detached. */
static void drm_test_unplug_dmabuf_map(struct kunit *test)
{
	struct importer importers[2] = {};
	struct sg_table *sgt;
	struct scene scene;
	unsigned int i;
	int calls;

	scene_new(test, &scene);
	for (i = 0; i < 2; i++)
		import(&importers[i], test, scene.dmabuf, scene.other->parent, i);
	calls = scene.buffer->calls;
	scene_leave(test, &scene);
	for (i = 0; i < 2; i++) {
		sgt = dma_buf_map_attachment_unlocked(importers[i].attach, DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sgt), -ENODEV);
		dma_buf_detach(scene.dmabuf, importers[i].attach);
	}
	scene_end(test, &scene, calls);
}

/*
 * B3: a dynamic importer is told, once, and gives back what it has mapped. A
 * static one keeps it, and gives it back later. Neither gets it again.
 */
static void drm_test_unplug_dmabuf_told(struct kunit *test)
{
	struct importer dynamic = {}, fixed = {};
	struct sg_table *sgt;
	struct scene scene;
	int calls;

	scene_new(test, &scene);
	import(&dynamic, test, scene.dmabuf, scene.other->parent, true);
	import(&fixed, test, scene.dmabuf, scene.other->parent, false);
	import_map(&dynamic);
	import_map(&fixed);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 2);
	calls = scene.buffer->calls;

	scene_leave(test, &scene);
	KUNIT_EXPECT_EQ(test, dynamic.told, 1);
	KUNIT_EXPECT_NULL(test, dynamic.sgt);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 1);
	sgt = dma_buf_map_attachment_unlocked(dynamic.attach, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sgt), -ENODEV);
	dma_resv_lock(scene.dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_buf_pin(dynamic.attach), -ENODEV);
	dma_resv_unlock(scene.dmabuf->resv);

	dma_buf_unmap_attachment_unlocked(fixed.attach, fixed.sgt, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 0);
	dma_buf_detach(scene.dmabuf, fixed.attach);
	dma_buf_detach(scene.dmabuf, dynamic.attach);
	scene_end(test, &scene, calls);
}

/*
 * B1, M5: the kernel maps a buffer of a gone device. That works, and shows
 * zeros and what was written there, but neither the device nor what was written
 * to another buffer.
 */
static void drm_test_unplug_dmabuf_vmap(struct kunit *test)
{
	struct iosys_map map, second;
	struct dma_buf *other;
	struct scene scene;

	scene_new(test, &scene);
	other = buffer_export(test, scene.file,
			      buffer_new(test, scene.mdev, scene.buffer->base.funcs));
	scene_leave(test, &scene);

	KUNIT_ASSERT_EQ(test, dma_buf_vmap_unlocked(scene.dmabuf, &map), 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(map.vaddr, 0, SIZE));
	memset(map.vaddr + SIZE - PAGE_SIZE, 0xaa, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, *(u8 *)map.vaddr, 0xaa);
	KUNIT_ASSERT_EQ(test, dma_buf_vmap_unlocked(other, &second), 0);
	KUNIT_EXPECT_NULL_MSG(test, memchr_inv(second.vaddr, 0, SIZE),
			      "another buffer shows what was written to the first");
	dma_buf_vunmap_unlocked(other, &second);
	dma_buf_vunmap_unlocked(scene.dmabuf, &map);

	KUNIT_ASSERT_EQ(test, dma_buf_vmap_unlocked(scene.dmabuf, &map), 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(map.vaddr, 0, SIZE));
	dma_buf_vunmap_unlocked(scene.dmabuf, &map);
	KUNIT_EXPECT_NULL(test, memchr_inv(scene.buffer->memory, DEVICE_BYTE, SIZE));
	dma_buf_put(other);
	scene_end(test, &scene, 0);
}

/* B1, T3: a map from before the unplug is the driver's to undo. */
static void drm_test_unplug_dmabuf_vmapped(struct kunit *test)
{
	struct iosys_map map, again;
	struct scene scene;
	int calls;

	scene_new(test, &scene);
	KUNIT_ASSERT_EQ(test, dma_buf_vmap_unlocked(scene.dmabuf, &map), 0);
	KUNIT_EXPECT_PTR_EQ(test, map.vaddr, scene.buffer->memory);
	calls = scene.buffer->calls;
	scene_leave(test, &scene);
	KUNIT_ASSERT_EQ(test, dma_buf_vmap_unlocked(scene.dmabuf, &again), 0);
	dma_buf_vunmap_unlocked(scene.dmabuf, &again);
	KUNIT_EXPECT_EQ(test, scene.buffer->vmaps, 1);
	dma_buf_vunmap_unlocked(scene.dmabuf, &map);
	scene_end(test, &scene, calls);
}

/*
 * B1, T3: a map that is made when the device has gone and the callbacks are not
 * replaced yet. The driver has had its part in it, and undoes that.
 */
static void drm_test_unplug_dmabuf_vmap_late(struct kunit *test)
{
	struct mock_client *remover = mock_client_new(test);
	const struct dma_buf_ops *ops;
	struct iosys_map map;
	struct scene scene;
	int calls;

	scene_new(test, &scene);
	ops = scene.dmabuf->ops;
	dma_resv_lock(scene.dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_unplug, &scene.mdev->drm), 0);
	KUNIT_EXPECT_EQ(test, dma_buf_vmap(scene.dmabuf, &map), 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(map.vaddr, 0, SIZE));
	KUNIT_EXPECT_PTR_EQ(test, scene.dmabuf->ops, ops);
	calls = scene.buffer->calls;
	dma_resv_unlock(scene.dmabuf->resv);
	mock_wait_until(test, READ_ONCE(scene.dmabuf->ops) != ops);

	dma_buf_vunmap_unlocked(scene.dmabuf, &map);
	KUNIT_EXPECT_EQ(test, dma_buf_vmap_unlocked(scene.dmabuf, &map), 0);
	dma_buf_vunmap_unlocked(scene.dmabuf, &map);
	scene_end(test, &scene, calls);
}

/* B1: access by the CPU is allowed, and needs nobody. */
static void drm_test_unplug_dmabuf_cpu_access(struct kunit *test)
{
	struct scene scene;

	scene_new(test, &scene);
	scene_leave(test, &scene);
	KUNIT_EXPECT_EQ(test, dma_buf_begin_cpu_access(scene.dmabuf, DMA_BIDIRECTIONAL), 0);
	KUNIT_EXPECT_EQ(test, dma_buf_end_cpu_access(scene.dmabuf, DMA_BIDIRECTIONAL), 0);
	scene_end(test, &scene, 0);
}

/*
 * B3, B4, T1: somebody has the reservation lock, perhaps to wait for what only
 * happens after the unplug. That does not hold it up, and the importer is told
 * when the lock is free.
 */
static void drm_test_unplug_dmabuf_locked(struct kunit *test)
{
	struct mock_client *remover = mock_client_new(test);
	struct importer importer = {};
	struct sg_table *sgt;
	struct scene scene;
	int calls;

	scene_new(test, &scene);
	import(&importer, test, scene.dmabuf, scene.other->parent, true);
	import_map(&importer);
	calls = scene.buffer->calls;

	dma_resv_lock(scene.dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_unplug, &scene.mdev->drm), 0);
	KUNIT_EXPECT_EQ(test, importer.told, 0);
	dma_resv_unlock(scene.dmabuf->resv);
	mock_wait_until(test, READ_ONCE(importer.told));

	dma_resv_lock(scene.dmabuf->resv, NULL);
	sgt = dma_buf_map_attachment(importer.attach, DMA_BIDIRECTIONAL);
	dma_resv_unlock(scene.dmabuf->resv);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sgt), -ENODEV);
	KUNIT_EXPECT_EQ(test, importer.told, 1);
	dma_buf_detach(scene.dmabuf, importer.attach);
	scene_end(test, &scene, calls);
}

static long wedge_fn(struct mock_client *client, void *dev)
{
	return drm_dev_wedge(dev, DRM_WEDGE_RECOVERY_REBIND, NULL);
}

/*
 * T5: two tasks that close a device do not mind each other's buffers, and none waits
 * for long for the other, whom an importer may hold up. Whoever is late is revoked
 * by the worker, once.
 */
static void drm_test_unplug_dmabuf_concurrent(struct kunit *test)
{
	struct mock_client *first = mock_client_new(test), *second = mock_client_new(test);
	struct mock_dev *mdev = mock_dev_new(test), *other = mock_dev_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct importer importers[4] = {};
	struct dma_buf *dmabufs[4];
	struct mock_gate gate;
	unsigned int i;

	mock_gate_init(&gate);
	for (i = 0; i < ARRAY_SIZE(dmabufs); i++) {
		dmabufs[i] = buffer_export(test, file, buffer_new(test, mdev, &core_funcs));
		import(&importers[i], test, dmabufs[i], other->parent, true);
		/* The first that is reached, whichever it is. */
		importers[i].gate = &gate;
	}
	dma_resv_lock(dmabufs[0]->resv, NULL);

	mock_start(first, wedge_fn, &mdev->drm);
	mock_gate_wait(test, &gate);
	KUNIT_EXPECT_EQ(test, mock_run(second, wedge_fn, &mdev->drm), 0);
	KUNIT_EXPECT_EQ(test, mock_run(second, mock_unplug, &mdev->drm), 0);
	KUNIT_EXPECT_FALSE(test, mock_returned(first));
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(first), 0);
	KUNIT_EXPECT_EQ(test, importers[0].told, 0);
	dma_resv_unlock(dmabufs[0]->resv);
	mock_wait_until(test, READ_ONCE(importers[0].told));

	for (i = 0; i < ARRAY_SIZE(dmabufs); i++) {
		/* Whoever tells it has the lock. */
		dma_resv_lock(dmabufs[i]->resv, NULL);
		KUNIT_EXPECT_EQ(test, importers[i].told, 1);
		dma_resv_unlock(dmabufs[i]->resv);
		dma_buf_detach(dmabufs[i], importers[i].attach);
		dma_buf_put(dmabufs[i]);
	}
	mock_close(file);
	mock_wait_until(test, (flush_delayed_fput(), !records(mdev)));
}

struct export_call {
	struct file *file;
	struct buffer *buffer;
};

/* Not as an ioctl, but in no section, as KFD exports. */
static long export_fn(struct mock_client *client, void *data)
{
	struct export_call *call = data;
	struct drm_file *priv = mock_drm_file(call->file);
	struct dma_buf *dmabuf;
	u32 handle;
	long ret;

	ret = drm_gem_handle_create(priv, &call->buffer->base, &handle);
	if (ret)
		return ret;
	dmabuf = drm_gem_prime_handle_to_dmabuf(priv->minor->dev, priv, handle, O_RDWR);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	dma_buf_put(dmabuf);

	return 0;
}

/* B1: what is exported when a device has gone would keep the callbacks of its driver. */
static void drm_test_unplug_dmabuf_export_late(struct kunit *test)
{
	const struct dmabuf_case *c = test->param_value;
	struct mock_client *client = mock_client_new(test);
	struct mock_dev *mdev = mock_dev_new(test);
	struct export_call call = { .file = mock_open(mdev, O_RDWR) };

	call.buffer = buffer_new(test, mdev, c->funcs);
	if (c->unregister)
		drm_dev_unregister(&mdev->drm);
	else
		drm_dev_unplug(&mdev->drm);
	KUNIT_EXPECT_EQ(test, mock_run(client, export_fn, &call), -ENODEV);
	drm_gem_object_put(&call.buffer->base);
	flush_delayed_fput();
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
}

/* B1: the same if the device goes when the driver has yet to set its callbacks. */
static void drm_test_unplug_dmabuf_export_race(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test);
	struct mock_dev *mdev = mock_dev_new(test);
	struct export_call call = { .file = mock_open(mdev, O_RDWR) };
	struct mock_gate gate;

	mock_gate_init(&gate);
	call.buffer = buffer_new(test, mdev, &own_funcs);
	call.buffer->exporting = &gate;
	mock_start(client, export_fn, &call);
	mock_gate_wait(test, &gate);
	drm_dev_unplug(&mdev->drm);
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), -ENODEV);
	drm_gem_object_put(&call.buffer->base);
	flush_delayed_fput();
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
}

struct attach_call {
	struct dma_buf *dmabuf;
	struct device *dev;
	struct dma_buf_attachment *attach;
};

static long attach_fn(struct mock_client *client, void *data)
{
	struct attach_call *call = data;

	call->attach = dma_buf_attach(call->dmabuf, call->dev);

	return PTR_ERR_OR_ZERO(call->attach);
}

/* U3, B1: a device does not go while its driver is in a callback of core. */
static void drm_test_unplug_dmabuf_in_flight(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct mock_dev *mdev = mock_dev_new(test), *other = mock_dev_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct buffer *buffer = buffer_new(test, mdev, &core_funcs);
	struct dma_buf *dmabuf = buffer_export(test, file, buffer);
	struct attach_call call = { .dmabuf = dmabuf, .dev = other->parent };
	struct mock_gate gate;

	mock_gate_init(&gate);
	buffer->gate = &gate;
	mock_start(client, attach_fn, &call);
	mock_gate_wait(test, &gate);
	mock_start(remover, mock_unplug, &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
			       "the unplug did not wait for a callback");
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
	dma_buf_detach(dmabuf, call.attach);
	dma_buf_put(dmabuf);
	flush_delayed_fput();
}

/* B2: nothing can be imported into a gone device, be it what it has exported. */
static void drm_test_unplug_dmabuf_import(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test);
	struct drm_prime_handle args = {};
	struct scene scene;
	unsigned int i;

	scene_new(test, &scene);
	for (i = 0; i < 2; i++) {
		struct file *importer = mock_open(i ? scene.other : scene.mdev, O_RDWR);

		drm_dev_unplug(i ? &scene.other->drm : &scene.mdev->drm);
		KUNIT_EXPECT_EQ(test, mock_ioctl(client, importer, DRM_IOCTL_PRIME_FD_TO_HANDLE,
						 &args), -ENODEV);
	}
	scene_end(test, &scene, 0);
}

/*
 * T3: a dma-buf and an importer are the last that there is of a device. KASAN
 * reports what this gets wrong.
 */
static void drm_test_unplug_dmabuf_outlives_device(struct kunit *test)
{
	const struct dmabuf_case *c = test->param_value;
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	struct mock_dev *other = mock_dev_new(test);
	struct importer importer = {};
	struct buffer *buffer;
	struct iosys_map map;
	struct dma_buf *dmabuf;
	struct file *file;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);
	file = mock_open_node(test, DRM_MAJOR, mdev->drm.primary->index, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	buffer = buffer_new(test, mdev, c->funcs);
	dmabuf = buffer_export(test, file, buffer);
	import(&importer, test, dmabuf, other->parent, true);

	if (c->unregister)
		drm_dev_unregister(&mdev->drm);
	else
		drm_dev_unplug(&mdev->drm);
	fput(file);
	flush_delayed_fput();
	mock_dev_free(mdev);

	KUNIT_EXPECT_EQ(test, dma_buf_vmap_unlocked(dmabuf, &map), 0);
	dma_buf_vunmap_unlocked(dmabuf, &map);
	dma_buf_detach(dmabuf, importer.attach);
	dma_buf_put(dmabuf);
	flush_delayed_fput();
}

/* T3: what a device has exported is forgotten when it is released. */
static void drm_test_unplug_dmabuf_released(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct dma_buf *dmabufs[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(dmabufs); i++)
		dmabufs[i] = buffer_export(test, file, buffer_new(test, mdev, &core_funcs));
	KUNIT_EXPECT_EQ(test, records(mdev), ARRAY_SIZE(dmabufs));
	for (i = 0; i < ARRAY_SIZE(dmabufs); i++) {
		dma_buf_put(dmabufs[i]);
		if (i == 4)
			drm_dev_unplug(&mdev->drm);
	}
	mock_close(file);
	flush_delayed_fput();
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
}

/* An importer as most drivers are one: static, mapped from the import to the end. */
struct import {
	struct kunit *test;
	struct device *parent;
	struct drm_device *dev;
	struct drm_gem_object *obj;
};

/* How the driver has made its device: by devm_drm_dev_alloc(), or not. */
struct import_case {
	const char *name;
	bool managed;
};

static const struct import_case import_cases[] = {
	{ "managed", true },
	{ "drm_dev_alloc", false },
};

KUNIT_ARRAY_PARAM_DESC(import_case, import_cases, name);

static void import_dev_new(struct kunit *test, struct import *im)
{
	const struct import_case *c = test->param_value;
	struct mock_dev *mdev;

	im->test = test;
	if (c->managed) {
		/* Not mock_dev_new(), which keeps the device until the test ends. */
		mdev = mock_dev_alloc(test, &mock_driver);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
		im->parent = mdev->parent;
		im->dev = &mdev->drm;
		drm_dev_get(im->dev);
	} else {
		im->parent = kunit_device_register(test, "unplug-importer");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, im->parent);
		im->dev = drm_dev_alloc(&mock_driver, im->parent);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, im->dev);
		KUNIT_ASSERT_EQ(test, drmm_mode_config_init(im->dev), 0);
	}
	im->parent->dma_mask = &im->parent->coherent_dma_mask;
	KUNIT_ASSERT_EQ(test, dma_set_mask(im->parent, DMA_BIT_MASK(64)), 0);
	KUNIT_ASSERT_EQ(test, drm_dev_register(im->dev, 0), 0);
}

static void import_new(struct kunit *test, struct import *im, struct scene *scene)
{
	import_dev_new(test, im);
	im->obj = drm_gem_prime_import_dev(im->dev, scene->dmabuf, im->parent);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, im->obj);
	KUNIT_ASSERT_EQ(test, scene->buffer->maps, 1);
}

static long import_unbind(struct mock_client *client, void *data)
{
	struct import *im = data;

	drm_dev_unplug(im->dev);
	kunit_device_unregister(im->test, im->parent);

	return 0;
}

static long import_put(struct mock_client *client, void *data)
{
	struct import *im = data;

	drm_gem_object_put(im->obj);

	return 0;
}

static void import_end(struct kunit *test, struct import *im, struct scene *scene)
{
	drm_dev_put(im->dev);
	scene_end(test, scene, scene->buffer->calls);
}

/*
 * T3, T6: what a device has imported stays mapped while the driver may need it, is
 * unmapped when the driver is unbound, and not a second time when it is given back.
 */
static void drm_test_unplug_dma_import(struct kunit *test)
{
	struct scene scene;
	struct import im;

	scene_export(test, &scene, &own_funcs);
	import_new(test, &im, &scene);
	drm_dev_unplug(im.dev);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 1);
	kunit_device_unregister(test, im.parent);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 0);
	KUNIT_EXPECT_EQ(test, scene.buffer->pins, 1);
	drm_gem_object_put(im.obj);
	import_end(test, &im, &scene);
}

/* The same if it was given back before, and if the device does not live as long. */
static void drm_test_unplug_dma_import_early(struct kunit *test)
{
	struct scene scene;
	struct import im;

	scene_export(test, &scene, &own_funcs);
	import_new(test, &im, &scene);
	drm_gem_object_put(im.obj);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 0);
	import_unbind(NULL, &im);
	import_end(test, &im, &scene);

	scene_export(test, &scene, &own_funcs);
	import_new(test, &im, &scene);
	drm_gem_object_put(im.obj);
	drm_dev_unplug(im.dev);
	import_end(test, &im, &scene);
	kunit_device_unregister(test, im.parent);
}

/* B1: the same if the exporter has gone before; of its driver that is all that is asked. */
static void drm_test_unplug_dma_import_orphan(struct kunit *test)
{
	struct scene scene;
	struct import im;
	int calls;

	scene_export(test, &scene, &own_funcs);
	import_new(test, &im, &scene);
	calls = scene.buffer->calls;
	drm_dev_unplug(&scene.mdev->drm);
	import_unbind(NULL, &im);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 0);
	drm_gem_object_put(im.obj);
	KUNIT_EXPECT_EQ(test, scene.buffer->calls, calls);
	import_end(test, &im, &scene);
}

/* T1, T2: nobody who keeps a buffer locked holds up the end of a driver. */
static void drm_test_unplug_dma_import_locked(struct kunit *test)
{
	struct mock_client *remover = mock_client_new(test);
	struct scene scene;
	struct import im;

	scene_export(test, &scene, &own_funcs);
	import_new(test, &im, &scene);
	dma_resv_lock(scene.dmabuf->resv, NULL);
	mock_start(remover, import_unbind, &im);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 1);
	dma_resv_unlock(scene.dmabuf->resv);
	drm_gem_object_put(im.obj);
	import_end(test, &im, &scene);
}

/* The buffer that the end of the driver comes to first. */
static struct dma_resv *import_first(struct import *im)
{
	struct drm_unplug *unplug = drm_unplug_of(im->dev);
	struct drm_unplug_dma *dma;
	unsigned int bucket;

	guard(spinlock)(&unplug->dma_lock);
	hash_for_each(unplug->dma, bucket, dma, node)
		return dma->attach->dmabuf->resv;

	return NULL;
}

/* T3: nor keeps one that is locked the others from being unmapped. */
static void drm_test_unplug_dma_imports_locked(struct kunit *test)
{
	struct mock_client *remover = mock_client_new(test);
	struct drm_gem_object *objs[3];
	struct scene scenes[ARRAY_SIZE(objs)];
	struct dma_resv *locked;
	struct import im;
	unsigned int i;

	import_dev_new(test, &im);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		scene_export(test, &scenes[i], &own_funcs);
		objs[i] = drm_gem_prime_import_dev(im.dev, scenes[i].dmabuf, im.parent);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, objs[i]);
	}
	locked = import_first(&im);
	KUNIT_ASSERT_NOT_NULL(test, locked);
	dma_resv_lock(locked, NULL);
	KUNIT_EXPECT_EQ(test, mock_run(remover, import_unbind, &im), 0);
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		KUNIT_EXPECT_EQ(test, scenes[i].buffer->maps,
				scenes[i].dmabuf->resv == locked);
	dma_resv_unlock(locked);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		drm_gem_object_put(objs[i]);
		scene_end(test, &scenes[i], scenes[i].buffer->calls);
	}
	drm_dev_put(im.dev);
}

/* T5: it is given back while the driver is being unbound. */
static void drm_test_unplug_dma_import_race(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct scene scene;
	struct import im;
	unsigned int i;

	scene_export(test, &scene, &own_funcs);
	for (i = 0; i < 20; i++) {
		import_new(test, &im, &scene);
		/* Both have to wait for this, so that they go on at the same time. */
		dma_resv_lock(scene.dmabuf->resv, NULL);
		mock_start(i & 1 ? client : remover, i & 1 ? import_put : import_unbind, &im);
		mock_start(i & 1 ? remover : client, i & 1 ? import_unbind : import_put, &im);
		fsleep(i * 500);
		dma_resv_unlock(scene.dmabuf->resv);
		KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
		KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
		KUNIT_EXPECT_EQ(test, scene.buffer->maps, 0);
		KUNIT_EXPECT_EQ(test, scene.buffer->pins, 0);
		drm_dev_put(im.dev);
	}
	scene_end(test, &scene, scene.buffer->calls);
}

/* T3: it is being unmapped when the driver is unbound, which waits for that. */
static void drm_test_unplug_dma_import_unmapping(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct mock_gate gate;
	struct scene scene;
	struct import im;

	mock_gate_init(&gate);
	scene_export(test, &scene, &own_funcs);
	import_new(test, &im, &scene);
	scene.buffer->unmapping = &gate;
	mock_start(client, import_put, &im);
	mock_gate_wait(test, &gate);
	mock_start(remover, import_unbind, &im);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(remover));
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
	KUNIT_EXPECT_EQ(test, scene.buffer->maps, 0);
	scene.buffer->unmapping = NULL;
	import_end(test, &im, &scene);
}

/* An object that is mapped for the device. */
static struct drm_gem_shmem_object *shmem_new(struct kunit *test, struct import *im)
{
	struct drm_gem_shmem_object *shmem = drm_gem_shmem_create(im->dev, SIZE);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shmem);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, drm_gem_shmem_get_pages_sgt(shmem));

	return shmem;
}

/* How many tables are mapped for the device, and of how many it keeps a record. */
static void tables(struct import *im, unsigned int *mapped, unsigned int *known)
{
	struct drm_unplug *unplug = drm_unplug_of(im->dev);
	struct drm_unplug_dma *dma;
	unsigned int bucket;

	*mapped = 0;
	*known = 0;
	guard(spinlock)(&unplug->dma_lock);
	hash_for_each(unplug->dma, bucket, dma, node) {
		*mapped += dma->mapped;
		*known += 1;
	}
}

/*
 * T3: buffers that are mapped when the driver is unbound are unmapped, and given
 * back later. In the guest, DMA_API_DEBUG sees what stays mapped.
 */
static void drm_test_unplug_dma_shmem(struct kunit *test)
{
	struct drm_gem_shmem_object *shmem[3];
	unsigned int i, mapped, known;
	struct import im;

	import_dev_new(test, &im);
	for (i = 0; i < ARRAY_SIZE(shmem); i++)
		shmem[i] = shmem_new(test, &im);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, mapped, 3);
	drm_gem_object_put(&shmem[0]->base);
	drm_dev_unplug(im.dev);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, mapped, 2);
	KUNIT_EXPECT_EQ(test, known, 2);

	kunit_device_unregister(test, im.parent);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, mapped, 0);
	KUNIT_EXPECT_EQ(test, known, 2);
	KUNIT_EXPECT_NOT_NULL(test, shmem[1]->pages);

	dma_resv_lock(shmem[1]->base.resv, NULL);
	KUNIT_EXPECT_TRUE(test, drm_gem_shmem_madvise_locked(shmem[1], 1));
	drm_gem_shmem_purge_locked(shmem[1]);
	dma_resv_unlock(shmem[1]->base.resv);
	for (i = 1; i < ARRAY_SIZE(shmem); i++)
		drm_gem_object_put(&shmem[i]->base);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, known, 0);
	drm_dev_put(im.dev);
}

/* What some drivers do when a context ends. */
static void shmem_free_table(struct drm_gem_shmem_object *shmem)
{
	dma_resv_lock(shmem->base.resv, NULL);
	dma_unmap_sgtable(shmem->base.dev->dev, shmem->sgt, DMA_BIDIRECTIONAL, 0);
	sg_free_table(shmem->sgt);
	kfree(shmem->sgt);
	shmem->sgt = NULL;
	dma_resv_unlock(shmem->base.resv);
}

/*
 * T3, D3: a driver may free the table of an object by itself, and let the helper make
 * a new one. KASAN reports a look at one that is freed. The object is released before
 * the driver is unbound, or after.
 */
static void drm_test_unplug_dma_shmem_freed(struct kunit *test)
{
	struct drm_gem_shmem_object *shmem[4];
	unsigned int i, mapped, known;
	struct import im;

	import_dev_new(test, &im);
	for (i = 0; i < ARRAY_SIZE(shmem); i++) {
		shmem[i] = shmem_new(test, &im);
		shmem_free_table(shmem[i]);
		/* The other count of the pages is the table's. */
		if (i < 2)
			continue;
		dma_resv_lock(shmem[i]->base.resv, NULL);
		drm_gem_shmem_put_pages_locked(shmem[i]);
		dma_resv_unlock(shmem[i]->base.resv);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, drm_gem_shmem_get_pages_sgt(shmem[i]));
	}
	drm_gem_object_put(&shmem[0]->base);
	drm_gem_object_put(&shmem[2]->base);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, known, 2);

	import_unbind(NULL, &im);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, mapped, 0);
	KUNIT_EXPECT_NOT_NULL(test, shmem[3]->sgt);
	drm_gem_object_put(&shmem[1]->base);
	drm_gem_object_put(&shmem[3]->base);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, known, 0);
	drm_dev_put(im.dev);
}

/* T1, T2: nor does who keeps an object locked, and the others are unmapped. */
static void drm_test_unplug_dma_shmem_locked(struct kunit *test)
{
	struct mock_client *remover = mock_client_new(test);
	struct drm_gem_shmem_object *shmem[3];
	unsigned int i, mapped, known;
	struct import im;

	import_dev_new(test, &im);
	for (i = 0; i < ARRAY_SIZE(shmem); i++)
		shmem[i] = shmem_new(test, &im);
	dma_resv_lock(shmem[1]->base.resv, NULL);
	KUNIT_EXPECT_EQ(test, mock_run(remover, import_unbind, &im), 0);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, mapped, 1);
	dma_resv_unlock(shmem[1]->base.resv);
	for (i = 0; i < ARRAY_SIZE(shmem); i++)
		drm_gem_object_put(&shmem[i]->base);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, known, 0);
	drm_dev_put(im.dev);
}

static bool shmem_used(struct import *im)
{
	struct drm_unplug *unplug = drm_unplug_of(im->dev);
	struct drm_unplug_dma *dma;
	unsigned int bucket;

	guard(spinlock)(&unplug->dma_lock);
	hash_for_each(unplug->dma, bucket, dma, node)
		if (dma->used)
			return true;

	return false;
}

static long shmem_release(struct mock_client *client, void *shmem)
{
	drm_dev_release_shmem(shmem);

	return 0;
}

/* T5: an object stays while the end of a driver looks at it. */
static void drm_test_unplug_dma_shmem_race(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct drm_gem_shmem_object *shmem;
	unsigned int mapped, known;
	struct import im;

	import_dev_new(test, &im);
	shmem = shmem_new(test, &im);
	dma_resv_lock(shmem->base.resv, NULL);
	mock_start(remover, import_unbind, &im);
	mock_wait_until(test, shmem_used(&im));
	mock_start(client, shmem_release, shmem);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(client));
	dma_resv_unlock(shmem->base.resv);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, known, 0);
	/* Without its record, nothing tells the helper that it is unmapped. */
	sg_free_table(shmem->sgt);
	kfree(shmem->sgt);
	shmem->sgt = NULL;
	drm_gem_object_put(&shmem->base);
	drm_dev_put(im.dev);
}

/* T3: the same for a table that a driver has asked to be mapped. */
static void drm_test_unplug_dma_table(struct kunit *test)
{
	unsigned int i, mapped, known;
	struct page *page = alloc_page(GFP_KERNEL);
	struct sg_table sgts[2];
	struct import im;

	KUNIT_ASSERT_NOT_NULL(test, page);
	import_dev_new(test, &im);
	for (i = 0; i < ARRAY_SIZE(sgts); i++) {
		KUNIT_ASSERT_EQ(test, sg_alloc_table(&sgts[i], 1, GFP_KERNEL), 0);
		sg_set_page(sgts[i].sgl, page, PAGE_SIZE, 0);
		KUNIT_EXPECT_EQ(test, drm_dev_map_sgtable(im.dev, &sgts[i], DMA_TO_DEVICE), 0);
	}
	drm_dev_unmap_sgtable(im.dev, &sgts[0], DMA_TO_DEVICE);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, mapped, 1);
	KUNIT_EXPECT_EQ(test, known, 1);
	import_unbind(NULL, &im);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, mapped, 0);
	drm_dev_unmap_sgtable(im.dev, &sgts[1], DMA_TO_DEVICE);
	/* A worker of the driver may not have noticed. */
	KUNIT_EXPECT_EQ(test, drm_dev_map_sgtable(im.dev, &sgts[1], DMA_TO_DEVICE), -ENODEV);
	tables(&im, &mapped, &known);
	KUNIT_EXPECT_EQ(test, known, 0);
	for (i = 0; i < ARRAY_SIZE(sgts); i++)
		sg_free_table(&sgts[i]);
	__free_page(page);
	drm_dev_put(im.dev);
}

static struct kunit_case drm_unplug_dmabuf_tests[] = {
	KUNIT_CASE_PARAM(drm_test_unplug_dmabuf_attach, dmabuf_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dmabuf_map, dmabuf_case_gen_params),
	KUNIT_CASE(drm_test_unplug_dmabuf_told),
	KUNIT_CASE_PARAM(drm_test_unplug_dmabuf_vmap, dmabuf_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dmabuf_vmapped, dmabuf_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dmabuf_vmap_late, dmabuf_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dmabuf_cpu_access, dmabuf_case_gen_params),
	KUNIT_CASE(drm_test_unplug_dmabuf_locked),
	KUNIT_CASE(drm_test_unplug_dmabuf_concurrent),
	KUNIT_CASE_PARAM(drm_test_unplug_dmabuf_export_late, dmabuf_case_gen_params),
	KUNIT_CASE(drm_test_unplug_dmabuf_export_race),
	KUNIT_CASE(drm_test_unplug_dmabuf_in_flight),
	KUNIT_CASE(drm_test_unplug_dmabuf_import),
	KUNIT_CASE_PARAM(drm_test_unplug_dmabuf_outlives_device, dmabuf_case_gen_params),
	KUNIT_CASE(drm_test_unplug_dmabuf_released),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_import, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_import_early, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_import_orphan, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_import_locked, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_imports_locked, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_import_race, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_import_unmapping, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_shmem, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_shmem_freed, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_shmem_locked, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_shmem_race, import_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_dma_table, import_case_gen_params),
	{}
};

static struct kunit_suite drm_unplug_dmabuf_test_suite = {
	.name = "drm_unplug_dmabuf",
	.test_cases = drm_unplug_dmabuf_tests,
};

kunit_test_suite(drm_unplug_dmabuf_test_suite);
