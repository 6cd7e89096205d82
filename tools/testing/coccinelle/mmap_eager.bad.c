// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/mmap_eager.cocci: a line with "report" is to be found.

static int file_mmap(struct file *file, struct vm_area_struct *vma)
{
	return remap_pfn_range(vma, vma->vm_start, 0, PAGE_SIZE, vma->vm_page_prot);	/* report */
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.mmap = file_mmap,
};

int drm_gem_sample_mmap(struct drm_gem_sample_object *obj, struct vm_area_struct *vma)
{
	return dma_mmap_wc(obj->dev, vma, obj->vaddr, obj->dma_addr, obj->size);	/* report */
}

static int map_pages(struct vm_area_struct *vma, struct page **pages)
{
	if (!pages)
		return -EINVAL;
	return vm_insert_pages(vma, vma->vm_start, pages, NULL);	/* report */
}

static int object_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	struct sample *sample = to_sample(obj);

	if (sample->coherent)
		return dma_mmap_coherent(obj->dev->dev, vma, sample->cpu, sample->dma, obj->size);	/* report */
	return map_pages(vma, sample->pages);
}

static const struct drm_gem_object_funcs funcs = {
	.free = free_object,
	.mmap = object_mmap,
	.vm_ops = &vm_ops,
};
