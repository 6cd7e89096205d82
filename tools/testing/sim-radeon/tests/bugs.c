// SPDX-License-Identifier: GPL-2.0
/*
 * The bugs of amdgpu that an unplug shows, one a run, for most of them end the guest:
 *
 *	bugs NAME control	the same without what triggers it; must be clean
 *	bugs NAME		the bug; says "bug: appeared ..." or "bug: absent ..."
 *
 * What the table in ../expected-bugs and the runner make of that is their business. Exit status 0
 * unless the test itself could not be done.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/kfd_ioctl.h>

#include "gpu.h"
#include "kms.h"

/* What takes longer than this hangs. On an idle machine a removal takes about a second. */
#define HANG_MS 25000
#define SDMA_RINGS 3

static bool control;
static char address[16];

/* --- what the kernel says ---------------------------------------------------------------------- */

static int kmsg = -1;

static void watch_kernel(void)
{
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	check(kmsg >= 0);
	lseek(kmsg, 0, SEEK_END);
}

/* The first report since the last look, in a static buffer, or NULL. */
static const char *kernel_report(void)
{
	static const char *const signs[] = {
		"BUG: ", "kernel BUG at ", "Oops: ", "WARNING: ", "list_add corruption",
		"list_del corruption", "general protection fault",
	};
	static char record[2048], found[256];
	const char *report = NULL;
	ssize_t length;
	unsigned int i;

	while ((length = read(kmsg, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		const char *text;

		if (length <= 0)
			continue;
		record[length] = 0;
		text = strchr(record, ';');
		for (i = 0; text && !report && i < sizeof(signs) / sizeof(*signs); i++) {
			if (strncmp(text + 1, signs[i], strlen(signs[i])))
				continue;
			snprintf(found, sizeof(found), "%.*s", (int)strcspn(text + 1, "\n"), text + 1);
			report = found;
		}
	}
	return report;
}

/* --- how it went -------------------------------------------------------------------------------- */

/* Says it, and leaves at once: what is still open or stuck is the guest's to clean up. */
static void result(bool appeared, const char *text)
{
	printf("%s: %s%s%s\n", control ? "control" : "bug",
	       control ? (appeared ? "failed" : "passed") : (appeared ? "appeared" : "absent"),
	       text ? ", " : "", text ?: "");
	fflush(stdout);
	_exit(0);
}

/*
 * Writes to a file in another process; 0 or -errno, or -ETIMEDOUT if that hangs. The result comes
 * by a pipe: the other process has our open files, and closing those may hang as well.
 */
static int write_bounded(const char *path, const char *text)
{
	struct pollfd answer = { .events = POLLIN };
	int ends[2], error;
	pid_t child;

	check(!pipe(ends));
	child = fork();
	if (!child) {
		error = write_file(path, text);
		if (write(ends[1], &error, sizeof(error)) != sizeof(error))
			_exit(1);
		_exit(0);
	}
	close(ends[1]);
	answer.fd = ends[0];
	if (poll(&answer, 1, HANG_MS) != 1)
		error = -ETIMEDOUT;
	else if (read(ends[0], &error, sizeof(error)) != sizeof(error))
		error = -EINTR;		/* killed by an oops */
	close(ends[0]);
	return error;
}

static int sysfs_remove(void)
{
	return write_bounded(sim_sysfs(sim_card(), "remove"), "1");
}

static int unbind(void)
{
	return write_bounded("/sys/bus/pci/drivers/amdgpu/unbind", address);
}

static int bind(void)
{
	return write_bounded("/sys/bus/pci/drivers/amdgpu/bind", address);
}

static int surprise(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/debug/sim-radeon/card%u/control", sim_card());
	return write_bounded(path, "surprise");
}

/* A removal must end, and the kernel must have nothing to report. */
static void judge_removal(int error)
{
	const char *report;
	static char text[300];

	sleep_ms(500);
	report = kernel_report();
	if (error == -ETIMEDOUT)
		snprintf(text, sizeof(text), "no end after %d s%s%s", HANG_MS / 1000,
			 report ? "; " : "", report ?: "");
	else if (error)
		snprintf(text, sizeof(text), "error %d", error);
	else
		snprintf(text, sizeof(text), "%s", report ?: "");
	result(error || report, *text ? text : NULL);
}

/* --- 1 ------------------------------------------------------------------------------------------ */

/*
 * A flip that waits for a fence of work that stands still. Removal waits for the flip before
 * anybody ends the fence.
 */
static void deadlock(void)
{
	struct amdgpu_cs_fence fence;
	struct buffer buffer;
	struct buffer *buffers[] = { &buffer };
	struct gpu gpu;
	struct kms kms;
	uint32_t dwords[5];

	gpu_open(&gpu, sim_card());
	buffer_alloc(&gpu, &buffer, 65536, AMDGPU_GEM_DOMAIN_VRAM);
	kms_start(&kms, sim_card());
	if (!control)
		sim_fault(sim_card(), "stall", SDMA_RINGS);
	memcpy(dwords, (uint32_t[]){ FILL(&buffer, 1) }, sizeof(dwords));
	check_ok(gpu_submit(&gpu, AMDGPU_HW_IP_DMA, 0, dwords, 5, buffers, 1, &fence));
	check_ok(kms_flip(&kms, 1, gpu_sync_file(&gpu, &fence)));
	if (control)
		check_eq(gpu_wait(&fence, 10000), 1);
	sleep_ms(100);
	judge_removal(sysfs_remove());
}

/* --- 2, 3, 4: KFD ------------------------------------------------------------------------------- */

static uint32_t kfd_gpu_id(void)
{
	char path[80];
	unsigned int node, id;
	FILE *file;

	for (node = 0; node < 8; node++) {
		snprintf(path, sizeof(path), "/sys/class/kfd/kfd/topology/nodes/%u/gpu_id", node);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%u", &id) != 1)
			id = 0;
		fclose(file);
		if (id)
			return id;
	}
	fail("KFD knows no GPU: is it a Hawaii?");
}

/* A process that uses the card for computing, until it is killed. */
static pid_t kfd_process(unsigned int card, void (*on_bus_error)(int signal))
{
	int ready[2];
	pid_t child;
	char ok = 0;

	check(!pipe(ready));
	child = fork();
	if (!child) {
		struct kfd_ioctl_acquire_vm_args acquire = { };
		int kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);

		signal(SIGBUS, on_bus_error);
		acquire.drm_fd = sim_open(card, "renderD");
		acquire.gpu_id = kfd_gpu_id();
		ok = kfd >= 0 && !ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &acquire);
		if (write(ready[1], &ok, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	check(read(ready[0], &ok, 1) == 1 && ok);
	return child;
}

static void caught(int signal)
{
}

static void null_dereference(void)
{
	if (!control)
		kfd_process(sim_card(), SIG_DFL);
	judge_removal(surprise());
}

/* The card that goes is none of KFD's, but another one is. */
static void kfd_unsupported(void)
{
	if (!control)
		kfd_process(sim_card() + 1, SIG_DFL);
	judge_removal(sysfs_remove());
}

static void unbounded(void)
{
	/* The control is not a process that dies of KFD's signal: the stock kernel spins for as
	 * long as that takes, and has kept the process from dying.
	 */
	pid_t process = control ? 0 : kfd_process(sim_card(), caught);
	int error = sysfs_remove();

	if (process)
		kill(process, SIGKILL);
	judge_removal(error);
}

static void kfd_locked(void)
{
	int fd = -1, kfd;

	if (!control)
		fd = sim_open(sim_card(), "renderD");
	check(control || fd >= 0);
	check_ok(sysfs_remove());
	/* Others (udev, the console) may have the card open for a moment, too. There must be
	 * another card for KFD, or it refuses anyway.
	 */
	if (wait_for((kfd = open("/dev/kfd", O_RDWR)) >= 0, 5000))
		result(false, NULL);
	result(true, strerror(errno));
}

/* As kfd_priv.h has it: the page of doorbells that a process has of a GPU. */
#define KFD_MMAP_TYPE_DOORBELL	(3ull << 62)
#define KFD_MMAP_GPU_ID_SHIFT	46
#define DOORBELL		16

/* A process with a map of registers. When it is told to, it looks at it, and ends with 0 if that
 * is memory which reads as zeros and can be written.
 */
static void kfd_map_process(int told, int ready)
{
	struct kfd_ioctl_acquire_vm_args acquire = { };
	int kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC);
	volatile uint32_t *map;
	char byte = 0;

	acquire.drm_fd = sim_open(sim_card(), "renderD");
	acquire.gpu_id = kfd_gpu_id();
	if (kfd < 0 || ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &acquire))
		_exit(10);
	map = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, kfd,
		   KFD_MMAP_TYPE_DOORBELL | (uint64_t)acquire.gpu_id << KFD_MMAP_GPU_ID_SHIFT);
	if (map == MAP_FAILED)
		_exit(11);
	map[DOORBELL] = 0x5a5a;
	if (map[DOORBELL] != 0x5a5a || write(ready, &byte, 1) != 1 || read(told, &byte, 1) != 1)
		_exit(12);
	if (!byte)
		_exit(map[DOORBELL] == 0x5a5a ? 0 : 1);
	if (map[DOORBELL])
		_exit(2);
	map[DOORBELL] = 0x5b5b;
	_exit(map[DOORBELL] == 0x5b5b ? 0 : 3);
}

static void kfd_map(void)
{
	int told[2], ready[2], status, error = 0;
	static char text[80];
	char byte = !control;
	pid_t child;

	check(!pipe(told) && !pipe(ready));
	child = fork();
	if (!child)
		kfd_map_process(told[0], ready[1]);
	close(ready[1]);
	check(read(ready[0], &byte, 1) == 1);
	if (!control)
		error = sysfs_remove();
	byte = !control;
	/* It may have been killed. */
	signal(SIGPIPE, SIG_IGN);
	close(told[0]);
	if (write(told[1], &byte, 1) != 1)
		error = error ?: -EPIPE;
	check(waitpid(child, &status, 0) == child);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 2)
		snprintf(text, sizeof(text), "old content");
	else if (status || error)
		snprintf(text, sizeof(text), "status %d, error %d", WEXITSTATUS(status), error);
	result(status || error, *text ? text : NULL);
}

/* --- 5, 6: the driver comes back while a file is open ------------------------------------------- */

static int held_fd = -1;

static int rebind(void)
{
	int error;

	if (!control)
		held_fd = sim_open(sim_card(), "renderD");
	check(control || held_fd >= 0);
	check_ok(unbind());
	error = bind();
	if (!error && access(sim_sysfs(sim_card(), "drm"), F_OK))
		error = -ENODEV;
	return error;
}

static void rebind_fails(void)
{
	int error = rebind();
	const char *report = kernel_report();

	result(error || report, report ?: error ? strerror(-error) : NULL);
}

static void list_corruption(void)
{
	int error = rebind(), again;

	kernel_report();	/* that is bug 5 */
	if (error) {
		/* What stays in the list is freed memory; the more, the sooner it is found out. */
		for (again = 0; again < 3; again++)
			bind();
		kernel_report();
		close(held_fd);
		sleep_ms(1000);
		error = bind();
	}
	if (!error)
		error = sysfs_remove();
	judge_removal(error);
}

/* --- 7: the driver finds hardware that does not work -------------------------------------------- */

static void failed_probe(void)
{
	const char *report;
	int error;

	check_ok(unbind());
	if (!control)
		sim_fault(sim_card(), "stall", 4);
	error = bind();
	if (!control) {
		check(error);
		sim_no_faults(sim_card());
		error = bind();
	}
	report = kernel_report();
	result(error || report, report ?: error ? strerror(-error) : NULL);
}

static const struct {
	const char *name;
	void (*run)(void);
} bugs[] = {
	{ "deadlock", deadlock },
	{ "null-dereference", null_dereference },
	{ "unbounded-removal", unbounded },
	{ "kfd-locked", kfd_locked },
	{ "rebind-fails", rebind_fails },
	{ "list-corruption", list_corruption },
	{ "failed-probe", failed_probe },
	{ "kfd-map", kfd_map },
	{ "kfd-unsupported", kfd_unsupported },
};

static unsigned int chosen;

static void run(void)
{
	snprintf(address, sizeof(address), "%04x:01:00.0", 1 + sim_card());
	sim_no_faults(sim_card());
	watch_kernel();
	bugs[chosen].run();
}

int main(int argc, char **argv)
{
	const struct test tests[] = { { "could-not-be-done", run }, { } };
	char *no_args[] = { argv[0], NULL };

	control = argc > 2 && !strcmp(argv[2], "control");
	for (chosen = 0; argc > 1 && chosen < sizeof(bugs) / sizeof(*bugs); chosen++) {
		if (!strcmp(argv[1], bugs[chosen].name))
			return run_tests(tests, 1, no_args);
	}
	fprintf(stderr, "usage: bugs deadlock|null-dereference|unbounded-removal|kfd-locked|rebind-fails|list-corruption|failed-probe|kfd-map|kfd-unsupported [control]\n");
	return 2;
}
