/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The card without a driver: its registers and its memory, mapped from sysfs into a test, which
 * sets up rings and tables as a driver would. Numbers of registers are those of
 * ../module/regs.h.
 */
#ifndef SIM_BARE_H
#define SIM_BARE_H

#include "../module/regs.h"
#include "test.h"

/* Where video memory begins, for the card, and what lies where in it. */
#define FB		0xf400000000ULL
#define RING(ring)	((ring) * 0x10000)	/* SDMA0, SDMA1, gfx: 16 KiB each */
#define RING_DWORDS	4096
#define IH		0x40000			/* interrupt ring, 4 KiB */
#define WRITEBACK	0x50000
#define IB		0x60000
#define TABLES		0x100000
#define DATA		0x800000		/* to play with; 1 MiB */

enum { SDMA0, SDMA1, GFX };

extern volatile uint32_t *regs;
extern volatile uint8_t *vram;

/* Plugs the card in without a driver, maps it, and starts all that. */
void bare_start(void);
/* Unmaps it and takes the card out. */
void bare_stop(void);

static inline volatile uint32_t *vram32(uint32_t offset)
{
	return (volatile uint32_t *)(vram + offset);
}

static inline volatile uint64_t *vram64(uint32_t offset)
{
	return (volatile uint64_t *)(vram + offset);
}

void fill(uint32_t offset, uint32_t value, uint32_t bytes);

/* Puts dwords into a ring; submit() waits until the card has taken them all, or fails. */
void emit(int ring, const uint32_t *dwords, unsigned int count);
void submit(int ring);
bool idle(int ring);

#define send(ring, ...) do {						\
	uint32_t packet_[] = { __VA_ARGS__ };				\
	emit(ring, packet_, sizeof(packet_) / 4);			\
	submit(ring);							\
} while (0)
#define send_nowait(ring, ...) do {					\
	uint32_t packet_[] = { __VA_ARGS__ };				\
	emit(ring, packet_, sizeof(packet_) / 4);			\
} while (0)

/* The last entry of the interrupt ring, and how many there are. */
unsigned int interrupts(void);
const volatile uint32_t *last_interrupt(void);

#define LO(addr) (uint32_t)(addr)
#define HI(addr) (uint32_t)((uint64_t)(addr) >> 32)
/* As packets want it: low half, high half. */
#define A(addr) LO(addr), HI(addr)

#endif
