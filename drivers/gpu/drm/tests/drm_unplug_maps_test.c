// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Memory maps, M1 to M6: there is never a SIGBUS, lost memory reads as zeros and
 * can be written, and what one client writes there no other can read.
 *
 * A client of these tests is a kernel thread with an address space. It touches
 * its maps with copy_from_user() and copy_to_user(), which fail where a program
 * would get SIGBUS.
 */

#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_gem.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_prime.h>
#include <drm/drm_unplug.h>
#include <drm/drm_vma_manager.h>

#include <kunit/resource.h>
#include <kunit/test.h>

#include "../drm_unplug_internal.h"
#include "drm_unplug_mock.h"

/* Buffers */

/**
 * struct gem - a buffer in mock device memory
 * @base: the object
 * @memory: what stands for device memory: zeroed by nobody
 * @faults: how often the driver had to provide a page
 * @mkwrites: how often it was told of a first write
 * @refs: open() minus close()
 * @gate: where the fault handler stops, if set
 * @lost: the fault handler finds no memory
 */
struct gem {
	struct drm_gem_object base;
	void *memory;
	atomic_t faults;
	atomic_t mkwrites;
	atomic_t refs;
	struct mock_gate *gate;
	bool lost;
};

/* Read where a client reads memory of the device. */
#define DEVICE_BYTE	0xd5
#define DEVICE_WORD	0xd5d5d5d5

static struct gem *to_gem(struct drm_gem_object *obj)
{
	return container_of(obj, struct gem, base);
}

static void gem_free(struct drm_gem_object *obj)
{
	struct gem *gem = to_gem(obj);

	drm_gem_object_release(obj);
	free_pages_exact(gem->memory, obj->size);
	kfree(gem);
}

static void gem_vm_open(struct vm_area_struct *vma)
{
	atomic_inc(&to_gem(vma->vm_private_data)->refs);
	drm_gem_vm_open(vma);
}

static void gem_vm_close(struct vm_area_struct *vma)
{
	atomic_dec(&to_gem(vma->vm_private_data)->refs);
	drm_gem_vm_close(vma);
}

static struct page *gem_page(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct gem *gem = to_gem(vma->vm_private_data);
	unsigned long offset = vmf->address - vma->vm_start;

	offset += (vma->vm_pgoff - drm_vma_node_start(&gem->base.vma_node)) << PAGE_SHIFT;
	atomic_inc(&gem->faults);
	if (gem->gate)
		mock_gate_pass(gem->gate);

	return gem->lost ? NULL : virt_to_page(gem->memory + offset);
}

/* A driver that inserts PFNs when they are needed, like most. */
static vm_fault_t gem_fault_pfn(struct vm_fault *vmf)
{
	struct page *page = gem_page(vmf);

	return page ? vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(page)) :
		      VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct gem_pfn_vm_ops = {
	.open = gem_vm_open,
	.close = gem_vm_close,
	.fault = gem_fault_pfn,
};

static const struct drm_gem_object_funcs gem_pfn_funcs = {
	.free = gem_free,
	.vm_ops = &gem_pfn_vm_ops,
};

/* One that hands out pages, and wants to know of writes. */
static vm_fault_t gem_fault_page(struct vm_fault *vmf)
{
	struct page *page = gem_page(vmf);

	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;

	return 0;
}

static vm_fault_t gem_page_mkwrite(struct vm_fault *vmf)
{
	atomic_inc(&to_gem(vmf->vma->vm_private_data)->mkwrites);
	lock_page(vmf->page);

	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct gem_page_vm_ops = {
	.open = gem_vm_open,
	.close = gem_vm_close,
	.fault = gem_fault_page,
	.page_mkwrite = gem_page_mkwrite,
};

static int gem_page_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}

static const struct drm_gem_object_funcs gem_page_funcs = {
	.free = gem_free,
	.vm_ops = &gem_page_vm_ops,
	.mmap = gem_page_mmap,
};

/* One with a mixed map. */
static vm_fault_t gem_fault_mixed(struct vm_fault *vmf)
{
	struct page *page = gem_page(vmf);

	return page ? vmf_insert_mixed(vmf->vma, vmf->address, page_to_pfn(page)) :
		      VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct gem_mixed_vm_ops = {
	.open = gem_vm_open,
	.close = gem_vm_close,
	.fault = gem_fault_mixed,
};

static int gem_mixed_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}

static const struct drm_gem_object_funcs gem_mixed_funcs = {
	.free = gem_free,
	.vm_ops = &gem_mixed_vm_ops,
	.mmap = gem_mixed_mmap,
};

/* One that fills all PTEs in mmap() and has no fault handler, like the DMA helper. */
static const struct vm_operations_struct gem_eager_vm_ops = {
	.open = gem_vm_open,
	.close = gem_vm_close,
};

static int gem_eager_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	struct gem *gem = to_gem(obj);

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	/* The fake offset is no part of the memory. */
	vma->vm_pgoff -= drm_vma_node_start(&obj->vma_node);

	return remap_pfn_range(vma, vma->vm_start,
			       page_to_pfn(virt_to_page(gem->memory)) + vma->vm_pgoff,
			       vma->vm_end - vma->vm_start, vma->vm_page_prot);
}

static const struct drm_gem_object_funcs gem_eager_funcs = {
	.free = gem_free,
	.vm_ops = &gem_eager_vm_ops,
	.mmap = gem_eager_mmap,
};

KUNIT_DEFINE_ACTION_WRAPPER(gem_put, drm_gem_object_put, struct drm_gem_object *);

/* A buffer to which the client that has @file has a right. */
static struct gem *gem_new(struct kunit *test, struct file *file,
			   const struct drm_gem_object_funcs *funcs, size_t size)
{
	struct drm_file *priv = mock_drm_file(file);
	struct gem *gem = kzalloc_obj(*gem);
	u32 handle;

	KUNIT_ASSERT_NOT_NULL(test, gem);
	gem->memory = alloc_pages_exact(size, GFP_KERNEL);
	if (!gem->memory) {
		kfree(gem);
		KUNIT_FAIL_AND_ABORT(test, "no memory");
	}
	memset(gem->memory, DEVICE_BYTE, size);
	gem->base.funcs = funcs;
	drm_gem_private_object_init(priv->minor->dev, &gem->base, size);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, gem_put, &gem->base), 0);
	KUNIT_ASSERT_EQ(test, drm_gem_create_mmap_offset(&gem->base), 0);
	KUNIT_ASSERT_EQ(test, drm_gem_handle_create(priv, &gem->base, &handle), 0);

	return gem;
}

/* Nothing has written to the memory of the device, which may be someone else's now. */
static void gem_expect_untouched(struct kunit *test, struct gem *gem)
{
	KUNIT_EXPECT_NULL_MSG(test, memchr_inv(gem->memory, DEVICE_BYTE, gem->base.size),
			      "a client wrote to the memory of the device");
}

/* Maps */

static long map_gem(struct mock_client *client, struct mock_map *map, struct file *file,
		    struct drm_gem_object *obj)
{
	map->file = file;
	map->offset = drm_vma_node_offset_addr(&obj->vma_node);
	map->size = obj->size;

	return mock_run(client, mock_map_fn, map);
}

struct span {
	unsigned long addr;
	size_t size;
};

static long unmap_fn(struct mock_client *client, void *data)
{
	struct span *range = data;
	int ret = vm_munmap(range->addr, range->size);

	flush_delayed_fput();
	return ret;
}

static long unmap(struct mock_client *client, struct mock_map *map)
{
	struct span range = { .addr = map->addr, .size = map->size };

	return mock_run(client, unmap_fn, &range);
}

/*
 * mock_touch_fn() with the page table locked. On user mode Linux copy_to_user()
 * looks at a PTE more than once, and must not race with a zap, as hardware can.
 */
static long touch_locked_fn(struct mock_client *client, void *data)
{
	struct mock_touch *touch = data;
	struct follow_pfnmap_args args = { .address = touch->addr & PAGE_MASK };
	u32 *word;
	long ret;

	guard(mmap_read_lock)(current->mm);
	args.vma = vma_lookup(current->mm, touch->addr);
	if (!args.vma)
		return -EFAULT;

	do {
		ret = fixup_user_fault(current->mm, args.address,
				       touch->write ? FAULT_FLAG_WRITE : 0, NULL);
		if (ret)
			return ret;
	} while (follow_pfnmap_start(&args));

	word = page_address(pfn_to_page(args.pfn)) + offset_in_page(touch->addr);
	if (touch->write)
		*word = touch->value;
	else
		touch->value = *word;
	follow_pfnmap_end(&args);

	return 0;
}

/* A fault, and no look at what it has found. */
static long fault_fn(struct mock_client *client, void *data)
{
	struct mock_touch *touch = data;

	guard(mmap_read_lock)(current->mm);

	return fixup_user_fault(current->mm, touch->addr, touch->write ? FAULT_FLAG_WRITE : 0,
				NULL);
}

/* Look at the VMA of a client, which must not change it meanwhile. */
static long vm_ops_fn(struct mock_client *client, void *data)
{
	struct vm_area_struct *vma;
	struct mock_map *map = data;
	long ret = 0;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, map->addr);
	if (vma)
		ret = (long)vma->vm_ops;
	mmap_read_unlock(current->mm);

	return ret;
}

/* How many pages of a PFN map are there, without a fault. */
static long present_fn(struct mock_client *client, void *data)
{
	struct follow_pfnmap_args args = {};
	struct vm_area_struct *vma;
	struct mock_map *map = data;
	unsigned long addr;
	long ret = 0;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, map->addr);
	for (addr = map->addr; vma && addr < vma->vm_end; addr += PAGE_SIZE) {
		args.vma = vma;
		args.address = addr;
		if (follow_pfnmap_start(&args))
			continue;
		ret++;
		follow_pfnmap_end(&args);
	}
	mmap_read_unlock(current->mm);

	return ret;
}

/* How many clients the device keeps a record of. */
static unsigned int records(struct mock_dev *mdev)
{
	struct drm_unplug *unplug = drm_unplug_of(&mdev->drm);
	struct hlist_node *node;
	unsigned int bucket, count = 0;

	guard(spinlock)(&unplug->maps_lock);
	for (bucket = 0; bucket < HASH_SIZE(unplug->scratch); bucket++)
		hlist_for_each(node, &unplug->scratch[bucket])
			count++;

	return count;
}

/* Each kind of driver, and either way out. */
struct map_case {
	const char *name;
	const struct drm_gem_object_funcs *funcs;
	bool unregister;
};

static const struct map_case map_cases[] = {
	{ "pfn", &gem_pfn_funcs },
	{ "pfn, unregister", &gem_pfn_funcs, true },
	{ "page", &gem_page_funcs },
	{ "page, unregister", &gem_page_funcs, true },
	{ "mixed", &gem_mixed_funcs },
	{ "eager", &gem_eager_funcs },
	{ "eager, unregister", &gem_eager_funcs, true },
};

KUNIT_ARRAY_PARAM_DESC(map_case, map_cases, name);

static void leave_now(struct kunit *test, struct mock_dev *mdev)
{
	const struct map_case *c = test->param_value;

	if (c && c->unregister)
		drm_dev_unregister(&mdev->drm);
	else
		drm_dev_unplug(&mdev->drm);
}

static const struct drm_gem_object_funcs *map_funcs(struct kunit *test)
{
	const struct map_case *c = test->param_value;

	return c->funcs;
}

#define PAGES	8

/*
 * M1, M5: a map stays readable and writable. What was there is lost: all reads
 * as zeros, nothing written reaches the device, and the driver is left alone.
 */
static void drm_test_unplug_map_survives(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
	struct mock_map map = {};
	unsigned int i;
	int faults;

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	/* Half of it was touched before, read or written. */
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr), DEVICE_WORD);
	mock_poke(client, map.addr + PAGE_SIZE, 0x1111);
	KUNIT_EXPECT_EQ(test, *(u32 *)(gem->memory + PAGE_SIZE), 0x1111);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + 2 * PAGE_SIZE), DEVICE_WORD);
	memset(gem->memory, DEVICE_BYTE, gem->base.size);
	faults = atomic_read(&gem->faults);

	leave_now(test, mdev);
	for (i = 0; i < PAGES; i++)
		KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + i * PAGE_SIZE), 0);
	for (i = 0; i < PAGES; i++) {
		mock_poke(client, map.addr + i * PAGE_SIZE + 4 * i, 0x2200 + i);
		KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + i * PAGE_SIZE + 4 * i),
				0x2200 + i);
	}
	gem_expect_untouched(test, gem);
	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&gem->faults), faults,
			    "the driver was called although it has no device");

	KUNIT_EXPECT_EQ(test, unmap(client, &map), 0);
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
}

/* M1: the first touch comes after the unplug, and is a write. */
static void drm_test_unplug_map_write_first(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
	struct mock_map map = {};
	int mkwrites;

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	mkwrites = atomic_read(&gem->mkwrites);
	leave_now(test, mdev);
	mock_poke(client, map.addr + 3 * PAGE_SIZE, 0x3333);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + 3 * PAGE_SIZE), 0x3333);
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->faults), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->mkwrites), mkwrites);
	gem_expect_untouched(test, gem);
}

/* The two handlers of a driver that tracks writes are both called while it can. */
static void drm_test_unplug_map_forwards(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, &gem_page_funcs, PAGES * PAGE_SIZE);
	struct mock_map map = {};
	struct span middle;

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr), DEVICE_WORD);
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->faults), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->mkwrites), 0);
	mock_poke(client, map.addr, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->mkwrites), 1);

	/* What was one VMA becomes two, and then none. */
	middle.addr = map.addr + 3 * PAGE_SIZE;
	middle.size = PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->refs), 0);
	KUNIT_EXPECT_EQ(test, mock_run(client, unmap_fn, &middle), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->refs), 1);
	KUNIT_EXPECT_EQ(test, unmap(client, &map), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->refs), -1);
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
}

/* M1: SIGBUS is an answer for a driver that has lost its memory, not its device. */
static void drm_test_unplug_map_sigbus(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, &gem_pfn_funcs, PAGES * PAGE_SIZE);
	struct mock_map map = {};
	struct mock_touch touch;

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	gem->lost = true;
	touch = (struct mock_touch){ .addr = map.addr };
	KUNIT_EXPECT_EQ(test, mock_run(client, mock_touch_fn, &touch), -EFAULT);
	leave_now(test, mdev);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr), 0);
}

/*
 * M1, U3: a fault is in the driver when the device goes. The unplug waits, and
 * the client gets scratch memory, whether or not the handler still found a page.
 */
static void drm_test_unplug_map_fault_in_flight(struct kunit *test)
{
	const struct map_case *c = test->param_value;
	struct mock_client *client = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	unsigned int lost;

	/* Has no faults. */
	if (c->funcs == &gem_eager_funcs)
		return;

	for (lost = 0; lost < 2; lost++) {
		struct mock_dev *mdev = mock_dev_new(test);
		struct file *file = mock_open(mdev, O_RDWR);
		struct gem *gem = gem_new(test, file, c->funcs, PAGES * PAGE_SIZE);
		struct mock_gate gate;
		struct mock_touch touch = {};
		struct mock_map map = {};

		KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
		mock_gate_init(&gate);
		gem->gate = &gate;
		gem->lost = lost;
		touch.addr = map.addr;
		mock_start(client, fault_fn, &touch);
		mock_gate_wait(test, &gate);

		mock_start(remover, c->unregister ? mock_unregister : mock_unplug, &mdev->drm);
		mock_wait_gone(test, &mdev->drm);
		KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
				       "the unplug did not wait for a fault");
		complete_all(&gate.leave);
		KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
		KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);

		KUNIT_EXPECT_EQ_MSG(test, mock_peek(client, map.addr), 0,
				    "the map still points at the device");
		KUNIT_EXPECT_EQ(test, atomic_read(&gem->faults), 1);
		KUNIT_EXPECT_EQ(test, unmap(client, &map), 0);
	}
}

/*
 * M2: an offset that the client has can be mapped after the unplug. Without the
 * right it fails as ever. The driver is not asked.
 */
static void drm_test_unplug_map_after(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR), *stranger = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
	struct mock_map before = {}, map = {}, bad = {};
	unsigned int i, round;

	for (round = 0; round < 2; round++) {
		bad = (struct mock_map){};
		KUNIT_EXPECT_EQ(test, map_gem(client, &bad, stranger, &gem->base), -EACCES);
		bad.file = file;
		bad.size = PAGE_SIZE;
		bad.offset = (u64)DRM_FILE_PAGE_OFFSET_START * 3 << PAGE_SHIFT;
		KUNIT_EXPECT_EQ(test, mock_run(client, mock_map_fn, &bad), -EINVAL);
		bad.offset = drm_vma_node_offset_addr(&gem->base.vma_node);
		bad.size = (PAGES + 1) * PAGE_SIZE;
		KUNIT_EXPECT_EQ(test, mock_run(client, mock_map_fn, &bad), -EINVAL);

		if (!round) {
			KUNIT_ASSERT_EQ(test, map_gem(client, &before, file, &gem->base), 0);
			leave_now(test, mdev);
		}
	}

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	for (i = 0; i < PAGES; i++)
		KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + i * PAGE_SIZE), 0);
	mock_poke(client, map.addr + PAGE_SIZE, 0x4444);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + PAGE_SIZE), 0x4444);
	KUNIT_EXPECT_EQ(test, atomic_read(&gem->faults), 0);
	gem_expect_untouched(test, gem);

	/* Unmapping one of the two does not take away the other's memory. */
	KUNIT_EXPECT_EQ(test, unmap(client, &before), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + PAGE_SIZE), 0x4444);
	KUNIT_EXPECT_EQ(test, unmap(client, &map), 0);
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
}

/*
 * M4: the device goes while mm has a map in hand that the driver is done with,
 * and may have filled. A zap would not find it yet.
 */
static void drm_test_unplug_map_unfinished(struct kunit *test)
{
	const struct map_case *c = test->param_value;
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *other = mock_client_new(test);
	struct mock_client *remover = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
	struct mock_map before = {}, map = {
		.file = file,
		.offset = drm_vma_node_offset_addr(&gem->base.vma_node),
		.size = gem->base.size,
	};
	struct mock_gate gate;

	/* One process that has a map, and one that is about to have its first. */
	KUNIT_ASSERT_EQ(test, map_gem(other, &before, file, &gem->base), 0);
	mock_gate_init(&gate);
	mdev->mapping = &gate;
	mock_start(client, mock_map_fn, &map);
	mock_gate_wait(test, &gate);
	mock_start(remover, c->unregister ? mock_unregister : mock_unplug, &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	KUNIT_EXPECT_FALSE_MSG(test, mock_returns_early(remover),
			       "the unplug did not wait for a map to be finished");
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);

	KUNIT_EXPECT_EQ_MSG(test, mock_peek(client, map.addr), 0,
			    "the map still points at the device");
	KUNIT_EXPECT_EQ(test, mock_peek(other, before.addr), 0);
	mock_poke(client, map.addr, 0x2222);
	gem_expect_untouched(test, gem);
}

static long lock_fn(struct mock_client *client, void *gate)
{
	guard(mmap_read_lock)(current->mm);
	mock_gate_pass(gate);

	return 0;
}

/*
 * T1, M4: page faults hold the lock of an address space for as long as it takes
 * to get the page. The unplug does not wait for that.
 */
static void drm_test_unplug_map_locked(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *thread = mock_client_thread(client);
	struct mock_client *remover = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, &gem_eager_funcs, PAGES * PAGE_SIZE);
	struct mock_map map = {};
	struct mock_gate gate;

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	mock_gate_init(&gate);
	mock_start(thread, lock_fn, &gate);
	mock_gate_wait(test, &gate);
	KUNIT_EXPECT_EQ(test, mock_run(remover, mock_unplug, &mdev->drm), 0);
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(thread), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr), 0);
}

/* M1, M2: the same for a buffer of the shmem helper, which has its own handlers. */
static void drm_test_unplug_map_shmem(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct drm_gem_shmem_object *shmem;
	struct mock_map before = {}, after = {};
	unsigned int i;
	u32 handle;

	shmem = drm_gem_shmem_create(&mdev->drm, PAGES * PAGE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shmem);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, gem_put, &shmem->base), 0);
	KUNIT_ASSERT_EQ(test, drm_gem_handle_create(mock_drm_file(file), &shmem->base, &handle),
			0);
	KUNIT_ASSERT_EQ(test, map_gem(client, &before, file, &shmem->base), 0);
	for (i = 0; i < PAGES; i += 2)
		mock_poke(client, before.addr + i * PAGE_SIZE, 0x5000 + i);
	KUNIT_EXPECT_EQ(test, mock_peek(client, before.addr), 0x5000);

	drm_dev_unplug(&mdev->drm);
	KUNIT_ASSERT_EQ(test, map_gem(client, &after, file, &shmem->base), 0);
	for (i = 0; i < PAGES; i++) {
		KUNIT_EXPECT_EQ(test, mock_peek(client, before.addr + i * PAGE_SIZE), 0);
		KUNIT_EXPECT_EQ(test, mock_peek(client, after.addr + i * PAGE_SIZE), 0);
	}
	mock_poke(client, before.addr + PAGE_SIZE, 0x5555);
	KUNIT_EXPECT_EQ(test, mock_peek(client, before.addr + PAGE_SIZE), 0x5555);
	mock_poke(client, after.addr, 0x6666);
	KUNIT_EXPECT_EQ(test, mock_peek(client, after.addr), 0x6666);

	KUNIT_EXPECT_EQ(test, unmap(client, &before), 0);
	KUNIT_EXPECT_EQ(test, unmap(client, &after), 0);
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
}

/*
 * M5: what a client writes to lost memory is seen by its threads, but neither by
 * another process nor through another open file.
 */
static void drm_test_unplug_map_private(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *writer = mock_client_new(test);
	struct mock_client *thread = mock_client_thread(writer);
	struct mock_client *other = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR), *second = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
	struct mock_map map = {}, map_second = {}, map_other = {};
	unsigned int i;
	u32 handle;

	KUNIT_ASSERT_EQ(test, drm_gem_handle_create(mock_drm_file(second), &gem->base, &handle),
			0);
	KUNIT_ASSERT_EQ(test, map_gem(writer, &map, file, &gem->base), 0);
	KUNIT_ASSERT_EQ(test, map_gem(writer, &map_second, second, &gem->base), 0);
	KUNIT_ASSERT_EQ(test, map_gem(other, &map_other, file, &gem->base), 0);
	leave_now(test, mdev);

	for (i = 0; i < PAGES; i++)
		mock_poke(writer, map.addr + i * PAGE_SIZE, 0x7777);
	for (i = 0; i < PAGES; i++) {
		KUNIT_EXPECT_EQ(test, mock_peek(thread, map.addr + i * PAGE_SIZE), 0x7777);
		KUNIT_EXPECT_EQ_MSG(test, mock_peek(other, map_other.addr + i * PAGE_SIZE), 0,
				    "another process can read it");
		KUNIT_EXPECT_EQ_MSG(test, mock_peek(writer, map_second.addr + i * PAGE_SIZE), 0,
				    "another client in the same process can read it");
	}
	mock_poke(other, map_other.addr, 0x8888);
	KUNIT_EXPECT_EQ(test, mock_peek(writer, map.addr), 0x7777);
	KUNIT_EXPECT_EQ(test, records(mdev), 3);

	/* The memory of a client goes with it, and nobody is given it unwiped. */
	mock_client_free(other);
	KUNIT_EXPECT_EQ(test, records(mdev), 2);
	KUNIT_EXPECT_EQ(test, unmap(writer, &map), 0);
	KUNIT_EXPECT_EQ(test, records(mdev), 1);
	KUNIT_EXPECT_EQ(test, map_gem(writer, &map, file, &gem->base), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(writer, map.addr), 0);
}

/*
 * M6: the cost does not grow with the number and the size of maps. All maps of
 * a driver share a table of handlers, all maps of a client one record and one
 * page, and one fault fills what a page table holds.
 */
static void drm_test_unplug_map_bounded(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *small = gem_new(test, file, &gem_pfn_funcs, PAGES * PAGE_SIZE);
	struct gem *big = gem_new(test, file, &gem_pfn_funcs, 2 * PMD_SIZE);
	struct gem *page = gem_new(test, file, &gem_page_funcs, PAGES * PAGE_SIZE);
	struct mock_map map = {}, map_big = {}, map_page = {};
	long vm_ops, present;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, map_gem(client, &map_big, file, &big->base), 0);
	KUNIT_ASSERT_EQ(test, map_gem(client, &map_page, file, &page->base), 0);
	vm_ops = mock_run(client, vm_ops_fn, &map_big);
	KUNIT_EXPECT_NE(test, vm_ops, (long)&gem_pfn_vm_ops);
	KUNIT_EXPECT_NE(test, vm_ops, mock_run(client, vm_ops_fn, &map_page));
	for (i = 0; i < 50; i++) {
		map = (struct mock_map){};
		KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &small->base), 0);
		KUNIT_EXPECT_EQ(test, mock_run(client, vm_ops_fn, &map), vm_ops);
	}
	KUNIT_EXPECT_EQ(test, records(mdev), 1);

	drm_dev_unplug(&mdev->drm);
	KUNIT_EXPECT_EQ(test, mock_run(client, present_fn, &map_big), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map_big.addr + PMD_SIZE), 0);
	present = mock_run(client, present_fn, &map_big);
	KUNIT_EXPECT_GE_MSG(test, present, PMD_SIZE / PAGE_SIZE / 2,
			    "each page of a lost map is a fault");

	/* One page, seen everywhere. */
	mock_poke(client, map_big.addr, 0x9999);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map_big.addr + 2 * PMD_SIZE - PAGE_SIZE), 0x9999);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + PAGE_SIZE), 0x9999);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map_page.addr + PAGE_SIZE), 0x9999);
	KUNIT_EXPECT_EQ(test, records(mdev), 1);
}

/* M1: the pieces that a partial munmap() leaves are maps as before. */
static void drm_test_unplug_map_split(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
	struct span hole;
	struct mock_map map = {};

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	hole = (struct span){ .addr = map.addr + PAGE_SIZE, .size = PAGE_SIZE };
	KUNIT_EXPECT_EQ(test, mock_run(client, unmap_fn, &hole), 0);
	leave_now(test, mdev);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr), 0);
	hole.addr = map.addr + 4 * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, mock_run(client, unmap_fn, &hole), 0);

	mock_poke(client, map.addr, 0xaaaa);
	mock_poke(client, map.addr + 2 * PAGE_SIZE, 0xbbbb);
	mock_poke(client, map.addr + 7 * PAGE_SIZE, 0xcccc);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + 7 * PAGE_SIZE), 0xcccc);
	gem_expect_untouched(test, gem);
	KUNIT_EXPECT_EQ(test, records(mdev), 1);

	KUNIT_EXPECT_EQ(test, unmap(client, &map), 0);
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
}

/*
 * M1, M5: MAP_PRIVATE. What the client had copied stays its own, and what it
 * writes afterwards is not written to the page that its other maps show.
 */
static void drm_test_unplug_map_copy_on_write(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, &gem_page_funcs, PAGES * PAGE_SIZE);
	struct mock_map shared = {}, private = { .flags = MAP_PRIVATE }, late = private;

	KUNIT_ASSERT_EQ(test, map_gem(client, &shared, file, &gem->base), 0);
	KUNIT_ASSERT_EQ(test, map_gem(client, &private, file, &gem->base), 0);
	mock_poke(client, private.addr, 0xdddd);
	KUNIT_EXPECT_EQ(test, mock_peek(client, shared.addr), DEVICE_WORD);
	KUNIT_EXPECT_EQ(test, mock_peek(client, private.addr + PAGE_SIZE), DEVICE_WORD);

	drm_dev_unplug(&mdev->drm);
	KUNIT_ASSERT_EQ(test, map_gem(client, &late, file, &gem->base), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, private.addr), 0xdddd);
	KUNIT_EXPECT_EQ(test, mock_peek(client, private.addr + PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, late.addr), 0);
	mock_poke(client, private.addr + PAGE_SIZE, 0xeeee);
	mock_poke(client, late.addr, 0xffff);
	KUNIT_EXPECT_EQ(test, mock_peek(client, private.addr + PAGE_SIZE), 0xeeee);
	KUNIT_EXPECT_EQ(test, mock_peek(client, late.addr), 0xffff);
	KUNIT_EXPECT_EQ(test, mock_peek(client, shared.addr), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, late.addr + PAGE_SIZE), 0);
	mock_poke(client, shared.addr + 8, 0x1919);
	KUNIT_EXPECT_EQ_MSG(test, mock_peek(client, late.addr + PAGE_SIZE + 8), 0,
			    "what was written to another map is seen here");
	gem_expect_untouched(test, gem);

	/* A driver that could not have made a private map is not asked any more. */
	late = (struct mock_map){ .flags = MAP_PRIVATE };
	gem = gem_new(test, file, &gem_pfn_funcs, PAGES * PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, map_gem(client, &late, file, &gem->base), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, late.addr), 0);
	mock_poke(client, late.addr, 0x2020);
	mock_poke(client, late.addr + PAGE_SIZE, 0x2121);
	KUNIT_EXPECT_EQ(test, mock_peek(client, late.addr), 0x2020);
	KUNIT_EXPECT_EQ(test, mock_peek(client, shared.addr), 0);
}

struct access {
	struct mock_map *map;
	unsigned long offset;
	u32 value;
	int write;
};

static long access_fn(struct mock_client *client, void *data)
{
	struct access *access = data;
	unsigned long addr = access->map->addr + access->offset;
	struct vm_area_struct *vma;
	long ret = -EFAULT;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma && vma->vm_ops && vma->vm_ops->access)
		ret = vma->vm_ops->access(vma, addr, &access->value, sizeof(access->value),
					  access->write);
	mmap_read_unlock(current->mm);

	return ret;
}

/* M1: ptrace() and /proc/PID/mem, which ask the map where they find no page. */
static void drm_test_unplug_map_access(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, &gem_pfn_funcs, PAGES * PAGE_SIZE);
	struct mock_map map = {};
	struct access access = { .map = &map, .offset = PAGE_SIZE - 2, .value = 1 };

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	drm_dev_unplug(&mdev->drm);

	/* Up to the end of the page, whatever was asked for. */
	KUNIT_EXPECT_EQ(test, mock_run(client, access_fn, &access), 2);
	KUNIT_EXPECT_EQ(test, (u16)access.value, 0);
	access = (struct access){ .map = &map, .offset = 8, .value = 0x1234, .write = 1 };
	KUNIT_EXPECT_EQ(test, mock_run(client, access_fn, &access), 4);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr + 8), 0x1234);
	access = (struct access){ .map = &map, .offset = 8 };
	KUNIT_EXPECT_EQ(test, mock_run(client, access_fn, &access), 4);
	KUNIT_EXPECT_EQ(test, access.value, 0x1234);
	gem_expect_untouched(test, gem);
}

/* M3: maps of a dma-buf, made before and after, are no different. */
static void drm_test_unplug_map_dmabuf(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test), *other = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
	struct mock_map before = { .size = PAGES * PAGE_SIZE }, after, foreign;
	struct dma_buf *dmabuf;
	unsigned int i;

	dmabuf = drm_gem_prime_export(&gem->base, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	before.file = dmabuf->file;
	after = before;
	foreign = before;

	KUNIT_EXPECT_EQ(test, mock_run(client, mock_map_fn, &before), 0);
	KUNIT_EXPECT_EQ(test, mock_run(other, mock_map_fn, &foreign), 0);
	KUNIT_EXPECT_EQ(test, mock_peek(client, before.addr), DEVICE_WORD);
	leave_now(test, mdev);
	KUNIT_EXPECT_EQ(test, mock_run(client, mock_map_fn, &after), 0);
	for (i = 0; i < PAGES; i++) {
		KUNIT_EXPECT_EQ(test, mock_peek(client, before.addr + i * PAGE_SIZE), 0);
		KUNIT_EXPECT_EQ(test, mock_peek(client, after.addr + i * PAGE_SIZE), 0);
	}
	mock_poke(client, before.addr, 0x1717);
	KUNIT_EXPECT_EQ(test, mock_peek(client, before.addr), 0x1717);
	KUNIT_EXPECT_EQ_MSG(test, mock_peek(other, foreign.addr), 0,
			    "another process can read it");
	gem_expect_untouched(test, gem);

	KUNIT_EXPECT_EQ(test, unmap(client, &before), 0);
	KUNIT_EXPECT_EQ(test, unmap(client, &after), 0);
	KUNIT_EXPECT_EQ(test, unmap(other, &foreign), 0);
	KUNIT_EXPECT_EQ(test, records(mdev), 0);
	dma_buf_put(dmabuf);
	flush_delayed_fput();
}

/*
 * T3: the map is the last thing there is of a device. KASAN reports what this
 * gets wrong.
 */
static void drm_test_unplug_map_outlives_device(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_alloc(test, &mock_driver);
	struct mock_client *client = mock_client_new(test);
	struct mock_map map = {};
	struct file *file;
	struct gem *gem;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mdev);
	KUNIT_ASSERT_EQ(test, drm_dev_register(&mdev->drm, 0), 0);
	file = mock_open_node(test, DRM_MAJOR, mdev->drm.primary->index, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);

	leave_now(test, mdev);
	/* Nobody but the map has them now. */
	kunit_release_action(test, gem_put, &gem->base);
	fput(file);
	mock_dev_free(mdev);

	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr), 0);
	mock_poke(client, map.addr, 0x1818);
	KUNIT_EXPECT_EQ(test, mock_peek(client, map.addr), 0x1818);
	KUNIT_EXPECT_EQ(test, unmap(client, &map), 0);
}

/* What fork() does to a VMA: the copy belongs to another mm, and is opened. */
struct fork_call {
	struct mock_map *map;
	struct mm_struct *mm;
	bool wiped;
};

static long fork_fn(struct mock_client *client, void *data)
{
	struct fork_call *call = data;
	struct vm_area_struct *vma, *copy;
	long ret = -EFAULT;

	copy = kmalloc_obj(*copy);
	if (!copy)
		return -ENOMEM;

	mmap_write_lock(current->mm);
	mmap_write_lock_nested(call->mm, SINGLE_DEPTH_NESTING);
	vma = vma_lookup(current->mm, call->map->addr);
	if (vma) {
		memcpy(copy, vma, sizeof(*copy));
		copy->vm_mm = call->mm;
		copy->vm_ops->open(copy);
		call->wiped = copy->vm_flags & VM_WIPEONFORK;
		copy->vm_ops->close(copy);
		ret = 0;
	}
	mmap_write_unlock(call->mm);
	mmap_write_unlock(current->mm);
	kfree(copy);

	return ret;
}

/*
 * M5: fork() copies the PTEs of a PFN map to the child. Once there can be any
 * for the parent's scratch page, it must not.
 */
static void drm_test_unplug_map_fork_wipes(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test), *child = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, &gem_pfn_funcs, PAGES * PAGE_SIZE);
	struct mock_map map = {};
	struct fork_call call = { .map = &map, .mm = child->mm };

	KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
	KUNIT_EXPECT_EQ(test, mock_run(client, fork_fn, &call), 0);
	KUNIT_EXPECT_FALSE(test, call.wiped);
	drm_dev_unplug(&mdev->drm);
	KUNIT_EXPECT_EQ(test, mock_run(client, fork_fn, &call), 0);
	KUNIT_EXPECT_TRUE(test, call.wiped);
	KUNIT_EXPECT_EQ(test, records(mdev), 1);
}

struct family {
	struct mock_map *map;
	struct completion go;
	struct drm_device *dev;
	mock_fn leave;
	bool fork_first;
	u32 child_read[2];
	u32 child_kept;
	u32 parent_kept;
	long failed;
};

static int fork_child(void *data)
{
	struct family *family = data;
	struct mock_touch touch = { .addr = family->map->addr };
	struct mock_touch other = { .addr = family->map->addr + PAGE_SIZE };

	wait_for_completion(&family->go);
	family->failed |= mock_touch_fn(NULL, &touch);
	family->failed |= mock_touch_fn(NULL, &other);
	family->child_read[0] = touch.value;
	family->child_read[1] = other.value;

	touch.write = true;
	touch.value = 0xc1;
	family->failed |= mock_touch_fn(NULL, &touch);
	touch.write = false;
	family->failed |= mock_touch_fn(NULL, &touch);
	family->child_kept = touch.value;

	mock_fork_exit();
	return 0;
}

static long fork_parent(struct mock_client *client, void *data)
{
	struct family *family = data;
	struct mock_touch touch = { .addr = family->map->addr };
	pid_t pid = 0;

	/* Have PTEs of the device, so that there is something to copy. */
	family->failed |= mock_touch_fn(client, &touch);

	if (family->fork_first) {
		pid = mock_fork(fork_child, family);
		if (pid < 0)
			return pid;
	}

	family->leave(client, family->dev);
	touch.write = true;
	touch.value = 0xa1;
	family->failed |= mock_touch_fn(client, &touch);

	if (!family->fork_first) {
		pid = mock_fork(fork_child, family);
		if (pid < 0)
			return pid;
	}

	complete_all(&family->go);
	mock_fork_wait(pid);

	touch.write = false;
	family->failed |= mock_touch_fn(client, &touch);
	family->parent_kept = touch.value;

	return 0;
}

/*
 * M1, M5: a forked child has the map, too, whenever it was forked. It sees
 * nothing of what its parent has written to lost memory, nor the other way round.
 */
static void drm_test_unplug_map_fork(struct kunit *test)
{
	const struct map_case *c = test->param_value;
	unsigned int first;

	for (first = 0; first < 2; first++) {
		struct mock_dev *mdev = mock_dev_new(test);
		struct mock_client *client = mock_client_new(test);
		struct file *file = mock_open(mdev, O_RDWR);
		struct gem *gem = gem_new(test, file, c->funcs, PAGES * PAGE_SIZE);
		struct mock_map map = {};
		struct family family = {
			.map = &map,
			.dev = &mdev->drm,
			.leave = c->unregister ? mock_unregister : mock_unplug,
			.fork_first = first,
		};
		long ret;

		init_completion(&family.go);
		KUNIT_ASSERT_EQ(test, map_gem(client, &map, file, &gem->base), 0);
		ret = mock_run(client, fork_parent, &family);
		if (ret == -EOPNOTSUPP)
			kunit_skip(test, "no way to fork");
		flush_delayed_fput();

		KUNIT_EXPECT_EQ(test, ret, 0);
		KUNIT_EXPECT_EQ_MSG(test, family.failed, 0, "a program would get SIGBUS here");
		KUNIT_EXPECT_EQ_MSG(test, family.child_read[0], 0,
				    "the child can read what the parent wrote");
		KUNIT_EXPECT_EQ(test, family.child_read[1], 0);
		KUNIT_EXPECT_EQ(test, family.child_kept, 0xc1);
		KUNIT_EXPECT_EQ_MSG(test, family.parent_kept, 0xa1,
				    "the parent can read what the child wrote");
		KUNIT_EXPECT_EQ(test, records(mdev), 1);
		gem_expect_untouched(test, gem);
	}
}

struct cow_family {
	struct mock_map *shared, *private;
	struct completion go;
	long failed;
	u32 child_read;
};

static int cow_child(void *data)
{
	struct cow_family *family = data;
	struct mock_touch touch = { .addr = family->private->addr };

	wait_for_completion(&family->go);
	family->failed |= mock_touch_fn(NULL, &touch);
	family->child_read = touch.value;
	mock_fork_exit();
	return 0;
}

static long cow_parent(struct mock_client *client, void *data)
{
	struct cow_family *family = data;
	struct mock_touch touch = { .addr = family->private->addr };
	struct mock_touch own = { .addr = touch.addr + PAGE_SIZE, .value = 1, .write = true };
	struct mock_touch leak = { .addr = family->shared->addr, .value = 0xa2, .write = true };
	pid_t pid;

	/* A page to copy, and one that makes fork() copy what there is. */
	family->failed |= mock_touch_fn(client, &touch);
	family->failed |= mock_touch_fn(client, &own);
	pid = mock_fork(cow_child, family);
	if (pid < 0)
		return pid;

	family->failed |= mock_touch_fn(client, &leak);
	complete_all(&family->go);
	mock_fork_wait(pid);

	return 0;
}

/*
 * M5: fork() copies the PTEs of a private map. They must not show the child what
 * its parent writes to another map from then on.
 */
static void drm_test_unplug_map_fork_copy_on_write(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	struct gem *gem = gem_new(test, file, &gem_page_funcs, PAGES * PAGE_SIZE);
	struct mock_map shared = {}, private = { .flags = MAP_PRIVATE };
	struct cow_family family = { .shared = &shared, .private = &private };
	long ret;

	init_completion(&family.go);
	KUNIT_ASSERT_EQ(test, map_gem(client, &shared, file, &gem->base), 0);
	KUNIT_ASSERT_EQ(test, map_gem(client, &private, file, &gem->base), 0);
	drm_dev_unplug(&mdev->drm);
	ret = mock_run(client, cow_parent, &family);
	if (ret == -EOPNOTSUPP)
		kunit_skip(test, "no way to fork");

	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, family.failed, 0);
	KUNIT_EXPECT_EQ_MSG(test, family.child_read, 0,
			    "the child can read what the parent wrote");
}

struct race {
	struct mock_map map;
	bool stop;
	long failed;
	unsigned long touches;
};

static long race_fn(struct mock_client *client, void *data)
{
	struct race *race = data;
	struct mock_touch touch = {};
	unsigned int i = 0;

	while (!READ_ONCE(race->stop) && !race->failed && !signal_pending(current)) {
		touch.addr = race->map.addr + (i % PAGES) * PAGE_SIZE;
		touch.write = i & 1;
		touch.value = DEVICE_WORD;
		race->failed = touch_locked_fn(client, &touch);
		WRITE_ONCE(race->touches, ++i);
		cond_resched();
	}

	return 0;
}

static const struct map_case race_cases[] = {
	{ "pfn", &gem_pfn_funcs },
	{ "eager", &gem_eager_funcs },
};

KUNIT_ARRAY_PARAM_DESC(race_case, race_cases, name);

/* M1, U3: faults of several threads and an unplug, at no particular moment. */
static void drm_test_unplug_map_race(struct kunit *test)
{
	struct mock_client *clients[3], *remover = mock_client_new(test);
	unsigned int i, round;

	for (i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = mock_client_new(test);

	for (round = 0; round < 8; round++) {
		struct mock_dev *mdev = mock_dev_new(test);
		struct file *file = mock_open(mdev, O_RDWR);
		struct gem *gem = gem_new(test, file, map_funcs(test), PAGES * PAGE_SIZE);
		struct race races[ARRAY_SIZE(clients)] = {};

		for (i = 0; i < ARRAY_SIZE(clients); i++) {
			KUNIT_ASSERT_EQ(test, map_gem(clients[i], &races[i].map, file,
						      &gem->base), 0);
			mock_start(clients[i], race_fn, &races[i]);
		}
		mock_wait_until(test, READ_ONCE(races[0].touches) > 20);
		KUNIT_EXPECT_EQ(test, mock_run(remover, mock_unplug, &mdev->drm), 0);
		memset(gem->memory, DEVICE_BYTE + 1, gem->base.size);
		schedule_timeout_uninterruptible(1);
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(gem->memory, DEVICE_BYTE + 1,
						       gem->base.size),
				      "a client wrote to the device after the unplug");
		for (i = 0; i < ARRAY_SIZE(clients); i++)
			WRITE_ONCE(races[i].stop, true);
		for (i = 0; i < ARRAY_SIZE(clients); i++) {
			KUNIT_EXPECT_EQ(test, mock_finish(clients[i]), 0);
			KUNIT_EXPECT_EQ(test, races[i].failed, 0);
			KUNIT_EXPECT_EQ(test, unmap(clients[i], &races[i].map), 0);
		}
		KUNIT_EXPECT_EQ(test, records(mdev), 0);
	}
}

static struct kunit_case drm_unplug_maps_tests[] = {
	KUNIT_CASE_PARAM(drm_test_unplug_map_survives, map_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_map_write_first, map_case_gen_params),
	KUNIT_CASE(drm_test_unplug_map_forwards),
	KUNIT_CASE(drm_test_unplug_map_sigbus),
	KUNIT_CASE_PARAM(drm_test_unplug_map_fault_in_flight, map_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_map_after, map_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_map_unfinished, map_case_gen_params),
	KUNIT_CASE(drm_test_unplug_map_locked),
	KUNIT_CASE(drm_test_unplug_map_shmem),
	KUNIT_CASE_PARAM(drm_test_unplug_map_private, map_case_gen_params),
	KUNIT_CASE(drm_test_unplug_map_bounded),
	KUNIT_CASE_PARAM(drm_test_unplug_map_split, map_case_gen_params),
	KUNIT_CASE(drm_test_unplug_map_copy_on_write),
	KUNIT_CASE(drm_test_unplug_map_access),
	KUNIT_CASE_PARAM(drm_test_unplug_map_dmabuf, map_case_gen_params),
	KUNIT_CASE_PARAM(drm_test_unplug_map_outlives_device, map_case_gen_params),
	KUNIT_CASE(drm_test_unplug_map_fork_wipes),
	KUNIT_CASE_PARAM(drm_test_unplug_map_fork, map_case_gen_params),
	KUNIT_CASE(drm_test_unplug_map_fork_copy_on_write),
	KUNIT_CASE_PARAM(drm_test_unplug_map_race, race_case_gen_params),
	{}
};

static struct kunit_suite drm_unplug_maps_test_suite = {
	.name = "drm_unplug_maps",
	.test_cases = drm_unplug_maps_tests,
};

kunit_test_suite(drm_unplug_maps_test_suite);
