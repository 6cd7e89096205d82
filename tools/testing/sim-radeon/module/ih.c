// SPDX-License-Identifier: GPL-2.0
/*
 * The interrupt ring: entries of 16 bytes, as cik_ih.c describes them, then the write pointer,
 * in its register and in memory, then the interrupt.
 */

#include "sim.h"

#define RB_ENABLE	BIT(0)	/* oss_2_0_sh_mask.h, IH_RB_CNTL__* */
#define RB_DWORDS(cntl)	BIT(((cntl) >> 1) & 0x1f)
#define WRITEBACK	BIT(8)
#define ENABLE_INTR	BIT(0)	/* IH_CNTL__ENABLE_INTR_MASK */

void sim_ih_push(struct sim_card *card, enum sim_ih_source source, u32 data, u32 ring_id, u32 vmid)
{
	u32 cntl = sim_reg(card, IH_RB_CNTL), wptr = sim_reg(card, IH_RB_WPTR);
	u32 pasid = vmid ? sim_reg(card, IH_VMID_0_LUT + vmid) & 0xffff : 0;
	u32 entry[4] = { source, data, ring_id | vmid << 8 | pasid << 16, 0 };
	u32 bytes = RB_DWORDS(cntl) * 4;

	if (!(cntl & RB_ENABLE) || !(sim_reg(card, IH_CNTL) & ENABLE_INTR) || bytes < 16)
		return;
	if (sim_write(card, 0, ((u64)sim_reg(card, IH_RB_BASE) << 8) + wptr, entry, 16))
		return;
	wptr = (wptr + 16) & (bytes - 1);
	sim_set_reg(card, IH_RB_WPTR, wptr);
	if (cntl & WRITEBACK) {
		u64 addr = (u64)(sim_reg(card, IH_RB_WPTR_ADDR_HI) & 0xff) << 32 |
			   sim_reg(card, IH_RB_WPTR_ADDR_LO);

		sim_write(card, 0, addr, &wptr, 4);
	}
	sim_raise(card);
}
