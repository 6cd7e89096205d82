// SPDX-License-Identifier: GPL-2.0
/*
 * The slot: a host bridge with a hot-plug root port, which the kernel's own pciehp driver
 * serves, and the two interrupt lines, of the port and of the card.
 *
 * An interrupt is a call of its handler from an irq_work, for that runs in hard interrupt
 * context as a real one does. With MSI the kernel has programmed a vector which nobody can
 * raise from software at will; the handler of that vector is called instead.
 */

#include <linux/interrupt.h>
#include <linux/irq.h>

#include "sim.h"

/* Does the port still have something to say, and is it to be heard? */
static bool port_pending(struct sim_card *card)
{
	u16 status = sim_config_get(&card->port, SIM_PORT_EXP + PCI_EXP_SLTSTA, 2);
	u16 control = sim_config_get(&card->port, SIM_PORT_EXP + PCI_EXP_SLTCTL, 2);

	return status & (PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC) &&
	       control & PCI_EXP_SLTCTL_HPIE;
}

/* The line is a level: an interrupt that came while the handler ran elsewhere comes again. */
static void port_interrupt(struct irq_work *work)
{
	struct sim_card *card = container_of(work, struct sim_card, port_irq.work);

	generic_handle_irq(card->port_irq.virq);
	if (port_pending(card))
		mod_timer(&card->port_timer, jiffies + 1);
}

static void port_again(struct timer_list *timer)
{
	struct sim_card *card = container_of(timer, struct sim_card, port_timer);

	if (port_pending(card))
		irq_work_queue(&card->port_irq.work);
}

static void gpu_interrupt(struct irq_work *work)
{
	struct sim_card *card = container_of(work, struct sim_card, gpu_irq.work);
	int virq = 0;

	if (!READ_ONCE(card->present))
		return;
	if (sim_config_get(&card->gpu, SIM_GPU_MSI + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE) {
		raw_spin_lock(&card->pdev_lock);
		if (card->pdev)
			virq = card->pdev->irq;
		raw_spin_unlock(&card->pdev_lock);
	} else if (!(sim_config_get(&card->gpu, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE)) {
		virq = card->gpu_irq.virq;
	}
	if (virq)
		generic_handle_irq(virq);
	if (xchg(&card->irq_again, false))
		irq_work_queue(work);
}

static void late_interrupt(struct timer_list *timer)
{
	struct sim_card *card = container_of(timer, struct sim_card, irq_timer);

	irq_work_queue(&card->gpu_irq.work);
}

/* The card wants to interrupt; the faults decide what becomes of it. */
void sim_raise(struct sim_card *card)
{
	if (card->faults.irq_lost)
		return;
	card->interrupts++;
	WRITE_ONCE(card->irq_again, card->faults.irq_twice);
	if (card->faults.irq_late_ms)
		mod_timer(&card->irq_timer, jiffies + msecs_to_jiffies(card->faults.irq_late_ms));
	else
		irq_work_queue(&card->gpu_irq.work);
}

/*
 * A card went into the slot, or out of it: tell the port, as presence detect would. Of two at
 * once the last one sees how it is.
 */
void sim_slot_changed(struct sim_card *card)
{
	int slot_status = SIM_PORT_EXP + PCI_EXP_SLTSTA;
	int link_status = SIM_PORT_EXP + PCI_EXP_LNKSTA;
	u16 slot, link;
	unsigned long flags;

	raw_spin_lock_irqsave(&card->config_lock, flags);
	slot = sim_config_get(&card->port, slot_status, 2);
	link = sim_config_get(&card->port, link_status, 2);
	slot |= PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC;
	if (READ_ONCE(card->present)) {
		slot |= PCI_EXP_SLTSTA_PDS;
		link |= PCI_EXP_LNKSTA_DLLLA;
	} else {
		slot &= ~PCI_EXP_SLTSTA_PDS;
		link &= ~PCI_EXP_LNKSTA_DLLLA;
	}
	sim_config_set(&card->port, slot_status, 2, slot);
	sim_config_set(&card->port, link_status, 2, link);
	raw_spin_unlock_irqrestore(&card->config_lock, flags);

	if (port_pending(card))
		irq_work_queue(&card->port_irq.work);
}

static int irq_init(struct sim_irq *irq, void (*handler)(struct irq_work *work))
{
	irq->work = IRQ_WORK_INIT_HARD(handler);
	/* Without an owner: who requests the interrupt must not pin this module. */
	irq->virq = __irq_alloc_descs(-1, 1, 1, NUMA_NO_NODE, NULL, NULL);
	if (irq->virq < 0)
		return irq->virq;
	irq_set_chip_and_handler(irq->virq, &dummy_irq_chip, handle_simple_irq);
	irq_modify_status(irq->virq, IRQ_NOREQUEST, 0);
	return 0;
}

static void irq_fini(struct sim_irq *irq)
{
	if (irq->virq <= 0)
		return;
	irq_work_sync(&irq->work);
	irq_free_desc(irq->virq);
}

int sim_slot_init(struct sim_card *card)
{
	struct pci_host_bridge *bridge;
	int error;

	sim_config_init_port(card);
	timer_setup(&card->irq_timer, late_interrupt, 0);
	timer_setup(&card->port_timer, port_again, 0);
	error = irq_init(&card->port_irq, port_interrupt);
	if (error)
		return error;
	error = irq_init(&card->gpu_irq, gpu_interrupt);
	if (error)
		return error;

	bridge = pci_alloc_host_bridge(0);
	if (!bridge)
		return -ENOMEM;
	card->sysdata.domain = SIM_FIRST_DOMAIN + card->index;
	card->sysdata.node = NUMA_NO_NODE;
	card->window = DEFINE_RES_MEM_NAMED(card->base, SIM_WINDOW_SIZE, "sim-radeon");
	card->bus_range = DEFINE_RES_NAMED(0, 2, "sim-radeon", IORESOURCE_BUS);
	pci_add_resource(&bridge->windows, &card->window);
	pci_add_resource(&bridge->windows, &card->bus_range);
	bridge->sysdata = &card->sysdata;
	bridge->ops = &sim_pci_ops;

	pci_lock_rescan_remove();
	error = pci_scan_root_bus_bridge(bridge);
	if (error) {
		pci_unlock_rescan_remove();
		pci_free_host_bridge(bridge);
		return error;
	}
	card->bridge = bridge;
	pci_bus_claim_resources(bridge->bus);
	pci_unlock_rescan_remove();
	/* As at boot, drivers bind without the lock: pciehp takes it under one of its own. */
	pci_bus_add_devices(bridge->bus);
	return 0;
}

void sim_slot_fini(struct sim_card *card)
{
	if (card->bridge) {
		pci_lock_rescan_remove();
		pci_stop_root_bus(card->bridge->bus);
		pci_remove_root_bus(card->bridge->bus);
		pci_unlock_rescan_remove();
		pci_free_host_bridge(card->bridge);
		card->bridge = NULL;
	}
	timer_shutdown_sync(&card->irq_timer);
	timer_shutdown_sync(&card->port_timer);
	irq_fini(&card->gpu_irq);
	irq_fini(&card->port_irq);
}
