/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all drm_unplug tests share.
 *
 * Each program is one scene: it opens the device, prepares clients, pulls the
 * device once (or a few times), writes down what the clients saw, and then lets
 * the kselftest harness judge it test by test.  The harness forks every test
 * from the process that holds the device, so a test inherits open files and
 * memory maps, and a SIGBUS in one test fails that test alone.
 */
#ifndef DRM_UNPLUG_COMMON_H
#define DRM_UNPLUG_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sys/types.h>

#include <drm/drm.h>

/* The device under test, as the guest describes it. */
struct unplug_dev {
	const char *name;	/* what drm-pull and drm-plug call it */
	const char *method;	/* how it is to be pulled */
	char card[64];		/* primary node */
	char render[64];	/* render node, or "" */
	char driver[32];
	dev_t rdev;		/* of the primary node */
};

extern struct unplug_dev dev;

/* Reads the method from the command line and finds the device. */
void scene_init(int *argc, char **argv);
/* Waits for the device's nodes; false if they do not come. */
bool dev_find(void);
bool driver_is(const char *name);

int open_card(int flags);
int open_render(int flags);
int open_vgem(void);

/* Runs drm-pull or drm-plug; false unless it succeeded. */
bool pull(void);
bool pull_with(const char *method);
bool plug(void);
extern long pull_ms;	/* how long the last pull() took */
/* The same for a pull that may not come back by itself. */
void pull_start(void);
bool pull_returned(void);
bool pull_end(void);
/* Starts one, and says whether it has returned within that time. */
bool pull_returns_within(unsigned int ms);

/* One ioctl, restarted if interrupted: 0 or a negative errno. */
int ioctl_err(int fd, unsigned long request, void *arg);
/* The one that every driver has. */
int version(int fd);

/* 0 or a negative errno. */
int write_file(const char *path, const char *text);

uint64_t now_ms(void);
void sleep_ms(unsigned int ms);

/* Memory that all processes of a scene share. */
void *shared_zalloc(size_t size);

/* Dumb buffers. */
struct dumb {
	uint32_t handle;
	uint32_t pitch;
	uint64_t size;
	uint64_t offset;	/* for mmap() */
};

int dumb_create(int fd, uint32_t width, uint32_t height, struct dumb *d);
void *dumb_map(int fd, const struct dumb *d);
int prime_export(int fd, uint32_t handle);

/*
 * Memory access that survives: 0, or the signal that the access raised.  Any
 * thread may call these.
 */
int touch_read(const volatile void *addr, uint32_t *value);
int touch_write(volatile void *addr, uint32_t value);
/* Reads a word in each page: a signal, or 0 and the number of non-zero words. */
int touch_all(const volatile void *addr, size_t size, unsigned int *nonzero);
int fill_all(volatile void *addr, size_t size, uint32_t value);

/* A mode on the first connected connector, for tests that need vblanks. */
struct kms {
	bool on;
	const char *why_not;
	uint32_t crtc, connector, fb[2];
	struct dumb bo[2];
	struct drm_mode_modeinfo mode;
};

void kms_on(int fd, struct kms *kms);
int kms_flip(int fd, const struct kms *kms, int i, uint64_t user_data);
/* The id of a property, and its value; the plane that shows the framebuffer. Or 0. */
uint32_t kms_property(int fd, uint32_t object, uint32_t type, const char *name, uint64_t *value);
uint32_t kms_plane(int fd, const struct kms *kms);
bool has_cap(int fd, uint64_t cap);

/* Is this thread or process off the CPU inside a system call? */
bool asleep_in_call(pid_t tid);

/* A thread that sleeps in one system call; the scene bounds how long. */
struct sleeper {
	const char *what;
	long (*fn)(struct sleeper *s);
	int fd;
	int fd2;
	uint32_t handle;
	long ret;		/* result of fn: >= 0 or a negative errno */
	unsigned int revents;
	uint64_t woke_ms;
	volatile bool started, done;
	bool early;		/* came back before the pull */
	bool used;
	volatile pid_t tid;
	unsigned char buf[1024];
	pthread_t thread;
};

void sleeper_start(struct sleeper *s);
/* For fn: read() into buf. */
long sleeper_read(struct sleeper *s);
/* Waits until all are asleep in their calls, and notes who has come back already. */
void sleepers_settle(struct sleeper *s, unsigned int n);
/* Waits until all came back, at most the scene's limit. */
void sleepers_wait(struct sleeper *s, unsigned int n);
unsigned int sleeper_limit_ms(void);

const char *err_name(long err);

#endif
