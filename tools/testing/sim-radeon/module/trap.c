// SPDX-License-Identifier: GPL-2.0
/*
 * Every access to the registers of a card that is gone, with a stack trace: reads as well, and
 * writes of all ones, which leave no trace in memory.
 *
 * When the card goes, all kernel mappings of its registers lose their page table entries. An
 * access faults, and just before the kernel would report an oops, a kprobe takes over: it notes
 * who it was, gives a read all ones, loses a write, and goes on behind the instruction. Nothing
 * is to be put back, for the card never comes back to that mapping.
 *
 * Only plain moves are understood, which is what readl() and writel() are. For anything else the
 * page is given back, and what is written there is found in the registers later.
 */

#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/objtool.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/stacktrace.h>

#include "sim.h"

#define MAX_PAGES	512	/* of mappings; a driver has 64 */
#define MAX_ACCESSES	256	/* of different kinds: register, direction, instruction */
#define DEPTH		14

static struct trapped_page {
	struct sim_card *card;
	unsigned long addr;
	pte_t *pte;
	pte_t old;
	u32 dword;		/* register that it begins with */
} trapped_pages[MAX_PAGES];
static unsigned int trapped_count;

static struct access {
	struct sim_card *card;
	unsigned long ip;
	u32 dword;
	u32 value;
	bool write;
	u64 count;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	unsigned int depth;
	unsigned long stack[DEPTH];
} accesses[MAX_ACCESSES];
static unsigned int access_count;
static DEFINE_RAW_SPINLOCK(access_lock);	/* accesses */
static DEFINE_MUTEX(page_lock);			/* trapped_pages, as they are added */

/* --- one access ------------------------------------------------------------------------------- */

struct move {
	unsigned int length;
	unsigned int size;
	bool write;
	u32 value;		/* of a write */
	unsigned long *reg;	/* of a read */
};

static unsigned long *reg_of(struct pt_regs *regs, unsigned int number)
{
	switch (number) {
	case 0: return &regs->ax;
	case 1: return &regs->cx;
	case 2: return &regs->dx;
	case 3: return &regs->bx;
	case 5: return &regs->bp;
	case 6: return &regs->si;
	case 7: return &regs->di;
	case 8: return &regs->r8;
	case 9: return &regs->r9;
	case 10: return &regs->r10;
	case 11: return &regs->r11;
	case 12: return &regs->r12;
	case 13: return &regs->r13;
	case 14: return &regs->r14;
	case 15: return &regs->r15;
	default: return NULL;
	}
}

/* Intel SDM, volume 2, chapter 2: length of ModRM, SIB and displacement. */
static unsigned int operand_length(const u8 *modrm)
{
	unsigned int mod = *modrm >> 6, length = 1;

	if ((*modrm & 7) == 4) {
		length++;
		if (!mod && (modrm[1] & 7) == 5)
			return length + 4;
	}
	if (!mod && (*modrm & 7) == 5)
		return length + 4;
	return length + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static bool decode(struct pt_regs *regs, struct move *move)
{
	const u8 *start = (const u8 *)regs->ip, *at = start;
	unsigned int rex = 0, number;

	move->size = 4;
	if (*at == 0x66) {
		move->size = 2;
		at++;
	}
	if ((*at & 0xf0) == 0x40) {
		rex = *at++;
		if (rex & 8)
			move->size = 8;
	}
	switch (*at++) {
	case 0x8a:
	case 0x88:
		move->size = 1;
		move->write = at[-1] == 0x88;
		break;
	case 0x8b:
	case 0x89:
		move->write = at[-1] == 0x89;
		break;
	case 0xc7:
		move->write = true;
		at += operand_length(at);
		memcpy(&move->value, at, move->size == 2 ? 2 : 4);
		move->length = at + (move->size == 2 ? 2 : 4) - start;
		return true;
	default:
		return false;
	}
	number = ((*at >> 3) & 7) | (rex & 4 ? 8 : 0);
	move->length = at + operand_length(at) - start;
	move->reg = reg_of(regs, number);
	/* Without a REX prefix, registers 4 to 7 of a byte are the high halves of 0 to 3. */
	if (!move->reg || (move->size == 1 && !rex && number >= 4))
		return false;
	if (move->write)
		move->value = *move->reg;
	return true;
}

static void finish(struct pt_regs *regs, struct move *move)
{
	if (!move->write) {
		if (move->size >= 4)	/* a move of 32 bits clears the rest */
			*move->reg = move->size == 8 ? ~0UL : SIM_ALL_ONES;
		else
			*move->reg |= move->size == 2 ? 0xffff : 0xff;
	}
	regs->ip += move->length;
}

static void remember(struct sim_card *card, struct pt_regs *regs, struct move *move, u32 dword)
{
	unsigned long stack[48];
	struct access *access;
	unsigned int i, depth;
	unsigned long flags;

	raw_spin_lock_irqsave(&access_lock, flags);
	if (move->write)
		card->trapped_writes++;
	else
		card->trapped_reads++;
	for (i = 0; i < access_count; i++) {
		access = &accesses[i];
		if (access->card == card && access->ip == regs->ip && access->dword == dword) {
			access->count++;
			goto out;
		}
	}
	if (access_count == MAX_ACCESSES)
		goto out;
	access = &accesses[access_count++];
	*access = (struct access){
		.card = card, .ip = regs->ip, .dword = dword, .value = move->value,
		.write = move->write, .count = 1, .pid = current->pid,
	};
	strscpy(access->comm, current->comm);
	/* What is above the instruction is the fault, and we. */
	depth = stack_trace_save(stack, ARRAY_SIZE(stack), 0);
	for (i = 0; i < depth && stack[i] != regs->ip; i++)
		;
	for (; i < depth && access->depth < DEPTH; i++)
		access->stack[access->depth++] = stack[i];
out:
	raw_spin_unlock_irqrestore(&access_lock, flags);
}

/* --- the fault -------------------------------------------------------------------------------- */

static struct trapped_page *find_page(unsigned long addr)
{
	unsigned int i, count = READ_ONCE(trapped_count);

	for (i = 0; i < count; i++) {
		if (trapped_pages[i].addr == (addr & PAGE_MASK))
			return &trapped_pages[i];
	}
	return NULL;
}

/* Where the probed function goes instead of its body. */
asmlinkage void sim_trap_return(void);
asm(".text\n"
	".type sim_trap_return, @function\n"
	"sim_trap_return:\n"
	ANNOTATE_NOENDBR "\n"
	ASM_RET
	".size sim_trap_return, .-sim_trap_return\n");

/* page_fault_oops(regs, error_code, address): the kernel is about to give up. */
static int before_oops(struct kprobe *probe, struct pt_regs *probed)
{
	struct pt_regs *regs = (struct pt_regs *)probed->di;
	unsigned long addr = probed->dx;
	struct trapped_page *page = find_page(addr);
	struct move move = { };

	if (!page || user_mode(regs))
		return 0;
	if (decode(regs, &move)) {
		remember(page->card, regs, &move, page->dword + (addr & ~PAGE_MASK) / 4);
		finish(regs, &move);
	} else {
		page->addr = 0;
		set_pte(page->pte, page->old);
	}
	probed->ip = (unsigned long)sim_trap_return;
	return 1;
}

/* The kprobe documentation asks for one where the first handler changes where it goes. */
static void after_oops(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe oops_probe = {
	.symbol_name = "page_fault_oops",
	.pre_handler = before_oops,
	.post_handler = after_oops,
};

static bool probing;

/* --- arming ----------------------------------------------------------------------------------- */

static void flush(void *unused)
{
	unsigned int i;

	for (i = 0; i < trapped_count; i++)
		asm volatile("invlpg (%0)" :: "r" (trapped_pages[i].addr) : "memory");
}

/* The page tables of vmalloc space have the mappings of all drivers; most of it is empty. */
static void take_mappings(struct sim_card *card)
{
	unsigned long first = (card->base + SIM_REG_OFFSET) >> PAGE_SHIFT;
	unsigned long last = first + (SIM_REG_SIZE >> PAGE_SHIFT) - 1;
	unsigned long ours = (unsigned long)card->regs;
	unsigned long addr = VMALLOC_START, step;

	for (; addr < VMALLOC_END && addr >= VMALLOC_START; addr = (addr & ~(step - 1)) + step) {
		unsigned int level;
		pte_t *pte = lookup_address(addr, &level);
		struct trapped_page *page;

		step = page_level_size(level);
		if (!pte || level != PG_LEVEL_4K || !pte_present(*pte))
			continue;
		if (pte_pfn(*pte) < first || pte_pfn(*pte) > last)
			continue;
		if (addr >= ours && addr < ours + SIM_REG_SIZE)
			continue;
		if (trapped_count == MAX_PAGES)
			break;
		page = &trapped_pages[trapped_count];
		*page = (struct trapped_page){
			.card = card, .addr = addr, .pte = pte, .old = *pte,
			.dword = (pte_pfn(*pte) - first) * PAGE_SIZE / 4,
		};
		smp_wmb();	/* who faults finds it */
		WRITE_ONCE(trapped_count, trapped_count + 1);
		set_pte(pte, __pte(0));
	}
	on_each_cpu(flush, NULL, 1);
}

/* The card is about to go: from here on every access of the kernel is seen. */
void sim_trap_arm(struct sim_card *card)
{
	if (!card->trap)
		return;
	mutex_lock(&page_lock);
	if (!probing) {
		int error = register_kprobe(&oops_probe);

		if (error) {
			sim_note(card, SIM_NOTE_NO_TRAP, "no kprobe on %s: error %d",
				 oops_probe.symbol_name, error);
			mutex_unlock(&page_lock);
			return;
		}
		probing = true;
	}
	take_mappings(card);
	mutex_unlock(&page_lock);
}

void sim_trap_reset(struct sim_card *card)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&access_lock, flags);
	access_count = 0;
	card->trapped_reads = 0;
	card->trapped_writes = 0;
	raw_spin_unlock_irqrestore(&access_lock, flags);
}

void sim_trap_exit(void)
{
	if (probing)
		unregister_kprobe(&oops_probe);
}

static int accesses_show(struct seq_file *file, void *data)
{
	struct sim_card *card = file->private;
	unsigned int i, j, count = READ_ONCE(access_count);
	char name[48];

	for (i = 0; i < count; i++) {
		struct access *access = &accesses[i];

		if (access->card != card)
			continue;
		sim_reg_name(access->dword, name, sizeof(name));
		seq_printf(file, "%s %s %#x count %llu by %s %d\n",
			   access->write ? "write" : "read", name,
			   access->write ? access->value : SIM_ALL_ONES, access->count,
			   access->comm, access->pid);
		for (j = 0; j < access->depth; j++)
			seq_printf(file, "\t%pS\n", (void *)access->stack[j]);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(accesses);

void sim_trap_init(struct sim_card *card)
{
	debugfs_create_bool("trap", 0644, card->dir, &card->trap);
	debugfs_create_file("accesses", 0444, card->dir, card, &accesses_fops);
}
