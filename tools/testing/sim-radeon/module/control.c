// SPDX-License-Identifier: GPL-2.0
/*
 * Control, in debugfs: /sys/kernel/debug/sim-radeon/cardN/control takes a command and returns
 * when it is carried out; a signal ends the wait, not the command.
 *
 *	plug		a card in the slot, and the kernel has found it
 *	remove		the kernel gives the card up in order (as by sysfs), then it is taken out
 *	surprise	it is taken out, and the kernel hears of that from the slot
 *	reset-verdict	forget what the witness has seen
 */

#include <linux/debugfs.h>
#include <linux/fs.h>

#include "sim.h"

static bool known(struct sim_card *card)
{
	struct pci_dev *pdev = sim_get_pdev(card);

	pci_dev_put(pdev);
	return pdev;
}

static void sync_rescan(void)
{
	pci_lock_rescan_remove();
	pci_unlock_rescan_remove();
}

static int plug(struct sim_card *card)
{
	int error;

	mutex_lock(&card->lock);
	if (card->present || known(card)) {
		mutex_unlock(&card->lock);
		return -EBUSY;
	}
	error = sim_bios_init(card);
	if (error) {
		mutex_unlock(&card->lock);
		return error;
	}
	sim_regs_init(card);
	sim_rings_reset(card);
	sim_witness_reset(card);
	sim_config_init_gpu(card);
	card->fences = 0;
	card->interrupts = 0;
	card->removal_ms = 0;
	card->pulled = NULL;
	WRITE_ONCE(card->present, true);
	mutex_unlock(&card->lock);

	sim_slot_changed(card);
	/* The kernel knows it first and then binds a driver, in one go under the lock. */
	error = wait_event_killable(card->pdev_wait, known(card) || !READ_ONCE(card->present));
	if (error)
		return error;
	sync_rescan();
	return known(card) ? 0 : -EIO;
}

/* From here on nobody is at home: reads give all ones, and writes vanish. */
static void vanish(struct sim_card *card, const char *how)
{
	WRITE_ONCE(card->present, false);
	mutex_lock(&card->lock);
	card->pulled = how;
	card->pulled_at = ktime_get();
	timer_delete_sync(&card->irq_timer);
	sim_regs_gone(card);
	sim_trap_arm(card);
	mutex_unlock(&card->lock);
}

/* The kernel may have found the next card before we look, so wait for the end of this one. */
static bool has(struct sim_card *card, struct pci_dev *pdev)
{
	return pdev && READ_ONCE(card->pdev) == pdev;
}

static int surprise(struct sim_card *card)
{
	struct pci_dev *pdev;
	int error;

	if (!xchg(&card->present, false))
		return -ENODEV;
	pdev = sim_get_pdev(card);
	vanish(card, "surprise");
	sim_slot_changed(card);
	error = wait_event_killable(card->pdev_wait, !has(card, pdev));
	pci_dev_put(pdev);
	if (error)
		return error;
	sync_rescan();
	return 0;
}

static int remove(struct sim_card *card)
{
	struct pci_dev *pdev = sim_get_pdev(card);
	ktime_t start = ktime_get();

	if (!pdev)
		return -ENODEV;
	pci_stop_and_remove_bus_device_locked(pdev);
	pci_dev_put(pdev);
	card->removal_ms = ktime_ms_delta(ktime_get(), start);
	if (xchg(&card->present, false)) {
		vanish(card, "remove");
		sim_slot_changed(card);
	}
	return 0;
}

static int reset_verdict(struct sim_card *card)
{
	sim_witness_reset(card);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct sim_card *card);
} commands[] = {
	{ "plug", plug },
	{ "remove", remove },
	{ "surprise", surprise },
	{ "reset-verdict", reset_verdict },
};

static ssize_t control_write(struct file *file, const char __user *user, size_t size, loff_t *pos)
{
	struct sim_card *card = file->private_data;
	char word[32];
	ssize_t length;
	unsigned int i;
	int error;

	length = strncpy_from_user(word, user, min(size + 1, sizeof(word)));
	if (length < 0)
		return length;
	word[min_t(size_t, size, sizeof(word) - 1)] = 0;
	strim(word);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(word, commands[i].name))
			continue;
		error = commands[i].run(card);
		return error ?: size;
	}
	return -EINVAL;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = control_write,
};

static int hold_fences_get(void *data, u64 *value)
{
	struct sim_card *card = data;

	*value = card->faults.hold_fences;
	return 0;
}

/* Fences that were held back come out, with one interrupt, as soon as none is held any more. */
static int hold_fences_set(void *data, u64 value)
{
	struct sim_card *card = data;

	mutex_lock(&card->lock);
	card->faults.hold_fences = value;
	if (!value && card->present) {
		sim_late_writes(card, true);
		card->late_count = 0;
		sim_ih_push(card, SIM_IH_SDMA_TRAP, 0, SIM_RING_SDMA0, 0);
		sim_ih_push(card, SIM_IH_SDMA_TRAP, 0, SIM_RING_SDMA1, 0);
		sim_ih_push(card, SIM_IH_CP_EOP, 0, 0, 0);
	}
	mutex_unlock(&card->lock);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(hold_fences_fops, hold_fences_get, hold_fences_set, "0x%llx\n");

void sim_control_init(struct sim_card *card, struct dentry *root)
{
	struct sim_faults *faults = &card->faults;
	struct dentry *dir;
	char name[8];

	snprintf(name, sizeof(name), "card%u", card->index);
	card->dir = debugfs_create_dir(name, root);
	debugfs_create_file("control", 0200, card->dir, card, &control_fops);
	dir = debugfs_create_dir("fault", card->dir);
	debugfs_create_x32("stall", 0644, dir, &faults->stall);
	debugfs_create_file_unsafe("hold_fences", 0644, dir, card, &hold_fences_fops);
	debugfs_create_bool("irq_lost", 0644, dir, &faults->irq_lost);
	debugfs_create_bool("irq_twice", 0644, dir, &faults->irq_twice);
	debugfs_create_u32("irq_late_ms", 0644, dir, &faults->irq_late_ms);
	debugfs_create_u32("page_faults", 0644, dir, &faults->page_faults);
	debugfs_create_u32("late_fence_ms", 0644, dir, &faults->late_fence_ms);
	debugfs_create_u32("late_dma_ms", 0644, dir, &faults->late_dma_ms);
}
