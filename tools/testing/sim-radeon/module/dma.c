// SPDX-License-Identifier: GPL-2.0
/*
 * DMA of the card: addresses are physical, and the mappings are counted page by page, so that
 * the card knows what it may touch, as an IOMMU would.
 */

#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "sim.h"

static struct sim_card *card_of(struct device *dev)
{
	return container_of(to_pci_dev(dev)->bus->sysdata, struct sim_card, sysdata);
}

static void count(struct sim_card *card, phys_addr_t phys, size_t size, int change)
{
	unsigned long page = phys >> PAGE_SHIFT, last = (phys + size - 1) >> PAGE_SHIFT;
	unsigned long flags;

	spin_lock_irqsave(&card->dma_lock, flags);
	for (; size && page <= last && page < card->mapped_pages; page++) {
		if (change > 0 || card->mapped[page])
			card->mapped[page] += change;
	}
	spin_unlock_irqrestore(&card->dma_lock, flags);
}

bool sim_dma_mapped(struct sim_card *card, phys_addr_t phys)
{
	unsigned long page = phys >> PAGE_SHIFT;

	return page < card->mapped_pages && READ_ONCE(card->mapped[page]);
}

/* How many pages are mapped: none, when the driver has given all back. */
unsigned long sim_dma_pages(struct sim_card *card)
{
	unsigned long page, count = 0;

	for (page = 0; page < card->mapped_pages; page++)
		count += !!READ_ONCE(card->mapped[page]);
	return count;
}

static dma_addr_t sim_map_phys(struct device *dev, phys_addr_t phys, size_t size,
			       enum dma_data_direction direction, unsigned long attrs)
{
	count(card_of(dev), phys, size, 1);
	return phys;
}

static void sim_unmap_phys(struct device *dev, dma_addr_t addr, size_t size,
			   enum dma_data_direction direction, unsigned long attrs)
{
	count(card_of(dev), addr, size, -1);
}

static int sim_map_sg(struct device *dev, struct scatterlist *list, int entries,
		      enum dma_data_direction direction, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(list, sg, entries, i) {
		sg_dma_address(sg) = sg_phys(sg);
		sg_dma_len(sg) = sg->length;
		count(card_of(dev), sg_phys(sg), sg->length, 1);
	}
	return entries;
}

static void sim_unmap_sg(struct device *dev, struct scatterlist *list, int entries,
			 enum dma_data_direction direction, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(list, sg, entries, i)
		count(card_of(dev), sg_phys(sg), sg->length, -1);
}

static void *sim_alloc(struct device *dev, size_t size, dma_addr_t *addr, gfp_t gfp,
		       unsigned long attrs)
{
	void *memory = alloc_pages_exact(size, gfp | __GFP_ZERO);

	if (!memory)
		return NULL;
	*addr = virt_to_phys(memory);
	count(card_of(dev), *addr, size, 1);
	return memory;
}

static void sim_free(struct device *dev, size_t size, void *memory, dma_addr_t addr,
		     unsigned long attrs)
{
	count(card_of(dev), addr, size, -1);
	free_pages_exact(memory, size);
}

static struct page *sim_alloc_pages(struct device *dev, size_t size, dma_addr_t *addr,
				    enum dma_data_direction direction, gfp_t gfp)
{
	void *memory = sim_alloc(dev, size, addr, gfp, 0);

	return memory ? virt_to_page(memory) : NULL;
}

static void sim_free_pages(struct device *dev, size_t size, struct page *page, dma_addr_t addr,
			   enum dma_data_direction direction)
{
	sim_free(dev, size, page_address(page), addr, 0);
}

static const struct dma_map_ops sim_dma_ops = {
	.alloc = sim_alloc,
	.free = sim_free,
	.alloc_pages_op = sim_alloc_pages,
	.free_pages = sim_free_pages,
	.map_phys = sim_map_phys,
	.unmap_phys = sim_unmap_phys,
	.map_sg = sim_map_sg,
	.unmap_sg = sim_unmap_sg,
};

void sim_dma_attach(struct sim_card *card, struct device *dev)
{
	set_dma_ops(dev, &sim_dma_ops);
}

int sim_dma_init(struct sim_card *card)
{
	/* As far as memory can reach beside the hole below 4 GiB: max_pfn is not for modules. */
	card->mapped_pages = (SZ_4G >> PAGE_SHIFT) + totalram_pages();
	card->mapped = vcalloc(card->mapped_pages, sizeof(*card->mapped));
	return card->mapped ? 0 : -ENOMEM;
}

void sim_dma_fini(struct sim_card *card)
{
	vfree(card->mapped);
	card->mapped = NULL;
}
