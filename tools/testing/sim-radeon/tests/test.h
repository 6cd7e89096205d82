/* SPDX-License-Identifier: GPL-2.0 */
/* What the test programs share: a test is a function, and its first failed check ends it. */
#ifndef SIM_TEST_H
#define SIM_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test {
	const char *name;
	void (*run)(void);
};

/* Runs the tests, or those that are named, with KTAP on stdout; returns the exit status. */
int run_tests(const struct test *tests, int argc, char **argv);

/* Each of these ends the test. */
void fail_at(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define fail(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)

#define check(condition) do {					\
	if (!(condition))					\
		fail("%s", #condition);				\
} while (0)

/* Both as unsigned 64 bit. */
#define check_eq(value, expected) do {						\
	unsigned long long v_ = (value), e_ = (expected);			\
	if (v_ != e_)								\
		fail("%s is %#llx, not %#llx", #value, v_, e_);			\
} while (0)

/* A call that returns 0 or a negative errno. */
#define check_ok(call) do {							\
	int r_ = (call);							\
	if (r_)									\
		fail("%s: error %d", #call, r_);				\
} while (0)

/* The card under test, by index: $SIM_CARD, or 0. */
unsigned int sim_card(void);
int sim_control(unsigned int card, const char *command);	/* 0 or -errno */
void sim_fault(unsigned int card, const char *fault, unsigned int value);
void sim_no_faults(unsigned int card);
unsigned long long sim_verdict(unsigned int card, const char *key);
/* A word of the verdict, in a static buffer. */
const char *sim_verdict_word(unsigned int card, const char *key);
/* A path in sysfs of the PCI device, in a static buffer. */
const char *sim_sysfs(unsigned int card, const char *file);
/* Opens the render or the primary node ("renderD", "card"), or returns -errno. */
int sim_open(unsigned int card, const char *node);

int write_file(const char *path, const char *text);		/* 0 or -errno */
void sleep_ms(unsigned int ms);
uint64_t now_ms(void);
/* Waits until the expression holds; false if it does not within the time. */
#define wait_for(condition, ms) ({						\
	uint64_t end_ = now_ms() + (ms);					\
	bool ok_;								\
	while (!(ok_ = (condition)) && now_ms() < end_)				\
		sleep_ms(1);							\
	ok_;									\
})

#endif
