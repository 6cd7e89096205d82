// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bare.h"

#define VRAM_SIZE	(256UL << 20)
#define REG_SIZE	(256UL << 10)

volatile uint32_t *regs;
volatile uint8_t *vram;
static uint32_t wptr[3];

static void *map(const char *resource, size_t size)
{
	int fd = open(sim_sysfs(sim_card(), resource), O_RDWR | O_SYNC);
	void *memory;

	if (fd < 0)
		fail("cannot open %s: %s", resource, strerror(errno));
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED)
		fail("cannot map %s: %s", resource, strerror(errno));
	return memory;
}

/* PCI_COMMAND: memory, bus master. */
static void enable(void)
{
	uint16_t command = 0x0006;
	int fd = open(sim_sysfs(sim_card(), "config"), O_RDWR);

	check(fd >= 0);
	check(pwrite(fd, &command, 2, 4) == 2);
	close(fd);
}

void fill(uint32_t offset, uint32_t value, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes; i += 4)
		*vram32(offset + i) = value;
}

static void start_sdma(int ring)
{
	uint32_t engine = ring * 0x200;

	regs[SDMA0_F32_CNTL + engine] = 0;
	regs[SDMA0_GFX_RB_RPTR + engine] = 0;
	regs[SDMA0_GFX_RB_WPTR + engine] = 0;
	regs[SDMA0_GFX_RB_BASE + engine] = (FB + RING(ring)) >> 8;
	regs[SDMA0_GFX_RB_BASE_HI + engine] = (FB + RING(ring)) >> 40;
	regs[SDMA0_GFX_RB_RPTR_ADDR_LO + engine] = LO(FB + WRITEBACK + ring * 32);
	regs[SDMA0_GFX_RB_RPTR_ADDR_HI + engine] = HI(FB + WRITEBACK + ring * 32);
	regs[SDMA0_CNTL + engine] = 1;				/* TRAP_ENABLE */
	regs[SDMA0_GFX_RB_CNTL + engine] = 1 | 12 << 1 | 1 << 12; /* on, 4096 dwords, writeback */
}

static void start_gfx(void)
{
	regs[CP_ME_CNTL] = 1 << 28 | 1 << 26 | 1 << 24;
	sleep_ms(2);
	regs[CP_RB0_CNTL] = 11;					/* 2 << 11 dwords */
	regs[CP_RB0_WPTR] = 0;
	regs[CP_RB0_RPTR_ADDR] = LO(FB + WRITEBACK + GFX * 32);
	regs[CP_RB0_RPTR_ADDR_HI] = HI(FB + WRITEBACK + GFX * 32);
	regs[CP_RB0_BASE] = (FB + RING(GFX)) >> 8;
	regs[CP_RB0_BASE_HI] = (FB + RING(GFX)) >> 40;
	regs[CP_INT_CNTL_RING0] = 1 << 26;
	regs[CP_ME_CNTL] = 0;
}

static void start_interrupts(void)
{
	regs[IH_RB_BASE] = (FB + IH) >> 8;
	regs[IH_RB_RPTR] = 0;
	regs[IH_RB_WPTR] = 0;
	regs[IH_RB_WPTR_ADDR_LO] = LO(FB + WRITEBACK + 0x100);
	regs[IH_RB_WPTR_ADDR_HI] = HI(FB + WRITEBACK + 0x100);
	regs[IH_RB_CNTL] = 1 | 10 << 1 | 1 << 8;		/* on, 1024 dwords, writeback */
	regs[IH_CNTL] = 1;
}

void bare_start(void)
{
	unsigned int card = sim_card();

	check_ok(write_file("/sys/bus/pci/drivers_autoprobe", "0"));
	sim_no_faults(card);
	check_ok(sim_control(card, "plug"));
	check_ok(write_file("/sys/bus/pci/drivers_autoprobe", "1"));
	check_ok(write_file(sim_sysfs(card, "enable"), "1"));
	enable();
	regs = map("resource5", REG_SIZE);
	vram = map("resource0", VRAM_SIZE);
	memset(wptr, 0, sizeof(wptr));
	fill(0, 0, 0x70000);
	start_interrupts();
	start_sdma(SDMA0);
	start_sdma(SDMA1);
	start_gfx();
}

void bare_stop(void)
{
	if (!regs)
		return;
	munmap((void *)regs, REG_SIZE);
	munmap((void *)vram, VRAM_SIZE);
	regs = NULL;
	vram = NULL;
	sim_control(sim_card(), "remove");
}

void emit(int ring, const uint32_t *dwords, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		*vram32(RING(ring) + wptr[ring] * 4) = dwords[i];
		wptr[ring] = (wptr[ring] + 1) % RING_DWORDS;
	}
	__sync_synchronize();
	if (ring == GFX)
		regs[CP_RB0_WPTR] = wptr[ring];
	else
		regs[SDMA0_GFX_RB_WPTR + ring * 0x200] = wptr[ring] << 2;
}

bool idle(int ring)
{
	if (ring == GFX)
		return regs[CP_RB0_RPTR] == wptr[ring];
	return regs[SDMA0_GFX_RB_RPTR + ring * 0x200] == wptr[ring] << 2;
}

void submit(int ring)
{
	if (!wait_for(idle(ring), 5000))
		fail("ring %d does not get on", ring);
}

unsigned int interrupts(void)
{
	return regs[IH_RB_WPTR] / 16;
}

const volatile uint32_t *last_interrupt(void)
{
	check(interrupts() > 0);
	return vram32(IH + regs[IH_RB_WPTR] - 16);
}
