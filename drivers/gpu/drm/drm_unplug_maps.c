// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-buf.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_prime.h>
#include <drm/drm_print.h>

#include "drm_unplug_internal.h"

/**
 * DOC: memory maps
 *
 * A program must not die because a buffer that it has mapped went away with its
 * device. At mmap() time core replaces the vm_ops table that the driver has
 * chosen by a copy whose fault handlers hold a section. When the device is gone
 * they never reach the driver again: the map is filled with scratch memory,
 * which reads as zeros until the program itself writes to it. There is no
 * SIGBUS. An mmap() that comes after the unplug gives such a map, too.
 *
 * Nobody else can see what is written there. A scratch page belongs to one
 * address space and one open DRM file in it (dma-bufs of the device share one),
 * and it is not passed on by fork(). Within a client all lost pages are the
 * same page, which keeps the cost independent of the size and number of maps:
 * one page for each client that touches a lost map, one small record for each
 * client that has maps, one copy of each vm_ops table, and one page of zeros for
 * all MAP_PRIVATE maps, which nobody can write to. The record and the page
 * go away with the client's last map.
 *
 * A driver that fills a map in ->mmap does so before mm makes the map known to
 * those who look for all maps of a file, such as the unplug. So the unplug waits
 * for each address space in which a map is being made before it removes all
 * PTEs. Those who come later find the device gone, and make a lost map.
 */

/* A vm_ops table of a driver, and the copy that VMAs are given. */
struct drm_unplug_vm_ops {
	struct vm_operations_struct ops;
	const struct vm_operations_struct *driver;
	struct drm_unplug *unplug;
	struct list_head node;
};

/* The maps that one client has, and its scratch page once it needs one. */
struct drm_unplug_scratch {
	struct hlist_node node;
	/* Keys only. A VMA that is counted keeps both alive. */
	const struct mm_struct *mm;
	const struct file *file;
	unsigned long vmas;
	/* &mm_struct.mm_lock_seq when the client last made a map. */
	unsigned int mm_seq;
	struct page *page;
};

/* PTEs that one fault on a lost map fills, at the most: those of a PMD. */
#define DRM_UNPLUG_FAULT_AROUND		PMD_SIZE

/* How long an unplug waits for a map that is being made. */
#define DRM_UNPLUG_MMAP_WAIT		(10 * HZ)

static struct drm_unplug_vm_ops *drm_unplug_vm_ops_of(struct vm_area_struct *vma)
{
	return container_of(vma->vm_ops, struct drm_unplug_vm_ops, ops);
}

/*
 * Each open of the DRM node is a client of its own, even within a process.
 * Dma-bufs are not: their number is not bounded.
 */
static const struct file *drm_unplug_client(struct drm_unplug *unplug,
					    struct vm_area_struct *vma)
{
	if (vma->vm_file->f_op == unplug->dev->driver->fops)
		return vma->vm_file;

	return NULL;
}

static struct drm_unplug_scratch *drm_unplug_scratch_find(struct drm_unplug *unplug,
							  struct vm_area_struct *vma)
{
	const struct file *file = drm_unplug_client(unplug, vma);
	struct drm_unplug_scratch *scratch;

	lockdep_assert_held(&unplug->maps_lock);

	hash_for_each_possible(unplug->scratch, scratch, node,
			       (unsigned long)vma->vm_mm)
		if (scratch->mm == vma->vm_mm && scratch->file == file)
			return scratch;

	return NULL;
}

/*
 * An address space changes this each time that it is locked for writing and each
 * time that it is unlocked, and it is odd in between. 0 where there is no such
 * count.
 */
static unsigned int drm_unplug_mm_seq(const struct mm_struct *mm)
{
#ifdef CONFIG_PER_VMA_LOCK
	/* What the writer has done is seen by those who see that it has ended. */
	return smp_load_acquire(&mm->mm_lock_seq.sequence);
#else
	return 0;
#endif
}

/* Count a VMA. @seq is not 0 if a driver has filled it, and mm does not know it yet. */
static int drm_unplug_scratch_get(struct drm_unplug *unplug,
				  struct vm_area_struct *vma, unsigned int seq,
				  gfp_t gfp)
{
	struct drm_unplug_scratch *scratch, *new;

	scoped_guard(spinlock, &unplug->maps_lock) {
		scratch = drm_unplug_scratch_find(unplug, vma);
		if (scratch) {
			scratch->vmas++;
			scratch->mm_seq = seq ?: scratch->mm_seq;
			return 0;
		}
	}

	new = kzalloc_obj(*new, gfp);
	if (!new)
		return -ENOMEM;

	new->mm = vma->vm_mm;
	new->file = drm_unplug_client(unplug, vma);
	new->vmas = 1;
	new->mm_seq = seq;

	/* Nobody else has added it: the address space is locked for writing. */
	guard(spinlock)(&unplug->maps_lock);
	hash_add(unplug->scratch, &new->node, (unsigned long)new->mm);

	return 0;
}

static void drm_unplug_scratch_put(struct drm_unplug *unplug,
				   struct vm_area_struct *vma)
{
	struct drm_unplug_scratch *scratch;

	scoped_guard(spinlock, &unplug->maps_lock) {
		scratch = drm_unplug_scratch_find(unplug, vma);
		if (WARN_ON_ONCE(!scratch) || --scratch->vmas)
			return;
		hash_del(&scratch->node);
	}

	/* ->close comes after the PTEs are gone, so nothing refers to the page. */
	if (scratch->page)
		__free_page(scratch->page);
	kfree(scratch);
}

/* The page in @slot, which is allocated on first use. */
static struct page *drm_unplug_page_once(struct page **slot)
{
	struct page *page = READ_ONCE(*slot);

	if (page)
		return page;

	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		return NULL;

	if (cmpxchg(slot, NULL, page)) {
		__free_page(page);
		page = *slot;
	}

	return page;
}

/* The scratch page of the client that @vma belongs to. */
static struct page *drm_unplug_scratch_page(struct drm_unplug *unplug,
					    struct vm_area_struct *vma)
{
	struct drm_unplug_scratch *scratch;

	/* The VMA is counted, and cannot go away under a fault. */
	scoped_guard(spinlock, &unplug->maps_lock)
		scratch = drm_unplug_scratch_find(unplug, vma);
	if (WARN_ON_ONCE(!scratch))
		return NULL;

	return drm_unplug_page_once(&scratch->page);
}

/*
 * The page is ordinary memory: it is mapped cached where the VMA permits and,
 * unlike the driver's pages, without a notification on the first write.
 */
static vm_fault_t drm_unplug_insert_pte(struct vm_area_struct *vma, unsigned long addr,
					struct page *page)
{
	if (vma->vm_flags & VM_MIXEDMAP)
		return vmf_insert_mixed(vma, addr, page_to_pfn(page));

	return vmf_insert_pfn_prot(vma, addr, page_to_pfn(page),
				   vm_get_page_prot(vma->vm_flags));
}

/*
 * Fill PTEs around the fault, so that a walk through a large lost map does not
 * cost a fault for each page.
 */
static vm_fault_t drm_unplug_insert(struct vm_fault *vmf, struct page *page)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long start, end, addr;
	vm_fault_t ret;

	ret = drm_unplug_insert_pte(vma, vmf->address, page);
	if (ret != VM_FAULT_NOPAGE)
		return ret;

	start = max(ALIGN_DOWN(vmf->address, DRM_UNPLUG_FAULT_AROUND), vma->vm_start);
	end = min(ALIGN_DOWN(vmf->address, DRM_UNPLUG_FAULT_AROUND) +
		  DRM_UNPLUG_FAULT_AROUND, vma->vm_end);

	for (addr = start; addr < end; addr += PAGE_SIZE)
		if (drm_unplug_insert_pte(vma, addr, page) != VM_FAULT_NOPAGE)
			break;

	/* What could not be filled ahead faults on its own. */
	return VM_FAULT_NOPAGE;
}

static vm_fault_t drm_unplug_fault_gone(struct drm_unplug *unplug,
					struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct page *page;
	bool cow = is_cow_mapping(vma->vm_flags);

	/*
	 * A private mapping copies before it writes, so that all can share a page.
	 * It must not be the scratch page: fork() copies the PTEs.
	 */
	page = cow ? drm_unplug_page_once(&unplug->zeroes) :
		     drm_unplug_scratch_page(unplug, vma);
	if (!page)
		return VM_FAULT_OOM;

	if ((vma->vm_flags & (VM_PFNMAP | VM_MIXEDMAP)) && !cow)
		return drm_unplug_insert(vmf, page);

	get_page(page);
	vmf->page = page;
	return 0;
}

/*
 * The driver's handler may have dropped the mmap_lock, after which the VMA can
 * be gone: it must not be looked at any more. The state of the device is there
 * as long as the section.
 */
static vm_fault_t drm_unplug_fault_end(struct drm_unplug_gate *gate, vm_fault_t ret)
{
	/* The hardware went while the driver looked for it: fault again. */
	if (unlikely(ret & VM_FAULT_SIGBUS) && READ_ONCE(gate->unplug->gone))
		ret = VM_FAULT_NOPAGE;

	drm_unplug_gate_exit(gate);

	return ret;
}

static vm_fault_t drm_unplug_fault(struct vm_fault *vmf)
{
	struct drm_unplug_vm_ops *w = drm_unplug_vm_ops_of(vmf->vma);
	struct drm_unplug_gate gate = drm_unplug_gate_enter(w->unplug);

	if (unlikely(!gate.unplug))
		return drm_unplug_fault_gone(w->unplug, vmf);

	return drm_unplug_fault_end(&gate, w->driver->fault ?
					   w->driver->fault(vmf) : VM_FAULT_SIGBUS);
}

static vm_fault_t drm_unplug_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct drm_unplug_vm_ops *w = drm_unplug_vm_ops_of(vmf->vma);
	struct drm_unplug_gate gate = drm_unplug_gate_enter(w->unplug);

	if (unlikely(!gate.unplug))
		return VM_FAULT_FALLBACK;

	return drm_unplug_fault_end(&gate, w->driver->huge_fault(vmf, order));
}

static vm_fault_t drm_unplug_map_pages(struct vm_fault *vmf, pgoff_t start,
				       pgoff_t end)
{
	struct drm_unplug_vm_ops *w = drm_unplug_vm_ops_of(vmf->vma);
	struct drm_unplug_gate gate = drm_unplug_gate_enter(w->unplug);

	/* Nothing mapped ahead, so that ->fault follows. */
	if (unlikely(!gate.unplug))
		return 0;

	return drm_unplug_fault_end(&gate, w->driver->map_pages(vmf, start, end));
}

static vm_fault_t drm_unplug_page_mkwrite(struct vm_fault *vmf)
{
	struct drm_unplug_vm_ops *w = drm_unplug_vm_ops_of(vmf->vma);
	struct drm_unplug_gate gate = drm_unplug_gate_enter(w->unplug);

	if (unlikely(!gate.unplug)) {
		/* A page without a mapping is returned locked, or mm retries. */
		lock_page(vmf->page);
		return VM_FAULT_LOCKED;
	}

	return drm_unplug_fault_end(&gate, w->driver->page_mkwrite(vmf));
}

static vm_fault_t drm_unplug_pfn_mkwrite(struct vm_fault *vmf)
{
	struct drm_unplug_vm_ops *w = drm_unplug_vm_ops_of(vmf->vma);
	struct drm_unplug_gate gate = drm_unplug_gate_enter(w->unplug);

	/* Before the zap this can be a PTE of the lost buffer. It may stay. */
	if (unlikely(!gate.unplug))
		return 0;

	return drm_unplug_fault_end(&gate, w->driver->pfn_mkwrite(vmf));
}

/* ptrace() and /proc/PID/mem, where get_user_pages() cannot help. */
static int drm_unplug_access(struct vm_area_struct *vma, unsigned long addr,
			     void *buf, int len, int write)
{
	struct drm_unplug_vm_ops *w = drm_unplug_vm_ops_of(vma);
	struct drm_unplug_gate gate = drm_unplug_gate_enter(w->unplug);
	struct page *page;
	void *scratch;
	int ret = 0;

	if (gate.unplug) {
		if (w->driver->access)
			ret = w->driver->access(vma, addr, buf, len, write);
		drm_unplug_gate_exit(&gate);
		return ret;
	}

	page = drm_unplug_scratch_page(w->unplug, vma);
	if (!page)
		return -ENOMEM;

	len = min_t(int, len, PAGE_SIZE - offset_in_page(addr));
	scratch = page_address(page) + offset_in_page(addr);
	if (write)
		memcpy(scratch, buf, len);
	else
		memcpy(buf, scratch, len);

	return len;
}

/* fork(), split and mremap() */
static void drm_unplug_vm_open(struct vm_area_struct *vma)
{
	struct drm_unplug_vm_ops *w = drm_unplug_vm_ops_of(vma);

	/* There is no way to report a failure, and it is a small object. */
	drm_unplug_scratch_get(w->unplug, vma, 0, GFP_KERNEL | __GFP_NOFAIL);

	/*
	 * A forked child must not get PTEs to its parent's scratch page: the
	 * flag keeps fork() from copying them. There can be none unless the
	 * device is gone by now, because faults in the parent are locked out
	 * since before this call.
	 */
	if (vma->vm_mm != current->mm && READ_ONCE(w->unplug->gone) &&
	    !is_cow_mapping(vma->vm_flags))
		vm_flags_set(vma, VM_WIPEONFORK);

	if (w->driver->open)
		w->driver->open(vma);
}

static void drm_unplug_vm_close(struct vm_area_struct *vma)
{
	struct drm_unplug_vm_ops *w = drm_unplug_vm_ops_of(vma);
	const struct vm_operations_struct *driver = w->driver;

	drm_unplug_scratch_put(w->unplug, vma);

	/* May drop the last reference to the device. */
	if (driver->close)
		driver->close(vma);
}

static struct drm_unplug_vm_ops *drm_unplug_vm_ops_find(struct drm_unplug *unplug,
							const struct vm_operations_struct *driver)
{
	struct drm_unplug_vm_ops *w;

	lockdep_assert_held(&unplug->maps_lock);

	list_for_each_entry(w, &unplug->vm_ops, node)
		if (w->driver == driver)
			return w;

	return NULL;
}

static struct drm_unplug_vm_ops *drm_unplug_vm_ops_get(struct drm_unplug *unplug,
						       const struct vm_operations_struct *driver)
{
	struct drm_unplug_vm_ops *w, *old;

	scoped_guard(spinlock, &unplug->maps_lock)
		w = drm_unplug_vm_ops_find(unplug, driver);
	if (w)
		return w;

	w = kzalloc_obj(*w);
	if (!w)
		return NULL;

	w->driver = driver;
	w->unplug = unplug;

	/*
	 * What is not overridden works on the VMA alone. The optional handlers
	 * stay absent where they are: mm takes their presence as a promise.
	 */
	w->ops = *driver;
	w->ops.open = drm_unplug_vm_open;
	w->ops.close = drm_unplug_vm_close;
	w->ops.fault = drm_unplug_fault;
	w->ops.access = drm_unplug_access;
	if (driver->huge_fault)
		w->ops.huge_fault = drm_unplug_huge_fault;
	if (driver->map_pages)
		w->ops.map_pages = drm_unplug_map_pages;
	if (driver->page_mkwrite)
		w->ops.page_mkwrite = drm_unplug_page_mkwrite;
	if (driver->pfn_mkwrite)
		w->ops.pfn_mkwrite = drm_unplug_pfn_mkwrite;

	scoped_guard(spinlock, &unplug->maps_lock) {
		old = drm_unplug_vm_ops_find(unplug, driver);
		if (!old)
			list_add(&w->node, &unplug->vm_ops);
	}
	if (old) {
		kfree(w);
		w = old;
	}

	return w;
}

/* Replace the vm_ops of a VMA that keeps a reference to the device. @seq: see above. */
static int drm_unplug_vma(struct drm_unplug *unplug, struct vm_area_struct *vma,
			  unsigned int seq)
{
	struct drm_unplug_vm_ops *w;

	w = drm_unplug_vm_ops_get(unplug, vma->vm_ops);
	if (!w || drm_unplug_scratch_get(unplug, vma, seq, GFP_KERNEL)) {
		if (vma->vm_ops->close)
			vma->vm_ops->close(vma);
		vma->vm_ops = NULL;
		return -ENOMEM;
	}

	vma->vm_ops = &w->ops;

	return 0;
}

/**
 * drm_unplug_mmap - make a new map survive an unplug
 * @dev: DRM device
 * @vma: VMA that the driver has set up
 *
 * To be called at the end of ->mmap. Does nothing for a VMA that is not in the
 * address space of @dev: an imported dma-buf, whose exporter takes care of it.
 *
 * Context: Process context, mmap_lock held for writing. May sleep.
 *
 * Returns:
 * 0, or -ENOMEM, in which case the VMA was closed and must not be used.
 */
int drm_unplug_mmap(struct drm_device *dev, struct vm_area_struct *vma)
{
	if (!vma->vm_ops || vma->vm_ops->fault == drm_unplug_fault)
		return 0;

	/* Only such a VMA keeps a reference to dev, through its file. */
	if (vma->vm_file->f_mapping != dev->anon_inode->i_mapping)
		return 0;

	return drm_unplug_vma(drm_unplug_of(dev), vma, drm_unplug_mm_seq(vma->vm_mm));
}

static void drm_unplug_foreign_open(struct vm_area_struct *vma)
{
	drm_dev_get(vma->vm_private_data);
}

static void drm_unplug_foreign_close(struct vm_area_struct *vma)
{
	drm_dev_put(vma->vm_private_data);
}

static const struct vm_operations_struct drm_unplug_foreign_vm_ops = {
	.open = drm_unplug_foreign_open,
	.close = drm_unplug_foreign_close,
};

/**
 * drm_dev_unplug_mmap - let a map of another file survive an unplug
 * @dev: DRM device that the mapped memory belongs to
 * @vma: VMA without vm_ops, whose PTEs are all there
 *
 * For drivers that have a character device besides the nodes of DRM, and map
 * memory of the hardware there. Core does not know the address space of that
 * file: the driver has to zap it, in its remove callback after drm_dev_unplug().
 * What is accessed after that is scratch memory.
 *
 * Context: Process context, mmap_lock held for writing, at the end of ->mmap, in
 * a section of @dev. May sleep.
 *
 * Returns:
 * 0 or -ENOMEM.
 */
int drm_dev_unplug_mmap(struct drm_device *dev, struct vm_area_struct *vma)
{
	drm_dev_get(dev);
	vma->vm_private_data = dev;
	vma->vm_ops = &drm_unplug_foreign_vm_ops;

	return drm_unplug_vma(drm_unplug_of(dev), vma, drm_unplug_mm_seq(vma->vm_mm));
}
EXPORT_SYMBOL(drm_dev_unplug_mmap);

static const struct vm_operations_struct drm_unplug_gone_vm_ops = {
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

/**
 * drm_unplug_mmap_gone - map a buffer of a device that is gone
 * @obj: GEM object that the caller has found the client to have a right to
 * @vma: VMA for the area to be mapped
 *
 * The driver is not involved.
 *
 * Context: Process context, mmap_lock held for writing. May sleep.
 *
 * Returns:
 * 0, -ENOMEM, or -ENODEV for a VMA that does not belong to the device.
 */
int drm_unplug_mmap_gone(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	if (vma->vm_file->f_mapping != obj->dev->anon_inode->i_mapping)
		return -ENODEV;

	drm_gem_object_get(obj);

	vma->vm_private_data = obj;
	vma->vm_ops = &drm_unplug_gone_vm_ops;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	/* A private mapping may not have bare PFNs. */
	if (!is_cow_mapping(vma->vm_flags))
		vm_flags_set(vma, VM_IO | VM_PFNMAP);
	vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);

	/* There is nothing in it that an unplug would have to find. */
	return drm_unplug_vma(drm_unplug_of(obj->dev), vma, 0);
}

void drm_unplug_maps_init(struct drm_unplug *unplug)
{
	spin_lock_init(&unplug->maps_lock);
	INIT_LIST_HEAD(&unplug->vm_ops);
	hash_init(unplug->scratch);
}

void drm_unplug_maps_fini(struct drm_unplug *unplug)
{
	struct drm_unplug_vm_ops *w, *next;

	/* Maps hold references to the device, so there is none left. */
	WARN_ON(!hash_empty(unplug->scratch));

	list_for_each_entry_safe(w, next, &unplug->vm_ops, node)
		kfree(w);

	if (unplug->zeroes)
		__free_page(unplug->zeroes);
}

/*
 * Is a map being made that a driver has filled, or was when last seen? Whoever
 * makes one holds the lock of the address space for writing all the time.
 */
static bool drm_unplug_scratch_unfinished(struct drm_unplug_scratch *scratch)
{
	struct mm_struct *mm = (struct mm_struct *)scratch->mm;

	if (scratch->mm_seq & 1)
		return drm_unplug_mm_seq(mm) == scratch->mm_seq;
	if (IS_ENABLED(CONFIG_PER_VMA_LOCK))
		return false;
	if (!mmap_read_trylock(mm))
		return true;
	mmap_read_unlock(mm);

	return false;
}

static bool drm_unplug_maps_unfinished(struct drm_unplug *unplug)
{
	struct drm_unplug_scratch *scratch;
	int bucket;

	/* The lock keeps the VMAs from being closed, and they keep their mm. */
	guard(spinlock)(&unplug->maps_lock);
	hash_for_each(unplug->scratch, bucket, scratch, node)
		if (drm_unplug_scratch_unfinished(scratch))
			return true;

	return false;
}

/**
 * drm_unplug_maps_zap - remove all PTEs of a gone device
 * @unplug: state of the device
 *
 * To be called when no section runs any more.
 *
 * Returns:
 * How many maps there are.
 */
unsigned long drm_unplug_maps_zap(struct drm_unplug *unplug)
{
	unsigned long end = jiffies + DRM_UNPLUG_MMAP_WAIT;
	struct drm_unplug_scratch *scratch;
	unsigned long vmas = 0;
	int bucket;

	/*
	 * That does not take long: mm has everything it needs when it calls the
	 * driver, unless it closes another map in the same place, and that waits.
	 * Who queues for the lock instead may wait for page faults which hold it,
	 * and for the user space that these wait for.
	 */
	while (!drm_unplug_inside(unplug) && drm_unplug_maps_unfinished(unplug)) {
		if (drm_WARN(unplug->dev, time_after(jiffies, end),
			     "a map is not finished, and may go on to show the device\n"))
			break;
		schedule_timeout_uninterruptible(1);
	}

	/* What a client has written to private maps is its own, and stays. */
	unmap_mapping_range(unplug->dev->anon_inode->i_mapping, 0, 0, 0);

	scoped_guard(spinlock, &unplug->maps_lock)
		hash_for_each(unplug->scratch, bucket, scratch, node)
			vmas += scratch->vmas;

	return vmas;
}
