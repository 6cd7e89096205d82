// SPDX-License-Identifier: GPL-2.0
/* The same as amdgpu_client by the interface of the radeon driver: plain ioctls. */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>
#include <radeon_drm.h>

#include "test.h"

#define SDMA(op, sub, extra) ((uint32_t)(op) | (sub) << 8 | (uint32_t)(extra) << 16)
#define PACKET3(op, count) (3U << 30 | (uint32_t)(count) << 16 | (op) << 8)
#define LO(addr) (uint32_t)(addr)
#define HI(addr) (uint32_t)((uint64_t)(addr) >> 32)
#define A(addr) LO(addr), HI(addr)
#define FILL(buffer, value) SDMA(11, 0, 0x8000), A((buffer)->va), (value), SIZE
#define SIZE (64 * 1024)

struct buffer {
	uint32_t handle;
	uint64_t va;
	volatile uint32_t *cpu;
};

static int fd = -1;
static struct buffer vram, gtt, ib;
static uint64_t next_va = 0x1000000;

static int call(unsigned long number, void *args, size_t size)
{
	return drmCommandWriteRead(fd, number, args, size);
}

static uint32_t info(uint32_t what)
{
	uint32_t value = 0;
	struct drm_radeon_info args = { .request = what, .value = (uintptr_t)&value };

	check_ok(call(DRM_RADEON_INFO, &args, sizeof(args)));
	return value;
}

static void alloc(struct buffer *buffer, uint32_t domain)
{
	struct drm_radeon_gem_create create = {
		.size = SIZE, .alignment = 4096, .initial_domain = domain,
	};
	struct drm_radeon_gem_mmap map = { .size = SIZE };
	struct drm_radeon_gem_va va = {
		.operation = RADEON_VA_MAP,
		.flags = RADEON_VM_PAGE_READABLE | RADEON_VM_PAGE_WRITEABLE | RADEON_VM_PAGE_SNOOPED,
	};

	check_ok(call(DRM_RADEON_GEM_CREATE, &create, sizeof(create)));
	buffer->handle = create.handle;
	map.handle = create.handle;
	check_ok(call(DRM_RADEON_GEM_MMAP, &map, sizeof(map)));
	buffer->cpu = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, map.addr_ptr);
	check(buffer->cpu != MAP_FAILED);
	va.handle = create.handle;
	va.offset = buffer->va = next_va;
	next_va += SIZE;
	check_ok(call(DRM_RADEON_GEM_VA, &va, sizeof(va)));
	check_eq(va.operation, RADEON_VA_RESULT_OK);
}

static void start(void)
{
	sim_no_faults(sim_card());
	fd = sim_open(sim_card(), "renderD");
	if (fd < 0)
		fail("no render node: error %d", fd);
	alloc(&vram, RADEON_GEM_DOMAIN_VRAM);
	alloc(&gtt, RADEON_GEM_DOMAIN_GTT);
	alloc(&ib, RADEON_GEM_DOMAIN_GTT);
}

/* One submission: the dwords, the buffers they use, the ring. */
static int submit(uint32_t ring, const uint32_t *dwords, unsigned int count)
{
	uint32_t padded[64] = { };
	struct drm_radeon_cs_reloc relocs[2] = {
		{ .handle = vram.handle, .read_domains = RADEON_GEM_DOMAIN_VRAM,
		  .write_domain = RADEON_GEM_DOMAIN_VRAM },
		{ .handle = gtt.handle, .read_domains = RADEON_GEM_DOMAIN_GTT,
		  .write_domain = RADEON_GEM_DOMAIN_GTT },
	};
	uint32_t flags[2] = { RADEON_CS_USE_VM, ring };
	struct drm_radeon_cs_chunk chunks[3] = {
		{ RADEON_CHUNK_ID_RELOCS, sizeof(relocs) / 4, (uintptr_t)relocs },
		{ RADEON_CHUNK_ID_FLAGS, 2, (uintptr_t)flags },
		{ RADEON_CHUNK_ID_IB, 0, (uintptr_t)padded },
	};
	uint64_t pointers[3] = { (uintptr_t)&chunks[0], (uintptr_t)&chunks[1], (uintptr_t)&chunks[2] };
	struct drm_radeon_cs args = { .num_chunks = 3, .chunks = (uintptr_t)pointers };

	memcpy(padded, dwords, count * 4);
	for (; count % 8; count++)
		padded[count] = ring == RADEON_CS_RING_DMA ? SDMA(0, 0, 0) : PACKET3(0x10, 0x3fff);
	chunks[2].length_dw = count;
	return call(DRM_RADEON_CS, &args, sizeof(args));
}

static int wait_idle(struct buffer *buffer)
{
	struct drm_radeon_gem_wait_idle args = { .handle = buffer->handle };
	int error;

	do
		error = drmCommandWrite(fd, DRM_RADEON_GEM_WAIT_IDLE, &args, sizeof(args));
	while (error == -EBUSY);
	return error;
}

static int busy(struct buffer *buffer)
{
	struct drm_radeon_gem_busy args = { .handle = buffer->handle };

	return call(DRM_RADEON_GEM_BUSY, &args, sizeof(args));
}

#define RUN(ring, ...) do {						\
	uint32_t dwords_[] = { __VA_ARGS__ };				\
	check_ok(submit(ring, dwords_, sizeof(dwords_) / 4));		\
	check_ok(wait_idle(&vram));					\
	check_ok(wait_idle(&gtt));					\
} while (0)

static void expect(struct buffer *buffer, uint32_t value)
{
	unsigned int i;

	for (i = 0; i < SIZE / 4; i++)
		check_eq(buffer->cpu[i], value);
}

static void information(void)
{
	check(info(RADEON_INFO_ACCEL_WORKING2) > 0);
	check(info(RADEON_INFO_VA_START) > 0);
}

/* The driver takes the ring itself: radeon has both SDMA rings behind one name. */
static void fill(void)
{
	RUN(RADEON_CS_RING_DMA, FILL(&vram, 0x11));
	expect(&vram, 0x11);
	RUN(RADEON_CS_RING_DMA, FILL(&gtt, 0x22));
	expect(&gtt, 0x22);
}

static void copy(void)
{
	unsigned int i;

	for (i = 0; i < SIZE / 4; i++)
		gtt.cpu[i] = i * 3;
	RUN(RADEON_CS_RING_DMA, SDMA(1, 0, 0), SIZE, 0, A(gtt.va), A(vram.va));
	for (i = 0; i < SIZE / 4; i++)
		check_eq(vram.cpu[i], i * 3);
}

static void graphics_ring(void)
{
	gtt.cpu[7] = 0;
	RUN(RADEON_CS_RING_GFX, PACKET3(0x37, 3), 5 << 8, A(gtt.va + 28), 0x600d);
	check_eq(gtt.cpu[7], 0x600d);
}

static void stalled(void)
{
	uint32_t dwords[] = { FILL(&vram, 0x33) };

	sim_fault(sim_card(), "stall", 3);
	check_ok(submit(RADEON_CS_RING_DMA, dwords, 5));
	sleep_ms(50);
	check_eq(-busy(&vram), EBUSY);
	sim_fault(sim_card(), "stall", 0);
	check_ok(wait_idle(&vram));
	expect(&vram, 0x33);
}

static void many(void)
{
	unsigned int i;

	for (i = 0; i < 200; i++) {
		uint32_t dwords[] = { FILL(&vram, i) };

		check_ok(submit(RADEON_CS_RING_DMA, dwords, 5));
	}
	check_ok(wait_idle(&vram));
	expect(&vram, 199);
}

static void bad_packet(void)
{
	unsigned long long before = sim_verdict(sim_card(), "bad_packets");

	RUN(RADEON_CS_RING_DMA, 0xdeadbeff);
	check_eq(sim_verdict(sim_card(), "bad_packets"), before + 1);
	RUN(RADEON_CS_RING_DMA, FILL(&vram, 0x44));
	expect(&vram, 0x44);
}

static void bad_address(void)
{
	unsigned long long before = sim_verdict(sim_card(), "vm_faults");

	RUN(RADEON_CS_RING_DMA, SDMA(5, 0, 0), A(0x70000000ULL), 1);
	check(sim_verdict(sim_card(), "vm_faults") > before);
}

static void stop(void)
{
	check_eq(sim_verdict(sim_card(), "dma_stray_writes"), 0);
	check_eq(sim_verdict(sim_card(), "dma_stray_reads"), 0);
	check_eq(sim_verdict(sim_card(), "bad_addresses"), 0);
	close(fd);
}

static const struct test tests[] = {
#define TEST(name) { #name, name }
	TEST(start), TEST(information), TEST(fill), TEST(copy), TEST(graphics_ring), TEST(stalled),
	TEST(many), TEST(bad_packet), TEST(bad_address), TEST(stop),
	{ }
};

int main(int argc, char **argv)
{
	return run_tests(tests, argc, argv);
}
