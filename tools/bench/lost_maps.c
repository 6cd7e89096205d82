// SPDX-License-Identifier: GPL-2.0
/*
 *	lost_maps MIB		what it costs to use so many MiB of maps of a device that is gone
 *	lost_maps maps COUNT	what so many maps hold in memory
 *
 * Prints one line: label, and for each step milliseconds, page faults, and kB of memory and of
 * page tables that it took. A buffer of at most 64 MiB is mapped as often as it takes.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define PAGE 4096

struct cost {
	double ms;
	long faults, memory, tables;
};

static long meminfo(const char *key)
{
	char line[128];
	long kb = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			kb = atol(line + strlen(key) + 1);
	if (f)
		fclose(f);
	return kb;
}

static struct cost look(void)
{
	struct timespec ts;
	struct rusage ru;
	struct cost now;

	getrusage(RUSAGE_SELF, &ru);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now.ms = ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
	now.faults = ru.ru_minflt + ru.ru_majflt;
	now.memory = -meminfo("MemFree");
	now.tables = meminfo("PageTables");
	return now;
}

static void step(const char *what, const struct cost *a)
{
	struct cost b = look();

	printf("  %s %.0f ms, %ld faults, %ld kB, of which page tables %ld kB;", what, b.ms - a->ms,
	       b.faults - a->faults, b.memory - a->memory, b.tables - a->tables);
}

int main(int argc, char **argv)
{
	bool many = argc > 2 && !strcmp(argv[2], "maps");
	uint64_t want, size;
	volatile char **maps;
	unsigned int i, n;
	struct cost start;
	struct dumb bo;
	size_t at;
	int fd;

	scene_init(&argc, argv);
	want = strtoull(argv[argc - 1], NULL, 0);
	size = many ? 16 * PAGE : 64ull << 20;
	n = many ? want : (want << 20) / size;
	maps = calloc(n, sizeof(*maps));
	fd = open_card(0);
	if (fd < 0 || dumb_create(fd, 1024, size / 4096, &bo)) {
		printf("no buffer\n");
		return 1;
	}
	start = look();
	for (i = 0; i < n; i++) {
		maps[i] = dumb_map(fd, &bo);
		if (!maps[i]) {
			perror("mmap");
			return 1;
		}
	}
	printf("%s, %u maps of %llu kB:", dev.driver, n, (unsigned long long)bo.size / 1024);
	step("mapped", &start);
	start = look();
	if (!pull())
		return 1;
	step("pulled", &start);
	start = look();
	for (i = 0; i < n; i++)
		for (at = 0; at < (many ? PAGE : bo.size); at += PAGE)
			(void)maps[i][at];
	step("read", &start);
	start = look();
	for (i = 0; i < n; i++)
		for (at = 0; at < (many ? PAGE : bo.size); at += PAGE)
			maps[i][at] = 1;
	step("written", &start);
	start = look();
	for (i = 0; i < n; i++)
		munmap((void *)maps[i], bo.size);
	step("unmapped", &start);
	printf("\n");
	return 0;
}
