// SPDX-License-Identifier: GPL-2.0
/* Addresses: all shapes of page tables that drivers use, and all ways in which one leads nowhere. */

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bare.h"

#define SDMA(op, sub, extra) ((uint32_t)(op) | (sub) << 8 | (uint32_t)(extra) << 16)

#define VALID		1ULL
#define SYSTEM		2ULL
#define READABLE	(1ULL << 5)
#define WRITEABLE	(1ULL << 6)
#define RW		(VALID | READABLE | WRITEABLE)

#define DIRECTORY	TABLES
#define TABLE(n)	(TABLES + 0x10000 + (n) * 0x8000)
#define PAGE		0x1000ULL

/* VM_CONTEXT1_CNTL: on, depth, block size, all interrupts of faults */
static void context1(unsigned int depth, unsigned int block_size)
{
	regs[VM_CONTEXT1_CNTL] = 1 | depth << 1 | block_size << 24 | 0x49248;
	regs[VM_CONTEXT1_CNTL2] = 1;
	fill(TABLES, 0, 0x80000);
	fill(DATA, 0, 0x8000);
}

static void base(unsigned int vmid, uint64_t addr)
{
	uint32_t reg = vmid < 8 ? VM_CONTEXT0_PAGE_TABLE_BASE_ADDR + vmid :
				  VM_CONTEXT8_PAGE_TABLE_BASE_ADDR + vmid - 8;

	regs[reg] = addr >> 12;
}

/* Writes a dword at an address of a space, from a buffer that lies in that space or outside. */
static void poke(unsigned int vmid, uint64_t addr, uint32_t value)
{
	/* The buffer is fetched in the space, too: map it at its own address, 4 GiB up, in all. */
	uint32_t ib[] = { SDMA(5, 0, 0), A(addr), value, 0, 0, 0, 0 };
	unsigned int i;

	for (i = 0; i < 8; i++)
		*vram32(IB + i * 4) = ib[i];
	send(SDMA0, SDMA(4, 0, vmid), A(IB), 8);
}

/* Two levels: entry of the directory per 2^bits pages. The buffer of poke() is mapped as well. */
static void map2(unsigned int bits, uint64_t addr, uint64_t entry, unsigned int table)
{
	uint64_t page = addr >> 12;

	*vram64(DIRECTORY + (page >> bits) * 8) = (FB + TABLE(table)) | VALID;
	*vram64(TABLE(table) + (page & ((1ULL << bits) - 1)) * 8) = entry;
}

static void two_levels(unsigned int block_size, unsigned int vmid)
{
	unsigned int bits = block_size + 9;
	uint64_t far = (5ULL << (12 + bits)) + 3 * PAGE;

	context1(1, block_size);
	base(vmid, FB + DIRECTORY);
	map2(bits, IB, (FB + IB) | RW, 0);
	map2(bits, far, (FB + DATA) | RW, 1);
	poke(vmid, far + 0x10, 0x1234);
	check_eq(*vram32(DATA + 0x10), 0x1234);
	base(vmid, 0);
}

static void two_levels_9(void)
{
	two_levels(0, 1);
}

static void two_levels_10(void)
{
	two_levels(1, 7);
}

static void two_levels_12(void)
{
	two_levels(3, 8);
}

static void last_space(void)
{
	two_levels(0, 15);
}

static void flat(void)
{
	context1(0, 0);
	base(2, FB + DIRECTORY);
	*vram64(DIRECTORY + (IB >> 12) * 8) = (FB + IB) | RW;
	*vram64(DIRECTORY + 0x200 * 8) = (FB + DATA + PAGE) | RW;
	poke(2, 0x200 * PAGE, 0x77);
	check_eq(*vram32(DATA + PAGE), 0x77);
}

/* Entries may count video memory from its start. */
static void offsets(void)
{
	context1(1, 0);
	base(3, DIRECTORY);
	*vram64(DIRECTORY) = TABLE(0) | VALID;
	*vram64(TABLE(0) + (IB >> 12) * 8) = IB | RW;
	*vram64(TABLE(0) + 0x100 * 8) = DATA | RW;
	poke(3, 0x100 * PAGE, 0x99);
	check_eq(*vram32(DATA), 0x99);
}

/* A fill that begins in one table and ends in the next, over pages in reverse order. */
static void across_tables(void)
{
	uint32_t ib[] = { SDMA(11, 0, 0), A(511 * PAGE + 0x800), 0x4d4d, 0x1000, 0, 0, 0 };
	unsigned int i;

	context1(1, 0);
	base(1, FB + DIRECTORY);
	map2(9, IB, (FB + IB) | RW, 0);
	map2(9, 511 * PAGE, (FB + DATA + PAGE) | RW, 0);
	map2(9, 512 * PAGE, (FB + DATA) | RW, 1);
	for (i = 0; i < 8; i++)
		*vram32(IB + i * 4) = ib[i];
	send(SDMA0, SDMA(4, 0, 1), A(IB), 8);
	check_eq(*vram32(DATA + PAGE + 0x7fc), 0);
	check_eq(*vram32(DATA + PAGE + 0x800), 0x4d4d);
	check_eq(*vram32(DATA + PAGE + 0xffc), 0x4d4d);
	check_eq(*vram32(DATA), 0x4d4d);
	check_eq(*vram32(DATA + 0x7fc), 0x4d4d);
	check_eq(*vram32(DATA + 0x800), 0);
}

static void gart(void)
{
	uint64_t start = 0xff00000000ULL;

	fill(TABLES, 0, 0x1000);
	fill(DATA, 0, 0x1000);
	regs[VM_CONTEXT0_PAGE_TABLE_START_ADDR] = start >> 12;
	regs[VM_CONTEXT0_PAGE_TABLE_END_ADDR] = (start >> 12) + 15;
	base(0, FB + TABLES);
	regs[VM_CONTEXT0_CNTL] = 1;
	*vram64(TABLES + 4 * 8) = (FB + DATA) | RW;
	send(SDMA0, SDMA(5, 0, 0), A(start + 4 * PAGE + 8), 0x3131);
	check_eq(*vram32(DATA + 8), 0x3131);
}

static unsigned long long count(const char *what)
{
	return sim_verdict(sim_card(), what);
}

static void gart_outside(void)
{
	unsigned long long before = count("bad_addresses");

	send(SDMA0, SDMA(5, 0, 0), A(0xff00000000ULL + 16 * PAGE), 1);
	send(SDMA0, SDMA(5, 0, 0), A(0xff00000000ULL - 4), 1);
	send(SDMA0, SDMA(5, 0, 0), A(0xff00000000ULL), 1);	/* inside, but not valid */
	check_eq(count("bad_addresses"), before + 3);
	regs[VM_CONTEXT0_CNTL] = 0;
	send(SDMA0, SDMA(5, 0, 0), A(0xff00000000ULL + 4 * PAGE), 1);
	check_eq(count("bad_addresses"), before + 4);
}

/* One dword to each of the wrong places: all fault, and say so. */
static void faults(void)
{
	unsigned long long before = count("vm_faults");
	unsigned int irqs;

	context1(1, 0);
	base(4, FB + DIRECTORY);
	map2(9, IB, (FB + IB) | RW, 0);
	regs[IH_VMID_0_LUT + 4] = 0x8001;

	irqs = interrupts();
	poke(4, 600 * PAGE + 4, 1);				/* no table */
	check_eq(count("vm_faults"), before + 1);
	check_eq(interrupts(), irqs + 1);
	check_eq(last_interrupt()[0], 146);
	check_eq(last_interrupt()[2], 0x8001U << 16 | 4 << 8);
	check_eq(regs[VM_CONTEXT1_PROTECTION_FAULT_ADDR], 600);
	check_eq(regs[VM_CONTEXT1_PROTECTION_FAULT_STATUS] >> 25, 4);
	check_eq(regs[VM_CONTEXT1_PROTECTION_FAULT_STATUS] >> 24 & 1, 1);

	poke(4, 7 * PAGE, 1);					/* no page; the first one stands */
	check_eq(count("vm_faults"), before + 2);
	check_eq(interrupts(), irqs + 1);
	check_eq(regs[VM_CONTEXT1_PROTECTION_FAULT_ADDR], 600);

	regs[VM_CONTEXT1_CNTL2] = 1;				/* seen */
	map2(9, 8 * PAGE, (FB + DATA) | VALID | READABLE, 0);
	poke(4, 8 * PAGE, 1);					/* not writeable */
	check_eq(count("vm_faults"), before + 3);
	check_eq(interrupts(), irqs + 2);
	check_eq(*vram32(DATA), 0);

	map2(9, 9 * PAGE, 0x5500000000ULL | RW, 0);		/* no such video memory */
	poke(4, 9 * PAGE, 1);
	check_eq(count("vm_faults"), before + 4);

	base(4, 0xff000000000ULL);				/* no such directory */
	poke(4, 8 * PAGE, 1);
	check(count("vm_faults") > before + 4);
}

static void ordered_faults(void)
{
	unsigned long long before = count("vm_faults");

	context1(1, 0);
	base(1, FB + DIRECTORY);
	map2(9, IB, (FB + IB) | RW, 0);
	map2(9, 8 * PAGE, (FB + DATA) | RW, 0);
	sim_fault(sim_card(), "page_faults", 1);
	poke(1, 8 * PAGE, 1);
	check_eq(count("vm_faults"), before + 1);
	poke(1, 8 * PAGE, 2);
	check_eq(count("vm_faults"), before + 1);
	check_eq(*vram32(DATA), 2);
}

/* The physical address of a page of ours, which no driver has mapped for the card. */
static uint64_t physical(void *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	check(fd >= 0);
	check(pread(fd, &entry, 8, (uintptr_t)page / PAGE * 8) == 8);
	close(fd);
	check(entry >> 63);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

static void stray_dma(void)
{
	unsigned long long writes = count("dma_stray_writes"), reads = count("dma_stray_reads");
	volatile uint32_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

	check(page != MAP_FAILED);
	*page = 0x600d;
	context1(1, 0);
	base(1, FB + DIRECTORY);
	map2(9, IB, (FB + IB) | RW, 0);
	map2(9, 8 * PAGE, physical((void *)page) | SYSTEM | RW, 0);
	poke(1, 8 * PAGE, 0xbad);
	check_eq(count("dma_stray_writes"), writes + 1);
	check_eq(*page, 0x600d);
	/* a table that is in memory of the system */
	map2(9, 600 * PAGE, 0, 1);
	*vram64(DIRECTORY + 8) = physical((void *)page) | SYSTEM | VALID;
	poke(1, 600 * PAGE, 0xbad);
	check_eq(count("dma_stray_reads"), reads + 1);
	/* no memory at all */
	map2(9, 9 * PAGE, 0xfff0000000ULL | SYSTEM | RW, 0);
	poke(1, 9 * PAGE, 0xbad);
	check_eq(count("dma_stray_writes"), writes + 2);
	munmap((void *)page, PAGE);
}

static const struct test tests[] = {
#define TEST(name) { #name, name }
	{ "start", bare_start },
	TEST(two_levels_9), TEST(two_levels_10), TEST(two_levels_12), TEST(last_space), TEST(flat),
	TEST(offsets), TEST(across_tables), TEST(gart), TEST(gart_outside), TEST(faults),
	TEST(ordered_faults), TEST(stray_dma),
	{ "stop", bare_stop },
	{ }
};

int main(int argc, char **argv)
{
	return run_tests(tests, argc, argv);
}
