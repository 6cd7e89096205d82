// SPDX-License-Identifier: GPL-2.0
/* What a client of amdgpu can do with the card: all that a user of it relies on, and it is checked. */

#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <xf86drm.h>

#include "gpu.h"

#define DMA AMDGPU_HW_IP_DMA
#define GFX AMDGPU_HW_IP_GFX
#define VRAM AMDGPU_GEM_DOMAIN_VRAM
#define GTT AMDGPU_GEM_DOMAIN_GTT
#define SIZE (64 * 1024)

/* The faults are per engine, and the scheduler puts the work of one ring on either of two. */
#define SDMA_RINGS 3

static struct gpu gpu;
static struct buffer vram, gtt;

static void start(void)
{
	sim_no_faults(sim_card());
	gpu_open(&gpu, sim_card());
	buffer_alloc(&gpu, &vram, SIZE, VRAM);
	buffer_alloc(&gpu, &gtt, SIZE, GTT);
}

static void run(unsigned int ip, unsigned int ring, const uint32_t *dwords, unsigned int count)
{
	struct buffer *buffers[] = { &vram, &gtt };
	struct amdgpu_cs_fence fence;

	check_ok(gpu_submit(&gpu, ip, ring, dwords, count, buffers, 2, &fence));
	check_eq(gpu_wait(&fence, 10000), 1);
}

#define RUN(ip, ring, ...) do {						\
	uint32_t dwords_[] = { __VA_ARGS__ };				\
	run(ip, ring, dwords_, sizeof(dwords_) / 4);			\
} while (0)

static void expect(struct buffer *buffer, uint32_t value)
{
	unsigned int i;

	for (i = 0; i < buffer->size / 4; i++)
		check_eq(buffer->cpu[i], value);
}

static void info(void)
{
	struct amdgpu_gpu_info info;
	struct amdgpu_heap_info heap;
	struct drm_amdgpu_info_hw_ip ip;

	check_ok(amdgpu_query_gpu_info(gpu.dev, &info));
	check_eq(info.family_id, AMDGPU_FAMILY_CI);
	check_ok(amdgpu_query_heap_info(gpu.dev, VRAM, 0, &heap));
	check(heap.heap_size >> 20 > 200);	/* what the kernel itself does not use */
	check_ok(amdgpu_query_hw_ip_info(gpu.dev, DMA, 0, &ip));
	check_eq(ip.available_rings, 3);
	check_ok(amdgpu_query_hw_ip_info(gpu.dev, GFX, 0, &ip));
	check_eq(ip.available_rings, 1);
}

static void fill_both_rings(void)
{
	RUN(DMA, 0, FILL(&vram, 0x11111111));
	expect(&vram, 0x11111111);
	RUN(DMA, 1, FILL(&gtt, 0x22222222));
	expect(&gtt, 0x22222222);
	RUN(DMA, 0, FILL(&gtt, 0x33333333));
	expect(&gtt, 0x33333333);
	RUN(DMA, 1, FILL(&vram, 0x44444444));
	expect(&vram, 0x44444444);
}

static void copy(void)
{
	unsigned int i;

	for (i = 0; i < SIZE / 4; i++)
		vram.cpu[i] = i * 7;
	RUN(DMA, 0, COPY(&gtt, &vram));
	for (i = 0; i < SIZE / 4; i++)
		check_eq(gtt.cpu[i], i * 7);
	for (i = 0; i < SIZE / 4; i++)
		gtt.cpu[i] = ~i;
	RUN(DMA, 1, COPY(&vram, &gtt));
	for (i = 0; i < SIZE / 4; i++)
		check_eq(vram.cpu[i], ~i);
}

static void graphics_ring(void)
{
	vram.cpu[5] = 0;
	RUN(GFX, 0, PACKET3(0x37, 3), 5 << 8, A(vram.va + 20), 0x600d);
	check_eq(vram.cpu[5], 0x600d);
}

/* The kernel writes a number of ours when the work is done. */
static void user_fence(void)
{
	uint32_t dwords[] = { FILL(&vram, 0x55), SDMA(0, 0, 0), SDMA(0, 0, 0), SDMA(0, 0, 0) };
	struct amdgpu_cs_request request = { };
	struct amdgpu_cs_ib_info ib_info = { };
	struct amdgpu_cs_fence fence = { };
	amdgpu_bo_handle handles[3];
	struct buffer ib, user;

	buffer_alloc(&gpu, &ib, 4096, GTT);
	buffer_alloc(&gpu, &user, 4096, GTT);
	memcpy((void *)ib.cpu, dwords, sizeof(dwords));
	user.cpu[2] = 0;
	handles[0] = ib.bo;
	handles[1] = vram.bo;
	handles[2] = user.bo;
	check_ok(amdgpu_bo_list_create(gpu.dev, 3, handles, NULL, &request.resources));
	ib_info.ib_mc_address = ib.va;
	ib_info.size = sizeof(dwords) / 4;
	request.ip_type = DMA;
	request.number_of_ibs = 1;
	request.ibs = &ib_info;
	request.fence_info.handle = user.bo;
	request.fence_info.offset = 1;		/* in 64 bit */
	check_ok(amdgpu_cs_submit(gpu.ctx, 0, &request, 1));
	fence.context = gpu.ctx;
	fence.ip_type = DMA;
	fence.fence = request.seq_no;
	check_eq(gpu_wait(&fence, 10000), 1);
	check_eq(user.cpu[2], request.seq_no);
	expect(&vram, 0x55);
	amdgpu_bo_list_destroy(request.resources);
	buffer_free(&user);
	buffer_free(&ib);
}

/* Work that waits for one syncobj and signals another. */
static void syncobjs(void)
{
	uint32_t dwords[] = { FILL(&gtt, 0x66), SDMA(0, 0, 0), SDMA(0, 0, 0), SDMA(0, 0, 0) };
	struct drm_amdgpu_cs_chunk_ib ib_data = { };
	struct drm_amdgpu_cs_chunk_sem wait, signal;
	struct drm_amdgpu_cs_chunk chunks[3];
	amdgpu_bo_handle handles[2];
	amdgpu_bo_list_handle list;
	struct buffer ib;
	uint64_t seq;

	buffer_alloc(&gpu, &ib, 4096, GTT);
	memcpy((void *)ib.cpu, dwords, sizeof(dwords));
	handles[0] = ib.bo;
	handles[1] = gtt.bo;
	check_ok(amdgpu_bo_list_create(gpu.dev, 2, handles, NULL, &list));
	check_ok(amdgpu_cs_create_syncobj(gpu.dev, &wait.handle));
	check_ok(amdgpu_cs_create_syncobj(gpu.dev, &signal.handle));

	/* The first is signalled by other work, which stands still for now. */
	sim_fault(sim_card(), "stall", SDMA_RINGS);
	{
		struct buffer *buffers[] = { &vram };
		uint32_t first[] = { FILL(&vram, 0x65) };
		struct amdgpu_cs_fence fence;
		int fd;

		check_ok(gpu_submit(&gpu, DMA, 0, first, 5, buffers, 1, &fence));
		fd = gpu_sync_file(&gpu, &fence);
		check_ok(amdgpu_cs_syncobj_import_sync_file(gpu.dev, wait.handle, fd));
		close(fd);
	}
	ib_data.ip_type = DMA;
	ib_data.ring = 1;
	ib_data.va_start = ib.va;
	ib_data.ib_bytes = sizeof(dwords);
	chunks[0].chunk_id = AMDGPU_CHUNK_ID_IB;
	chunks[0].length_dw = sizeof(ib_data) / 4;
	chunks[0].chunk_data = (uintptr_t)&ib_data;
	chunks[1].chunk_id = AMDGPU_CHUNK_ID_SYNCOBJ_IN;
	chunks[1].length_dw = sizeof(wait) / 4;
	chunks[1].chunk_data = (uintptr_t)&wait;
	chunks[2].chunk_id = AMDGPU_CHUNK_ID_SYNCOBJ_OUT;
	chunks[2].length_dw = sizeof(signal) / 4;
	chunks[2].chunk_data = (uintptr_t)&signal;
	gtt.cpu[0] = 0;
	check_ok(amdgpu_cs_submit_raw(gpu.dev, gpu.ctx, list, 3, chunks, &seq));
	sleep_ms(50);
	check_eq(gtt.cpu[0], 0);
	sim_fault(sim_card(), "stall", 0);
	check_ok(amdgpu_cs_syncobj_wait(gpu.dev, &signal.handle, 1, INT64_MAX,
					DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, NULL));
	expect(&gtt, 0x66);
	expect(&vram, 0x65);
	amdgpu_cs_destroy_syncobj(gpu.dev, wait.handle);
	amdgpu_cs_destroy_syncobj(gpu.dev, signal.handle);
	amdgpu_bo_list_destroy(list);
	buffer_free(&ib);
}

static void sync_file(void)
{
	uint32_t dwords[] = { FILL(&vram, 0x67) };
	struct buffer *buffers[] = { &vram };
	struct amdgpu_cs_fence fence;
	struct pollfd poll_fd = { .events = POLLIN };

	sim_fault(sim_card(), "stall", SDMA_RINGS);
	check_ok(gpu_submit(&gpu, DMA, 0, dwords, 5, buffers, 1, &fence));
	poll_fd.fd = gpu_sync_file(&gpu, &fence);
	check_eq(poll(&poll_fd, 1, 100), 0);
	sim_fault(sim_card(), "stall", 0);
	check_eq(poll(&poll_fd, 1, 10000), 1);
	close(poll_fd.fd);
	expect(&vram, 0x67);
}

static void contexts(void)
{
	struct gpu other;
	struct buffer buffer;
	uint32_t dwords[5], state, hangs;
	struct buffer *buffers[] = { &buffer };
	struct amdgpu_cs_fence fence;

	gpu_open(&other, sim_card());
	buffer_alloc(&other, &buffer, SIZE, VRAM);
	memcpy(dwords, (uint32_t[]){ FILL(&buffer, 0x77) }, sizeof(dwords));
	check_ok(gpu_submit(&other, DMA, 1, dwords, 5, buffers, 1, &fence));
	check_eq(gpu_wait(&fence, 10000), 1);
	expect(&buffer, 0x77);
	check_ok(amdgpu_cs_query_reset_state(other.ctx, &state, &hangs));
	check_eq(state, AMDGPU_CTX_NO_RESET);
	buffer_free(&buffer);
	gpu_close(&other);
}

static void many(void)
{
	struct buffer *buffers[] = { &vram, &gtt };
	struct amdgpu_cs_fence fence;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		uint32_t dwords[] = { FILL(i & 1 ? &vram : &gtt, i) };

		check_ok(gpu_submit(&gpu, DMA, i & 1, dwords, 5, buffers, 2, &fence));
	}
	check_eq(gpu_wait(&fence, 20000), 1);
	expect(&vram, 199);
}

static void dma_buf(void)
{
	struct amdgpu_bo_import_result result;
	volatile uint32_t *cpu;
	struct gpu other;
	uint32_t fd;

	check_ok(amdgpu_bo_export(vram.bo, amdgpu_bo_handle_type_dma_buf_fd, &fd));
	gpu_open(&other, sim_card());
	check_ok(amdgpu_bo_import(other.dev, amdgpu_bo_handle_type_dma_buf_fd, fd, &result));
	check_ok(amdgpu_bo_cpu_map(result.buf_handle, (void **)&cpu));
	RUN(DMA, 0, FILL(&vram, 0x78));
	check_eq(cpu[100], 0x78);
	amdgpu_bo_cpu_unmap(result.buf_handle);
	amdgpu_bo_free(result.buf_handle);
	close(fd);
	gpu_close(&other);
}

/* --- faults of the card: slow, but right ------------------------------------------------------ */

static void late_interrupts(void)
{
	sim_fault(sim_card(), "irq_late_ms", 200);
	RUN(DMA, 0, FILL(&vram, 0x81));
	sim_fault(sim_card(), "irq_late_ms", 0);
	expect(&vram, 0x81);
}

static void double_interrupts(void)
{
	sim_fault(sim_card(), "irq_twice", 1);
	RUN(DMA, 1, FILL(&vram, 0x82));
	sim_fault(sim_card(), "irq_twice", 0);
	expect(&vram, 0x82);
}

/* The driver's timer finds fences that no interrupt told of. */
static void lost_interrupts(void)
{
	sim_fault(sim_card(), "irq_lost", 1);
	RUN(DMA, 0, FILL(&vram, 0x83));
	sim_fault(sim_card(), "irq_lost", 0);
	expect(&vram, 0x83);
}

static void held_fence(void)
{
	uint32_t dwords[] = { FILL(&vram, 0x84) };
	struct buffer *buffers[] = { &vram };
	struct amdgpu_cs_fence fence;

	sim_fault(sim_card(), "hold_fences", SDMA_RINGS);
	check_ok(gpu_submit(&gpu, DMA, 0, dwords, 5, buffers, 1, &fence));
	check_eq(gpu_wait(&fence, 300), 0);
	check_eq(vram.cpu[0], 0x84);
	sim_fault(sim_card(), "hold_fences", 0);
	check_eq(gpu_wait(&fence, 10000), 1);
}

/* --- bad input of a client: counted, and survived --------------------------------------------- */

static void bad_packet(void)
{
	unsigned long long before = sim_verdict(sim_card(), "bad_packets");

	RUN(DMA, 0, 0xdeadbeff);
	check_eq(sim_verdict(sim_card(), "bad_packets"), before + 1);
	RUN(DMA, 0, FILL(&vram, 0x91));
	expect(&vram, 0x91);
}

static void bad_address(void)
{
	unsigned long long before = sim_verdict(sim_card(), "vm_faults");

	RUN(DMA, 1, SDMA(5, 0, 0), A(0x700000000ULL), 1);
	check(sim_verdict(sim_card(), "vm_faults") > before);
	RUN(DMA, 1, FILL(&vram, 0x92));
	expect(&vram, 0x92);
}

/* All that was done was done to memory that the driver had mapped. */
static void stop(void)
{
	check_eq(sim_verdict(sim_card(), "dma_stray_writes"), 0);
	check_eq(sim_verdict(sim_card(), "dma_stray_reads"), 0);
	check_eq(sim_verdict(sim_card(), "bad_addresses"), 0);
	buffer_free(&vram);
	buffer_free(&gtt);
	gpu_close(&gpu);
}

static const struct test tests[] = {
#define TEST(name) { #name, name }
	TEST(start), TEST(info), TEST(fill_both_rings), TEST(copy), TEST(graphics_ring),
	TEST(user_fence), TEST(syncobjs), TEST(sync_file), TEST(contexts), TEST(many), TEST(dma_buf),
	TEST(late_interrupts), TEST(double_interrupts), TEST(lost_interrupts), TEST(held_fence),
	TEST(bad_packet), TEST(bad_address), TEST(stop),
	{ }
};

int main(int argc, char **argv)
{
	return run_tests(tests, argc, argv);
}
