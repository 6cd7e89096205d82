/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the files of the unplug core share, and what the rest of DRM core calls.
 * Drivers use <drm/drm_unplug.h>.
 */
#ifndef _DRM_UNPLUG_INTERNAL_H_
#define _DRM_UNPLUG_INTERNAL_H_

#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <drm/drm_device.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_unplug.h>

struct dma_buf;
struct dma_buf_attachment;
struct dma_fence;
struct dma_fence_ops;
struct drm_file;
struct drm_gem_object;
struct drm_gem_shmem_object;
struct drm_unplug_slot;
struct drm_unplug_slots;
struct eventfd_ctx;
struct iosys_map;
struct sg_table;
struct task_struct;
struct vm_area_struct;

/**
 * struct drm_unplug - unplug state of one DRM device
 *
 * Hangs off &drm_device.anon_inode, so that struct drm_device keeps the layout
 * that prebuilt drivers were compiled against. It outlives the device until the
 * last section has ended.
 */
struct drm_unplug {
	/** @dev: the device; not valid any more once @free_work is queued */
	struct drm_device *dev;

	/**
	 * @gone: drm_dev_unplug() or drm_dev_unregister() has begun. Unlike
	 * &drm_device.unplugged, which tells drivers to keep off the hardware
	 * and is not set by an orderly drm_dev_unregister().
	 */
	bool gone;

	/** @srcu: read side held by every section of the device */
	struct srcu_struct srcu;

	/** @id: index in the table that drm_dev_exit() finds @srcu by */
	u32 id;

	/** @leaver: task that unregisters the device, see drm_unplug_begin() */
	struct task_struct *leaver;

	/** @left: completed when @leaver is done */
	struct completion left;

	/** @ops: hooks of the driver, or NULL */
	const struct drm_unplug_ops *ops;

	/** @ops_lock: keeps the hooks apart */
	struct mutex ops_lock;

	/** @quiesced: &drm_unplug_ops.quiesce was called */
	bool quiesced;

	/** @quiesced_lost: and it was told that the hardware is lost */
	bool quiesced_lost;

	/** @start: when the device went */
	ktime_t start;

	/** @step: when the current step of the unplug began */
	ktime_t step;

	/** @waited: how long the unplug has waited for sections */
	ktime_t waited;

	/** @sections: how many there were when the device went */
	unsigned int sections;

	/** @maps: how many were swapped for scratch memory */
	unsigned long maps;

	/** @forced: fences that were ended because the device is gone */
	atomic_t forced;

	/** @cause: how it has left; NULL if there is nothing to be reported */
	const char *cause;

	/** @managed: drm_unplug_unbound() is going to be called */
	bool managed;

	/** @stall_work: sees to it that an unplug does not wait for ever */
	struct delayed_work stall_work;

	/** @stall_rounds: how often it has run during the current wait */
	unsigned int stall_rounds;

	/** @signal_work: runs the hooks once more, for fences made since */
	struct work_struct signal_work;

	/** @free_work: frees this after the last section */
	struct work_struct free_work;

	/** @slots: the sections of core that each CPU has begun */
	struct drm_unplug_slots __percpu *slots;

	/** @crowd_lock: protects @crowd */
	spinlock_t crowd_lock;

	/** @crowd: sections that found no slot */
	struct list_head crowd;

	/** @sleepers: tasks in an abortable core wait */
	wait_queue_head_t sleepers;

	/** @eventfds: &drm_unplug_eventfd.node, to be signalled at unplug */
	struct list_head eventfds;

	/** @maps_lock: protects @vm_ops and @scratch */
	spinlock_t maps_lock;

	/** @vm_ops: one entry for each vm_ops table that was wrapped */
	struct list_head vm_ops;

	/** @scratch: who has maps of the device, and its scratch page */
	DECLARE_HASHTABLE(scratch, 6);

	/** @zeroes: what private maps show where they were not written to */
	struct page *zeroes;

	/** @dmabufs_lock: protects @dmabuf_ops and @dmabufs */
	spinlock_t dmabufs_lock;

	/** @dmabuf_ops: one entry for each table of callbacks to be replaced */
	struct list_head dmabuf_ops;

	/** @dmabufs: what the device has exported */
	DECLARE_HASHTABLE(dmabufs, 6);

	/** @dmabufs_revoking: how many are being revoked, by a worker or by others */
	atomic_t dmabufs_revoking;

	/** @dma_lock: protects @dma */
	spinlock_t dma_lock;

	/** @dma: what helpers have mapped for the device */
	DECLARE_HASHTABLE(dma, 6);

	/** @dma_unmapping: how many tables are being unmapped by those who give them back */
	atomic_t dma_unmapping;

	/** @dma_closed: nothing may be mapped any more; set under @dma_lock */
	bool dma_closed;

	/** @dma_armed: it is unmapped by an action of devres, not by @managed */
	bool dma_armed;

	/** @devices: entry in the list of all devices */
	struct list_head devices;

	/** @fences: &drm_unplug_fence.node, made by core for the device */
	struct list_head fences;

	/** @fences_gp: grace period of RCU for those that were taken off the list */
	unsigned long fences_gp;

	/** @fences_ending: held by who ends some of @fences */
	struct mutex fences_ending;
};

static inline struct drm_unplug *drm_unplug_of(const struct drm_device *dev)
{
	return dev->anon_inode->i_private;
}

/* drm_unplug.c: the section and the order of an unplug */

/**
 * struct drm_unplug_gate - the section that core holds around a handler
 * @unplug: state of the device, NULL where the gate was shut
 * @ctr: SRCU cookie; it lives on the stack, so that tasks which share a file
 *	cannot end each other's section
 * @slot: record of the section, may be NULL
 * @crowded: @slot is not one of the CPU's
 */
struct drm_unplug_gate {
	struct drm_unplug *unplug;
	struct srcu_ctr __percpu *ctr;
	struct drm_unplug_slot *slot;
	bool crowded;
};

struct drm_unplug_gate drm_unplug_gate_enter(struct drm_unplug *unplug);
void drm_unplug_gate_exit(struct drm_unplug_gate *gate);

DEFINE_CLASS(drm_unplug_gate, struct drm_unplug_gate,
	     drm_unplug_gate_exit(&_T),
	     drm_unplug_gate_enter(drm_unplug_of(dev)),
	     struct drm_device *dev)

extern struct workqueue_struct *drm_unplug_wq, *drm_unplug_revoke_wq;

int drm_unplug_init(struct drm_device *dev);
void drm_unplug_fini(struct drm_device *dev);
int drm_unplug_core_init(void);
void drm_unplug_core_exit(void);

void drm_unplug_arm(struct drm_device *dev);
bool drm_unplug_begin(struct drm_device *dev);
void drm_unplug_end(struct drm_device *dev);
void drm_unplug_unbound(struct drm_device *dev);
void drm_unplug_abort(struct drm_device *dev);
void drm_unplug_drop_objects(struct drm_device *dev);

bool drm_unplug_ioctl_refused(struct drm_device *dev, unsigned int cmd);
bool drm_unplug_ioctl_enter(struct drm_device *dev, drm_ioctl_t *func, u32 flags,
			    struct drm_unplug_gate *gate);
int drm_unplug_ioctl_exit(struct drm_device *dev, u32 flags,
			  struct drm_unplug_gate *gate, int ret);

/* drm_unplug_sections.c: who is in a section */

void drm_unplug_section_note(struct drm_unplug_gate *gate, const void *what);
void drm_unplug_section_rename(struct drm_unplug_gate *gate, const void *what);
void drm_unplug_section_forget(struct drm_unplug_gate *gate);
bool drm_unplug_inside(struct drm_unplug *unplug);
unsigned int drm_unplug_sections_count(struct drm_unplug *unplug);
void drm_unplug_sections_poke(struct drm_unplug *unplug);
void drm_unplug_sections_stalled(struct drm_unplug *unplug, unsigned long seconds);
void drm_unplug_sections_debugfs(struct drm_unplug *unplug);
int drm_unplug_sections_init(struct drm_unplug *unplug);
void drm_unplug_sections_fini(struct drm_unplug *unplug);
void drm_unplug_sections_exit(void);

#if IS_ENABLED(CONFIG_KUNIT)
extern bool drm_unplug_late;
#endif

/* drm_unplug_maps.c: memory maps */

int drm_unplug_mmap(struct drm_device *dev, struct vm_area_struct *vma);
int drm_unplug_mmap_gone(struct drm_gem_object *obj, struct vm_area_struct *vma);
void drm_unplug_maps_init(struct drm_unplug *unplug);
void drm_unplug_maps_fini(struct drm_unplug *unplug);
unsigned long drm_unplug_maps_zap(struct drm_unplug *unplug);

/* drm_unplug_dmabuf.c: buffers shared with other devices */

int drm_unplug_export(struct drm_gem_object *obj, struct dma_buf *dmabuf);
int drm_unplug_dmabuf_add(struct drm_device *dev, struct dma_buf *dmabuf);
void drm_unplug_dmabuf_del(struct drm_device *dev, struct dma_buf *dmabuf);
int drm_unplug_dmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map);
bool drm_unplug_dmabuf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map);
void drm_unplug_dmabufs_init(struct drm_unplug *unplug);
void drm_unplug_dmabufs_fini(struct drm_unplug *unplug);
void drm_unplug_dmabufs_revoke(struct drm_unplug *unplug);

/* drm_unplug_dma.c: DMA mappings */

/**
 * struct drm_unplug_dma - a table that a helper has mapped for a device
 * @node: entry in &drm_unplug.dma
 * @sgt: the table
 * @attach: of an imported dma-buf, else NULL
 * @shmem: the object that this is the record of, else NULL; it may have another
 *	table by now, or none
 * @dir: direction of the transfers
 * @mapped: core has not unmapped it; protected by &drm_unplug.dma_lock, and that of
 *	an import or of @shmem by the reservation lock as well
 * @tried: it was the turn of @attach or @shmem to be unmapped
 * @used: @shmem must not be released yet
 */
struct drm_unplug_dma {
	struct hlist_node node;
	struct sg_table *sgt;
	struct dma_buf_attachment *attach;
	struct drm_gem_shmem_object *shmem;
	enum dma_data_direction dir;
	bool mapped;
	bool tried;
	bool used;
};

struct sg_table *drm_unplug_map_attachment(struct drm_device *dev,
					   struct dma_buf_attachment *attach);
void drm_unplug_unmap_attachment(struct drm_device *dev, struct dma_buf_attachment *attach,
				 struct sg_table *sgt);
void drm_unplug_dma_init(struct drm_unplug *unplug);
void drm_unplug_dma_fini(struct drm_unplug *unplug);
void drm_unplug_dma_unmap(struct drm_unplug *unplug);

/* drm_unplug_waits.c: sleepers and events */

/**
 * struct drm_unplug_eventfd - an eventfd that fires when the device goes
 * @node: entry in &drm_unplug.eventfds
 * @ctx: the eventfd
 */
struct drm_unplug_eventfd {
	struct list_head node;
	struct eventfd_ctx *ctx;
};

void drm_unplug_waits_init(struct drm_unplug *unplug);
void drm_unplug_waits_fini(struct drm_unplug *unplug);
void drm_unplug_announce(struct drm_unplug *unplug);
void drm_unplug_kick(struct drm_unplug *unplug);
void drm_unplug_send_events(struct drm_device *dev);

int drm_unplug_eventfd_add(struct drm_device *dev, struct drm_unplug_eventfd *efd,
			   struct eventfd_ctx *ctx);
bool drm_unplug_eventfd_del(struct drm_unplug_eventfd *efd);

bool drm_unplug_events_over(struct drm_file *file);
__poll_t drm_unplug_poll(struct drm_file *file);

/* drm_unplug_fences.c: fences */

struct dma_fence *drm_unplug_fence_create(struct drm_device *dev,
					  const struct dma_fence_ops *ops,
					  void *owner, u64 context, u64 seqno);
void *drm_unplug_fence_owner(struct dma_fence *fence);
void drm_unplug_fences_end(struct drm_device *dev, void *owner);
void drm_unplug_event_fence(struct drm_device *dev, struct dma_fence *fence);
void drm_unplug_fences_init(struct drm_unplug *unplug);
void drm_unplug_fences_fini(struct drm_unplug *unplug);

#endif
