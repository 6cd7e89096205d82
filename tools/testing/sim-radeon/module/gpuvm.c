// SPDX-License-Identifier: GPL-2.0
/*
 * From GPU addresses to memory.
 *
 * Address space 0 is that of the kernel: video memory lies at MC_VM_FB_LOCATION, and between
 * the start and the end address of VM_CONTEXT0 a flat table in video memory (the GART) leads to
 * pages of the system. Spaces 1 to 15 share the settings of VM_CONTEXT1: a directory of tables,
 * or, at depth 0, one flat table. gmc_v7_0.c programs all that; the bits of an entry are in
 * amdgpu_vm.h, AMDGPU_PTE_*. There is no cache of translations, so nothing to flush.
 */

#include "sim.h"

#define PTE_VALID	BIT_ULL(0)
#define PTE_SYSTEM	BIT_ULL(1)
#define PTE_READABLE	BIT_ULL(5)
#define PTE_WRITEABLE	BIT_ULL(6)
#define PTE_ADDRESS	GENMASK_ULL(39, 12)

/* gmc_7_1_sh_mask.h, VM_CONTEXT1_CNTL__* */
#define CNTL_ENABLE		BIT(0)
#define CNTL_DEPTH(cntl)	(((cntl) >> 1) & 3)
#define CNTL_BLOCK_SIZE(cntl)	(((cntl) >> 24) & 0xf)
#define CNTL_FAULT_INTERRUPTS	(BIT(3) | BIT(6) | BIT(9) | BIT(12) | BIT(15) | BIT(18))

/* Where one address leads: into video memory, or to a page of the system. */
struct place {
	void __iomem *vram;
	phys_addr_t phys;
	size_t left;		/* bytes that lie behind it, in one piece */
};

static u64 fb_start(struct sim_card *card)
{
	return (u64)(sim_reg(card, MC_VM_FB_LOCATION) & 0xffff) << 24;
}

/* Tables hold addresses of video memory as the card has them, or counted from its start. */
static bool place_in_vram(struct sim_card *card, u64 addr, struct place *place)
{
	u64 start = fb_start(card);

	if (addr >= start && addr < start + SIM_VRAM_SIZE)
		addr -= start;
	if (addr >= SIM_VRAM_SIZE)
		return false;
	place->vram = card->vram + addr;
	place->left = SIM_VRAM_SIZE - addr;
	return true;
}

/* Memory that the driver has not mapped is not touched, but noted: this is the IOMMU. The
 * memory may be that of another card, for peer-to-peer.
 */
static bool place_in_system(struct sim_card *card, phys_addr_t phys, bool write,
			    struct place *place)
{
	unsigned int i;

	if (!sim_dma_mapped(card, phys)) {
		sim_note(card, write ? SIM_NOTE_DMA_STRAY_WRITE : SIM_NOTE_DMA_STRAY_READ,
			 "%s of system memory %#llx, which is not mapped for the card",
			 write ? "write" : "read", (u64)phys);
		return false;
	}
	for (i = 0; i < sim_card_count; i++) {
		struct sim_card *peer = &sim_cards[i];

		if (phys >= peer->base && phys < peer->base + SIM_VRAM_SIZE) {
			place->vram = peer->vram + (phys - peer->base);
			return true;
		}
	}
	place->vram = NULL;
	place->phys = phys;
	return true;
}

static bool read_entry(struct sim_card *card, u64 table, u64 index, bool system, u64 *entry)
{
	struct place place;
	u64 addr = table + index * 8;

	if (system) {
		if (!place_in_system(card, addr, false, &place))
			return false;
		*entry = place.vram ? readq(place.vram) : *(u64 *)phys_to_virt(addr);
		return true;
	}
	if (!place_in_vram(card, addr, &place) || place.left < 8)
		return false;
	*entry = readq(place.vram);
	return true;
}

static bool translate(struct sim_card *card, u32 vmid, u64 addr, bool write, struct place *place)
{
	u64 table, pte, pde = 0, index;
	u32 cntl, bits;

	if (!vmid) {
		u64 start = (u64)sim_reg(card, VM_CONTEXT0_PAGE_TABLE_START_ADDR) << 12;
		u64 end = ((u64)sim_reg(card, VM_CONTEXT0_PAGE_TABLE_END_ADDR) << 12) | 0xfff;
		u64 fb = fb_start(card);

		if (addr >= fb && addr < fb + SIM_VRAM_SIZE)
			return place_in_vram(card, addr, place);
		cntl = sim_reg(card, VM_CONTEXT0_CNTL);
		if (!(cntl & CNTL_ENABLE) || addr < start || addr > end)
			return false;
		table = (u64)sim_reg(card, VM_CONTEXT0_PAGE_TABLE_BASE_ADDR) << 12;
		index = (addr - start) >> 12;
	} else {
		cntl = sim_reg(card, VM_CONTEXT1_CNTL);
		if (!(cntl & CNTL_ENABLE) || card->faults.page_faults) {
			if (card->faults.page_faults)
				card->faults.page_faults--;
			return false;
		}
		if (vmid < 8)
			table = sim_reg(card, VM_CONTEXT0_PAGE_TABLE_BASE_ADDR + vmid);
		else
			table = sim_reg(card, VM_CONTEXT8_PAGE_TABLE_BASE_ADDR + vmid - 8);
		table <<= 12;
		index = addr >> 12;
		if (CNTL_DEPTH(cntl)) {
			bits = CNTL_BLOCK_SIZE(cntl) + 9;
			if (!read_entry(card, table, index >> bits, false, &pde) ||
			    !(pde & PTE_VALID))
				return false;
			table = pde & PTE_ADDRESS;
			index &= BIT_ULL(bits) - 1;
		}
	}

	if (!read_entry(card, table, index, pde & PTE_SYSTEM, &pte) || !(pte & PTE_VALID))
		return false;
	if (!(pte & (write ? PTE_WRITEABLE : PTE_READABLE)))
		return false;
	if (pte & PTE_SYSTEM) {
		if (!place_in_system(card, (pte & PTE_ADDRESS) | (addr & 0xfff), write, place))
			return false;
	} else if (!place_in_vram(card, (pte & PTE_ADDRESS) | (addr & 0xfff), place)) {
		return false;
	}
	place->left = 0x1000 - (addr & 0xfff);
	return true;
}

/* An address that leads nowhere. For a client, the registers keep the first fault until the
 * driver has read it, as cik.c and gmc_v7_0.c expect; memory reads zero, and writes are lost.
 */
static void fault(struct sim_card *card, u32 vmid, u64 addr, bool write)
{
	u32 cntl2;

	sim_note(card, vmid ? SIM_NOTE_VM_FAULT : SIM_NOTE_BAD_ADDRESS,
		 "%s of GPU address %#llx, space %u, leads nowhere", write ? "write" : "read", addr,
		 vmid);
	if (!vmid || !(sim_reg(card, VM_CONTEXT1_CNTL) & CNTL_FAULT_INTERRUPTS))
		return;
	cntl2 = sim_reg(card, VM_CONTEXT1_CNTL2);
	if (cntl2 & BIT(0)) {		/* the driver has seen the last one */
		sim_set_reg(card, VM_CONTEXT1_CNTL2, cntl2 & ~BIT(0));
		sim_set_reg(card, VM_CONTEXT1_PROTECTION_FAULT_STATUS, 0);
	}
	if (sim_reg(card, VM_CONTEXT1_PROTECTION_FAULT_STATUS))
		return;
	sim_set_reg(card, VM_CONTEXT1_PROTECTION_FAULT_ADDR, addr >> 12);
	/* PROTECTIONS: valid; MEMORY_CLIENT_RW; VMID */
	sim_set_reg(card, VM_CONTEXT1_PROTECTION_FAULT_STATUS,
		    BIT(3) | (write ? BIT(24) : 0) | vmid << 25);
	sim_set_reg(card, VM_CONTEXT1_PROTECTION_FAULT_MCCLIENT, 0x53494d00);	/* "SIM" */
	sim_ih_push(card, SIM_IH_VM_FAULT, 0, 0, vmid);
}

int sim_read(struct sim_card *card, u32 vmid, u64 addr, void *data, size_t n)
{
	struct place place;

	while (n) {
		size_t part;

		if (!translate(card, vmid, addr, false, &place)) {
			fault(card, vmid, addr, false);
			memset(data, 0, n);
			return -EFAULT;
		}
		part = min(n, place.left);
		if (place.vram)
			memcpy_fromio(data, place.vram, part);
		else
			memcpy(data, phys_to_virt(place.phys), part);
		addr += part;
		data += part;
		n -= part;
	}
	return 0;
}

int sim_write(struct sim_card *card, u32 vmid, u64 addr, const void *data, size_t n)
{
	struct place place;

	while (n) {
		size_t part;

		if (!translate(card, vmid, addr, true, &place)) {
			fault(card, vmid, addr, true);
			return -EFAULT;
		}
		part = min(n, place.left);
		if (place.vram)
			memcpy_toio(place.vram, data, part);
		else
			memcpy(phys_to_virt(place.phys), data, part);
		addr += part;
		data += part;
		n -= part;
	}
	return 0;
}

/* Only where an address leads, for a write that is to happen later. */
int sim_find(struct sim_card *card, u32 vmid, u64 addr, struct sim_late_write *where)
{
	struct place place;

	if (!translate(card, vmid, addr, true, &place)) {
		fault(card, vmid, addr, true);
		return -EFAULT;
	}
	where->vram = place.vram;
	where->phys = place.phys;
	return 0;
}

/* A write by physical address, within a page. */
int sim_write_phys(struct sim_card *card, phys_addr_t phys, const void *data, size_t n)
{
	struct place place;

	if (!place_in_system(card, phys, true, &place))
		return -EFAULT;
	if (place.vram)
		memcpy_toio(place.vram, data, n);
	else
		memcpy(phys_to_virt(phys), data, n);
	return 0;
}
