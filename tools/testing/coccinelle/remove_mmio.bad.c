// SPDX-License-Identifier: GPL-2.0
// Samples for scripts/coccinelle/drm/remove_mmio.cocci: a line with "report" is to be found.

static void fini(struct sample *sample)
{
	iounmap(sample->regs);
	writel(0, sample->regs + IRQ_ENABLE);	/* report */
}

static void stop(struct sample *sample)
{
	iowrite32(0, sample->regs + CONTROL);
}

static void release(struct pci_dev *pdev, struct sample *sample)
{
	pci_iounmap(pdev, sample->regs);
	stop(sample);	/* report */
}

static int probe(struct pci_dev *pdev)
{
	void __iomem *regs = pci_iomap(pdev, 0, 0);
	u32 id = readl(regs);

	iounmap(regs);
	return id == readl(regs + ID) ? 0 : -ENODEV;	/* report */
}

static void disable(struct sample *sample)
{
	WREG32(CONTROL, 0);
}

static void sample_remove(struct pci_dev *pdev)
{
	struct sample *sample = pci_get_drvdata(pdev);

	drm_dev_unplug(&sample->drm);
	disable(sample);	/* report */
}
