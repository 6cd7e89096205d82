// SPDX-License-Identifier: GPL-2.0
/*
 * The module: which cards there are, and what the kernel knows of them.
 *
 *	modprobe sim-radeon chip=bonaire,hawaii base=0x60000000,0x40000000
 *
 * makes two slots, in PCI domains 1 and 2, both empty. Each needs 272 MiB of memory, on a
 * boundary of 256 MiB, that the kernel line keeps from the kernel: memmap=272M$0x60000000.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "sim.h"

const struct sim_chip sim_chips[] = {
	{ "bonaire", 0x6649 },
	{ "hawaii", 0x67a0 },
	{ }
};

static char *chip[SIM_MAX_CARDS];
module_param_array(chip, charp, &sim_card_count, 0444);
MODULE_PARM_DESC(chip, "chips, one a card: bonaire or hawaii");

static ulong base[SIM_MAX_CARDS] = { 0x60000000, 0x40000000 };
module_param_array(base, ulong, NULL, 0444);
MODULE_PARM_DESC(base, "where the memory of each card begins");

struct sim_card sim_cards[SIM_MAX_CARDS];
unsigned int sim_card_count;
static struct dentry *debugfs_root;

/*
 * PCI devices of ours that somebody may still hold, a driver for the files that are open, say.
 * They have pointers into this module, so it stays until the last reference but ours is gone.
 */
struct sim_held {
	struct list_head list;
	struct pci_dev *pdev;
	bool gone;
};

static LIST_HEAD(held);
static DEFINE_SPINLOCK(held_lock);

static struct sim_card *card_of(struct pci_dev *pdev)
{
	unsigned int i;

	for (i = 0; i < sim_card_count; i++) {
		if (pdev->bus->sysdata == &sim_cards[i].sysdata && !pci_is_root_bus(pdev->bus))
			return &sim_cards[i];
	}
	return NULL;
}

struct pci_dev *sim_get_pdev(struct sim_card *card)
{
	struct pci_dev *pdev;

	raw_spin_lock_irq(&card->pdev_lock);
	pdev = pci_dev_get(card->pdev);
	raw_spin_unlock_irq(&card->pdev_lock);
	return pdev;
}

static void hold(struct pci_dev *pdev)
{
	struct sim_held *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

	__module_get(THIS_MODULE);
	if (!entry)
		return;		/* the module stays for good */
	entry->pdev = pci_dev_get(pdev);
	spin_lock(&held_lock);
	list_add(&entry->list, &held);
	spin_unlock(&held_lock);
}

/* Let go of those that nobody else has; called now and then. */
static void reap(struct work_struct *work);
static DECLARE_DELAYED_WORK(reap_work, reap);

static void reap(struct work_struct *work)
{
	struct sim_held *entry, *next;
	LIST_HEAD(free);

	spin_lock(&held_lock);
	list_for_each_entry_safe(entry, next, &held, list) {
		if (entry->gone && kref_read(&entry->pdev->dev.kobj.kref) == 1)
			list_move(&entry->list, &free);
	}
	spin_unlock(&held_lock);
	list_for_each_entry_safe(entry, next, &free, list) {
		pci_dev_put(entry->pdev);
		kfree(entry);
		module_put(THIS_MODULE);
	}
	schedule_delayed_work(&reap_work, HZ / 10);
}

static void mark_gone(struct pci_dev *pdev)
{
	struct sim_held *entry;

	spin_lock(&held_lock);
	list_for_each_entry(entry, &held, list) {
		if (entry->pdev == pdev)
			entry->gone = true;
	}
	spin_unlock(&held_lock);
}

static int pci_event(struct notifier_block *block, unsigned long event, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct sim_card *card;
	unsigned int i;

	if (event != BUS_NOTIFY_ADD_DEVICE && event != BUS_NOTIFY_REMOVED_DEVICE)
		return NOTIFY_DONE;

	/* The port needs its interrupt before the hot-plug driver binds to it. */
	for (i = 0; event == BUS_NOTIFY_ADD_DEVICE && i < sim_card_count; i++) {
		if (pdev->bus->sysdata == &sim_cards[i].sysdata && pci_is_root_bus(pdev->bus))
			pdev->irq = sim_cards[i].port_irq.virq;
	}
	card = card_of(pdev);
	if (!card)
		return NOTIFY_DONE;

	if (event == BUS_NOTIFY_ADD_DEVICE) {
		pdev->irq = card->gpu_irq.virq;
		sim_dma_attach(card, &pdev->dev);
		hold(pdev);
	} else {
		mark_gone(pdev);
		if (card->pulled)
			card->removal_ms = ktime_ms_delta(ktime_get(), card->pulled_at);
	}
	raw_spin_lock_irq(&card->pdev_lock);
	if (event == BUS_NOTIFY_ADD_DEVICE)
		card->pdev = pdev;
	else if (card->pdev == pdev)
		card->pdev = NULL;
	raw_spin_unlock_irq(&card->pdev_lock);
	wake_up_all(&card->pdev_wait);
	return NOTIFY_OK;
}

static struct notifier_block pci_block = { .notifier_call = pci_event };

static const struct sim_chip *find_chip(const char *name)
{
	const struct sim_chip *found;

	for (found = sim_chips; found->name; found++) {
		if (!strcmp(found->name, name))
			return found;
	}
	return NULL;
}

static void card_fini(struct sim_card *card)
{
	sim_slot_fini(card);
	if (card->engine)
		kthread_stop(card->engine);
	sim_dma_fini(card);
	if (card->rom)
		iounmap(card->rom);
	if (card->regs)
		iounmap(card->regs);
	if (card->vram)
		iounmap(card->vram);
}

static int card_init(struct sim_card *card, unsigned int index)
{
	int error, ram;

	card->index = index;
	card->base = base[index];
	card->chip = find_chip(chip[index]);
	raw_spin_lock_init(&card->config_lock);
	raw_spin_lock_init(&card->pdev_lock);
	spin_lock_init(&card->dma_lock);
	spin_lock_init(&card->note_lock);
	mutex_init(&card->lock);
	init_waitqueue_head(&card->pdev_wait);
	sim_rings_reset(card);
	if (!card->chip) {
		pr_err("chip %s is not known\n", chip[index]);
		return -EINVAL;
	}
	ram = region_intersects(card->base, SIM_WINDOW_SIZE, IORESOURCE_SYSTEM_RAM,
				IORES_DESC_NONE);
	if (!card->base || card->base % SIM_VRAM_SIZE || ram != REGION_DISJOINT) {
		pr_err("no memory for card %u: boot with memmap=272M$%#lx\n", index, base[index]);
		return -ENOMEM;
	}
	/* The types that the drivers use: memory has one only. */
	card->vram = ioremap_wc(card->base, SIM_VRAM_SIZE);
	card->regs = ioremap(card->base + SIM_REG_OFFSET, SIM_REG_SIZE);
	card->rom = ioremap(card->base + SIM_ROM_OFFSET, SIM_ROM_SIZE);
	if (!card->vram || !card->regs || !card->rom)
		return -ENOMEM;
	error = sim_dma_init(card);
	if (error)
		return error;
	sim_regs_gone(card);
	card->engine = kthread_run(sim_engine, card, "sim-radeon/%u", index);
	if (IS_ERR(card->engine)) {
		error = PTR_ERR(card->engine);
		card->engine = NULL;
		return error;
	}
	/* Drivers wait for some answers with a busy loop, maybe on the processor of the engine. */
	sched_set_fifo_low(card->engine);
	error = sim_slot_init(card);
	if (error)
		return error;
	sim_control_init(card, debugfs_root);
	sim_witness_init(card);
	sim_trap_init(card);
	return 0;
}

static void sim_exit(void)
{
	unsigned int i;

	debugfs_remove(debugfs_root);
	for (i = 0; i < sim_card_count; i++)
		card_fini(&sim_cards[i]);
	sim_trap_exit();
	bus_unregister_notifier(&pci_bus_type, &pci_block);
	cancel_delayed_work_sync(&reap_work);
}

static int __init sim_init(void)
{
	unsigned int i;
	int error;

	if (!sim_card_count) {
		chip[0] = "bonaire";
		sim_card_count = 1;
	}
	debugfs_root = debugfs_create_dir("sim-radeon", NULL);
	error = bus_register_notifier(&pci_bus_type, &pci_block);
	if (error)
		return error;
	schedule_delayed_work(&reap_work, HZ / 10);
	for (i = 0; i < sim_card_count; i++) {
		error = card_init(&sim_cards[i], i);
		if (error) {
			sim_exit();
			return error;
		}
	}
	return 0;
}

module_init(sim_init);
module_exit(sim_exit);
MODULE_DESCRIPTION("A Radeon made of software, to be unplugged");
MODULE_LICENSE("GPL");
