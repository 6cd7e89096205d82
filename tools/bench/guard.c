// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to guard an ioctl, a section of code or a page fault, in
 * nanoseconds on this machine. Neither UML (no SMP, or two host system calls for
 * a per-CPU access) nor an emulated guest can show that.
 *
 * This program contains the code of both drm.ko, stock and ours, as it is, and
 * runs it in user space: drm_ioctl() with a handler that does nothing,
 * drm_dev_enter() and drm_dev_exit(), a fault handler. A third copy, "bare", is
 * the stock one with empty drm_dev_enter() and drm_dev_exit(): an ioctl without a
 * guard. link-guard puts it together.
 *
 * As the kernel does when it boots on a CPU that needs no mitigation, the calls of
 * the tracer become no-ops and the jumps to the return thunk returns. Per-CPU
 * variables are those of a single CPU. What the modules import and a guard calls
 * is in guard_kernel.c; the rest are stubs, and it is reported if one is called
 * where it matters.
 *
 * Left out: mitigations, cache misses, interrupts, the way into the kernel.
 *
 * Prints "samples METRIC - ns VALUE...", a value for each round. The variants
 * take turns in each round, so that whatever else the machine does hits all, and
 * each round has the stack elsewhere, as each system call has it: where it is can
 * cost or save ten nanoseconds.
 */
#include <alloca.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define ROUNDS	1500
#define CALLS	2000

void guard_setup(void);
void guard_calls(void);
void stock_ioctl(void);
void stock_gate(void);
void stock_section(void);
void stock_nested(void);
void stock_fault(void);
void bare_ioctl(void);
void ours_ioctl(void);
void ours_gate(void);
void ours_section(void);
void ours_nested(void);
void ours_fault(void);

static void null_syscall(void)
{
	syscall(SYS_getppid);
}

static const struct {
	const char *name;
	void (*run)(void);
} variants[] = {
	{ "calls", guard_calls },
	{ "gate.stock", stock_gate },
	{ "gate.ours", ours_gate },
	{ "ioctl.bare", bare_ioctl },
	{ "ioctl.stock", stock_ioctl },
	{ "ioctl.ours", ours_ioctl },
	{ "section.stock", stock_section },
	{ "section.ours", ours_section },
	{ "nested.stock", stock_nested },
	{ "nested.ours", ours_nested },
	{ "fault.stock", stock_fault },
	{ "fault.ours", ours_fault },
	{ "syscall", null_syscall },
};

#define N_VARIANTS (sizeof(variants) / sizeof(*variants))

/* ---- what the modules find under these names in the kernel ---- */

static char task[65536] __attribute__((aligned(64)));
void *const_current_task = task;
void *current_task = task;
uint32_t __preempt_count = 0x80000000;	/* inverted: no need to reschedule */
unsigned long this_cpu_off;
unsigned long __ref_stack_chk_guard = 0x5bd1e995;
unsigned long jiffies;

void guard_failed(const char *why)
{
	fprintf(stderr, "guard: %s\n", why);
	exit(1);
}

unsigned long guard_alloc(unsigned long size)
{
	void *p = aligned_alloc(64, (size + 63) & ~63ul);

	if (!p)
		guard_failed("no memory");
	return (unsigned long)memset(p, 0, (size + 63) & ~63ul);
}

void __fentry__(void);
void __fentry__(void)
{
	guard_failed("a call of the tracer was not patched");
}

void __x86_return_thunk(void);
void __x86_return_thunk(void)
{
	guard_failed("a return was not patched");
}

void __stack_chk_fail(void)
{
	guard_failed("stack smashed");
}

/* Retpolines where none is needed. */
asm(".irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n"
    ".globl __x86_indirect_thunk_\\reg\n"
    "__x86_indirect_thunk_\\reg: jmp *%\\reg\n"
    ".endr");

_Bool bare_drm_dev_enter(void *dev, int *idx);
_Bool bare_drm_dev_enter(void *dev, int *idx)
{
	(void)dev;
	*idx = 0;
	return 1;
}

void bare_drm_dev_exit(int idx);
void bare_drm_dev_exit(int idx)
{
	(void)idx;
}

/* ---- patching, as at boot ---- */

extern const uint64_t __start_guard_tracer[], __stop_guard_tracer[];
extern const int32_t __start_guard_returns[], __stop_guard_returns[];
extern struct { uint64_t calls; const char *name; } __start_guard_stubs[], __stop_guard_stubs[];
extern char __executable_start[], etext[];

static void patch(unsigned char *at, unsigned char opcode, const char *code, const void *target)
{
	int32_t rel;

	memcpy(&rel, at + 1, 4);
	if (*at == opcode && at + 5 + rel == target)
		memcpy(at, code, 5);
}

static void patch_all(void)
{
	char *start = (char *)((unsigned long)__executable_start & -4096ul);
	const uint64_t *call;
	const int32_t *ret;

	if (mprotect(start, etext - start, PROT_READ | PROT_WRITE | PROT_EXEC)) {
		perror("guard: mprotect");
		exit(1);
	}
	for (call = __start_guard_tracer; call < __stop_guard_tracer; call++)
		patch((void *)*call, 0xe8, "\x0f\x1f\x44\x00\x00", __fentry__);
	for (ret = __start_guard_returns; ret < __stop_guard_returns; ret++)
		patch((unsigned char *)ret + *ret, 0xe9, "\xc3\xcc\xcc\xcc\xcc", __x86_return_thunk);
	mprotect(start, etext - start, PROT_READ | PROT_EXEC);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static double samples[N_VARIANTS][ROUNDS];

static double measure(void (*volatile run)(void), unsigned int stack)
{
	volatile char *place = alloca(stack + 16);
	uint64_t start;
	unsigned int i;

	place[0] = 0;
	start = now();
	for (i = 0; i < CALLS; i++)
		run();
	return (now() - start) / (double)CALLS;
}

int main(void)
{
	unsigned int round, v, i, n_stubs = __stop_guard_stubs - __start_guard_stubs;

	patch_all();
	guard_setup();

	for (i = 0; i < n_stubs; i++)
		__start_guard_stubs[i].calls = 0;
	for (round = 0; round < ROUNDS; round++) {
		/* As many places as the kernel picks from, each in turn. */
		for (v = 0; v < N_VARIANTS; v++)
			samples[v][round] = measure(variants[v].run, round * 7 % 64 * 16);
	}

	for (v = 0; v < N_VARIANTS; v++) {
		printf("samples guard.%s - ns", variants[v].name);
		for (round = 0; round < ROUNDS; round++)
			printf(" %.2f", samples[v][round]);
		printf("\n");
	}
	for (i = 0; i < n_stubs; i++)
		if (__start_guard_stubs[i].calls)
			printf("count guard.stub.%s - %lu %u\n", __start_guard_stubs[i].name,
			       __start_guard_stubs[i].calls, ROUNDS * CALLS);
	return 0;
}
