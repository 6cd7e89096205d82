// SPDX-License-Identifier: GPL-2.0
/*
 * The packets of the SDMA engines, as cikd.h (SDMA_OPCODE_*) and cik_sdma.c have them: those that
 * amdgpu and radeon emit, and of the rest what a client is likely to send.
 */

#include <linux/unaligned.h>

#include "sim.h"

enum {
	OP_NOP			= 0,
	OP_COPY			= 1,
	OP_WRITE		= 2,
	OP_INDIRECT_BUFFER	= 4,
	OP_FENCE		= 5,
	OP_TRAP			= 6,
	OP_SEMAPHORE		= 7,
	OP_POLL_REG_MEM		= 8,
	OP_CONSTANT_FILL	= 11,
	OP_GENERATE_PTE_PDE	= 12,
	OP_TIMESTAMP		= 13,
	OP_SRBM_WRITE		= 14,
};

#define SUB_LINEAR	0
#define SEMAPHORE_SIGNAL BIT(14)	/* SDMA_SEMAPHORE_EXTRA_S, in the header's upper half */
#define POLL_MEMORY	BIT(15)		/* SDMA_POLL_REG_MEM_EXTRA_M: else a register */
#define POLL_WRITE_WAIT	BIT(10)		/* SDMA_POLL_REG_MEM_EXTRA_OP(1): the HDP flush */
#define TRAP_ENABLE	BIT(0)		/* SDMA0_CNTL__TRAP_ENABLE_MASK */

/* The engine of a card is one thread, so one buffer is enough. */
static u8 bounce[SIM_MAX_CARDS][4096];

int sim_copy(struct sim_ring *ring, u32 vmid, u64 to, u64 from, u64 bytes)
{
	struct sim_card *card = ring->card;
	u8 *buffer = bounce[card->index];

	while (bytes && READ_ONCE(card->present)) {
		size_t part = min_t(u64, bytes, sizeof(bounce[0]));

		if (sim_read(card, vmid, from, buffer, part) ||
		    sim_write(card, vmid, to, buffer, part))
			return -EFAULT;
		from += part;
		to += part;
		bytes -= part;
	}
	return 0;
}

int sim_fill(struct sim_ring *ring, u32 vmid, u64 to, u32 value, u64 bytes)
{
	struct sim_card *card = ring->card;
	u8 *buffer = bounce[card->index];

	memset32((u32 *)buffer, value, sizeof(bounce[0]) / 4);
	while (bytes && READ_ONCE(card->present)) {
		size_t part = min_t(u64, bytes, sizeof(bounce[0]));

		if (sim_write(card, vmid, to, buffer, part))
			return -EFAULT;
		to += part;
		bytes -= part;
	}
	return 0;
}

static int write_linear(struct sim_ring *ring, struct sim_frame *frame, u64 to, u32 dwords)
{
	u32 i, value;

	/* No buffer is longer; of the ring the length is the limit. */
	if (dwords > (frame->mask ? frame->mask : frame->end))
		return SIM_PACKET_BAD;
	for (i = 0; i < dwords; i++) {
		if (sim_get(ring, frame, 4 + i, &value) ||
		    sim_write(ring->card, frame->vmid, to + i * 4ULL, &value, 4))
			break;
	}
	return 4 + dwords;
}

/* Entries of a page table: value | mask, the value growing by a step. */
static int generate(struct sim_ring *ring, u32 vmid, u64 to, u64 mask, u64 value, u32 step,
		    u32 count)
{
	u32 i;

	for (i = 0; i < count && READ_ONCE(ring->card->present); i++, value += step) {
		u64 entry = value | mask;

		if (sim_write(ring->card, vmid, to + i * 8ULL, &entry, 8))
			break;
	}
	return 10;
}

static int semaphore(struct sim_ring *ring, u32 vmid, u64 addr, bool signal)
{
	u64 value;

	if (sim_read(ring->card, vmid, addr, &value, 8))
		return 3;
	if (!signal && !value)
		return SIM_PACKET_WAIT;
	value += signal ? 1 : -1;
	sim_write(ring->card, vmid, addr, &value, 8);
	return 3;
}

static int poll(struct sim_ring *ring, u32 vmid, u32 extra, u64 addr, u32 reference, u32 mask)
{
	u32 value;

	if (extra & POLL_WRITE_WAIT)
		return 6;	/* all that was written is in memory, always */
	if (!(extra & POLL_MEMORY))
		value = sim_reg(ring->card, (addr & 0x3fffc) >> 2);
	else if (sim_read(ring->card, vmid, addr, &value, 4))
		return 6;
	return sim_compare(extra >> 12, value & mask, reference) ? 6 : SIM_PACKET_WAIT;
}

int sim_sdma_packet(struct sim_ring *ring, struct sim_frame *frame)
{
	/* Dwords of a packet; of OP_WRITE without the data. */
	static const u8 length[] = {
		[OP_NOP] = 1, [OP_COPY] = 7, [OP_WRITE] = 4, [OP_INDIRECT_BUFFER] = 4,
		[OP_FENCE] = 4, [OP_TRAP] = 1, [OP_SEMAPHORE] = 3, [OP_POLL_REG_MEM] = 6,
		[OP_CONSTANT_FILL] = 5, [OP_GENERATE_PTE_PDE] = 10, [OP_TIMESTAMP] = 3,
		[OP_SRBM_WRITE] = 3,
	};
	struct sim_card *card = ring->card;
	u32 p[10] = { }, op, sub, extra, i;
	u64 now;

	if (sim_get(ring, frame, 0, &p[0]))
		return SIM_PACKET_BAD;
	op = p[0] & 0xff;
	sub = (p[0] >> 8) & 0xff;
	extra = p[0] >> 16;
	if (op >= ARRAY_SIZE(length) || !length[op])
		return SIM_PACKET_BAD;
	for (i = 1; i < length[op]; i++) {
		if (sim_get(ring, frame, i, &p[i]))
			return SIM_PACKET_BAD;
	}

	/* Two dwords of a packet; x86 is as little-endian as the card. */
#define ADDR(i) get_unaligned((u64 *)&p[i])
	switch (op) {
	case OP_NOP:
		return 1 + (extra & 0x3fff);
	case OP_COPY:
		if (sub != SUB_LINEAR)
			return SIM_PACKET_BAD;
		sim_copy(ring, frame->vmid, ADDR(5), ADDR(3), p[1] & 0x3fffff);
		return 7;
	case OP_WRITE:
		if (sub != SUB_LINEAR)
			return SIM_PACKET_BAD;
		return write_linear(ring, frame, ADDR(1), p[3]);
	case OP_INDIRECT_BUFFER:
		return sim_call(ring, frame, 4, ADDR(1), p[3], extra & 0xf);
	case OP_FENCE:
		sim_fence(ring, frame->vmid, ADDR(1), p[3]);
		return 4;
	case OP_TRAP:
		if (sim_reg(card, SDMA0_CNTL + ring->id * 0x200) & TRAP_ENABLE &&
		    !(card->faults.hold_fences & BIT(ring->id)))
			sim_ih_push(card, SIM_IH_SDMA_TRAP, 0, ring->id, frame->vmid);
		return 1;
	case OP_SEMAPHORE:
		return semaphore(ring, frame->vmid, ADDR(1), extra & SEMAPHORE_SIGNAL);
	case OP_POLL_REG_MEM:
		return poll(ring, frame->vmid, extra, ADDR(1), p[3], p[4]);
	case OP_CONSTANT_FILL:
		sim_fill(ring, frame->vmid, ADDR(1), p[3], p[4] & 0x3fffff);
		return 5;
	case OP_GENERATE_PTE_PDE:
		return generate(ring, frame->vmid, ADDR(1), ADDR(3), ADDR(5), p[7], p[9]);
	case OP_TIMESTAMP:
		now = ktime_get_ns();
		sim_write(card, frame->vmid, ADDR(1), &now, 8);
		return 3;
	case OP_SRBM_WRITE:
		sim_set_reg(card, p[1] & 0xffff, p[2]);
		return 3;
	}
#undef ADDR
	return SIM_PACKET_BAD;
}
