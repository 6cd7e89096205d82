// SPDX-License-Identifier: GPL-2.0
/* Registers at power-on, registers when the card is gone, and their names. */

#include "sim.h"

static const struct {
	u32 dword;
	const char *name;
} names[] = {
#include "reg-names.h"
};

/* What a card reads after its BIOS has run. */
void sim_regs_init(struct sim_card *card)
{
	memset_io(card->regs, 0, SIM_REG_SIZE);
	/* atombios.h, ATOM_S7_ASIC_INIT_COMPLETE_MASK: nobody needs to run the BIOS. */
	sim_set_reg(card, BIOS_SCRATCH_7, 0x200);
	sim_set_reg(card, CONFIG_MEMSIZE, SIM_VRAM_SIZE >> 20);
	/* In units of 16 MiB, last in the upper half and first in the lower. */
	sim_set_reg(card, MC_VM_FB_LOCATION, 0xf40f << 16 | 0xf400);
	/* RUN: the firmware of the memory controller is loaded, and memory works. */
	sim_set_reg(card, MC_SEQ_SUP_CNTL, 1);
	/* gmc_v7_0.c, MC_SEQ_MISC0__MT__GDDR5 */
	sim_set_reg(card, MC_SEQ_MISC0, 0x50000000);
}

/* A read of a card that is not there gives all ones: registers first, then 256 MiB of memory. */
void sim_regs_gone(struct sim_card *card)
{
	memset_io(card->regs, 0xff, SIM_REG_SIZE);
	memset64((__force u64 *)card->vram, ~0ULL, SIM_VRAM_SIZE / 8);
}

void sim_reg_name(u32 dword, char *text, size_t size)
{
	unsigned int i, offset = 0;

	/* The second SDMA engine has the registers of the first, 0x200 further on. */
	if (dword >= 0x3600 && dword < 0x3800)
		offset = 0x200;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].dword != dword - offset)
			continue;
		if (offset)
			snprintf(text, size, "SDMA1%s", names[i].name + 5);
		else
			snprintf(text, size, "%s", names[i].name);
		return;
	}
	if (dword > VM_CONTEXT0_PAGE_TABLE_BASE_ADDR &&
	    dword < VM_CONTEXT0_PAGE_TABLE_BASE_ADDR + 8)
		snprintf(text, size, "VM_CONTEXT%u_PAGE_TABLE_BASE_ADDR",
			 dword - VM_CONTEXT0_PAGE_TABLE_BASE_ADDR);
	else if (dword >= VM_CONTEXT8_PAGE_TABLE_BASE_ADDR &&
		 dword < VM_CONTEXT8_PAGE_TABLE_BASE_ADDR + 8)
		snprintf(text, size, "VM_CONTEXT%u_PAGE_TABLE_BASE_ADDR",
			 8 + dword - VM_CONTEXT8_PAGE_TABLE_BASE_ADDR);
	else
		snprintf(text, size, "register_%04x", dword);
}
