// SPDX-License-Identifier: GPL-2.0
/* The commands of the card, without a driver: in every order, twice, and all at once. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bare.h"

static const char *const commands[] = { "plug", "remove", "surprise" };

static bool known(void)
{
	return !access(sim_sysfs(sim_card(), "vendor"), F_OK);
}

static bool plugged(void)
{
	return !strcmp(sim_verdict_word(sim_card(), "state"), "plugged");
}

static void empty(void)
{
	check_ok(write_file("/sys/bus/pci/drivers_autoprobe", "0"));
	sim_no_faults(sim_card());
	sim_control(sim_card(), "surprise");
	check(!plugged());
	check(!known());
}

static void words(void)
{
	check_eq(-sim_control(sim_card(), "fly"), EINVAL);
	check_eq(-sim_control(sim_card(), "plugplugplugplugplugplugplugplugplugplugplug"), EINVAL);
	check_ok(sim_control(sim_card(), "plug\n"));
	check_ok(sim_control(sim_card(), "surprise\n"));
}

/* All sequences of three: each command does what it must, or says why not. */
static void orders(void)
{
	int a, b, c, i, which[3];
	bool in = false;

	for (a = 0; a < 27; a++) {
		b = a;
		for (c = 0; c < 3; c++, b /= 3)
			which[c] = b % 3;
		for (i = 0; i < 3; i++) {
			int error = sim_control(sim_card(), commands[which[i]]);

			if (which[i] == 0)
				check_eq(-error, in ? EBUSY : 0);
			else
				check_eq(-error, in ? 0 : ENODEV);
			in = !which[i];
			check_eq(plugged(), in);
			check_eq(known(), in);
		}
	}
	empty();
}

/* What others do to the device, as well. */
static void sysfs_remove(void)
{
	check_ok(sim_control(sim_card(), "plug"));
	check_ok(write_file(sim_sysfs(sim_card(), "remove"), "1"));
	check(!known());
	check(plugged());
	check_eq(-sim_control(sim_card(), "plug"), EBUSY);
	check_eq(-sim_control(sim_card(), "remove"), ENODEV);
	check_ok(write_file("/sys/bus/pci/rescan", "1"));
	check(known());
	check_ok(write_file(sim_sysfs(sim_card(), "remove"), "1"));
	check_ok(sim_control(sim_card(), "surprise"));
	check(!plugged());
	check_ok(sim_control(sim_card(), "plug"));
	check(known());
	empty();
}

static void concurrent(void)
{
	pid_t child[6];
	int i, round, status;

	for (i = 0; i < 6; i++) {
		child[i] = fork();
		if (child[i])
			continue;
		for (round = 0; round < 8; round++)
			sim_control(sim_card(), commands[(i + round * (i + 1)) % 3]);
		_exit(0);
	}
	for (i = 0; i < 6; i++) {
		check(waitpid(child[i], &status, 0) == child[i]);
		check_eq(status, 0);
	}
	empty();
	check_ok(sim_control(sim_card(), "plug"));
	check(known());
	empty();
}

/* A card that is gone: reads give all ones, from the registers and from configuration space. */
static void gone(void)
{
	uint32_t value = 0;
	int fd;

	bare_start();
	regs[SCRATCH_REG0] = 1;
	check_eq(regs[SCRATCH_REG0], 1);
	fd = open(sim_sysfs(sim_card(), "config"), O_RDWR);
	check(pread(fd, &value, 4, 0) == 4);
	check_eq(value & 0xffff, 0x1002);
	check_ok(sim_control(sim_card(), "surprise"));
	check_eq(regs[SCRATCH_REG0], 0xffffffff);
	check_eq(sim_verdict(sim_card(), "registers_written_after"), 0);
	check_eq(*vram32(DATA), 0xffffffff);
	check_eq(sim_verdict(sim_card(), "vram_pages_written_after"), 0);
	*vram32(DATA) = 1;
	check_eq(sim_verdict(sim_card(), "vram_pages_written_after"), 1);
	/* The witness: who writes now is found out. */
	regs[SCRATCH_REG0] = 0x5a;
	regs[SDMA0_GFX_RB_WPTR + 0x200] = 0x10;
	check_eq(sim_verdict(sim_card(), "registers_written_after"), 2);
	check(!strcmp(sim_verdict_word(sim_card(), "register"), "SDMA1_GFX_RB_WPTR 0x10"));
	close(fd);
	munmap((void *)regs, 256 << 10);
	munmap((void *)vram, 256 << 20);
	regs = NULL;
}

/* The engines stop with the card, in the middle of work. */
static void gone_at_work(void)
{
	uint32_t packet[] = { 11, A(FB + DATA), 0x1111, 0x3ffffc };
	int i;

	bare_start();
	for (i = 0; i < 100; i++)
		emit(SDMA0, packet, 5);
	check_ok(sim_control(sim_card(), "surprise"));
	check(!plugged());
	munmap((void *)regs, 256 << 10);
	munmap((void *)vram, 256 << 20);
	regs = NULL;
	check_ok(sim_control(sim_card(), "plug"));
	empty();
}

static void done(void)
{
	check_ok(write_file("/sys/bus/pci/drivers_autoprobe", "1"));
}

static const struct test tests[] = {
#define TEST(name) { #name, name }
	TEST(empty), TEST(words), TEST(orders), TEST(sysfs_remove), TEST(concurrent), TEST(gone),
	TEST(gone_at_work), TEST(done),
	{ }
};

int main(int argc, char **argv)
{
	return run_tests(tests, argc, argv);
}
