// SPDX-License-Identifier: GPL-2.0
/*
 * PCI configuration space. Each card has a host bridge and a PCI domain of its own: on bus 0 a
 * root port, which is the slot, and on bus 1 the card, if one is in the slot.
 */

#include "sim.h"

#define RED_HAT		0x1b36	/* with 000c: a root port of software, as QEMU has */
#define ROOT_PORT	0x000c
#define AMD		0x1002

u32 sim_config_get(struct sim_config *config, int where, int size)
{
	u32 value = 0;

	memcpy(&value, config->value + where, size);
	return value;
}

void sim_config_set(struct sim_config *config, int where, int size, u32 value)
{
	memcpy(config->value + where, &value, size);
}

static void set(struct sim_config *config, int where, int size, u32 value, u32 writable)
{
	sim_config_set(config, where, size, value);
	memcpy(config->writable + where, &writable, size);
}

static void clears(struct sim_config *config, int where, int size, u32 bits)
{
	memcpy(config->write_one_clear + where, &bits, size);
}

/* One link width and speed for both ends; 2.5 GT/s, so that no driver tries to retrain it. */
static void set_link(struct sim_config *config, int cap, u32 link_cap)
{
	u32 link = PCI_EXP_LNKCAP_SLS_2_5GB | 16 << 4;

	set(config, cap + PCI_EXP_LNKCAP, 4, link_cap | link, 0);
	set(config, cap + PCI_EXP_LNKCTL, 2, 0, 0x0fff);
	set(config, cap + PCI_EXP_LNKSTA, 2, link, 0);
	set(config, cap + PCI_EXP_LNKCAP2, 4, PCI_EXP_LNKCAP2_SLS_2_5GB, 0);
	set(config, cap + PCI_EXP_LNKCTL2, 2, PCI_EXP_LNKCTL2_TLS_2_5GT, 0xffff);
}

static u32 window(phys_addr_t addr)
{
	return (addr >> 16) & 0xfff0;
}

void sim_config_init_port(struct sim_card *card)
{
	struct sim_config *c = &card->port;
	phys_addr_t pref_end = card->base + SIM_REG_OFFSET - 1;
	phys_addr_t mem = card->base + SIM_REG_OFFSET;

	memset(c, 0, sizeof(*c));
	set(c, PCI_VENDOR_ID, 4, ROOT_PORT << 16 | RED_HAT, 0);
	set(c, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0x0547);
	set(c, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	set(c, PCI_CLASS_REVISION, 4, PCI_CLASS_BRIDGE_PCI_NORMAL << 8, 0);
	set(c, PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE, 0);
	set(c, PCI_PRIMARY_BUS, 4, 0 | 1 << 8 | 1 << 16, SIM_ALL_ONES);
	set(c, PCI_MEMORY_BASE, 2, window(mem), 0xfff0);
	set(c, PCI_MEMORY_LIMIT, 2, window(mem), 0xfff0);
	set(c, PCI_PREF_MEMORY_BASE, 2, window(card->base) | PCI_PREF_RANGE_TYPE_64, 0xfff0);
	set(c, PCI_PREF_MEMORY_LIMIT, 2, window(pref_end) | PCI_PREF_RANGE_TYPE_64, 0xfff0);
	set(c, PCI_PREF_BASE_UPPER32, 4, 0, SIM_ALL_ONES);
	set(c, PCI_PREF_LIMIT_UPPER32, 4, 0, SIM_ALL_ONES);
	set(c, PCI_CAPABILITY_LIST, 1, SIM_PORT_EXP, 0);
	set(c, PCI_BRIDGE_CONTROL, 2, 0, 0x007f);

	set(c, SIM_PORT_EXP, 4, PCI_CAP_ID_EXP | (2 | PCI_EXP_TYPE_ROOT_PORT << 4 |
						  PCI_EXP_FLAGS_SLOT) << 16, 0);
	set(c, SIM_PORT_EXP + PCI_EXP_DEVCTL, 2, 0, 0xffff);
	set_link(c, SIM_PORT_EXP, PCI_EXP_LNKCAP_DLLLARC | (card->index + 1) << 24);
	/* A slot that may be emptied without a word, and takes commands at once. */
	set(c, SIM_PORT_EXP + PCI_EXP_SLTCAP, 4, PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_HPC |
	    PCI_EXP_SLTCAP_NCCS | (1000 + card->index) << 19, 0);
	set(c, SIM_PORT_EXP + PCI_EXP_SLTCTL, 2, 0, 0x1fff);
	clears(c, SIM_PORT_EXP + PCI_EXP_SLTSTA, 2, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	set(c, SIM_PORT_EXP + PCI_EXP_RTCTL, 2, 0, 0x001f);
	set(c, SIM_PORT_EXP + PCI_EXP_DEVCTL2, 2, 0, 0xffff);
}

static void set_bar(struct sim_config *config, int bar, phys_addr_t addr, u32 size, u32 type)
{
	set(config, PCI_BASE_ADDRESS_0 + 4 * bar, 4, addr | type, ~(size - 1));
	if (type & PCI_BASE_ADDRESS_MEM_TYPE_64)
		set(config, PCI_BASE_ADDRESS_0 + 4 * bar + 4, 4, 0, SIM_ALL_ONES);
}

void sim_config_init_gpu(struct sim_card *card)
{
	struct sim_config *c = &card->gpu;
	u32 pref64 = PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH;

	memset(c, 0, sizeof(*c));
	set(c, PCI_VENDOR_ID, 4, card->chip->device << 16 | AMD, 0);
	set(c, PCI_COMMAND, 2, 0, 0x0547);
	set(c, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	set(c, PCI_CLASS_REVISION, 4, PCI_CLASS_DISPLAY_OTHER << 16, 0);
	set(c, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	set_bar(c, 0, card->base, SIM_VRAM_SIZE, pref64);
	set_bar(c, 2, card->base + SIM_DOORBELL_OFFSET, SIM_DOORBELL_SIZE, pref64);
	set_bar(c, 5, card->base + SIM_REG_OFFSET, SIM_REG_SIZE, 0);
	set(c, PCI_SUBSYSTEM_VENDOR_ID, 4, 0x51d0 << 16 | AMD, 0);
	set(c, PCI_ROM_ADDRESS, 4, card->base + SIM_ROM_OFFSET,
	    ~(u32)(SIM_ROM_SIZE - 1) | PCI_ROM_ADDRESS_ENABLE);
	set(c, PCI_CAPABILITY_LIST, 1, SIM_GPU_EXP, 0);
	set(c, PCI_INTERRUPT_LINE, 1, 0, 0xff);

	set(c, SIM_GPU_EXP, 4, PCI_CAP_ID_EXP | SIM_GPU_MSI << 8 |
	    (2 | PCI_EXP_TYPE_ENDPOINT << 4) << 16, 0);
	set(c, SIM_GPU_EXP + PCI_EXP_DEVCTL, 2, 0, 0xffff);
	set_link(c, SIM_GPU_EXP, 0);
	set(c, SIM_GPU_EXP + PCI_EXP_DEVCTL2, 2, 0, 0xffff);

	set(c, SIM_GPU_MSI, 4, PCI_CAP_ID_MSI | PCI_MSI_FLAGS_64BIT << 16,
	    (PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE) << 16);
	set(c, SIM_GPU_MSI + PCI_MSI_ADDRESS_LO, 4, 0, 0xfffffffc);
	set(c, SIM_GPU_MSI + PCI_MSI_ADDRESS_HI, 4, 0, SIM_ALL_ONES);
	set(c, SIM_GPU_MSI + PCI_MSI_DATA_64, 2, 0, 0xffff);
}

bool sim_bus_master(struct sim_card *card)
{
	return sim_config_get(&card->gpu, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/* The parts of the card lie where they lie. The kernel has no reason to move a BAR, but if it
 * does then nothing works, and whoever looks for the reason should find it in the verdict.
 */
static void check_bars(struct sim_card *card)
{
	static const struct { int where; unsigned long offset; } bars[] = {
		{ PCI_BASE_ADDRESS_0, 0 },
		{ PCI_BASE_ADDRESS_2, SIM_DOORBELL_OFFSET },
		{ PCI_BASE_ADDRESS_5, SIM_REG_OFFSET },
	};
	unsigned int i;

	if (!(sim_config_get(&card->gpu, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
		return;
	for (i = 0; i < ARRAY_SIZE(bars); i++) {
		u32 bar = sim_config_get(&card->gpu, bars[i].where, 4) & PCI_BASE_ADDRESS_MEM_MASK;

		if (bar != card->base + bars[i].offset)
			sim_note(card, SIM_NOTE_BAR_MOVED, "BAR at %#x moved to %#x, not %#llx",
				 bars[i].where, bar, (u64)card->base + bars[i].offset);
	}
}

/* The function that answers, or none. */
static struct sim_config *find(struct pci_bus *bus, unsigned int devfn, struct sim_card **card)
{
	*card = container_of(bus->sysdata, struct sim_card, sysdata);
	if (devfn)
		return NULL;
	if (pci_is_root_bus(bus))
		return &(*card)->port;
	return READ_ONCE((*card)->present) ? &(*card)->gpu : NULL;
}

static int sim_pci_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	struct sim_card *card;
	struct sim_config *config = find(bus, devfn, &card);
	unsigned long flags;

	*value = SIM_ALL_ONES;
	if (!config)
		return PCIBIOS_DEVICE_NOT_FOUND;
	*value = 0;
	if (where + size > SIM_CONFIG_SIZE)
		return PCIBIOS_SUCCESSFUL;
	raw_spin_lock_irqsave(&card->config_lock, flags);
	*value = sim_config_get(config, where, size);
	raw_spin_unlock_irqrestore(&card->config_lock, flags);
	return PCIBIOS_SUCCESSFUL;
}

static int sim_pci_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	struct sim_card *card;
	struct sim_config *config = find(bus, devfn, &card);
	unsigned long flags;
	int i;

	if (!config)
		return PCIBIOS_DEVICE_NOT_FOUND;
	if (where + size > SIM_CONFIG_SIZE)
		return PCIBIOS_SUCCESSFUL;
	raw_spin_lock_irqsave(&card->config_lock, flags);
	for (i = where; i < where + size; i++, value >>= 8) {
		u8 mask = config->writable[i];

		config->value[i] = (config->value[i] & ~mask) | (value & mask);
		config->value[i] &= ~(value & config->write_one_clear[i]);
	}
	raw_spin_unlock_irqrestore(&card->config_lock, flags);
	if (config == &card->gpu && where == PCI_COMMAND)
		check_bars(card);
	return PCIBIOS_SUCCESSFUL;
}

struct pci_ops sim_pci_ops = {
	.read = sim_pci_read,
	.write = sim_pci_write,
};
