// SPDX-License-Identifier: GPL-2.0
/*
 * Bugs to order, to see that the checkers of the debug kernel are awake:
 *
 *	insmod provoke.ko bug=NAME
 *
 * Each is harmless to the guest, and does its harm while the module is loaded.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *bug = "";
module_param(bug, charp, 0444);
MODULE_PARM_DESC(bug, "atomic-sleep, rcu, leak, dma, lockdep or kasan");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);
static int __rcu *pointer;

/* Where values go, so that the compiler does not drop what made them. */
static int sink;

static void sleep_under_a_spinlock(void)
{
	spin_lock(&spin);
	might_sleep();
	spin_unlock(&spin);
}

static void dereference_without_a_reader(void)
{
	WRITE_ONCE(sink, !!rcu_dereference(pointer));
}

/* Two orders, never at the same time: nothing hangs, and lockdep still has to see it. */
static void take_two_locks_in_both_orders(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void leak(void)
{
	int i;

	/* Several: a stale register or stack slot may still point to one. */
	for (i = 0; i < 16; i++)
		WRITE_ONCE(sink, !!kmalloc(4000, GFP_KERNEL));
}

static void unmap_what_is_not_mapped(void)
{
	struct platform_device *pdev = platform_device_register_simple("provoke", -1, NULL, 0);

	if (IS_ERR(pdev))
		return;
	if (!dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32)))
		dma_unmap_single(&pdev->dev, PAGE_SIZE, PAGE_SIZE, DMA_TO_DEVICE);
	platform_device_unregister(pdev);
}

static void use_after_free(void)
{
	int *freed = kmalloc(sizeof(*freed), GFP_KERNEL);

	if (!freed)
		return;
	kfree(freed);
	OPTIMIZER_HIDE_VAR(freed);
	WRITE_ONCE(sink, READ_ONCE(*freed));
}

static const struct {
	const char *name;
	void (*provoke)(void);
} bugs[] = {
	{ "atomic-sleep", sleep_under_a_spinlock },
	{ "rcu", dereference_without_a_reader },
	{ "leak", leak },
	{ "dma", unmap_what_is_not_mapped },
	{ "lockdep", take_two_locks_in_both_orders },
	{ "kasan", use_after_free },
};

static int __init provoke_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!strcmp(bug, bugs[i].name)) {
			bugs[i].provoke();
			return 0;
		}
	}
	return -EINVAL;
}
module_init(provoke_init);

static void __exit provoke_exit(void)
{
}
module_exit(provoke_exit);

MODULE_DESCRIPTION("Bugs to order, for the checkers of a debug kernel");
MODULE_LICENSE("GPL");
