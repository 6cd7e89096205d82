// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/debugfs.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/task_work.h>

#include <drm/drm_print.h>

#include "drm_unplug_internal.h"

/**
 * DOC: who is in a section
 *
 * An unplug waits for the sections of core, so it has to know who is in one: to
 * wake a task that sleeps in a driver, and to name it where that does not help.
 *
 * While it waits it acts as follows. Each round includes those before it.
 *
 * - At once, everything that sleeps in core is woken.
 * - After 20 ms, and every second from then on, tasks in a section are made to
 *   return from interruptible waits, as if by a signal that nobody sees. The
 *   ioctl fails with ENODEV.
 * - Every 10 s the log names those that are still there.
 * - After ``drm.unplug_patience`` seconds they are killed, 30 by default and
 *   never if it is 0. What is left then is a client that keeps a handler waiting
 *   for a page of its own memory (userfaultfd), and it is the only way to make
 *   it let go.
 */

static unsigned int drm_unplug_patience = 30;
module_param_named(unplug_patience, drm_unplug_patience, uint, 0600);
MODULE_PARM_DESC(unplug_patience,
		 "Seconds that an unplug waits for a client before it kills it, 0 to wait for ever (default: 30)");

/*
 * Sections that a CPU has room for. The next one is a matter of an allocation,
 * but then there are as many sleepers already.
 */
#define DRM_UNPLUG_SLOTS	8

/* One section of core. Free while @task is NULL. */
struct drm_unplug_slot {
	struct task_struct *task;
	const void *what;
	unsigned long since;
};

/* Only the CPU itself fills its slots; any CPU empties them. */
struct drm_unplug_slots {
	struct drm_unplug_slot slot[DRM_UNPLUG_SLOTS];
};

struct drm_unplug_crowd {
	struct drm_unplug_slot slot;
	struct list_head node;
};

static void drm_unplug_slot_fill(struct drm_unplug_slot *slot, const void *what)
{
	slot->what = what;
	slot->since = jiffies;
	/* Pairs with drm_unplug_slot_task(). */
	smp_store_release(&slot->task, current);
}

static struct drm_unplug_slot *drm_unplug_slot_get(struct drm_unplug *unplug,
						   const void *what)
{
	struct drm_unplug_slot *slot;

	guard(preempt)();

	slot = this_cpu_ptr(unplug->slots)->slot;
	for (int i = 0; i < DRM_UNPLUG_SLOTS; i++, slot++) {
		if (READ_ONCE(slot->task))
			continue;
		drm_unplug_slot_fill(slot, what);
		return slot;
	}

	return NULL;
}

/**
 * drm_unplug_section_note - record that the current task is in a section
 * @gate: the section
 * @what: code address that tells what the section is for
 *
 * Context: Process context. Does not sleep.
 */
void drm_unplug_section_note(struct drm_unplug_gate *gate, const void *what)
{
	struct drm_unplug *unplug = gate->unplug;
	struct drm_unplug_crowd *crowd;

	gate->slot = drm_unplug_slot_get(unplug, what);
	if (likely(gate->slot))
		return;

	/* Without memory the section does its work, but is not to be seen. */
	crowd = kzalloc_obj(*crowd, GFP_NOWAIT);
	if (!crowd)
		return;

	drm_unplug_slot_fill(&crowd->slot, what);
	scoped_guard(spinlock, &unplug->crowd_lock)
		list_add(&crowd->node, &unplug->crowd);
	gate->slot = &crowd->slot;
	gate->crowded = true;
}

/**
 * drm_unplug_section_forget - undo drm_unplug_section_note()
 * @gate: the section
 */
void drm_unplug_section_forget(struct drm_unplug_gate *gate)
{
	struct drm_unplug_slot *slot = gate->slot;
	struct drm_unplug_crowd *crowd;

	if (likely(!gate->crowded)) {
		/* What the section did must not be seen after it is free. */
		smp_store_release(&slot->task, NULL);
		return;
	}

	crowd = container_of(slot, struct drm_unplug_crowd, slot);
	scoped_guard(spinlock, &gate->unplug->crowd_lock)
		list_del(&crowd->node);
	kfree(crowd);
}

/**
 * drm_unplug_section_rename - say more exactly what a section is for
 * @gate: the section
 * @what: code address
 */
void drm_unplug_section_rename(struct drm_unplug_gate *gate, const void *what)
{
	if (likely(gate->slot))
		WRITE_ONCE(gate->slot->what, what);
}

typedef void (*drm_unplug_visit_t)(struct drm_unplug *unplug,
				   struct task_struct *task,
				   const struct drm_unplug_slot *slot, void *arg);

static void drm_unplug_slot_visit(struct drm_unplug *unplug,
				  const struct drm_unplug_slot *slot,
				  drm_unplug_visit_t visit, void *arg)
{
	/*
	 * A task that is found here had not left its section, so its structure
	 * stays until the end of the RCU section of the caller.
	 */
	struct task_struct *task = smp_load_acquire(&slot->task);

	if (task)
		visit(unplug, task, slot, arg);
}

/* Visit all tasks in a section of core. One that comes or goes may be missed. */
static void drm_unplug_sections_visit(struct drm_unplug *unplug,
				      drm_unplug_visit_t visit, void *arg)
{
	struct drm_unplug_crowd *crowd;
	int cpu, i;

	guard(rcu)();

	for_each_possible_cpu(cpu)
		for (i = 0; i < DRM_UNPLUG_SLOTS; i++)
			drm_unplug_slot_visit(unplug,
					      &per_cpu_ptr(unplug->slots, cpu)->slot[i],
					      visit, arg);

	guard(spinlock)(&unplug->crowd_lock);

	list_for_each_entry(crowd, &unplug->crowd, node)
		drm_unplug_slot_visit(unplug, &crowd->slot, visit, arg);
}

static void drm_unplug_visit_inside(struct drm_unplug *unplug,
				    struct task_struct *task,
				    const struct drm_unplug_slot *slot, void *arg)
{
	bool *inside = arg;

	if (task == current)
		*inside = true;
}

/**
 * drm_unplug_inside - is the current task in a section of core
 * @unplug: state of the device
 *
 * It would wait for itself if it waited for the sections.
 *
 * Returns:
 * True if it is.
 */
bool drm_unplug_inside(struct drm_unplug *unplug)
{
	bool inside = false;

	drm_unplug_sections_visit(unplug, drm_unplug_visit_inside, &inside);

	return inside;
}

static void drm_unplug_visit_count(struct drm_unplug *unplug,
				   struct task_struct *task,
				   const struct drm_unplug_slot *slot, void *arg)
{
	unsigned int *count = arg;

	(*count)++;
}

/**
 * drm_unplug_sections_count - how many sections of core there are
 * @unplug: state of the device
 *
 * Returns:
 * The number, without those that come or go meanwhile.
 */
unsigned int drm_unplug_sections_count(struct drm_unplug *unplug)
{
	unsigned int count = 0;

	drm_unplug_sections_visit(unplug, drm_unplug_visit_count, &count);

	return count;
}

/* Keeps the code of drm_unplug_poked() in place until the last one was run. */
static atomic_t drm_unplug_pokes = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(drm_unplug_pokes_done);

static void drm_unplug_poked(struct callback_head *work)
{
	kfree(work);
	if (atomic_dec_and_test(&drm_unplug_pokes))
		wake_up(&drm_unplug_pokes_done);
}

static void drm_unplug_visit_poke(struct drm_unplug *unplug,
				  struct task_struct *task,
				  const struct drm_unplug_slot *slot, void *arg)
{
	struct callback_head *work;

	/* It does not return to user space, so it would never see this. */
	if (task->flags & PF_KTHREAD)
		return;

	work = kmalloc_obj(*work, GFP_ATOMIC);
	if (!work)
		return;

	init_task_work(work, drm_unplug_poked);
	atomic_inc(&drm_unplug_pokes);
	if (task_work_add(task, work, TWA_SIGNAL))
		drm_unplug_poked(work);
}

/**
 * drm_unplug_sections_poke - make those in a section return from their waits
 * @unplug: state of the device
 *
 * Work on nothing, but it has to be done before the task returns to user space,
 * which ends an interruptible wait. That outlasts the moment, so a task that is
 * just about to sleep is not missed.
 */
void drm_unplug_sections_poke(struct drm_unplug *unplug)
{
	drm_unplug_sections_visit(unplug, drm_unplug_visit_poke, NULL);
}

static void drm_unplug_visit_report(struct drm_unplug *unplug,
				    struct task_struct *task,
				    const struct drm_unplug_slot *slot, void *arg)
{
	drm_warn(unplug->dev, "unplug waits for pid %d (%s) in %ps since %lu s\n",
		 task_pid_nr(task), task->comm, READ_ONCE(slot->what),
		 (jiffies - slot->since) / HZ);
}

static void drm_unplug_visit_kill(struct drm_unplug *unplug,
				  struct task_struct *task,
				  const struct drm_unplug_slot *slot, void *arg)
{
	if (task->flags & PF_KTHREAD)
		return;

	drm_warn(unplug->dev, "killing pid %d (%s), which holds up the unplug in %ps\n",
		 task_pid_nr(task), task->comm, READ_ONCE(slot->what));
	send_sig(SIGKILL, task, 1);
}

/**
 * drm_unplug_sections_stalled - an unplug has been waiting for some time
 * @unplug: state of the device
 * @seconds: for how long
 */
void drm_unplug_sections_stalled(struct drm_unplug *unplug, unsigned long seconds)
{
	unsigned int patience = READ_ONCE(drm_unplug_patience);

	if (seconds && seconds % 10 == 0) {
		drm_warn(unplug->dev, "unplug has been waiting for sections for %lu s\n",
			 seconds);
		drm_unplug_sections_visit(unplug, drm_unplug_visit_report, NULL);
	}

	if (patience && seconds >= patience)
		drm_unplug_sections_visit(unplug, drm_unplug_visit_kill, NULL);
}

static void drm_unplug_visit_show(struct drm_unplug *unplug,
				  struct task_struct *task,
				  const struct drm_unplug_slot *slot, void *arg)
{
	struct seq_file *m = arg;

	seq_printf(m, "%d %s %ps %u\n", task_pid_nr(task), task->comm,
		   READ_ONCE(slot->what), jiffies_to_msecs(jiffies - slot->since));
}

static int drm_unplug_sections_show(struct seq_file *m, void *data)
{
	seq_puts(m, "# pid comm handler ms\n");
	drm_unplug_sections_visit(m->private, drm_unplug_visit_show, m);

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(drm_unplug_sections);

/**
 * drm_unplug_sections_debugfs - show who is in a section
 * @unplug: state of the device
 */
void drm_unplug_sections_debugfs(struct drm_unplug *unplug)
{
	/* Gone since the device was unregistered for the first time. */
	if (!unplug->dev->debugfs_root)
		return;

	debugfs_create_file("sections", 0400, unplug->dev->debugfs_root, unplug,
			    &drm_unplug_sections_fops);
}

int drm_unplug_sections_init(struct drm_unplug *unplug)
{
	spin_lock_init(&unplug->crowd_lock);
	INIT_LIST_HEAD(&unplug->crowd);
	unplug->slots = alloc_percpu(struct drm_unplug_slots);

	return unplug->slots ? 0 : -ENOMEM;
}

void drm_unplug_sections_fini(struct drm_unplug *unplug)
{
	free_percpu(unplug->slots);
}

void drm_unplug_sections_exit(void)
{
	wait_event(drm_unplug_pokes_done, !atomic_read(&drm_unplug_pokes));
}
