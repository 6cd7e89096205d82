// SPDX-License-Identifier: GPL-2.0
/* Command packets against what they must do to memory, registers and the interrupt ring. */

#include <string.h>

#include "bare.h"

#define SDMA(op, sub, extra) ((uint32_t)(op) | (sub) << 8 | (uint32_t)(extra) << 16)
#define PACKET3(op, count) (3U << 30 | (uint32_t)(count) << 16 | (op) << 8)

#define DST (FB + DATA)
#define SRC (FB + DATA + 0x80000)

static void expect(uint32_t offset, uint32_t value, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes; i += 4) {
		if (*vram32(DATA + offset + i) != value)
			fail("at %#x is %#x, not %#x", offset + i, *vram32(DATA + offset + i), value);
	}
}

static void clear(void)
{
	fill(DATA, 0, 0x4000);
}

static void sdma_nop(void)
{
	send(SDMA0, SDMA(0, 0, 0));
	send(SDMA0, SDMA(0, 0, 3), 0xffffffff, 0xffffffff, 0xffffffff);
	check_eq(*vram32(WRITEBACK), regs[SDMA0_GFX_RB_RPTR]);
	check_eq(sim_verdict(sim_card(), "bad_packets"), 0);
}

static void sdma_write(void)
{
	clear();
	send(SDMA0, SDMA(2, 0, 0), A(DST + 4), 3, 0x11, 0x22, 0x33);
	expect(0, 0, 4);
	check_eq(*vram32(DATA + 4), 0x11);
	check_eq(*vram32(DATA + 8), 0x22);
	check_eq(*vram32(DATA + 12), 0x33);
	expect(16, 0, 4);
}

static void sdma_fill(void)
{
	clear();
	send(SDMA1, SDMA(11, 0, 0x8000), A(DST + 0xff0), 0xabcd1234, 0x1020);
	expect(0, 0, 0xff0);
	expect(0xff0, 0xabcd1234, 0x1020);
	expect(0x2010, 0, 4);
}

static void sdma_copy(void)
{
	uint32_t i;

	clear();
	for (i = 0; i < 0x3000; i += 4)
		*vram32(DATA + 0x80000 + i) = i ^ 0x5a5a;
	send(SDMA0, SDMA(1, 0, 0), 0x2ffc, 0, A(SRC + 4), A(DST + 8));
	for (i = 0; i < 0x2ffc; i += 4)
		check_eq(*vram32(DATA + 8 + i), (i + 4) ^ 0x5a5a);
	expect(0, 0, 8);
	expect(8 + 0x2ffc, 0, 4);
}

static void sdma_fence(void)
{
	unsigned int before = interrupts();

	clear();
	send(SDMA1, SDMA(5, 0, 0), A(DST), 0x77, SDMA(6, 0, 0));
	check_eq(*vram32(DATA), 0x77);
	check_eq(interrupts(), before + 1);
	check_eq(last_interrupt()[0], 224);
	check_eq(last_interrupt()[2], 1);			/* SDMA1 */
	check_eq(*vram32(WRITEBACK + 0x100), regs[IH_RB_WPTR]);
}

static void sdma_generate(void)
{
	unsigned int i;

	clear();
	send(SDMA0, SDMA(12, 0, 0), A(DST), A(0x63ULL), A(0x123000ULL), 0x1000, 0, 5);
	for (i = 0; i < 5; i++)
		check_eq(*vram64(DATA + i * 8), 0x123063 + i * 0x1000);
	check_eq(*vram64(DATA + 40), 0);
}

static void sdma_timestamp(void)
{
	clear();
	send(SDMA0, SDMA(13, 2, 0), A(DST));
	check(*vram64(DATA) != 0);
}

static void sdma_register(void)
{
	send(SDMA0, SDMA(14, 0, 0xf000), SCRATCH_REG0, 0xfeed);
	check_eq(regs[SCRATCH_REG0], 0xfeed);
}

/* One ring waits for what the other does. */
static void sdma_semaphore(void)
{
	clear();
	send_nowait(SDMA0, SDMA(7, 0, 0), A(DST), SDMA(5, 0, 0), A(DST + 8), 1);
	sleep_ms(20);
	check(!idle(SDMA0));
	check_eq(*vram32(DATA + 8), 0);
	send(SDMA1, SDMA(7, 0, 1 << 14), A(DST));
	submit(SDMA0);
	check_eq(*vram32(DATA + 8), 1);
	check_eq(*vram64(DATA), 0);
}

static void sdma_poll(void)
{
	/* memory, until it is >= */
	uint32_t extra = 1 << 15 | 5 << 12;

	clear();
	send_nowait(SDMA0, SDMA(8, 0, extra), A(DST), 5, 0xff, 0xfff << 16 | 10, SDMA(5, 0, 0),
		    A(DST + 8), 1);
	sleep_ms(20);
	check(!idle(SDMA0));
	*vram32(DATA) = 0x106;
	submit(SDMA0);
	check_eq(*vram32(DATA + 8), 1);
	/* the flush that drivers emit never waits */
	send(SDMA0, SDMA(8, 0, 1 << 10 | 3 << 12), GPU_HDP_FLUSH_DONE << 2, GPU_HDP_FLUSH_REQ << 2,
	     1 << 10, 1 << 10, 0xfff << 16 | 10);
}

static void put_ib(uint32_t at, const uint32_t *dwords, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		*vram32(IB + at + i * 4) = dwords[i];
}

static void sdma_indirect(void)
{
	uint32_t inner[] = { SDMA(5, 0, 0), A(DST), 1, SDMA(0, 0, 0) };
	uint32_t outer[] = { SDMA(4, 0, 0), A(FB + IB), 5, SDMA(5, 0, 0), A(DST + 4), 2 };

	clear();
	put_ib(0, inner, 5);
	put_ib(0x100, outer, 8);
	send(SDMA0, SDMA(4, 0, 0), A(FB + IB + 0x100), 8, SDMA(5, 0, 0), A(DST + 8), 3);
	check_eq(*vram32(DATA), 1);
	check_eq(*vram32(DATA + 4), 2);
	check_eq(*vram32(DATA + 8), 3);
}

/* The ring goes round its end, in the middle of a packet, too. */
static void sdma_wrap(void)
{
	unsigned int i;

	for (i = 0; i < 700; i++) {
		send_nowait(SDMA1, SDMA(2, 0, 0), A(DST), 3, i, ~i, 5);
		if (i % 100 == 99)
			submit(SDMA1);
	}
	check_eq(*vram32(DATA), 699);
	check_eq(*vram32(DATA + 4), (uint32_t)~699);
}

static void gfx_write_data(void)
{
	clear();
	send(GFX, PACKET3(0x37, 4), 5 << 8, A(DST), 0x12, 0x34);
	check_eq(*vram32(DATA), 0x12);
	check_eq(*vram32(DATA + 4), 0x34);
	send(GFX, PACKET3(0x37, 4), 5 << 8 | 1 << 16, A(DST), 0x56, 0x78);
	check_eq(*vram32(DATA), 0x78);
	check_eq(*vram32(DATA + 4), 0x34);
	send(GFX, PACKET3(0x37, 3), 0, SCRATCH_REG0, 0, 0x9abc);
	check_eq(regs[SCRATCH_REG0], 0x9abc);
}

static void gfx_set_register(void)
{
	send(GFX, PACKET3(0x79, 2), SCRATCH_REG0 - 0xc000, 0x1111, 0x2222);
	check_eq(regs[SCRATCH_REG0], 0x1111);
	check_eq(regs[SCRATCH_REG0 + 1], 0x2222);
}

static void gfx_end_of_pipe(void)
{
	unsigned int before = interrupts();

	clear();
	/* 32 bits, no interrupt; then 64 with one */
	send(GFX, PACKET3(0x47, 4), 0x514, LO(DST), HI(DST) | 1 << 29, 0x99, 0x88);
	check_eq(*vram64(DATA), 0x99);
	check_eq(interrupts(), before);
	send(GFX, PACKET3(0x47, 4), 0x514, LO(DST), HI(DST) | 2U << 29 | 2 << 24, 0x77, 0x66);
	check_eq(*vram64(DATA), 0x6600000077);
	check_eq(interrupts(), before + 1);
	check_eq(last_interrupt()[0], 181);
}

static void gfx_wait(void)
{
	clear();
	/* memory, == */
	send_nowait(GFX, PACKET3(0x3c, 5), 1 << 4 | 3, A(DST), 7, 0xff, 0x20, PACKET3(0x37, 3), 5 << 8,
		    A(DST + 8), 1);
	sleep_ms(20);
	check(!idle(GFX));
	*vram32(DATA) = 7;
	submit(GFX);
	check_eq(*vram32(DATA + 8), 1);
}

static void gfx_dma(void)
{
	clear();
	fill(DATA + 0x80000, 0x31, 0x1800);
	send(GFX, PACKET3(0x50, 5), 0, A(SRC), A(DST), 0x1800);
	expect(0, 0x31, 0x1800);
	expect(0x1800, 0, 4);
	send(GFX, PACKET3(0x50, 5), 2 << 29, 0x42, 0, A(DST), 0x100);
	expect(0, 0x42, 0x100);
	expect(0x100, 0x31, 4);
}

static void gfx_semaphore(void)
{
	clear();
	send_nowait(GFX, PACKET3(0x39, 1), LO(DST), HI(DST) | 7U << 29, PACKET3(0x37, 3), 5 << 8,
		    A(DST + 8), 1);
	sleep_ms(20);
	check(!idle(GFX));
	send(SDMA0, SDMA(7, 0, 1 << 14), A(DST));
	submit(GFX);
	check_eq(*vram32(DATA + 8), 1);
}

static void gfx_indirect(void)
{
	uint32_t ib[] = { PACKET3(0x37, 3), 5 << 8, A(DST), 0x5, PACKET3(0x10, 0x3fff) };

	clear();
	put_ib(0, ib, 6);
	send(GFX, PACKET3(0x3f, 2), A(FB + IB), 6, PACKET3(0x10, 1), 0, 0);
	check_eq(*vram32(DATA), 5);
}

/* What nobody should send is counted and told, and the rings go on. */

static unsigned long long bad(const char *what)
{
	return sim_verdict(sim_card(), what);
}

static void bad_opcode(void)
{
	unsigned long long before = bad("bad_packets");

	clear();
	send(SDMA0, 0xdeadbeff, SDMA(5, 0, 0), A(DST), 1);
	check_eq(bad("bad_packets"), before + 1);
	check_eq(*vram32(DATA), 1);
	send(GFX, 0x00001234, PACKET3(0x37, 3), 5 << 8, A(DST), 2);
	check_eq(bad("bad_packets"), before + 2);
	check_eq(*vram32(DATA), 2);
}

static void bad_tiled_copy(void)
{
	unsigned long long before = bad("bad_packets");

	send(SDMA0, SDMA(1, 1, 0));
	check_eq(bad("bad_packets"), before + 1);
}

static void bad_length(void)
{
	unsigned long long before = bad("bad_packets");
	uint32_t ib[] = { SDMA(2, 0, 0), A(DST), 0xfffffff0, 1 };

	put_ib(0, ib, 5);
	send(SDMA0, SDMA(4, 0, 0), A(FB + IB), 5);
	check_eq(bad("bad_packets"), before + 1);
	/* a packet that goes beyond the end of its buffer */
	send(SDMA0, SDMA(4, 0, 0), A(FB + IB), 2);
	check_eq(bad("bad_packets"), before + 2);
}

static void bad_nesting(void)
{
	unsigned long long before = bad("bad_packets");
	uint32_t ib[] = { SDMA(4, 0, 0), A(FB + IB), 4 };

	put_ib(0, ib, 4);
	send(SDMA0, SDMA(4, 0, 0), A(FB + IB), 4);
	check_eq(bad("bad_packets"), before + 1);
}

static void bad_address(void)
{
	unsigned long long before = bad("bad_addresses");

	send(SDMA0, SDMA(5, 0, 0), A(0x123456789000ULL), 1);
	check_eq(bad("bad_addresses"), before + 1);
	send(SDMA0, SDMA(11, 0, 0), A(FB + (256 << 20) - 16), 1, 0x1000);
	check_eq(bad("bad_addresses"), before + 2);
	send(SDMA0, SDMA(1, 0, 0), 64, 0, A(0x55ULL << 40), A(DST));
	check_eq(bad("bad_addresses"), before + 3);
}

static void bad_garbage(void)
{
	uint32_t dwords[512], seed = 1;
	unsigned int i, round;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < 512; i++) {
			seed = seed * 1664525 + 1013904223;
			/* headers that mean something, addresses that do not; no waiting */
			dwords[i] = i % 3 ? seed : SDMA(seed >> 28, 0, 0);
			if ((dwords[i] & 0xff) == 7 || (dwords[i] & 0xff) == 8)
				dwords[i] = 0;
		}
		put_ib(0, dwords, 512);
		send(SDMA0, SDMA(4, 0, 0), A(FB + IB), 512);
	}
	clear();
	send(SDMA0, SDMA(5, 0, 0), A(DST), 0x600d);
	check_eq(*vram32(DATA), 0x600d);
}

/* --- faults ----------------------------------------------------------------------------------- */

static void fault_stall(void)
{
	clear();
	sim_fault(sim_card(), "stall", 1 << SDMA0);
	send_nowait(SDMA0, SDMA(5, 0, 0), A(DST), 1);
	send(SDMA1, SDMA(5, 0, 0), A(DST + 4), 2);
	sleep_ms(20);
	check_eq(*vram32(DATA), 0);
	check_eq(*vram32(DATA + 4), 2);
	sim_fault(sim_card(), "stall", 0);
	submit(SDMA0);
	check_eq(*vram32(DATA), 1);
}

static void fault_hold_fences(void)
{
	unsigned int before = interrupts();

	clear();
	sim_fault(sim_card(), "hold_fences", 1 << SDMA0);
	send(SDMA0, SDMA(2, 0, 0), A(DST), 1, 5, SDMA(5, 0, 0), A(DST + 4), 6, SDMA(6, 0, 0));
	check_eq(*vram32(DATA), 5);
	check_eq(*vram32(DATA + 4), 0);
	check_eq(interrupts(), before);
	sim_fault(sim_card(), "hold_fences", 0);
	check_eq(*vram32(DATA + 4), 6);
	check(interrupts() > before);
}

static void no_bus_master(void)
{
	clear();
	check_ok(write_file(sim_sysfs(sim_card(), "enable"), "0"));
	send_nowait(SDMA0, SDMA(5, 0, 0), A(DST), 1);
	sleep_ms(20);
	check(!idle(SDMA0) || *vram32(DATA) == 1);
	check_ok(write_file(sim_sysfs(sim_card(), "enable"), "1"));
}

static const struct test tests[] = {
#define TEST(name) { #name, name }
	{ "start", bare_start },
	TEST(sdma_nop), TEST(sdma_write), TEST(sdma_fill), TEST(sdma_copy), TEST(sdma_fence),
	TEST(sdma_generate), TEST(sdma_timestamp), TEST(sdma_register), TEST(sdma_semaphore),
	TEST(sdma_poll), TEST(sdma_indirect), TEST(sdma_wrap),
	TEST(gfx_write_data), TEST(gfx_set_register), TEST(gfx_end_of_pipe), TEST(gfx_wait),
	TEST(gfx_dma), TEST(gfx_semaphore), TEST(gfx_indirect),
	TEST(bad_opcode), TEST(bad_tiled_copy), TEST(bad_length), TEST(bad_nesting),
	TEST(bad_address), TEST(bad_garbage),
	TEST(fault_stall), TEST(fault_hold_fences), TEST(no_bus_master),
	{ "stop", bare_stop },
	{ }
};

int main(int argc, char **argv)
{
	return run_tests(tests, argc, argv);
}
