// SPDX-License-Identifier: GPL-2.0
/* The witness: what the card says of a driver that is unplugged, and what it does itself after. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu.h"

#define SIZE (64 * 1024)
#define SDMA_RINGS 3

static struct gpu gpu;
static struct buffer vram, gtt;
static int sync_fd;

static bool bound(void)
{
	return !access(sim_sysfs(sim_card(), "drm"), F_OK);
}

/* A client with work that the card holds back, until after it has gone. */
static void start(void)
{
	uint32_t dwords[5];
	struct buffer *buffers[] = { &vram, &gtt };
	struct amdgpu_cs_fence fence;

	sim_no_faults(sim_card());
	gpu_open(&gpu, sim_card());
	buffer_alloc(&gpu, &vram, SIZE, AMDGPU_GEM_DOMAIN_VRAM);
	buffer_alloc(&gpu, &gtt, SIZE, AMDGPU_GEM_DOMAIN_GTT);
	/* Once before, so that the page tables are there: they have fences, too. */
	memcpy(dwords, (uint32_t[]){ FILL(&gtt, 0x76) }, sizeof(dwords));
	check_ok(gpu_submit(&gpu, AMDGPU_HW_IP_DMA, 0, dwords, 5, buffers, 2, &fence));
	check_eq(gpu_wait(&fence, 10000), 1);
	sim_fault(sim_card(), "hold_fences", SDMA_RINGS);
	dwords[3] = 0x77;
	check_ok(gpu_submit(&gpu, AMDGPU_HW_IP_DMA, 0, dwords, 5, buffers, 2, &fence));
	check(wait_for(gtt.cpu[SIZE / 4 - 1] == 0x77, 10000));
	sync_fd = gpu_sync_file(&gpu, &fence);
}

static void back(void)
{
	sim_no_faults(sim_card());
	check_ok(write_file("/sys/kernel/debug/sim-radeon/card0/trap", "0"));
	check_ok(sim_control(sim_card(), "plug"));
	check(wait_for(bound(), 20000));
}

static void leave(void)
{
	close(sync_fd);
	gpu_close(&gpu);
}

/*
 * The fence of the last work is written after the card has gone. Either its memory is still
 * mapped for the card, then it must be there; or it is not, then that is what an IOMMU would
 * have caught, and nothing is written.
 */
static void late_fence(void)
{
	struct pollfd poll_fd;

	start();
	sim_fault(sim_card(), "late_fence_ms", 200);
	check_ok(sim_control(sim_card(), "surprise"));
	check(wait_for(sim_verdict(sim_card(), "late_writes") +
		       sim_verdict(sim_card(), "dma_stray_writes") > 0, 5000));
	poll_fd = (struct pollfd){ .fd = sync_fd, .events = POLLIN };
	check_eq(poll(&poll_fd, 1, 5000), 1);
	leave();
	back();
}

/* After a card that still writes when its driver has let go of the memory (F3). */
static void late_dma(void)
{
	start();
	sim_fault(sim_card(), "hold_fences", 0);
	sleep_ms(100);
	sim_fault(sim_card(), "late_dma_ms", 3000);
	{
		uint32_t dwords[5];
		struct buffer *buffers[] = { &vram };
		struct amdgpu_cs_fence fence;

		memcpy(dwords, (uint32_t[]){ FILL(&vram, 1) }, sizeof(dwords));
		check_ok(gpu_submit(&gpu, AMDGPU_HW_IP_DMA, 0, dwords, 5, buffers, 1, &fence));
		check_eq(gpu_wait(&fence, 10000), 1);
	}
	leave();
	check_ok(sim_control(sim_card(), "remove"));
	/* All is closed, so nothing is mapped any more, and every late write is a stray one. */
	check(wait_for(sim_verdict(sim_card(), "dma_stray_writes") > 0, 10000));
	check_eq(sim_verdict(sim_card(), "dma_pages_mapped"), 0);
	check_eq(sim_verdict(sim_card(), "late_writes"), 0);
	back();
}

/* With the trap, all that comparing finds is found, and reads too, with names. */
static void trap(void)
{
	FILE *file;
	char line[256];
	unsigned int reads = 0, writes = 0, frames = 0;

	check_ok(write_file("/sys/kernel/debug/sim-radeon/card0/trap", "1"));
	check_ok(sim_control(sim_card(), "surprise"));
	check_eq(sim_verdict(sim_card(), "traps_failed"), 0);
	file = fopen("/sys/kernel/debug/sim-radeon/card0/accesses", "r");
	check(file);
	while (fgets(line, sizeof(line), file)) {
		reads += !strncmp(line, "read ", 5);
		writes += !strncmp(line, "write ", 6);
		frames += line[0] == '\t';
	}
	fclose(file);
	printf("# %u kinds of reads, %u of writes, %llu reads, %llu writes\n", reads, writes,
	       sim_verdict(sim_card(), "trapped_reads"), sim_verdict(sim_card(), "trapped_writes"));
	/* Ours writes to nothing that is not there. Stock does, and so would be seen if it did. */
	check_eq(writes > 0, !strcmp(getenv("MODULES") ?: "", "stock"));
	/* Whoever is caught is named. */
	check_eq(!reads, !sim_verdict(sim_card(), "trapped_reads"));
	check_eq(!writes, !sim_verdict(sim_card(), "trapped_writes"));
	check(frames >= 3 * (reads + writes));
	/* Nothing got through to the memory behind. */
	check_eq(sim_verdict(sim_card(), "registers_written_after"), 0);
	back();
}

static const struct test tests[] = {
#define TEST(name) { #name, name }
	TEST(trap), TEST(late_fence), TEST(late_dma),
	{ }
};

int main(int argc, char **argv)
{
	return run_tests(tests, argc, argv);
}
