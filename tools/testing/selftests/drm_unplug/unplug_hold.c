// SPDX-License-Identifier: GPL-2.0
/*
 * Clients that keep the kernel waiting when the device is pulled (spec T1, T2,
 * U3): for a page of their own that they do not provide, by userfaultfd or by a
 * FUSE server that does not answer, or because they are stopped.
 *
 * Three pulls:
 *  - of a device whose clients are held where an unplug does not wait for them,
 *    while a client of another device is held inside of a handler, and a task in
 *    a section of its driver;
 *  - of one whose clients are held inside of a handler, and are killed for it;
 *  - of one with such clients that nobody kills: the log has to name them, and
 *    the pull ends when they let go.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <linux/fuse.h>
#include <linux/userfaultfd.h>

#include "module/stuck.h"

#define PAGE	4096
#define PATIENCE "/sys/module/drm/parameters/unplug_patience"
/* Far more than the log needs to name a client, which is 10 s. */
#define LIMIT_MS 40000
/* A pull that waits for another device is helped after that; on stock it needs to be. */
#define OTHER_LIMIT_MS 5000

enum where { ARGUMENT, HANDLER, HANDLES, WAIT, VBLANK };
enum page { NONE, UFFD, FUSE_SYNC, FUSE_ASYNC };

struct client {
	const char *what;
	enum where where;	/* the kernel needs the page */
	enum page page;
	bool other;		/* a client of vgem */
	bool stop;		/* by SIGSTOP, once it is held */
	/* Shared with the process: */
	volatile pid_t pid;
	volatile bool held, release, done;
	volatile long ret;
	/* What the scene saw: */
	bool ready, held_through, killed, named;
};

/* ---- the client ---- */

static int node;		/* of the device, open in each client */
static int other;		/* of vgem */
static uint32_t unsignaled;
static char fuse_file[64];

static int uffd_page(void *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)page, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return -1;
	return fd;
}

static void *uffd_main(void *arg)
{
	struct client *c = ((void **)arg)[0];
	struct uffdio_zeropage zero = { .range = { (uintptr_t)((void **)arg)[1], PAGE } };
	int fd = (intptr_t)((void **)arg)[2];
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, -1) == 1)
		c->held = true;
	while (!c->release)
		sleep_ms(5);
	ioctl(fd, UFFDIO_ZEROPAGE, &zero);
	return NULL;
}

static long call(struct client *c, void *page)
{
	struct drm_syncobj_wait wait = { .count_handles = 1 };
	union drm_wait_vblank vbl = {
		.request = { .type = _DRM_VBLANK_RELATIVE, .sequence = 100000 },
	};
	struct drm_version args = { .name = page, .name_len = 16 };
	uint32_t handle = unsignaled;
	int fd = c->other ? other : node;

	switch (c->where) {
	case ARGUMENT:
		return ioctl_err(fd, DRM_IOCTL_GET_CAP, page);
	case HANDLER:
		return ioctl_err(fd, DRM_IOCTL_VERSION, &args);
	case HANDLES:
		wait.handles = (uintptr_t)page;
		return ioctl_err(fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait);
	case WAIT:
		wait.handles = (uintptr_t)&handle;
		wait.timeout_nsec = INT64_MAX;
		wait.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
		return ioctl_err(fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait);
	case VBLANK:
		return ioctl_err(fd, DRM_IOCTL_WAIT_VBLANK, &vbl);
	}
	return -EINVAL;
}

static void client_main(struct client *c)
{
	void *page = NULL, *args[3];
	pthread_t thread;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (c->page == UFFD) {
		page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		fd = uffd_page(page);
		if (fd < 0)
			_exit(1);
		args[0] = c;
		args[1] = page;
		args[2] = (void *)(intptr_t)fd;
		pthread_create(&thread, NULL, uffd_main, args);
	} else if (c->page != NONE) {
		fd = open(fuse_file, O_RDWR | O_CLOEXEC);
		page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		if (page == MAP_FAILED)
			_exit(1);
		/* Without readahead, the task that faults sends the request itself. */
		if (c->page == FUSE_SYNC)
			madvise(page, PAGE, MADV_RANDOM);
	}
	c->ret = call(c, page);
	c->done = true;
	while (1)
		pause();
}

/* ---- a FUSE file system with a file that cannot be read ---- */

static struct { volatile unsigned int reads; } *fuse_seen;
static pid_t fuse_pid;
static int fuse_fd;

static void fuse_reply(uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header head = {
		.len = sizeof(head) + size, .error = error, .unique = unique,
	};
	struct iovec iov[2] = { { &head, sizeof(head) }, { (void *)data, size } };

	if (writev(fuse_fd, iov, size ? 2 : 1) < 0 && errno != ENOENT)
		perror("# fuse");
}

static void fuse_attr(uint64_t inode, struct fuse_attr *attr)
{
	attr->ino = inode;
	attr->mode = inode == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666;
	attr->nlink = 1;
	attr->size = 16 * PAGE;
	attr->blksize = PAGE;
}

static void fuse_serve(void)
{
	static union {
		char bytes[FUSE_MIN_READ_BUFFER + 65536];
		struct fuse_in_header head;
	} in;
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 65536, .flags = FUSE_ASYNC_READ,
		.max_background = 12, .congestion_threshold = 9,
		.max_write = 65536, .time_gran = 1,
	};
	struct fuse_entry_out entry = { .nodeid = 2, .entry_valid = 1000, .attr_valid = 1000 };
	struct fuse_attr_out attr = { .attr_valid = 1000 };
	struct fuse_open_out opened = {};
	ssize_t n;

	while ((n = read(fuse_fd, &in, sizeof(in))) > 0 || errno == EINTR) {
		if (n <= 0)
			continue;
		switch (in.head.opcode) {
		case FUSE_INIT:
			fuse_reply(in.head.unique, 0, &init, sizeof(init));
			break;
		case FUSE_LOOKUP:
			fuse_attr(2, &entry.attr);
			fuse_reply(in.head.unique, 0, &entry, sizeof(entry));
			break;
		case FUSE_GETATTR:
			fuse_attr(in.head.nodeid, &attr.attr);
			fuse_reply(in.head.unique, 0, &attr, sizeof(attr));
			break;
		case FUSE_OPEN:
		case FUSE_OPENDIR:
			fuse_reply(in.head.unique, 0, &opened, sizeof(opened));
			break;
		case FUSE_READ:
			/* It never comes. */
			fuse_seen->reads++;
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			fuse_reply(in.head.unique, -ENOSYS, NULL, 0);
		}
	}
}

/* Mounts it, with a server that lives until fuse_end(). */
static void fuse_start(void)
{
	char dir[] = "/tmp/unplug-fuse.XXXXXX", options[128];

	if (!mkdtemp(dir))
		return;
	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse_fd);
	if (fuse_fd < 0 || mount("unplug", dir, "fuse", MS_NODEV, options)) {
		perror("# fuse mount");
		return;
	}
	fuse_seen->reads = 0;
	fuse_pid = fork();
	if (!fuse_pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fuse_serve();
		_exit(0);
	}
	close(fuse_fd);
	snprintf(fuse_file, sizeof(fuse_file), "%s/file", dir);
}

/* The end of its server is the end of all its requests. */
static void fuse_end(void)
{
	if (fuse_pid > 0) {
		kill(fuse_pid, SIGKILL);
		waitpid(fuse_pid, NULL, 0);
	}
	fuse_pid = 0;
	*strrchr(fuse_file, '/') = '\0';
	umount2(fuse_file, MNT_DETACH);
	rmdir(fuse_file);
}

/* ---- scenes ---- */

static int kmsg;

/* Does the log say TEXT about the process, from now on? */
static void log_scan(const char *text, struct client *c, unsigned int n)
{
	char line[2048], who[32];
	unsigned int i;
	ssize_t len;

	while ((len = read(kmsg, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[len > 0 ? len : 0] = '\0';
		for (i = 0; i < n; i++) {
			snprintf(who, sizeof(who), "pid %d (", c[i].pid);
			if (strstr(line, text) && strstr(line, who) && strstr(line, "drm_version"))
				c[i].named = true;
		}
	}
}

static bool all_named(const struct client *c, unsigned int n)
{
	while (n--)
		if (c[n].ready && !c[n].named)
			return false;
	return true;
}

static void patience(const char *seconds)
{
	int ret = write_file(PATIENCE, seconds);

	/* Stock has no such thing. */
	if (ret && ret != -ENOENT)
		printf("# " PATIENCE ": %s\n", err_name(ret));
}

static char state_of(pid_t pid)
{
	char path[64], buf[256] = "", *at;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, buf, sizeof(buf) - 1) < 0)
		buf[0] = '\0';
	close(fd);
	at = strrchr(buf, ')');
	return at ? at[2] : '?';
}

static void client_start(struct client *c)
{
	unsigned int reads = fuse_seen->reads;
	uint64_t end = now_ms() + 10000;
	pid_t pid;

	if (c->page >= FUSE_SYNC && !fuse_file[0])
		return;
	if ((c->where == WAIT || c->where == HANDLES) && !unsignaled)
		return;
	pid = fork();
	if (!pid)
		client_main(c);
	c->pid = pid;

	/* Held: its page is asked for, or it is off the CPU in its wait. */
	while (now_ms() < end && !c->done) {
		if (c->page >= FUSE_SYNC && fuse_seen->reads > reads)
			c->held = true;
		if (c->page == NONE && asleep_in_call(pid))
			c->held = true;
		if (c->held)
			break;
		sleep_ms(5);
	}
	/* Time to fall asleep after that. */
	sleep_ms(20);
	c->ready = c->held && !c->done;
	if (!c->ready)
		printf("# %s: not held, %s\n", c->what, err_name(c->ret));
	if (c->stop) {
		kill(pid, SIGSTOP);
		/* One that waits for a page in the kernel stops only after that. */
		if (c->page == NONE)
			waitpid(pid, NULL, WUNTRACED);
	}
}

static void clients_look(struct client *c, unsigned int n)
{
	siginfo_t info;

	for (; n--; c++) {
		if (!c->ready)
			continue;
		c->held_through = !c->done;
		info.si_pid = 0;
		c->killed = !waitid(P_PID, c->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
			    info.si_pid == c->pid && info.si_code == CLD_KILLED &&
			    info.si_status == SIGKILL;
	}
}

static void clients_release(struct client *c, unsigned int n)
{
	for (; n--; c++) {
		c->release = true;
		if (c->stop)
			kill(c->pid, SIGCONT);
	}
}

static void clients_end(struct client *c, unsigned int n)
{
	uint64_t end = now_ms() + sleeper_limit_ms();

	for (; n--; c++) {
		if (!c->ready)
			continue;
		while (!c->done && now_ms() < end && state_of(c->pid) != 'Z')
			sleep_ms(5);
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
	}
}

static struct kms kms;
static const char *no_vblank;

static void device_open(bool display)
{
	struct drm_syncobj_create create = {};
	union drm_wait_vblank vbl = { .request = { .type = _DRM_VBLANK_RELATIVE } };

	node = open_card(0);
	unsignaled = 0;
	if (has_cap(node, DRM_CAP_SYNCOBJ) &&
	    !ioctl_err(node, DRM_IOCTL_SYNCOBJ_CREATE, &create))
		unsignaled = create.handle;
	if (!display)
		return;
	ioctl_err(node, DRM_IOCTL_SET_MASTER, NULL);
	kms_on(node, &kms);
	no_vblank = kms.on ? NULL : kms.why_not;
	if (kms.on && ioctl_err(node, DRM_IOCTL_WAIT_VBLANK, &vbl))
		no_vblank = "the driver has no vblanks";
}

/* Shared memory, filled from these. */
static const struct client outside_clients[] = {
	{ "uffd page as argument", ARGUMENT, UFFD },
	{ "FUSE page as argument", ARGUMENT, FUSE_SYNC },
	{ "uffd page as array of SYNCOBJ_WAIT", HANDLES, UFFD },
	{ "stopped in SYNCOBJ_WAIT", WAIT, NONE, .stop = true },
	{ "stopped in WAIT_VBLANK", VBLANK, NONE, .stop = true },
	{ "client of another device", HANDLER, UFFD, .other = true },
};

static const struct client killed_clients[] = {
	{ "uffd page in a handler", HANDLER, UFFD },
	{ "uffd page in a handler, stopped", HANDLER, UFFD, .stop = true },
	{ "FUSE page in a handler", HANDLER, FUSE_ASYNC },
};

static const struct client named_clients[] = {
	{ "uffd page in a handler", HANDLER, UFFD },
	{ "FUSE page in a handler, read without readahead", HANDLER, FUSE_SYNC },
};

static struct client *outside, *killed, *named;
static bool pulled[3], named_while_it_waits, pulled_alone;
static struct sleeper section;
static int pulls;

static struct client *clients_of(const struct client *c, size_t size)
{
	return memcpy(shared_zalloc(size), c, size);
}

static long do_section(struct sleeper *s)
{
	return ioctl(s->fd2, STUCK_HOLD, s->fd);
}

/* A task sits in drm_dev_enter() of vgem. */
static void section_start(void)
{
	section.what = "section of another device";
	section.fn = do_section;
	section.fd = other;
	section.fd2 = open("/dev/drm-stuck", O_RDWR | O_CLOEXEC);
	if (other < 0 || section.fd2 < 0)
		return;
	sleeper_start(&section);
	sleepers_settle(&section, 1);
}

static bool pull_beside_section(void)
{
	if (!section.used)
		return pull();
	pulled_alone = pull_returns_within(OTHER_LIMIT_MS) && !section.done;
	ioctl(section.fd2, STUCK_RELEASE);
	return pull_end();
}

static bool scene_outside(void)
{
	struct client *c = outside;
	unsigned int i;

	device_open(true);
	other = open_vgem();
	fuse_start();
	for (i = 0; i < ARRAY_SIZE(outside_clients); i++)
		if ((c[i].where != VBLANK || !no_vblank) && (!c[i].other || other >= 0))
			client_start(&c[i]);
	section_start();
	patience("0");
	pulled[0] = pull_beside_section();
	clients_look(c, ARRAY_SIZE(outside_clients));
	clients_release(c, ARRAY_SIZE(outside_clients));
	fuse_end();
	clients_end(c, ARRAY_SIZE(outside_clients));
	close(node);
	return pulled[0] && plug();
}

static bool scene_killed(void)
{
	unsigned int i;

	device_open(false);
	fuse_start();
	for (i = 0; i < ARRAY_SIZE(killed_clients); i++)
		client_start(&killed[i]);
	close(node);
	patience("1");
	pulled[1] = pull();
	clients_look(killed, ARRAY_SIZE(killed_clients));
	log_scan("killing", killed, ARRAY_SIZE(killed_clients));
	clients_release(killed, ARRAY_SIZE(killed_clients));
	fuse_end();
	clients_end(killed, ARRAY_SIZE(killed_clients));
	return pulled[1] && plug();
}

static void scene_named(void)
{
	uint64_t end = now_ms() + LIMIT_MS;
	unsigned int n = ARRAY_SIZE(named_clients), i;

	device_open(false);
	fuse_start();
	for (i = 0; i < n; i++)
		client_start(&named[i]);
	close(node);
	patience("0");
	pull_start();
	while (!pull_returned() && !all_named(named, n) && now_ms() < end) {
		sleep_ms(20);
		log_scan("unplug waits for", named, n);
	}
	named_while_it_waits = all_named(named, n) && !pull_returned();
	clients_release(named, n);
	fuse_end();
	pulled[2] = pull_end();
	clients_end(named, n);
}

static void run_scene(void)
{
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kmsg, 0, SEEK_END);
	fuse_seen = shared_zalloc(sizeof(*fuse_seen));
	outside = clients_of(outside_clients, sizeof(outside_clients));
	killed = clients_of(killed_clients, sizeof(killed_clients));
	named = clients_of(named_clients, sizeof(named_clients));

	pulls = 1;
	if (!scene_outside())
		return;
	pulls = 2;
	if (!scene_killed())
		return;
	pulls = 3;
	scene_named();
	patience("30");
}

/* ---- tests ---- */

FIXTURE(T1_outside) {
};

FIXTURE_VARIANT(T1_outside) {
	int i;
};

FIXTURE_SETUP(T1_outside)
{
	const struct client *c = &outside[variant->i];

	if (c->where == VBLANK && no_vblank)
		SKIP(return, "%s", no_vblank);
	if ((c->where == WAIT || c->where == HANDLES) && !c->ready)
		SKIP(return, "the driver has no syncobj");
	ASSERT_TRUE(c->ready) TH_LOG("%s", c->what);
}

FIXTURE_TEARDOWN(T1_outside)
{
}

FIXTURE_VARIANT_ADD(T1_outside, uffd_argument) { 0 };
FIXTURE_VARIANT_ADD(T1_outside, fuse_argument) { 1 };
FIXTURE_VARIANT_ADD(T1_outside, uffd_handles_of_a_wait) { 2 };
FIXTURE_VARIANT_ADD(T1_outside, stopped_in_syncobj_wait) { 3 };
FIXTURE_VARIANT_ADD(T1_outside, stopped_in_wait_vblank) { 4 };

/* The pull returns although nobody lets go. */
TEST_F(T1_outside, does_not_hold_up_the_unplug)
{
	const struct client *c = &outside[variant->i];

	EXPECT_TRUE(pulled[0]);
	EXPECT_TRUE(c->held_through) TH_LOG("%s: %s", c->what, err_name(c->ret));
}

/* And once it is let go, a client hears of it. */
TEST_F(T1_outside, gets_enodev)
{
	const struct client *c = &outside[variant->i];

	ASSERT_TRUE(c->done) TH_LOG("%s: still asleep", c->what);
	/* The page never comes where the server has ended. */
	EXPECT_EQ(c->page == FUSE_SYNC ? -EFAULT : -ENODEV, c->ret)
		TH_LOG("%s: %s", c->what, err_name(c->ret));
}

/* It is inside of a section of its own device, before and after the pull. */
TEST(T2_client_of_another_device_is_not_waited_for)
{
	const struct client *c = &outside[5];

	if (other < 0)
		SKIP(return, "no other device");
	ASSERT_TRUE(c->ready);
	EXPECT_TRUE(pulled[0]);
	EXPECT_TRUE(c->held_through);
	EXPECT_EQ(0, c->ret) TH_LOG("%s", err_name(c->ret));
}

TEST(T2_section_of_another_device_is_not_waited_for)
{
	if (!section.used)
		SKIP(return, "no stuck.ko, or no other device");
	ASSERT_FALSE(section.early);
	EXPECT_TRUE(pulled[0]);
	EXPECT_TRUE(pulled_alone) TH_LOG("only when it had ended");
}

FIXTURE(T1_killed) {
};

FIXTURE_VARIANT(T1_killed) {
	int i;
};

FIXTURE_SETUP(T1_killed)
{
	if (pulls < 2)
		SKIP(return, "the device did not come back");
}

FIXTURE_TEARDOWN(T1_killed)
{
}

FIXTURE_VARIANT_ADD(T1_killed, uffd_in_handler) { 0 };
FIXTURE_VARIANT_ADD(T1_killed, uffd_in_handler_stopped) { 1 };
FIXTURE_VARIANT_ADD(T1_killed, fuse_in_handler) { 2 };

/* After drm.unplug_patience, which also says so. */
TEST_F(T1_killed, ends_before_the_pull_returns)
{
	const struct client *c = &killed[variant->i];

	ASSERT_TRUE(c->ready) TH_LOG("%s", c->what);
	EXPECT_TRUE(pulled[1]);
	EXPECT_TRUE(c->killed) TH_LOG("%s: in a handler after the unplug (U3)", c->what);
	EXPECT_TRUE(c->named) TH_LOG("%s: not named in the log", c->what);
}

/* pid, command and handler of each, while the pull waits for them; then it ends. */
TEST(T1_log_names_who_is_waited_for)
{
	unsigned int i;

	if (pulls < 3)
		SKIP(return, "the device did not come back");
	for (i = 0; i < ARRAY_SIZE(named_clients); i++) {
		ASSERT_TRUE(named[i].ready) TH_LOG("%s", named[i].what);
		EXPECT_TRUE(named[i].named) TH_LOG("%s: not named", named[i].what);
	}
	EXPECT_TRUE(named_while_it_waits);
	EXPECT_TRUE(pulled[2]);
}

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
