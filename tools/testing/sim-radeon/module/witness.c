// SPDX-License-Identifier: GPL-2.0
/* What the card saw: counts of everything, the words of the last few. */

#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "sim.h"

static const char * const note_names[SIM_NOTES] = {
	[SIM_NOTE_BAD_PACKET] = "bad_packets",
	[SIM_NOTE_BAD_ADDRESS] = "bad_addresses",
	[SIM_NOTE_VM_FAULT] = "vm_faults",
	[SIM_NOTE_DMA_STRAY_WRITE] = "dma_stray_writes",
	[SIM_NOTE_DMA_STRAY_READ] = "dma_stray_reads",
	[SIM_NOTE_LATE_WRITE] = "late_writes",
	[SIM_NOTE_BAR_MOVED] = "bars_moved",
	[SIM_NOTE_NO_TRAP] = "traps_failed",
};

void sim_note(struct sim_card *card, enum sim_note note, const char *format, ...)
{
	struct sim_witness *witness = &card->witness;
	unsigned long flags;
	va_list args;
	char *line;
	int at;

	spin_lock_irqsave(&card->note_lock, flags);
	witness->count[note]++;
	line = witness->line[witness->lines++ % SIM_NOTE_LINES];
	at = scnprintf(line, SIM_NOTE_LENGTH, "%s: ", note_names[note]);
	va_start(args, format);
	vsnprintf(line + at, SIM_NOTE_LENGTH - at, format, args);
	va_end(args);
	spin_unlock_irqrestore(&card->note_lock, flags);
}

void sim_witness_reset(struct sim_card *card)
{
	unsigned long flags;

	spin_lock_irqsave(&card->note_lock, flags);
	memset(&card->witness, 0, sizeof(card->witness));
	spin_unlock_irqrestore(&card->note_lock, flags);
	sim_trap_reset(card);
}

/* Registers that are not all ones, though the card is gone: somebody has written them. */
static unsigned int touched(struct sim_card *card, struct seq_file *list)
{
	unsigned int dword, count = 0;
	char name[48];

	for (dword = 0; dword < SIM_REG_SIZE / 4; dword++) {
		u32 value = sim_reg(card, dword);

		if (value == SIM_ALL_ONES)
			continue;
		count++;
		if (!list)
			continue;
		sim_reg_name(dword, name, sizeof(name));
		seq_printf(list, "register %s %#x\n", name, value);
	}
	return count;
}

/* The same for video memory, in pages; a write of all ones leaves no trace in either. */
static unsigned int touched_pages(struct sim_card *card)
{
	const void *vram = (__force void *)card->vram;
	unsigned int count = 0;
	unsigned long at;

	for (at = 0; at < SIM_VRAM_SIZE; at += PAGE_SIZE) {
		count += !!memchr_inv(vram + at, 0xff, PAGE_SIZE);
		cond_resched();
	}
	return count;
}

/* One "key value" a line, then one "register NAME VALUE" for each that was written after the
 * card was gone, then one "note ..." for each of the last notes.
 */
static int verdict_show(struct seq_file *file, void *data)
{
	struct sim_card *card = file->private;
	unsigned int i, first = 0;
	bool gone;

	mutex_lock(&card->lock);
	gone = !card->present && card->pulled;
	seq_printf(file, "chip %s\n", card->chip->name);
	seq_printf(file, "state %s\n", card->present ? "plugged" : "empty");
	seq_printf(file, "pulled %s\n", card->pulled ?: "never");
	seq_printf(file, "removal_ms %lld\n", card->removal_ms);
	for (i = 0; i < SIM_RINGS; i++)
		seq_printf(file, "packets_%s %llu\n", card->ring[i].name, card->ring[i].packets);
	seq_printf(file, "fences %llu\n", card->fences);
	seq_printf(file, "interrupts %llu\n", card->interrupts);
	seq_printf(file, "registers_written_after %u\n", gone ? touched(card, NULL) : 0);
	seq_printf(file, "vram_pages_written_after %u\n", gone ? touched_pages(card) : 0);

	seq_printf(file, "dma_pages_mapped %lu\n", sim_dma_pages(card));
	seq_printf(file, "trap %s\n", card->trap ? "on" : "off");
	seq_printf(file, "trapped_reads %llu\n", card->trapped_reads);
	seq_printf(file, "trapped_writes %llu\n", card->trapped_writes);

	spin_lock_irq(&card->note_lock);
	for (i = 0; i < SIM_NOTES; i++)
		seq_printf(file, "%s %llu\n", note_names[i], card->witness.count[i]);
	if (card->witness.lines > SIM_NOTE_LINES)
		first = card->witness.lines - SIM_NOTE_LINES;
	for (i = first; i < card->witness.lines; i++)
		seq_printf(file, "note %s\n", card->witness.line[i % SIM_NOTE_LINES]);
	spin_unlock_irq(&card->note_lock);

	if (gone)
		touched(card, file);
	mutex_unlock(&card->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(verdict);

void sim_witness_init(struct sim_card *card)
{
	debugfs_create_file("verdict", 0444, card->dir, card, &verdict_fops);
}
