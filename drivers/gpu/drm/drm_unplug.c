// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/export.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include <drm/drm_connector.h>
#include <drm/drm_drv.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_modeset_lock.h>
#include <drm/drm_print.h>
#include <drm/drm_unplug.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "drm_unplug_internal.h"

#define CREATE_TRACE_POINTS
#include "drm_unplug_trace.h"

/**
 * DOC: overview
 *
 * A DRM device can leave while programs use it: a cable is pulled, a driver is
 * unbound, a virtual machine host takes it away. From then on the device is
 * *gone*: drm_dev_unplug() or drm_dev_unregister() has begun.
 *
 * Core holds a *section* around ioctl handlers, page faults and every open(). Only
 * handlers flagged DRM_UNPLUG_WAITS, which sleep in core and are woken, and those
 * flagged DRM_UNPLUG_SAFE, which need no device, run in none. A section is the read
 * side of an SRCU domain that belongs to that one device, so entering costs no
 * shared cache line, sections nest, they may sleep, and a client of one device
 * never holds up another one's unplug.
 * Drivers get the same protection for everything else (workers, interrupts,
 * teardown) from drm_dev_enter() and drm_dev_exit(), or from the class that
 * ends the section by itself::
 *
 *	static void example_work(struct work_struct *work)
 *	{
 *		struct example *example = container_of(work, ...);
 *
 *		CLASS(drm_dev_section, section)(&example->drm);
 *		if (!section.dev)
 *			return;
 *
 *		writel(..., example->mmio);
 *	}
 *
 * An unplug runs in this order, which is what keeps it from hanging: those that
 * a section may wait for have to be released before sections are waited for.
 *
 * 1. Mark the device gone. No section of core can start any more.
 * 2. Stop the hardware and end its fences, with the hooks of the driver.
 * 3. Wake everything that sleeps in core on behalf of the device.
 * 4. Wait for the sections that are still running.
 * 5. Unregister: connectors are disconnected, nodes and sysfs go, user space
 *    gets its remove event.
 * 6. Zap all CPU mappings. The next access finds scratch memory. Revoke what
 *    other devices have of its buffers.
 *
 * A driver that calls drm_dev_unplug() or drm_dev_unregister() first thing in
 * its remove callback gets all this with no other change. The two differ in
 * what drm_dev_enter() says afterwards: after drm_dev_unplug() the hardware is
 * off limits, after drm_dev_unregister() it can still be shut down in order.
 *
 * Drivers with fences that core does not know have hooks (struct
 * drm_unplug_ops), registered with one call before drm_dev_register()::
 *
 *	static const struct drm_unplug_ops example_unplug_ops = {
 *		.quiesce = example_stop_dma,
 *		.signal = example_end_fences,
 *		.unmap = example_iounmap,
 *	};
 *
 *	ret = drm_dev_unplug_register(&example->drm, &example_unplug_ops);
 *	if (ret)
 *		return ret;
 */

/*
 * For tests: let handlers start although the device is gone, as if each had
 * started just before that and the rest of the unplug had overtaken it. This
 * breaks the guarantee that nothing runs after an unplug, and taints.
 */
VISIBLE_IF_KUNIT bool drm_unplug_late;
EXPORT_SYMBOL_IF_KUNIT(drm_unplug_late);
module_param_named_unsafe(debug_unplug_late, drm_unplug_late, bool, 0600);
MODULE_PARM_DESC(debug_unplug_late,
		 "Skip the check for a gone device on ioctl entry, to test handlers against a late unplug (default: false)");

/* When an unplug that waits does something about it: first, and then. */
#define DRM_UNPLUG_STALL_FIRST	msecs_to_jiffies(20)
#define DRM_UNPLUG_STALL	HZ

/*
 * drm_dev_exit() is given an int and no device. The int is the index of the
 * device in this table with the index of the SRCU counter in bit 0. An entry
 * stays until the last section has ended, even where that is after the last
 * reference to the device was dropped.
 */
static DEFINE_XARRAY_ALLOC1(drm_unplug_table);

struct workqueue_struct *drm_unplug_wq;
/* Its own, since its work waits for reservation locks, and clients can make much of it. */
struct workqueue_struct *drm_unplug_revoke_wq;

/**
 * drm_dev_enter - Enter device critical section
 * @dev: DRM device
 * @idx: Pointer to index that will be passed to the matching drm_dev_exit()
 *
 * This function marks and protects the beginning of a section that should not
 * be entered after the device has been unplugged: drm_dev_unplug() waits for
 * the section to end. Calls can be nested. @idx must be a variable of the task
 * that calls, and that task must also call drm_dev_exit(). New code better uses
 * CLASS(drm_dev_section).
 *
 * A section delays the unplug, so it must not sleep on anything that only
 * happens after the unplug, nor without bound: no wait for user space.
 *
 * Context: Any context but NMI. Takes no lock, does not sleep.
 *
 * Returns:
 * True if it is OK to enter the section, false otherwise.
 */
bool drm_dev_enter(struct drm_device *dev, int *idx)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct srcu_ctr __percpu *ctr;

	ctr = srcu_read_lock_fast(&unplug->srcu);
	if (unlikely(READ_ONCE(dev->unplugged))) {
		srcu_read_unlock_fast(&unplug->srcu, ctr);
		*idx = 0;
		return false;
	}

	*idx = unplug->id << 1 | __srcu_ptr_to_ctr(&unplug->srcu, ctr);
	return true;
}
EXPORT_SYMBOL(drm_dev_enter);

/**
 * drm_dev_exit - Exit device critical section
 * @idx: index returned from drm_dev_enter()
 *
 * This function marks the end of a section that should not be entered after
 * the device has been unplugged.
 *
 * Context: Any context but NMI, in the task that entered. Does not sleep.
 */
void drm_dev_exit(int idx)
{
	struct drm_unplug *unplug = xa_load(&drm_unplug_table, idx >> 1);

	if (WARN_ON_ONCE(!unplug))
		return;

	srcu_read_unlock_fast(&unplug->srcu,
			      __srcu_ctr_to_ptr(&unplug->srcu, idx & 1));
}
EXPORT_SYMBOL(drm_dev_exit);

/**
 * drm_dev_is_gone - has the device left, or begun to
 * @dev: DRM device
 *
 * True from the moment that drm_dev_unplug() or drm_dev_unregister() begins.
 * Use it as the way out of a wait whose waker calls after that moment, as the
 * waits of core do. It protects nothing by itself: for that, use a section.
 *
 * Context: Any context.
 *
 * Returns:
 * True if it has.
 */
bool drm_dev_is_gone(const struct drm_device *dev)
{
	return READ_ONCE(drm_unplug_of(dev)->gone);
}
EXPORT_SYMBOL(drm_dev_is_gone);

/**
 * drm_unplug_gate_enter - start a section of core, unless the device is gone
 * @unplug: state of the device
 *
 * Context: Process context. Takes no lock, does not sleep.
 *
 * Returns:
 * A gate to be given to drm_unplug_gate_exit(). Its &drm_unplug_gate.unplug is
 * NULL if the device is gone and no section was started.
 */
struct drm_unplug_gate drm_unplug_gate_enter(struct drm_unplug *unplug)
{
	struct drm_unplug_gate gate = {
		.unplug = unplug,
		.ctr = srcu_read_lock_fast(&unplug->srcu),
	};

	if (unlikely(READ_ONCE(unplug->gone))) {
		drm_unplug_gate_exit(&gate);
		gate.unplug = NULL;
	} else {
		drm_unplug_section_note(&gate, (void *)_RET_IP_);
	}

	return gate;
}

void drm_unplug_gate_exit(struct drm_unplug_gate *gate)
{
	if (!gate->unplug)
		return;

	if (gate->slot)
		drm_unplug_section_forget(gate);

	srcu_read_unlock_fast(&gate->unplug->srcu, gate->ctr);
}

/**
 * drm_unplug_ioctl_refused - is it no use to look at this ioctl at all
 * @dev: DRM device
 * @cmd: ioctl number
 *
 * Lets an ioctl on a gone device fail with ENODEV before anything else about it
 * can be found fault with. The decision that counts is taken under the section,
 * by drm_unplug_ioctl_enter().
 *
 * Returns:
 * True to return ENODEV.
 */
bool drm_unplug_ioctl_refused(struct drm_device *dev, unsigned int cmd)
{
	unsigned int flags = 0;

	if (likely(!drm_dev_is_gone(dev)) || drm_unplug_late)
		return false;

	return !drm_ioctl_flags(DRM_IOCTL_NR(cmd), &flags) ||
	       !(flags & DRM_UNPLUG_SAFE);
}

/**
 * drm_unplug_ioctl_enter - start the section of an ioctl handler
 * @dev: DRM device
 * @func: the handler
 * @flags: its &drm_ioctl_desc.flags
 * @gate: to be given to drm_unplug_ioctl_exit()
 *
 * Handlers with DRM_UNPLUG_SAFE run on a gone device, too. Handlers with
 * DRM_UNPLUG_WAITS do not, but they sleep outside of the section.
 *
 * Returns:
 * True if the handler may run, false to return ENODEV.
 */
bool drm_unplug_ioctl_enter(struct drm_device *dev, drm_ioctl_t *func, u32 flags,
			    struct drm_unplug_gate *gate)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);

	gate->unplug = NULL;

	if (unlikely(flags & DRM_UNPLUG_SAFE))
		return true;

	if (unlikely(flags & DRM_UNPLUG_WAITS))
		return !READ_ONCE(unplug->gone) || drm_unplug_late;

	*gate = drm_unplug_gate_enter(unplug);
	if (unlikely(!gate->unplug))
		return drm_unplug_late;

	drm_unplug_section_rename(gate, func);

	return true;
}

/**
 * drm_unplug_ioctl_exit - end the section of an ioctl handler
 * @dev: DRM device
 * @flags: as given to drm_unplug_ioctl_enter()
 * @gate: from drm_unplug_ioctl_enter()
 * @ret: what the handler returned
 *
 * A handler that fails on a device that is gone by now has failed because of
 * that, whether it was interrupted, timed out or found the hardware dead.
 *
 * Returns:
 * What the ioctl returns.
 */
int drm_unplug_ioctl_exit(struct drm_device *dev, u32 flags,
			  struct drm_unplug_gate *gate, int ret)
{
	if (unlikely(ret < 0) && !(flags & DRM_UNPLUG_SAFE) && drm_dev_is_gone(dev))
		ret = -ENODEV;

	drm_unplug_gate_exit(gate);

	return ret;
}

/**
 * drm_dev_is_lost - is the hardware of a device not there any more
 * @dev: DRM device
 *
 * Tells a surprise removal, where the hardware is gone before the kernel knows,
 * from an orderly one, where the driver has to switch it off. It is known for
 * PCI devices; for others, the bus tells the driver in another way.
 *
 * Context: Any context.
 *
 * Returns:
 * True if it is known to be lost.
 */
bool drm_dev_is_lost(const struct drm_device *dev)
{
	KUNIT_STATIC_STUB_REDIRECT(drm_dev_is_lost, dev);

	return dev->dev && dev_is_pci(dev->dev) &&
	       pci_dev_is_disconnected(to_pci_dev(dev->dev));
}
EXPORT_SYMBOL(drm_dev_is_lost);

static void drm_unplug_unmap(void *data)
{
	struct drm_device *dev = data;
	struct drm_unplug *unplug = drm_unplug_of(dev);

	if (unplug->ops->unmap)
		unplug->ops->unmap(dev, drm_dev_is_lost(dev));
	drm_dev_put(dev);
}

/**
 * drm_dev_unplug_register - tell core what a driver does when the device goes
 * @dev: DRM device, not registered yet
 * @ops: the hooks of the driver
 *
 * Undone by itself when the driver is unbound or its probe fails.
 *
 * Context: Process context, in the probe callback of the driver.
 *
 * Returns:
 * 0 or -ENOMEM.
 */
int drm_dev_unplug_register(struct drm_device *dev, const struct drm_unplug_ops *ops)
{
	drm_WARN_ON(dev, dev->registered);

	drm_unplug_of(dev)->ops = ops;
	drm_dev_get(dev);

	return devm_add_action_or_reset(dev->dev, drm_unplug_unmap, dev);
}
EXPORT_SYMBOL(drm_dev_unplug_register);

/*
 * Stop the hardware, once, or again when it was wedged before and is lost now. End
 * its fences, as often as new ones may be made.
 */
static void drm_unplug_quiesce(struct drm_unplug *unplug)
{
	const struct drm_unplug_ops *ops = unplug->ops;
	bool lost;

	if (!ops)
		return;

	guard(mutex)(&unplug->ops_lock);

	lost = drm_dev_is_lost(unplug->dev);
	if (ops->quiesce && (!unplug->quiesced || (lost && !unplug->quiesced_lost)))
		ops->quiesce(unplug->dev, lost);
	unplug->quiesced_lost |= lost;
	unplug->quiesced = true;

	if (ops->signal)
		ops->signal(unplug->dev, -ENODEV);
}

static void drm_unplug_signal(struct work_struct *work)
{
	struct drm_unplug *unplug =
		container_of(work, struct drm_unplug, signal_work);
	const struct drm_unplug_ops *ops = unplug->ops;

	if (!ops || !ops->signal)
		return;

	guard(mutex)(&unplug->ops_lock);

	/* To stop the hardware is for the task that unplugs, however late it is. */
	if (unplug->quiesced)
		ops->signal(unplug->dev, -ENODEV);
}

static void drm_unplug_stall(struct work_struct *work)
{
	struct drm_unplug *unplug =
		container_of(work, struct drm_unplug, stall_work.work);

	drm_unplug_kick(unplug);
	drm_unplug_sections_poke(unplug);
	drm_unplug_sections_stalled(unplug, unplug->stall_rounds++);

	/* Not here: a hook may itself wait for what somebody in a section holds. */
	queue_work(drm_unplug_wq, &unplug->signal_work);
	queue_delayed_work(drm_unplug_wq, &unplug->stall_work, DRM_UNPLUG_STALL);
}

/* The step that began at @start is done. Returns when the next one begins. */
static ktime_t drm_unplug_step(struct drm_unplug *unplug, const char *step,
			       ktime_t start)
{
	ktime_t now = ktime_get();

	trace_drm_unplug_step(unplug->dev, step, ktime_to_ns(ktime_sub(now, start)));

	return now;
}

/*
 * Steps 1 to 4. Each can be repeated and can run in several tasks: whoever
 * returns has seen all sections end that did not see the flags.
 */
static void drm_unplug_drain(struct drm_unplug *unplug)
{
	ktime_t start = ktime_get();
	bool first, inside;

	first = !xchg(&unplug->gone, true);
	if (first) {
		unplug->start = start;
		unplug->sections = drm_unplug_sections_count(unplug);
	}

	/* A bug of the driver. It is better off with a race than a deadlock. */
	inside = drm_WARN(unplug->dev, drm_unplug_inside(unplug),
			  "unplugged from inside of a section\n");

	if (!inside) {
		unplug->stall_rounds = 0;
		queue_delayed_work(drm_unplug_wq, &unplug->stall_work,
				   DRM_UNPLUG_STALL_FIRST);
	}

	drm_unplug_quiesce(unplug);
	start = drm_unplug_step(unplug, "signal", start);

	/* Once: an edge-triggered epoll reports every wake-up. */
	if (first)
		drm_unplug_announce(unplug);

	drm_unplug_kick(unplug);
	start = drm_unplug_step(unplug, "wake", start);

	if (inside)
		return;

	/* A fast domain does not expedite by itself, however few the readers. */
	synchronize_srcu_expedited(&unplug->srcu);
	cancel_delayed_work_sync(&unplug->stall_work);
	cancel_work_sync(&unplug->signal_work);

	unplug->waited = ktime_add(unplug->waited,
				   ktime_sub(drm_unplug_step(unplug, "wait", start), start));

	/* Fences that the last handlers have made. */
	drm_unplug_quiesce(unplug);
}

static void drm_unplug_disconnect(struct drm_device *dev)
{
	struct drm_connector_list_iter iter;
	struct drm_connector *connector;

	if (!dev->registered || !drm_core_check_feature(dev, DRIVER_MODESET))
		return;

	mutex_lock(&dev->mode_config.mutex);
	drm_connector_list_iter_begin(dev, &iter);
	drm_for_each_connector_iter(connector, &iter) {
		if (connector->status == connector_status_disconnected)
			continue;
		connector->status = connector_status_disconnected;
		connector->epoch_counter++;
	}
	drm_connector_list_iter_end(&iter);
	mutex_unlock(&dev->mode_config.mutex);
}

/**
 * drm_unplug_begin - begin to unregister a device
 * @dev: DRM device
 *
 * Returns:
 * True if the caller has to go on and finish with drm_unplug_end(). False if
 * that was done: by this call, which then waited for the other task to finish,
 * or further up in this task's call chain.
 */
bool drm_unplug_begin(struct drm_device *dev)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);
	struct task_struct *leaver;

	leaver = cmpxchg(&unplug->leaver, NULL, current);
	if (leaver) {
		if (leaver != current)
			wait_for_completion(&unplug->left);
		return false;
	}

	drm_unplug_drain(unplug);
	unplug->step = ktime_get();
	drm_unplug_disconnect(dev);

	return true;
}

/* How the device has left, for the log. */
static const char *drm_unplug_cause(struct drm_device *dev)
{
	if (drm_dev_is_lost(dev))
		return "lost";

	return dev->unplugged ? "unplugged" : "unregistered";
}

/* The one line of an unplug. */
static void drm_unplug_report(struct drm_unplug *unplug)
{
	if (!unplug->cause)
		return;

	drm_info(unplug->dev, "%s in %lld ms: %u sections, waited for %lld ms; %lu maps swapped; %d fences forced\n",
		 unplug->cause, ktime_ms_delta(unplug->step, unplug->start), unplug->sections,
		 ktime_to_ms(unplug->waited), unplug->maps, atomic_read(&unplug->forced));
	unplug->cause = NULL;
}

/**
 * drm_unplug_unbound - the remove callback of the driver has run
 * @dev: DRM device
 *
 * So the hardware is stopped.
 */
void drm_unplug_unbound(struct drm_device *dev)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);

	drm_unplug_fences_end(dev, NULL);
	drm_unplug_dma_unmap(unplug);
	drm_unplug_report(unplug);
}

/**
 * drm_unplug_end - the device is unregistered
 * @dev: DRM device
 */
void drm_unplug_end(struct drm_device *dev)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);

	unplug->step = drm_unplug_step(unplug, "unregister", unplug->step);
	scoped_guard(spinlock_irq, &dev->event_lock)
		drm_unplug_send_events(dev);
	unplug->maps = drm_unplug_maps_zap(unplug);
	unplug->step = drm_unplug_step(unplug, "zap", unplug->step);
	drm_unplug_dmabufs_revoke(unplug);
	unplug->step = drm_unplug_step(unplug, "revoke", unplug->step);

	/* The driver ends fences when it has stopped the hardware, which is later. */
	unplug->cause = drm_unplug_cause(dev);
	if (!unplug->managed)
		drm_unplug_report(unplug);

	complete_all(&unplug->left);
}

/**
 * drm_unplug_abort - close a device that keeps its nodes for now
 * @dev: DRM device
 *
 * If its registration fails half way, user space may have opened a node already;
 * if it is wedged, it certainly has. Ends what clients began, and waits.
 */
void drm_unplug_abort(struct drm_device *dev)
{
	WRITE_ONCE(dev->unplugged, true);
	drm_unplug_drain(drm_unplug_of(dev));
	scoped_guard(spinlock_irq, &dev->event_lock)
		drm_unplug_send_events(dev);
	drm_unplug_maps_zap(drm_unplug_of(dev));
	drm_unplug_dmabufs_revoke(drm_unplug_of(dev));
}

/**
 * drm_unplug_arm - the device is registered
 * @dev: DRM device
 */
void drm_unplug_arm(struct drm_device *dev)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);

	unplug->leaver = NULL;
	unplug->waited = 0;
	unplug->cause = NULL;
	atomic_set(&unplug->forced, 0);
	unplug->quiesced = false;
	unplug->quiesced_lost = false;
	unplug->dma_closed = false;
	reinit_completion(&unplug->left);
	WRITE_ONCE(dev->unplugged, false);
	WRITE_ONCE(unplug->gone, false);
	drm_unplug_sections_debugfs(unplug);
}

/**
 * drm_dev_unplug - unplug a DRM device
 * @dev: DRM device
 *
 * This unplugs a hotpluggable DRM device, which makes it inaccessible to
 * userspace operations. It does what drm_dev_unregister() does, and in addition
 * keeps drm_dev_enter() from succeeding ever after. It can be called while
 * there are open users of @dev. When it returns, no ioctl handler, fault or
 * section of this device runs, and no mapping points at it.
 *
 * It can be called several times and by several tasks; each call returns when
 * the device is unplugged. It must not be called from inside a section of @dev.
 *
 * Context: Process context, may sleep. The caller must not hold a lock that
 * ioctl handlers or fault handlers of the driver take.
 */
void drm_dev_unplug(struct drm_device *dev)
{
	struct drm_unplug *unplug = drm_unplug_of(dev);

	WRITE_ONCE(dev->unplugged, true);
	/* Pairs with the cmpxchg() in drm_unplug_begin(). */
	smp_mb();

	/* Whoever unregisters the device may have waited before it was set. */
	if (READ_ONCE(unplug->leaver))
		drm_unplug_drain(unplug);

	drm_dev_unregister(dev);

	/* What waited for the vblank of a device that was only unregistered so far. */
	scoped_guard(spinlock_irq, &dev->event_lock)
		drm_unplug_send_events(dev);
}
EXPORT_SYMBOL(drm_dev_unplug);

static void drm_unplug_free(struct work_struct *work)
{
	struct drm_unplug *unplug =
		container_of(work, struct drm_unplug, free_work);

	/* A section may end after the reference that it was entered with. */
	synchronize_srcu_expedited(&unplug->srcu);
	cleanup_srcu_struct(&unplug->srcu);
	drm_unplug_sections_fini(unplug);
	xa_erase(&drm_unplug_table, unplug->id);
	kfree(unplug);
}

/**
 * drm_unplug_init - set up the unplug state of a new device
 * @dev: DRM device, its &drm_device.anon_inode must be there
 *
 * Returns:
 * 0 or -ENOMEM.
 */
int drm_unplug_init(struct drm_device *dev)
{
	struct drm_unplug *unplug;
	int ret;

	unplug = kzalloc_obj(*unplug);
	if (!unplug)
		return -ENOMEM;

	unplug->dev = dev;
	mutex_init(&unplug->ops_lock);
	init_completion(&unplug->left);
	INIT_DELAYED_WORK(&unplug->stall_work, drm_unplug_stall);
	INIT_WORK(&unplug->signal_work, drm_unplug_signal);
	INIT_WORK(&unplug->free_work, drm_unplug_free);
	drm_unplug_waits_init(unplug);
	drm_unplug_maps_init(unplug);
	drm_unplug_dmabufs_init(unplug);
	drm_unplug_dma_init(unplug);

	ret = drm_unplug_sections_init(unplug);
	if (ret)
		goto err_free;

	ret = init_srcu_struct_fast(&unplug->srcu);
	if (ret)
		goto err_sections;

	/* One bit of an int is for the counter, one is the sign. */
	ret = xa_alloc(&drm_unplug_table, &unplug->id, unplug,
		       XA_LIMIT(1, INT_MAX >> 1), GFP_KERNEL);
	if (ret)
		goto err_srcu;

	dev->anon_inode->i_private = unplug;
	drm_unplug_fences_init(unplug);

	return 0;

err_srcu:
	cleanup_srcu_struct(&unplug->srcu);
err_sections:
	drm_unplug_sections_fini(unplug);
err_free:
	kfree(unplug);
	return ret;
}

/**
 * drm_unplug_fini - the last reference to a device is gone
 * @dev: DRM device
 */
void drm_unplug_fini(struct drm_device *dev)
{
	struct drm_unplug *unplug;

	/* drm_dev_init() may have failed before there was anything. */
	if (!dev->anon_inode || !dev->anon_inode->i_private)
		return;

	unplug = drm_unplug_of(dev);
	drm_unplug_fences_fini(unplug);
	dev->anon_inode->i_private = NULL;
	drm_unplug_waits_fini(unplug);
	drm_unplug_maps_fini(unplug);
	drm_unplug_dma_fini(unplug);
	drm_unplug_dmabufs_fini(unplug);
	queue_work(drm_unplug_wq, &unplug->free_work);
}

int drm_unplug_core_init(void)
{
	drm_unplug_wq = alloc_workqueue("drm_unplug", WQ_UNBOUND, 0);
	drm_unplug_revoke_wq = alloc_workqueue("drm_unplug_revoke", WQ_UNBOUND, 0);

	return drm_unplug_wq && drm_unplug_revoke_wq ? 0 : -ENOMEM;
}

void drm_unplug_core_exit(void)
{
	drm_unplug_sections_exit();
	if (drm_unplug_revoke_wq)
		destroy_workqueue(drm_unplug_revoke_wq);
	if (drm_unplug_wq)
		destroy_workqueue(drm_unplug_wq);
}
