// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/mmap_eager.cocci: nothing is to be found here.

static vm_fault_t fault(struct vm_fault *vmf)
{
	return vmf_insert_pfn(vmf->vma, vmf->address, 0);
}

/* Not reached from ->mmap. */
static int later(struct vm_area_struct *vma)
{
	return remap_pfn_range(vma, vma->vm_start, 0, PAGE_SIZE, vma->vm_page_prot);
}

static int object_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_PFNMAP);
	return 0;
}

static const struct vm_operations_struct vm_ops = {
	.fault = fault,
};

static const struct drm_gem_object_funcs funcs = {
	.mmap = object_mmap,
	.vm_ops = &vm_ops,
};
