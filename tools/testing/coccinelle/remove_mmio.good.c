// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/remove_mmio.cocci: nothing is to be found here.

static void fini(struct sample *sample)
{
	writel(0, sample->regs + IRQ_ENABLE);
	iounmap(sample->regs);
	sample->regs = NULL;
}

static void again(struct sample *sample)
{
	iounmap(sample->regs);
	sample->regs = ioremap(sample->base, sample->size);
	writel(1, sample->regs);
}

static void disable(struct sample *sample)
{
	int idx;

	if (!drm_dev_enter(&sample->drm, &idx))
		return;
	writel(0, sample->regs + CONTROL);
	drm_dev_exit(idx);
}

static void free_memory(struct sample *sample)
{
	kfree(sample->memory);
}

static void sample_remove(struct pci_dev *pdev)
{
	struct sample *sample = pci_get_drvdata(pdev);

	drm_dev_unplug(&sample->drm);
	disable(sample);
	iounmap(sample->regs);
	free_memory(sample);
}
