// SPDX-License-Identifier: GPL-2.0

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

enum { PASSED, FAILED, SKIPPED };

static sigjmp_buf out;
static char why[512];

void fail_at(const char *file, int line, const char *format, ...)
{
	va_list args;
	int at = snprintf(why, sizeof(why), "%s:%d: ", file, line);

	va_start(args, format);
	vsnprintf(why + at, sizeof(why) - at, format, args);
	va_end(args);
	siglongjmp(out, FAILED);
}

void skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	siglongjmp(out, SKIPPED);
}

static bool wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], name))
			return true;
	}
	return argc < 2;
}

static int run_one(const struct test *test)
{
	int result = sigsetjmp(out, 1);

	if (result == PASSED)
		test->run();
	return result;
}

int run_tests(const struct test *tests, int argc, char **argv)
{
	int number = 0, failed = 0, count = 0;
	const struct test *test;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (test = tests; test->name; test++)
		count += wanted(test->name, argc, argv);
	printf("TAP version 13\n1..%d\n", count);
	for (test = tests; test->name; test++) {
		if (!wanted(test->name, argc, argv))
			continue;
		number++;
		switch (run_one(test)) {
		case PASSED:
			printf("ok %d %s\n", number, test->name);
			break;
		case SKIPPED:
			printf("ok %d %s # SKIP %s\n", number, test->name, why);
			break;
		default:
			printf("# %s\nnot ok %d %s\n", why, number, test->name);
			failed++;
			sim_no_faults(sim_card());	/* the next test is none the worse */
		}
	}
	return failed ? 1 : 0;
}

unsigned int sim_card(void)
{
	const char *card = getenv("SIM_CARD");

	return card ? atoi(card) : 0;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

static const char *sim_path(unsigned int card, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/sim-radeon/card%u/%s", card, file);
	return path;
}

int sim_control(unsigned int card, const char *command)
{
	return write_file(sim_path(card, "control"), command);
}

void sim_fault(unsigned int card, const char *fault, unsigned int value)
{
	char file[64], text[16];

	snprintf(file, sizeof(file), "fault/%s", fault);
	snprintf(text, sizeof(text), "%u", value);
	if (write_file(sim_path(card, file), text))
		fail("cannot order the fault %s", fault);
}

void sim_no_faults(unsigned int card)
{
	char path[128];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s", sim_path(card, "fault"));
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			sim_fault(card, entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

const char *sim_verdict_word(unsigned int card, const char *key)
{
	static char line[256];
	size_t length = strlen(key);
	FILE *file = fopen(sim_path(card, "verdict"), "r");

	if (!file)
		fail("no verdict: is the module loaded?");
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, length) || line[length] != ' ')
			continue;
		fclose(file);
		line[strcspn(line, "\n")] = 0;
		return line + length + 1;
	}
	fclose(file);
	fail("the verdict has no %s", key);
}

unsigned long long sim_verdict(unsigned int card, const char *key)
{
	return strtoull(sim_verdict_word(card, key), NULL, 0);
}

const char *sim_sysfs(unsigned int card, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%04x:01:00.0/%s", 1 + card, file);
	return path;
}

int sim_open(unsigned int card, const char *node)
{
	DIR *dir = opendir(sim_sysfs(card, "drm"));
	struct dirent *entry;
	char path[300];
	int fd = -ENOENT;

	while (dir && fd == -ENOENT && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, node, strlen(node)))
			continue;
		snprintf(path, sizeof(path), "/dev/dri/%s", entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	if (dir)
		closedir(dir);
	return fd;
}

void sleep_ms(unsigned int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

uint64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000ULL + time.tv_nsec / 1000000;
}
