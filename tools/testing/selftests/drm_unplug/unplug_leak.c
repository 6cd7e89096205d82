// SPDX-License-Identifier: GPL-2.0
/*
 * After the last reference everything is freed (spec T3): the pages that stand in
 * for lost ones, those of the buffers, and the modules, drm.ko included. The
 * memory is counted over cycles in which a client loses more than it may keep.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <sys/mman.h>
#include <unistd.h>

/* The first cycles fill caches and pools. */
#define WARM_UP	2
#define CYCLES	6
/* What the system may differ by, of itself. */
#define NOISE_KB 8192

static bool cycled = true;
static long before_kb, held_kb, released_kb, after_kb, lost_kb;
static int map_sig;
static int unload = -1;

/*
 * Pages that are free, but that a processor keeps for itself: tens of MiB, and not
 * in MemFree.
 */
static long free_per_cpu_kb(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	long pages = 0, count;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	if (f)
		fclose(f);
	return pages * (getpagesize() / 1024);
}

/* Memory that nobody holds, in KiB; caches are dropped, and not counted as held. */
static long free_kb(void)
{
	long total = 0, value;
	char key[64];
	FILE *f;

	/* Work that frees what RCU or a delayed destruction has kept. */
	sleep_ms(500);
	write_file("/proc/sys/vm/drop_caches", "3");
	f = fopen("/proc/meminfo", "r");
	while (f && fscanf(f, "%63[^:]: %ld%*[^\n]\n", key, &value) == 2) {
		if (!strcmp(key, "MemFree") || !strcmp(key, "Cached") ||
		    !strcmp(key, "Buffers") || !strcmp(key, "SReclaimable"))
			total += value;
		/* Counted as cache, and is not. */
		if (!strcmp(key, "Shmem"))
			total -= value;
	}
	if (f)
		fclose(f);
	return total + free_per_cpu_kb();
}

/* What a client holds of a lost device: one buffer mapped twice, read and written. */
static void cycle(bool count)
{
	uint32_t *map, *buf_map = MAP_FAILED;
	unsigned int nonzero;
	struct dumb bo;
	int fd, dmabuf, i;

	fd = open_card(0);
	if (fd < 0 || (dumb_create(fd, 2048, 2048, &bo) && dumb_create(fd, 512, 512, &bo))) {
		printf("# no buffer\n");
		cycled = false;
		return;
	}
	map = dumb_map(fd, &bo);
	fill_all(map, bo.size, 0xa5a5a5a5);
	dmabuf = prime_export(fd, bo.handle);
	if (dmabuf >= 0)
		buf_map = mmap(NULL, bo.size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	cycled = pull() && cycled;
	map_sig |= touch_all(map, bo.size, &nonzero) ?: fill_all(map, bo.size, 1);
	if (buf_map != MAP_FAILED) {
		map_sig |= touch_all(buf_map, bo.size, &nonzero) ?: fill_all(buf_map, bo.size, 1);
		munmap(buf_map, bo.size);
	}
	if (count)
		held_kb = free_kb();
	munmap(map, bo.size);
	if (dmabuf >= 0)
		close(dmabuf);
	close(fd);
	/* Some of it is freed by workers, which may take their time. */
	for (i = 0; count && i < 20 && released_kb - held_kb <= (long)bo.size / 2048; i++)
		released_kb = free_kb();
	lost_kb = bo.size / 1024;
	cycled = plug() && cycled;
}

static void run_scene(void)
{
	unsigned int i;

	for (i = 0; i < WARM_UP + CYCLES && cycled; i++) {
		if (i == WARM_UP)
			before_kb = free_kb();
		cycle(i == WARM_UP + CYCLES - 1);
	}
	after_kb = free_kb();
	if (cycled)
		unload = system("drm-unload 1>&2");
}

/* Half of what one map lost in each cycle would come to. */
TEST(T3_pages_come_back)
{
	if (!before_kb)
		SKIP(return, "the device did not come back");
	printf("# %ld KiB held after %d cycles, %ld KiB of a lost map of %ld KiB seen\n",
	       before_kb - after_kb, CYCLES, released_kb - held_kb, lost_kb);
	EXPECT_EQ(0, map_sig);
	EXPECT_LT(before_kb - after_kb, lost_kb * CYCLES / 2 + NOISE_KB);
}

/* Does the meter see a lost map while it is held? Else the test above means nothing. */
TEST(T3_held_pages_are_counted)
{
	if (!before_kb)
		SKIP(return, "the device did not come back");
	if (lost_kb < NOISE_KB)
		SKIP(return, "a buffer of %ld KiB is too small to be seen", lost_kb);
	EXPECT_GT(released_kb - held_kb, lost_kb / 2);
}

/* All modules of DRM: nothing holds the last of them. */
TEST(T3_drm_unloads)
{
	if (!cycled)
		SKIP(return, "the device did not come back");
	EXPECT_EQ(0, unload);
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
