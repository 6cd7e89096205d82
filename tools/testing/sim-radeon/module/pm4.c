// SPDX-License-Identifier: GPL-2.0
/*
 * The packets of the graphics ring (PM4), as cikd.h has them (PACKET3_*). Nothing is drawn: what
 * has an effect on memory, registers or fences is carried out, and of all others only the length
 * is used.
 */

#include "sim.h"

enum {
	OP_NOP			= 0x10,
	OP_INDIRECT_BUFFER_CONST = 0x33,
	OP_WRITE_DATA		= 0x37,
	OP_MEM_SEMAPHORE	= 0x39,
	OP_WAIT_REG_MEM		= 0x3c,
	OP_INDIRECT_BUFFER	= 0x3f,
	OP_EVENT_WRITE_EOP	= 0x47,
	OP_DMA_DATA		= 0x50,
	OP_SET_CONFIG_REG	= 0x68,
	OP_SET_CONTEXT_REG	= 0x69,
	OP_SET_SH_REG		= 0x76,
	OP_SET_UCONFIG_REG	= 0x79,
};

#define TIME_STAMP_INT_ENABLE	BIT(26)	/* CP_INT_CNTL_RING0__* */

static void set_regs(struct sim_ring *ring, struct sim_frame *frame, u32 first, u32 count)
{
	u32 i, start = 0, value;

	sim_get(ring, frame, 1, &start);
	for (i = 0; i < count && !sim_get(ring, frame, 2 + i, &value); i++)
		sim_set_reg(ring->card, first + (start & 0xffff) + i, value);
}

static void write_data(struct sim_ring *ring, struct sim_frame *frame, const u32 *p, u32 count)
{
	u32 i, value, to_memory = (p[1] >> 8) & 0xf;	/* WRITE_DATA_DST_SEL; 0 is a register */
	bool same_place = p[1] & BIT(16);		/* WR_ONE_ADDR */
	u64 addr = p[2] | (u64)p[3] << 32;

	for (i = 0; i + 2 < count && !sim_get(ring, frame, 4 + i, &value); i++) {
		u32 step = same_place ? 0 : i;

		if (!to_memory)
			sim_set_reg(ring->card, (addr & 0x3ffff) + step, value);
		else if (sim_write(ring->card, frame->vmid, addr + step * 4ULL, &value, 4))
			break;
	}
}

static bool wait_reg_mem(struct sim_ring *ring, struct sim_frame *frame, const u32 *p)
{
	u64 addr = (p[2] & ~3U) | (u64)p[3] << 32;
	u32 value;

	if ((p[1] >> 6) & 3)		/* write, wait, write: the HDP flush, always done */
		return true;
	if (!(p[1] & BIT(4)))		/* WAIT_REG_MEM_MEM_SPACE */
		value = sim_reg(ring->card, p[2] & 0xffff);
	else if (sim_read(ring->card, frame->vmid, addr, &value, 4))
		return true;
	return sim_compare(p[1], value & p[5], p[4]);
}

static bool semaphore(struct sim_ring *ring, struct sim_frame *frame, const u32 *p)
{
	u64 addr = (p[1] & ~7U) | (u64)(p[2] & 0xffff) << 32, value;
	bool wait = p[2] >> 29 == 7;	/* PACKET3_SEM_SEL_WAIT, or 6 to signal */

	if (sim_read(ring->card, frame->vmid, addr, &value, 8))
		return true;
	if (wait && !value)
		return false;
	value += wait ? -1 : 1;
	sim_write(ring->card, frame->vmid, addr, &value, 8);
	return true;
}

/* EVENT_WRITE_EOP: what is to be written when all before is done, and whether to interrupt. */
static void end_of_pipe(struct sim_ring *ring, struct sim_frame *frame, const u32 *p)
{
	u64 addr = (p[2] & ~3U) | (u64)(p[3] & 0xffff) << 32;
	u32 data_sel = p[3] >> 29, int_sel = (p[3] >> 24) & 3;
	u64 now = ktime_get_ns();

	if (data_sel == 1 || data_sel == 2)
		sim_fence(ring, frame->vmid, addr, p[4]);
	if (data_sel == 2)
		sim_fence(ring, frame->vmid, addr + 4, p[5]);
	else if (data_sel == 3)
		sim_write(ring->card, frame->vmid, addr, &now, 8);
	if (int_sel && sim_reg(ring->card, CP_INT_CNTL_RING0) & TIME_STAMP_INT_ENABLE &&
	    !(ring->card->faults.hold_fences & BIT(ring->id)))
		sim_ih_push(ring->card, SIM_IH_CP_EOP, 0, 0, frame->vmid);
}

static void dma_data(struct sim_ring *ring, struct sim_frame *frame, const u32 *p)
{
	u64 from = p[2] | (u64)p[3] << 32, to = p[4] | (u64)p[5] << 32;
	u32 from_sel = (p[1] >> 29) & 3, to_sel = (p[1] >> 20) & 3, bytes = p[6] & 0x1fffff;

	if (to_sel == 1 || p[6] & (BIT(26) | BIT(27)))	/* to GDS; from or to registers */
		return;
	if (from_sel == 2)
		sim_fill(ring, frame->vmid, to, p[2], bytes & ~3U);
	else if (from_sel != 1)
		sim_copy(ring, frame->vmid, to, from, bytes);
}

int sim_pm4_packet(struct sim_ring *ring, struct sim_frame *frame)
{
	u32 p[8] = { }, count, op, i;

	if (sim_get(ring, frame, 0, &p[0]))
		return SIM_PACKET_BAD;
	if (p[0] >> 30 == 2)	/* PACKET_TYPE2: filler */
		return 1;
	if (p[0] >> 30 != 3)
		return SIM_PACKET_BAD;
	op = (p[0] >> 8) & 0xff;
	count = (p[0] >> 16) & 0x3fff;
	if (op == OP_NOP && count == 0x3fff)
		return 1;
	for (i = 1; i < ARRAY_SIZE(p) && i < count + 2; i++) {
		if (sim_get(ring, frame, i, &p[i]))
			return SIM_PACKET_BAD;
	}

	switch (op) {
	case OP_INDIRECT_BUFFER:
	case OP_INDIRECT_BUFFER_CONST:
		return sim_call(ring, frame, count + 2, (p[1] & ~3U) | (u64)(p[2] & 0xffff) << 32,
				p[3] & 0xfffff, (p[3] >> 24) & 0xf);
	case OP_WRITE_DATA:
		write_data(ring, frame, p, count);
		break;
	case OP_MEM_SEMAPHORE:
		if (!semaphore(ring, frame, p))
			return SIM_PACKET_WAIT;
		break;
	case OP_WAIT_REG_MEM:
		if (!wait_reg_mem(ring, frame, p))
			return SIM_PACKET_WAIT;
		break;
	case OP_EVENT_WRITE_EOP:
		end_of_pipe(ring, frame, p);
		break;
	case OP_DMA_DATA:
		dma_data(ring, frame, p);
		break;
	/* cikd.h, PACKET3_SET_*_REG_START, in dwords */
	case OP_SET_CONFIG_REG:
		set_regs(ring, frame, 0x2000, count);
		break;
	case OP_SET_CONTEXT_REG:
		set_regs(ring, frame, 0xa000, count);
		break;
	case OP_SET_SH_REG:
		set_regs(ring, frame, 0x2c00, count);
		break;
	case OP_SET_UCONFIG_REG:
		set_regs(ring, frame, 0xc000, count);
		break;
	}
	return count + 2;
}
