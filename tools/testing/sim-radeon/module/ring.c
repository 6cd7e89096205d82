// SPDX-License-Identifier: GPL-2.0
/*
 * The engines: one kernel thread runs the rings of a card in turn, packet by packet. The thread
 * polls the registers, so a write to one has its effect some 100 us later.
 */

#include <linux/delay.h>
#include <linux/kthread.h>

#include "sim.h"

/* The registers that say where a ring is; SDMA1 has them 0x200 after those of SDMA0. */
static bool ring_state(struct sim_ring *ring, u64 *base, u32 *mask, u32 *wptr)
{
	struct sim_card *card = ring->card;
	u32 cntl, engine;

	if (ring->id == SIM_RING_GFX) {
		cntl = sim_reg(card, CP_RB0_CNTL);
		*base = (u64)sim_reg(card, CP_RB0_BASE) << 8 |
			(u64)sim_reg(card, CP_RB0_BASE_HI) << 40;
		*mask = (2U << (cntl & 0x3f)) - 1;	/* CP_RB0_CNTL__RB_BUFSZ, in 8 bytes */
		*wptr = sim_reg(card, CP_RB0_WPTR) & *mask;
		/* Halted (gfx_7_2_sh_mask.h, CP_ME_CNTL__*_HALT_MASK), or RB_RPTR_WR_ENA. */
		if (!*base || sim_reg(card, CP_ME_CNTL) & (BIT(28) | BIT(26)) || cntl & BIT(31)) {
			ring->frame[0].pos = 0;
			ring->top = 0;
			return false;
		}
		return true;
	}

	engine = ring->id * 0x200;
	cntl = sim_reg(card, SDMA0_GFX_RB_CNTL + engine);
	*base = (u64)sim_reg(card, SDMA0_GFX_RB_BASE + engine) << 8 |
		(u64)sim_reg(card, SDMA0_GFX_RB_BASE_HI + engine) << 40;
	*mask = BIT((cntl >> 1) & 0x1f) - 1;		/* RB_SIZE, in dwords */
	*wptr = (sim_reg(card, SDMA0_GFX_RB_WPTR + engine) >> 2) & *mask;
	/* RB_ENABLE, and not SDMA0_F32_CNTL__HALT */
	if (!(cntl & BIT(0)) || sim_reg(card, SDMA0_F32_CNTL + engine) & BIT(0)) {
		ring->top = 0;
		return false;
	}
	if (!ring->top)
		ring->frame[0].pos = (sim_reg(card, SDMA0_GFX_RB_RPTR + engine) >> 2) & *mask;
	return true;
}

/* Tell how far the ring is: in its register, and in memory if the driver wants that. */
static void publish(struct sim_ring *ring)
{
	struct sim_card *card = ring->card;
	u32 engine = ring->id * 0x200, rptr = ring->frame[0].pos;

	if (ring->id == SIM_RING_GFX) {
		u64 addr = (u64)(sim_reg(card, CP_RB0_RPTR_ADDR_HI) & 0xff) << 32 |
			   (sim_reg(card, CP_RB0_RPTR_ADDR) & ~3U);

		sim_set_reg(card, CP_RB0_RPTR, rptr);
		if (!(sim_reg(card, CP_RB0_CNTL) & BIT(27)))	/* RB_NO_UPDATE */
			sim_write(card, 0, addr, &rptr, 4);
		return;
	}
	rptr <<= 2;
	sim_set_reg(card, SDMA0_GFX_RB_RPTR + engine, rptr);
	if (sim_reg(card, SDMA0_GFX_RB_CNTL + engine) & BIT(12)) {	/* RPTR_WRITEBACK_ENABLE */
		u64 addr = (u64)sim_reg(card, SDMA0_GFX_RB_RPTR_ADDR_HI + engine) << 32 |
			   sim_reg(card, SDMA0_GFX_RB_RPTR_ADDR_LO + engine);

		sim_write(card, 0, addr, &rptr, 4);
	}
}

/* A dword of the packet that the frame is at. */
int sim_get(struct sim_ring *ring, struct sim_frame *frame, u32 dword, u32 *value)
{
	u32 pos = frame->pos + dword;

	if (frame->mask)
		pos &= frame->mask;
	else if (pos >= frame->end)
		return -EINVAL;
	return sim_read(ring->card, frame->vmid, frame->addr + pos * 4ULL, value, 4);
}

static void advance(struct sim_frame *frame, u32 dwords)
{
	frame->pos += dwords;
	if (frame->mask)
		frame->pos &= frame->mask;
}

/* Call an indirect buffer; for a packet handler, to return its value. */
int sim_call(struct sim_ring *ring, struct sim_frame *frame, u32 used, u64 addr, u32 dwords,
	     u32 vmid)
{
	struct sim_frame *called;

	if (ring->top + 1 >= SIM_IB_DEPTH)
		return SIM_PACKET_BAD;
	advance(frame, used);
	called = &ring->frame[++ring->top];
	*called = (struct sim_frame){ .addr = addr, .end = dwords, .vmid = vmid };
	return SIM_PACKET_JUMP;
}

bool sim_compare(u32 function, u32 value, u32 reference)
{
	switch (function & 7) {		/* cikd.h, WAIT_REG_MEM_FUNCTION */
	case 1: return value < reference;
	case 2: return value <= reference;
	case 3: return value == reference;
	case 4: return value != reference;
	case 5: return value >= reference;
	case 6: return value > reference;
	default: return true;
	}
}

static void remember(struct sim_card *card, struct sim_late_write *write)
{
	/* Of many the last ones count: the first are overwritten. */
	card->late[card->late_count++ % SIM_LATE_WRITES] = *write;
}

/* Write the number of a fence, or hold it back until after the unplug. */
void sim_fence(struct sim_ring *ring, u32 vmid, u64 addr, u32 value)
{
	struct sim_card *card = ring->card;
	struct sim_late_write write = { .value = value };

	card->fences++;
	if (card->faults.hold_fences & BIT(ring->id)) {
		write.fence = true;
		if (!sim_find(card, vmid, addr, &write))
			remember(card, &write);
		return;
	}
	if (sim_write(card, vmid, addr, &value, 4) || !card->faults.late_dma_ms)
		return;
	if (!sim_find(card, vmid, addr, &write))
		remember(card, &write);
}

/* The card writes what it was holding back, wherever it is by now. */
void sim_late_writes(struct sim_card *card, bool fences)
{
	unsigned int i, count = min_t(unsigned int, card->late_count, SIM_LATE_WRITES);

	for (i = 0; i < count; i++) {
		struct sim_late_write *write = &card->late[i];

		if (write->fence != fences)
			continue;
		if (write->vram) {
			if (card->present)
				writel(write->value, write->vram);
			continue;
		}
		if (!sim_write_phys(card, write->phys, &write->value, 4) && !card->present)
			sim_note(card, SIM_NOTE_LATE_WRITE, "late %s of %#x at system memory %#llx",
				 fences ? "fence" : "write", write->value, (u64)write->phys);
		write->phys = 0;
	}
}

static bool step(struct sim_ring *ring)
{
	struct sim_frame *frame = &ring->frame[ring->top];
	int used;

	if (ring->top && frame->pos >= frame->end) {
		ring->top--;
		if (!ring->top)
			publish(ring);
		return true;
	}
	used = ring->packet(ring, frame);
	if (used == SIM_PACKET_WAIT)
		return false;
	ring->packets++;
	if (used == SIM_PACKET_JUMP)
		return true;
	if (used == SIM_PACKET_BAD) {
		u32 header = 0;

		sim_get(ring, frame, 0, &header);
		sim_note(ring->card, SIM_NOTE_BAD_PACKET,
			 "%s: no packet begins with %08x, at %#llx%s", ring->name, header,
			 frame->addr + frame->pos * 4ULL,
			 ring->top ? " (rest of the buffer skipped)" : "");
		if (ring->top)
			frame->pos = frame->end;
		else
			advance(frame, 1);
	} else {
		advance(frame, used);
	}
	if (!ring->top)
		publish(ring);
	return true;
}

/* One turn of a ring; whether there was anything to do. */
static bool run(struct sim_ring *ring)
{
	struct sim_card *card = ring->card;
	bool did = false;
	unsigned int turns;
	u32 mask, wptr;
	u64 base;

	for (turns = 0; turns < 256; turns++) {
		if (!READ_ONCE(card->present) || READ_ONCE(card->faults.stall) & BIT(ring->id))
			break;
		if (!ring_state(ring, &base, &mask, &wptr))
			break;
		ring->frame[0].addr = base;
		ring->frame[0].mask = mask;
		if (!ring->top && ring->frame[0].pos == wptr)
			break;
		if (!step(ring))
			break;
		did = true;
	}
	return did;
}

void sim_rings_reset(struct sim_card *card)
{
	static const char * const names[] = { "sdma0", "sdma1", "gfx" };
	unsigned int i;

	memset(card->ring, 0, sizeof(card->ring));
	for (i = 0; i < SIM_RINGS; i++) {
		card->ring[i].card = card;
		card->ring[i].id = i;
		card->ring[i].name = names[i];
		card->ring[i].packet = i == SIM_RING_GFX ? sim_pm4_packet : sim_sdma_packet;
	}
	card->late_count = 0;
}

/* Has the time come for the late writes that one of the faults asks for? */
static bool late(struct sim_card *card, u32 ms)
{
	return ms && !card->present && card->pulled && card->late_count &&
	       ktime_ms_delta(ktime_get(), card->pulled_at) >= ms;
}

static void check_late(struct sim_card *card)
{
	if (late(card, card->faults.late_fence_ms)) {
		sim_late_writes(card, true);
		card->faults.late_fence_ms = 0;
	}
	if (late(card, card->faults.late_dma_ms)) {
		sim_late_writes(card, false);
		card->faults.late_dma_ms = 0;
	}
}

int sim_engine(void *data)
{
	struct sim_card *card = data;
	unsigned int idle = 0;

	while (!kthread_should_stop()) {
		bool did = false;
		unsigned int i;

		mutex_lock(&card->lock);
		if (card->present && sim_bus_master(card)) {
			for (i = 0; i < SIM_RINGS; i++)
				did |= run(&card->ring[i]);
		}
		if (card->present && sim_reg(card, CP_HQD_DEQUEUE_REQUEST) & 7)
			sim_set_reg(card, CP_HQD_ACTIVE, 0);	/* KFD takes a queue away */
		check_late(card);
		mutex_unlock(&card->lock);
		/*
		 * Quick while there is work, and slower when there has been none for a while: on
		 * a busy machine a thread that always polls leaves nothing to the others.
		 */
		idle = did ? 0 : idle + 1;
		if (idle > 50)
			usleep_range_state(1000, 2000, TASK_IDLE);
		else if (idle)
			usleep_range_state(100, 300, TASK_IDLE);
		cond_resched();
	}
	return 0;
}
