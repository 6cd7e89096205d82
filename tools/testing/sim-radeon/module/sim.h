/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A Radeon of the Sea Islands family (CIK) made of software. README.md has the whole picture.
 *
 * Lock order: sim_card.lock (mutex: engines, registers, faults, state) > config_lock, dma_lock,
 * note_lock (spinlocks, none inside another).
 */
#ifndef SIM_RADEON_H
#define SIM_RADEON_H

#include <linux/irq_work.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/wait.h>

#include "regs.h"

#define SIM_MAX_CARDS		2
#define SIM_FIRST_DOMAIN	1

/* Where the parts of a card lie in the memory that memmap= keeps from the kernel. */
#define SIM_VRAM_SIZE		(256UL << 20)
#define SIM_DOORBELL_SIZE	(8UL << 20)
#define SIM_REG_SIZE		(256UL << 10)
#define SIM_ROM_SIZE		(64UL << 10)
#define SIM_DOORBELL_OFFSET	SIM_VRAM_SIZE
#define SIM_REG_OFFSET		(SIM_DOORBELL_OFFSET + SIM_DOORBELL_SIZE)
#define SIM_ROM_OFFSET		(SIM_REG_OFFSET + SIM_REG_SIZE)
#define SIM_WINDOW_SIZE		(272UL << 20)

/* What is read from a card that is not there. */
#define SIM_ALL_ONES		0xffffffffU

struct sim_chip {
	const char *name;
	u16 device;
};

/* PCI configuration space: value, what a write changes, what a written one clears. */
#define SIM_CONFIG_SIZE		256
struct sim_config {
	u8 value[SIM_CONFIG_SIZE];
	u8 writable[SIM_CONFIG_SIZE];
	u8 write_one_clear[SIM_CONFIG_SIZE];
};

/* Interrupt sources, as in ivsrcid/ivsrcid_vislands30.h and cik.c. */
enum sim_ih_source {
	SIM_IH_VM_FAULT		= 146,
	SIM_IH_CP_EOP		= 181,
	SIM_IH_SDMA_TRAP	= 224,
};

enum sim_ring_id { SIM_RING_SDMA0, SIM_RING_SDMA1, SIM_RING_GFX, SIM_RINGS };

/* A stretch of packets: the ring, or an indirect buffer that it (or one of those) calls. */
#define SIM_IB_DEPTH		4
struct sim_frame {
	u64 addr;		/* GPU address of the first dword */
	u32 pos;		/* dword that is next */
	u32 end;		/* dwords; not for a ring */
	u32 mask;		/* to wrap pos; not for a buffer */
	u32 vmid;
};

/* What a packet handler returns beside the number of dwords that it used up. */
#define SIM_PACKET_WAIT		0	/* try again later: a fence or semaphore is not there yet */
#define SIM_PACKET_BAD		-1	/* not a packet */
#define SIM_PACKET_JUMP		-2	/* an indirect buffer is next; pos has been moved on */

struct sim_ring {
	struct sim_card *card;
	enum sim_ring_id id;
	const char *name;
	int (*packet)(struct sim_ring *ring, struct sim_frame *frame);
	struct sim_frame frame[SIM_IB_DEPTH];
	unsigned int top;	/* the frame that runs */
	bool waiting;
	u64 packets;
};

/* Faults to order, one debugfs file each; README.md says what they do. */
struct sim_faults {
	u32 stall;		/* bit per sim_ring_id */
	u32 hold_fences;	/* bit per sim_ring_id */
	bool irq_lost;
	bool irq_twice;
	u32 irq_late_ms;
	u32 page_faults;
	u32 late_fence_ms;
	u32 late_dma_ms;
};

/* A write that is to happen later, to an address that was translated when it was due. */
#define SIM_LATE_WRITES		64
struct sim_late_write {
	void __iomem *vram;	/* or: */
	phys_addr_t phys;
	u32 value;
	bool fence;
};

/* What the card saw. The names are in witness.c; the verdict prints them all. */
enum sim_note {
	SIM_NOTE_BAD_PACKET,
	SIM_NOTE_BAD_ADDRESS,
	SIM_NOTE_VM_FAULT,
	SIM_NOTE_DMA_STRAY_WRITE,
	SIM_NOTE_DMA_STRAY_READ,
	SIM_NOTE_LATE_WRITE,
	SIM_NOTE_BAR_MOVED,
	SIM_NOTE_NO_TRAP,
	SIM_NOTES
};

#define SIM_NOTE_LINES		64
#define SIM_NOTE_LENGTH		120
struct sim_witness {
	u64 count[SIM_NOTES];
	char line[SIM_NOTE_LINES][SIM_NOTE_LENGTH];
	unsigned int lines;
};

struct sim_irq {
	int virq;
	struct irq_work work;
};

struct sim_card {
	unsigned int index;
	const struct sim_chip *chip;

	phys_addr_t base;
	void __iomem *vram;
	void __iomem *regs;
	void __iomem *rom;

	/* config.c, slot.c */
	struct pci_host_bridge *bridge;
	struct pci_sysdata sysdata;
	struct resource window;
	struct resource bus_range;
	raw_spinlock_t config_lock;	/* port, gpu */
	struct sim_config port;
	struct sim_config gpu;
	struct sim_irq port_irq;
	struct sim_irq gpu_irq;
	struct timer_list irq_timer;
	struct timer_list port_timer;
	bool irq_again;

	/* The function in the slot, as the kernel knows it; the references are in main.c. */
	raw_spinlock_t pdev_lock;		/* pdev */
	struct pci_dev *pdev;
	wait_queue_head_t pdev_wait;

	struct mutex lock;		/* what follows, and the registers */
	bool present;
	const char *pulled;		/* how, the last time */
	ktime_t pulled_at;
	s64 removal_ms;
	struct task_struct *engine;
	struct sim_ring ring[SIM_RINGS];
	struct sim_faults faults;
	struct sim_late_write late[SIM_LATE_WRITES];
	unsigned int late_count;
	u64 fences;
	u64 interrupts;

	/* dma.c: how often each page of memory is mapped for the card */
	spinlock_t dma_lock;		/* mapped */
	u16 *mapped;
	unsigned long mapped_pages;

	/* trap.c */
	bool trap;
	u64 trapped_reads;
	u64 trapped_writes;

	spinlock_t note_lock;		/* witness */
	struct sim_witness witness;
	struct dentry *dir;
};

static inline u32 sim_reg(struct sim_card *card, u32 dword)
{
	return dword < SIM_REG_SIZE / 4 ? readl(card->regs + dword * 4) : 0;
}

static inline void sim_set_reg(struct sim_card *card, u32 dword, u32 value)
{
	if (dword < SIM_REG_SIZE / 4)
		writel(value, card->regs + dword * 4);
}

/* main.c */
extern struct sim_card sim_cards[SIM_MAX_CARDS];
extern unsigned int sim_card_count;
extern const struct sim_chip sim_chips[];
struct pci_dev *sim_get_pdev(struct sim_card *card);

/* config.c */
extern struct pci_ops sim_pci_ops;
void sim_config_init_port(struct sim_card *card);
void sim_config_init_gpu(struct sim_card *card);
u32 sim_config_get(struct sim_config *config, int where, int size);
void sim_config_set(struct sim_config *config, int where, int size, u32 value);
bool sim_bus_master(struct sim_card *card);

/* slot.c */
#define SIM_PORT_EXP		0x40	/* where the PCIe capability of the port is */
#define SIM_GPU_EXP		0x40
#define SIM_GPU_MSI		0x80
int sim_slot_init(struct sim_card *card);
void sim_slot_fini(struct sim_card *card);
void sim_slot_changed(struct sim_card *card);
void sim_raise(struct sim_card *card);

/* bios.c, regs.c */
int sim_bios_init(struct sim_card *card);
void sim_regs_init(struct sim_card *card);
void sim_regs_gone(struct sim_card *card);
void sim_reg_name(u32 dword, char *text, size_t size);

/* dma.c */
int sim_dma_init(struct sim_card *card);
void sim_dma_fini(struct sim_card *card);
void sim_dma_attach(struct sim_card *card, struct device *dev);
unsigned long sim_dma_pages(struct sim_card *card);
bool sim_dma_mapped(struct sim_card *card, phys_addr_t phys);

/* gpuvm.c: n bytes at a GPU address; vmid 0 is the address space of the kernel */
int sim_read(struct sim_card *card, u32 vmid, u64 addr, void *data, size_t n);
int sim_write(struct sim_card *card, u32 vmid, u64 addr, const void *data, size_t n);
int sim_find(struct sim_card *card, u32 vmid, u64 addr, struct sim_late_write *where);
int sim_write_phys(struct sim_card *card, phys_addr_t phys, const void *data, size_t n);

/* ih.c */
void sim_ih_push(struct sim_card *card, enum sim_ih_source source, u32 data, u32 ring_id, u32 vmid);

/* ring.c */
int sim_engine(void *data);
void sim_rings_reset(struct sim_card *card);
int sim_get(struct sim_ring *ring, struct sim_frame *frame, u32 dword, u32 *value);
int sim_call(struct sim_ring *ring, struct sim_frame *frame, u32 used, u64 addr, u32 dwords,
	     u32 vmid);
void sim_fence(struct sim_ring *ring, u32 vmid, u64 addr, u32 value);
bool sim_compare(u32 function, u32 value, u32 reference);
void sim_late_writes(struct sim_card *card, bool fences);

/* sdma.c, pm4.c */
int sim_sdma_packet(struct sim_ring *ring, struct sim_frame *frame);
int sim_pm4_packet(struct sim_ring *ring, struct sim_frame *frame);
int sim_copy(struct sim_ring *ring, u32 vmid, u64 to, u64 from, u64 bytes);
int sim_fill(struct sim_ring *ring, u32 vmid, u64 to, u32 value, u64 bytes);

/* control.c */
void sim_control_init(struct sim_card *card, struct dentry *root);

/* trap.c */
void sim_trap_init(struct sim_card *card);
void sim_trap_arm(struct sim_card *card);
void sim_trap_reset(struct sim_card *card);
void sim_trap_exit(void);

/* witness.c */
__printf(3, 4)
void sim_note(struct sim_card *card, enum sim_note note, const char *format, ...);
void sim_witness_reset(struct sim_card *card);
void sim_witness_init(struct sim_card *card);

#endif
