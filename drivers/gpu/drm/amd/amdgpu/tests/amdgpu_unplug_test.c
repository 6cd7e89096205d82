// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What amdgpu does when its device goes, on a card that has registers, one ring
 * and a KFD node, but no hardware behind them. All that is called is the code of
 * the driver; only callbacks of the generation (struct amdgpu_ring_funcs and the
 * like) are those of the test, as is the hardware.
 *
 * A stray access to registers is found in two ways. Where they are still mapped
 * they must keep their contents; later there is no mapping, and it faults.
 */

#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <drm/drm_unplug.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_tt.h>

#include <kunit/device.h>
#include <kunit/resource.h>
#include <kunit/test.h>

#include "amdgpu.h"
#include "amdgpu_amdkfd.h"
#include "amdgpu_job.h"
#include "amdgpu_reset.h"
#include "amdgpu_unplug.h"
#include "amdgpu_userq.h"
#include "amdgpu_userq_fence.h"
#include "kfd_device_queue_manager.h"
#include "kfd_events.h"
#include "kfd_priv.h"
#include "kfd_unplug.h"

#define MOCK_REGS_SIZE	(2 * PAGE_SIZE)
#define MOCK_DOORBELLS	(PAGE_SIZE / sizeof(u32))
/* Registers at the end of the file are the port to indirect ones. */
#define MOCK_INDEX	0x100
#define MOCK_DATA	0x101
#define MOCK_INDEX_HI	0x102
#define MOCK_PATTERN	0xa5a5a5a5

/* How long a thing may take that has to happen. */
#define MOCK_TIMEOUT	(20 * HZ)
/* How long to look at a thing that must not happen. */
#define MOCK_GRACE	msecs_to_jiffies(100)

struct mock {
	struct kunit *test;
	struct device *parent;
	struct amdgpu_device *adev;
	struct amdgpu_reset_domain reset_domain;

	/* Configuration space: who stops DMA, and when. */
	struct pci_bus bus;
	struct pci_ops bus_ops;
	struct pci_dev pdev;
	int config_writes;
	u16 command;
	struct dma_fence *watched;
	bool signalled_before_stop;

	/* One ring. Its engine ends work after the delay, if there is one. */
	struct amdgpu_ring ring;
	u32 ring_memory[1024];
	u32 fence_memory;
	struct drm_sched_entity entity;
	struct drm_gpu_scheduler *sched_list[1];
	struct delayed_work engine;
	int recoveries;

	/* Registers, and behind them a page of doorbells. */
	struct page *pages[3];
	u32 *regs;

	struct kfd_dev kfd;
	struct device_queue_manager dqm;
	int evictions, restores;
};

/* Configuration space */

static int mock_config_read(struct pci_bus *bus, unsigned int devfn, int where, int size,
			    u32 *val)
{
	struct mock *mock = container_of(bus, struct mock, bus);

	*val = where == PCI_COMMAND ? mock->command : 0;
	return PCIBIOS_SUCCESSFUL;
}

static int mock_config_write(struct pci_bus *bus, unsigned int devfn, int where, int size,
			     u32 val)
{
	struct mock *mock = container_of(bus, struct mock, bus);

	mock->config_writes++;
	if (where == PCI_COMMAND) {
		mock->command = val;
		mock->signalled_before_stop =
			mock->watched && dma_fence_test_signaled_flag(mock->watched);
	}
	return PCIBIOS_SUCCESSFUL;
}

/* The ring */

static u64 mock_ring_get_wptr(struct amdgpu_ring *ring)
{
	return ring->wptr;
}

static void mock_ring_set_wptr(struct amdgpu_ring *ring)
{
}

static void mock_ring_emit_ib(struct amdgpu_ring *ring, struct amdgpu_job *job,
			      struct amdgpu_ib *ib, u32 flags)
{
	amdgpu_ring_write(ring, 0);
}

static void mock_ring_emit_fence(struct amdgpu_ring *ring, u64 addr, u64 seq,
				 unsigned int flags)
{
	amdgpu_ring_write(ring, seq);
}

/* Nobody may try to bring back a device that is gone. */
static void mock_ring_soft_recovery(struct amdgpu_ring *ring, unsigned int vmid)
{
	container_of(ring, struct mock, ring)->recoveries++;
}

static int mock_ring_reset(struct amdgpu_ring *ring, unsigned int vmid,
			   struct amdgpu_fence *timedout_fence)
{
	container_of(ring, struct mock, ring)->recoveries++;
	return -EIO;
}

static const struct amdgpu_ring_funcs mock_ring_funcs = {
	.type = AMDGPU_RING_TYPE_SDMA,
	.align_mask = 0xf,
	.get_rptr = mock_ring_get_wptr,
	.get_wptr = mock_ring_get_wptr,
	.set_wptr = mock_ring_set_wptr,
	.emit_frame_size = 16,
	.emit_ib_size = 4,
	.emit_ib = mock_ring_emit_ib,
	.emit_fence = mock_ring_emit_fence,
	.insert_nop = amdgpu_ring_insert_nop,
	.soft_recovery = mock_ring_soft_recovery,
	.reset = mock_ring_reset,
};

/* The engine has done all that it was given, up to a fence. */
static void mock_complete(struct mock *mock, u32 seq)
{
	WRITE_ONCE(mock->fence_memory, (__force u32)cpu_to_le32(seq));
	amdgpu_fence_process(&mock->ring);
}

static void mock_engine(struct work_struct *work)
{
	struct mock *mock = container_of(work, struct mock, engine.work);

	mock_complete(mock, mock->ring.fence_drv.sync_seq);
}

static void mock_ring_fini(void *data)
{
	struct mock *mock = data;

	cancel_delayed_work_sync(&mock->engine);
	drm_sched_entity_destroy(&mock->entity);
	amdgpu_fence_driver_hw_fini(mock->adev);
	amdgpu_fence_driver_sw_fini(mock->adev);
	/* Fences are freed by RCU, and their lock is in the ring. */
	rcu_barrier();
}

/* Room for so many jobs on the ring, each of which times out after so long. */
static void mock_ring_init(struct mock *mock, unsigned int jobs, long timeout)
{
	struct kunit *test = mock->test;
	struct amdgpu_ring *ring = &mock->ring;
	struct drm_sched_init_args args = {
		.ops = &amdgpu_sched_ops,
		.num_rqs = DRM_SCHED_PRIORITY_COUNT,
		.timeout_wq = system_dfl_wq,
		.credit_limit = jobs,
		.timeout = timeout,
		.name = "mock",
		.dev = mock->parent,
	};

	ring->adev = mock->adev;
	ring->funcs = &mock_ring_funcs;
	ring->num_hw_submission = jobs;
	ring->ring = mock->ring_memory;
	ring->buf_mask = ARRAY_SIZE(mock->ring_memory) - 1;
	ring->ptr_mask = ring->buf_mask;
	ring->max_dw = ARRAY_SIZE(mock->ring_memory);
	ring->fence_cpu_addr = &mock->fence_memory;
	strscpy(ring->name, "mock");

	KUNIT_ASSERT_EQ(test, drm_sched_init(&ring->sched, &args), 0);
	KUNIT_ASSERT_EQ(test, amdgpu_fence_driver_init_ring(ring), 0);
	KUNIT_ASSERT_EQ(test, amdgpu_fence_driver_start_ring(ring, NULL, 0), 0);
	mock->adev->rings[0] = ring;
	mock->adev->num_rings = 1;

	mock->sched_list[0] = &ring->sched;
	KUNIT_ASSERT_EQ(test, drm_sched_entity_init(&mock->entity, DRM_SCHED_PRIORITY_NORMAL,
						    mock->sched_list, 1, NULL), 0);
	INIT_DELAYED_WORK(&mock->engine, mock_engine);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_ring_fini, mock), 0);
}

KUNIT_DEFINE_ACTION_WRAPPER(mock_fence_put, dma_fence_put, struct dma_fence *);

/* Until the end of the test. */
static struct dma_fence *mock_keep(struct mock *mock, struct dma_fence *fence)
{
	KUNIT_ASSERT_EQ(mock->test,
			kunit_add_action_or_reset(mock->test, mock_fence_put, fence), 0);
	return fence;
}

/* A fence that the engine was given to write. */
static struct dma_fence *mock_emit(struct mock *mock)
{
	struct amdgpu_fence *af = kzalloc_obj(*af);

	KUNIT_ASSERT_NOT_NULL(mock->test, af);
	KUNIT_ASSERT_EQ(mock->test, amdgpu_ring_alloc(&mock->ring, 16), 0);
	amdgpu_fence_emit(&mock->ring, af, 0);
	amdgpu_ring_commit(&mock->ring);

	return mock_keep(mock, &af->base);
}

/* A job as clients submit it. Its fence. */
static struct dma_fence *mock_submit(struct mock *mock)
{
	struct amdgpu_job *job;

	KUNIT_ASSERT_EQ(mock->test,
			amdgpu_job_alloc(mock->adev, NULL, &mock->entity, NULL, 1, &job, 0), 0);
	job->num_ibs = 1;
	return mock_keep(mock, amdgpu_job_submit(job));
}

static void mock_wait_emitted(struct mock *mock, u32 seq)
{
	unsigned long end = jiffies + MOCK_TIMEOUT;

	while (READ_ONCE(mock->ring.fence_drv.sync_seq) < seq && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_ASSERT_EQ(mock->test, mock->ring.fence_drv.sync_seq, seq);
}

/* What is asked for callbacks that this generation does not have. */
static const struct amdgpu_rlc_funcs mock_rlc_funcs;
static const struct amdgpu_gmc_funcs mock_gmc_funcs;

/* Registers */

static u32 mock_index_offset(struct amdgpu_device *adev)
{
	return MOCK_INDEX;
}

static u32 mock_data_offset(struct amdgpu_device *adev)
{
	return MOCK_DATA;
}

static u32 mock_index_hi_offset(struct amdgpu_device *adev)
{
	return MOCK_INDEX_HI;
}

static const struct amdgpu_nbio_funcs mock_nbio_funcs = {
	.get_pcie_index_offset = mock_index_offset,
	.get_pcie_data_offset = mock_data_offset,
	.get_pcie_index_hi_offset = mock_index_hi_offset,
	.get_pcie_port_index_offset = mock_index_offset,
	.get_pcie_port_data_offset = mock_data_offset,
};

static void mock_regs_fini(void *data)
{
	struct mock *mock = data;
	int i;

	if (mock->adev->rmmio)
		vunmap(mock->regs);
	for (i = 0; i < ARRAY_SIZE(mock->pages); i++)
		if (mock->pages[i])
			__free_page(mock->pages[i]);
}

/* Pages in place of a BAR, mapped where iounmap() looks for it. */
static void mock_regs_init(struct mock *mock)
{
	struct kunit *test = mock->test;
	struct amdgpu_device *adev = mock->adev;
	int i;

	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_regs_fini, mock), 0);
	for (i = 0; i < ARRAY_SIZE(mock->pages); i++) {
		mock->pages[i] = alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, mock->pages[i]);
	}
	mock->regs = vmap(mock->pages, ARRAY_SIZE(mock->pages), VM_IOREMAP, PAGE_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mock->regs);

	adev->rmmio = (void __force __iomem *)mock->regs;
	adev->rmmio_size = MOCK_REGS_SIZE;
	adev->doorbell.cpu_addr = mock->regs + MOCK_REGS_SIZE / sizeof(u32);
	adev->doorbell.num_kernel_doorbells = MOCK_DOORBELLS;
	adev->nbio.funcs = &mock_nbio_funcs;
	amdgpu_reg_access_init(adev);
	adev->reg.pcie.rreg = amdgpu_device_indirect_rreg;
	adev->reg.pcie.wreg = amdgpu_device_indirect_wreg;
	/* Then the aperture of VRAM is nothing to be given back. */
	adev->gmc.is_app_apu = true;
}

static void mock_regs_fill(struct mock *mock)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(mock->pages); i++)
		memset32(page_address(mock->pages[i]), MOCK_PATTERN, PAGE_SIZE / sizeof(u32));
}

/* How many registers and doorbells were written to since then. */
static int mock_regs_written(struct mock *mock)
{
	int i, j, written = 0;
	u32 *page;

	for (i = 0; i < ARRAY_SIZE(mock->pages); i++) {
		page = page_address(mock->pages[i]);
		for (j = 0; j < PAGE_SIZE / sizeof(u32); j++)
			written += page[j] != MOCK_PATTERN;
	}

	return written;
}

/* The device */

static const struct drm_driver mock_driver = {
	.driver_features = DRIVER_GEM,
	.name = "amdgpu-mock",
	.desc = "mock device for unplug tests",
};

static void mock_unplug(struct mock *mock)
{
	drm_dev_unplug(adev_to_drm(mock->adev));
}

KUNIT_DEFINE_ACTION_WRAPPER(mock_leave, mock_unplug, struct mock *);

static struct mock *mock_new_ops(struct kunit *test, bool ops)
{
	static atomic_t count = ATOMIC_INIT(0);
	struct amdgpu_device *adev;
	struct mock *mock;
	char name[32];

	mock = kunit_kzalloc(test, sizeof(*mock), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mock);
	mock->test = test;

	snprintf(name, sizeof(name), "amdgpu-unplug-%d", atomic_inc_return(&count));
	mock->parent = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mock->parent);
	adev = devm_drm_dev_alloc(mock->parent, &mock_driver, struct amdgpu_device, ddev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, adev);

	mock->adev = adev;
	adev->dev = mock->parent;
	/* Nothing is cached between the CPU and the memory of an APU. */
	adev->flags = AMD_IS_APU;
	adev->gfx.rlc.funcs = &mock_rlc_funcs;
	adev->gmc.gmc_funcs = &mock_gmc_funcs;
	init_rwsem(&mock->reset_domain.sem);
	mock->reset_domain.wq = system_dfl_wq;
	adev->reset_domain = &mock->reset_domain;
	xa_init_flags(&adev->userq_doorbell_xa, XA_FLAGS_LOCK_IRQ);
	mutex_init(&adev->vm_manager.id_mgr[0].lock);

	mock->bus_ops.read = mock_config_read;
	mock->bus_ops.write = mock_config_write;
	mock->bus.ops = &mock->bus_ops;
	mock->pdev.bus = &mock->bus;
	mock->command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	adev->pdev = &mock->pdev;

	if (ops)
		KUNIT_ASSERT_EQ(test, amdgpu_unplug_register(adev), 0);
	KUNIT_ASSERT_EQ(test, drm_dev_register(adev_to_drm(adev), 0), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_leave, mock), 0);

	return mock;
}

static struct mock *mock_new(struct kunit *test)
{
	return mock_new_ops(test, true);
}

/* One for which amdgpu does nothing when it goes. */
static struct mock *mock_new_bare(struct kunit *test)
{
	return mock_new_ops(test, false);
}

/* The card has left its slot, and the kernel has just found out. */
static void mock_lose(struct mock *mock)
{
	amdgpu_unplug_ops.quiesce(adev_to_drm(mock->adev), true);
}

/* Fences */

static const struct error_case {
	const char *name;
	bool gone;
	int error;
} error_cases[] = {
	{ "there", false, -ECANCELED },
	{ "gone", true, -ENODEV },
};

KUNIT_ARRAY_PARAM_DESC(error, error_cases, name);

/* F1: what force completion says, and to whom. */
static void unplug_force_completion(struct kunit *test)
{
	const struct error_case *param = test->param_value;
	struct mock *mock = mock_new_bare(test);
	struct dma_fence *done, *guilty, *other;

	mock_ring_init(mock, 4, MAX_SCHEDULE_TIMEOUT);
	done = mock_emit(mock);
	mock_complete(mock, 1);
	guilty = mock_emit(mock);
	other = mock_emit(mock);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(done), 1);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(other), 0);

	if (param->gone)
		mock_unplug(mock);
	amdgpu_fence_driver_force_completion(&mock->ring, guilty);

	KUNIT_EXPECT_EQ(test, dma_fence_get_status(done), 1);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(guilty), -ETIME);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(other), param->error);
}

/* T6: what comes to its end by itself has not failed, and DMA goes on for it. */
static void unplug_lets_work_end(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct dma_fence *job;

	mock_ring_init(mock, 4, MAX_SCHEDULE_TIMEOUT);
	job = mock_submit(mock);
	mock_wait_emitted(mock, 1);
	schedule_delayed_work(&mock->engine, HZ / 2);

	mock_unplug(mock);

	KUNIT_EXPECT_EQ(test, dma_fence_get_status(job), 1);
	KUNIT_EXPECT_EQ(test, mock->config_writes, 0);
}

/* F1, F3: what hangs and what is queued ends, but not before DMA is stopped. */
static void unplug_ends_work(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct dma_fence *running, *queued;
	struct amdgpu_job *job;

	mock_ring_init(mock, 1, MAX_SCHEDULE_TIMEOUT);
	running = mock_submit(mock);
	mock_wait_emitted(mock, 1);
	queued = mock_submit(mock);
	mock->watched = mock->ring.fence_drv.fences[1];
	mock_keep(mock, dma_fence_get(mock->watched));

	mock_unplug(mock);

	KUNIT_EXPECT_EQ(test, dma_fence_get_status(running), -ENODEV);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(queued), -ENODEV);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(mock->watched), -ENODEV);
	KUNIT_EXPECT_GT(test, mock->config_writes, 0);
	KUNIT_EXPECT_FALSE(test, mock->command & PCI_COMMAND_MASTER);
	KUNIT_EXPECT_FALSE(test, mock->signalled_before_stop);

	/* F2 */
	KUNIT_EXPECT_EQ(test, -ENODEV,
			amdgpu_job_alloc(mock->adev, NULL, &mock->entity, NULL, 1, &job, 0));
}

/* F3: a job whose work is queued already is not given to a ring that was drained. */
struct mock_blocker {
	struct work_struct work;
	struct completion done;
};

static void mock_block(struct work_struct *work)
{
	wait_for_completion(&container_of(work, struct mock_blocker, work)->done);
}

static void unplug_job_on_its_way(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct mock_blocker blocker = {
		.done = COMPLETION_INITIALIZER_ONSTACK(blocker.done),
	};
	struct workqueue_struct *wq;
	struct dma_fence *job;

	mock_ring_init(mock, 4, MAX_SCHEDULE_TIMEOUT);
	wq = mock->ring.sched.submit_wq;
	INIT_WORK_ONSTACK(&blocker.work, mock_block);
	queue_work(wq, &blocker.work);
	job = mock_submit(mock);

	amdgpu_unplug_ops.quiesce(adev_to_drm(mock->adev), false);
	complete(&blocker.done);
	flush_workqueue(wq);
	destroy_work_on_stack(&blocker.work);

	KUNIT_EXPECT_EQ(test, mock->ring.fence_drv.sync_seq, 0);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(job), 0);
	KUNIT_EXPECT_EQ(test, mock->config_writes, 0);

	mock_unplug(mock);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(job), -ENODEV);
}

/* F1: forced completion has got to the number of a fence, but not to its slot. */
static void unplug_fence_on_its_way(struct kunit *test)
{
	struct mock *mock = mock_new_bare(test);
	struct dma_fence *fence;

	mock_ring_init(mock, 4, MAX_SCHEDULE_TIMEOUT);
	mock_unplug(mock);
	mock->ring.fence_drv.sync_seq++;
	amdgpu_fence_driver_force_completion(&mock->ring, NULL);
	mock->ring.fence_drv.sync_seq--;
	fence = mock_emit(mock);

	amdgpu_unplug_ops.signal(adev_to_drm(mock->adev), -ENODEV);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence), -ENODEV);
}

/* Where there is nothing to be stopped, nothing is asked to, and nobody waits. */
static void unplug_lost(struct kunit *test)
{
	struct mock *mock = mock_new_bare(test);
	struct drm_device *dev = adev_to_drm(mock->adev);
	struct dma_fence *job;

	mock_ring_init(mock, 4, MAX_SCHEDULE_TIMEOUT);
	job = mock_submit(mock);
	mock_wait_emitted(mock, 1);
	mock_unplug(mock);

	mock_lose(mock);
	KUNIT_EXPECT_TRUE(test, mock->adev->no_hw_access);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(job), 0);
	KUNIT_EXPECT_EQ(test, mock->config_writes, 0);

	amdgpu_unplug_ops.signal(dev, -ENODEV);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(job), -ENODEV);
}

/* A timeout that finds no device asks for no recovery, and the job is not lost. */
static void unplug_job_timeout(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct dma_fence *job;

	/* It comes while the unplug waits for the hardware. */
	mock_ring_init(mock, 4, HZ);
	job = mock_submit(mock);
	mock_wait_emitted(mock, 1);

	mock_unplug(mock);

	KUNIT_EXPECT_EQ(test, dma_fence_get_status(job), -ENODEV);
	KUNIT_EXPECT_EQ(test, mock->recoveries, 0);
}

static void unplug_job_timeout_after(struct kunit *test)
{
	struct mock *mock = mock_new_bare(test);
	struct amdgpu_job *job;

	mock_ring_init(mock, 4, MAX_SCHEDULE_TIMEOUT);
	KUNIT_ASSERT_EQ(test, 0,
			amdgpu_job_alloc(mock->adev, NULL, &mock->entity, NULL, 1, &job, 0));
	job->num_ibs = 1;
	drm_sched_job_arm(&job->base);
	mock_unplug(mock);

	KUNIT_EXPECT_EQ(test, amdgpu_sched_ops.timedout_job(&job->base),
			DRM_GPU_SCHED_STAT_ENODEV);
	KUNIT_EXPECT_EQ(test, mock->recoveries, 0);

	drm_sched_entity_push_job(&job->base);
}

/* User queues: fences that no ring has */

static void mock_userq_fini(void *data)
{
	struct amdgpu_usermode_queue *queue = data;

	cancel_delayed_work_sync(&queue->hang_detect_work);
	xa_erase_irq(&queue->userq_mgr->adev->userq_doorbell_xa, 0);
	amdgpu_userq_fence_driver_free(queue);
	rcu_barrier();
}

static void mock_userq_hang(struct work_struct *work)
{
}

static struct amdgpu_usermode_queue *mock_userq(struct mock *mock)
{
	struct kunit *test = mock->test;
	struct amdgpu_usermode_queue *queue;

	queue = kunit_kzalloc(test, sizeof(*queue), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, queue);
	queue->userq_mgr = kunit_kzalloc(test, sizeof(*queue->userq_mgr), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, queue->userq_mgr);
	queue->userq_mgr->adev = mock->adev;
	queue->state = AMDGPU_USERQ_STATE_MAPPED;
	mock->adev->gfx_timeout = MAX_SCHEDULE_TIMEOUT;
	mutex_init(&queue->fence_drv_lock);
	xa_init_flags(&queue->fence_drv_xa, XA_FLAGS_ALLOC);
	INIT_DELAYED_WORK(&queue->hang_detect_work, mock_userq_hang);

	queue->fence_drv = kzalloc_obj(*queue->fence_drv);
	KUNIT_ASSERT_NOT_NULL(test, queue->fence_drv);
	kref_init(&queue->fence_drv->refcount);
	INIT_LIST_HEAD(&queue->fence_drv->fences);
	spin_lock_init(&queue->fence_drv->fence_list_lock);
	queue->fence_drv->adev = mock->adev;
	queue->fence_drv->cpu_addr = kunit_kzalloc(test, sizeof(u64), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, queue->fence_drv->cpu_addr);
	queue->fence_drv->context = dma_fence_context_alloc(1);

	KUNIT_ASSERT_EQ(test, 0, xa_insert_irq(&mock->adev->userq_doorbell_xa, 0, queue,
					       GFP_KERNEL));
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_userq_fini, queue), 0);

	return queue;
}

static struct dma_fence *mock_userq_emit(struct mock *mock,
					 struct amdgpu_usermode_queue *queue, u64 seq)
{
	struct amdgpu_userq_fence *fence;

	KUNIT_ASSERT_EQ(mock->test, amdgpu_userq_fence_alloc(queue, &fence), 0);
	amdgpu_userq_fence_init(queue, fence, seq);
	return mock_keep(mock, &fence->base);
}

/* F1: all of them, not only the last one. And no engine is asked for the queue. */
static void unplug_user_queue(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct amdgpu_usermode_queue *queue = mock_userq(mock);
	struct dma_fence *done, *first, *last;

	done = mock_userq_emit(mock, queue, 1);
	first = mock_userq_emit(mock, queue, 2);
	last = mock_userq_emit(mock, queue, 3);
	WRITE_ONCE(*queue->fence_drv->cpu_addr, (__force u64)cpu_to_le64(1));
	amdgpu_userq_fence_driver_process(queue->fence_drv);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(done), 1);

	mock_lose(mock);
	KUNIT_EXPECT_EQ(test, queue->state, AMDGPU_USERQ_STATE_HUNG);
	mock_unplug(mock);

	KUNIT_EXPECT_EQ(test, dma_fence_get_status(done), 1);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(first), -ENODEV);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(last), -ENODEV);
}

/* F3: an engine that works for a user queue does not write once its fence signals. */
static void unplug_user_queue_orderly(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct amdgpu_usermode_queue *queue = mock_userq(mock);

	mock->watched = mock_userq_emit(mock, queue, 1);

	mock_unplug(mock);

	KUNIT_EXPECT_EQ(test, queue->state, AMDGPU_USERQ_STATE_HUNG);
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(mock->watched), -ENODEV);
	KUNIT_EXPECT_GT(test, mock->config_writes, 0);
	KUNIT_EXPECT_FALSE(test, mock->command & PCI_COMMAND_MASTER);
	KUNIT_EXPECT_FALSE(test, mock->signalled_before_stop);
}

/* T1: nobody waits for an eviction fence that there will not be. */
static void unplug_user_queue_fence(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct amdgpu_userq_mgr *uq_mgr = kunit_kzalloc(test, sizeof(*uq_mgr), GFP_KERNEL);
	struct amdgpu_eviction_fence_mgr *evf_mgr;

	KUNIT_ASSERT_NOT_NULL(test, uq_mgr);
	evf_mgr = kunit_kzalloc(test, sizeof(*evf_mgr), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, evf_mgr);
	uq_mgr->adev = mock->adev;
	mutex_init(&uq_mgr->userq_mutex);
	/* It restores nothing, as there is no device to restore it for. */
	INIT_DELAYED_WORK(&uq_mgr->resume_work, mock_userq_hang);
	amdgpu_evf_mgr_init(evf_mgr);
	mock_unplug(mock);

	amdgpu_userq_ensure_ev_fence(uq_mgr, evf_mgr);
	KUNIT_EXPECT_TRUE(test, mutex_is_locked(&uq_mgr->userq_mutex));
	mutex_unlock(&uq_mgr->userq_mutex);
	amdgpu_evf_mgr_fini(evf_mgr);
}

static int mock_userq_resets;

static int mock_userq_detect(struct amdgpu_device *adev, int queue_type)
{
	mock_userq_resets++;
	return 0;
}

static const struct amdgpu_userq_funcs mock_userq_funcs = {
	.detect_and_reset = mock_userq_detect,
};

/* T1: a timer that was set before comes when there is nothing to be reset. */
static void unplug_user_queue_reset(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct amdgpu_userq_mgr *uq_mgr = kunit_kzalloc(test, sizeof(*uq_mgr), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, uq_mgr);
	KUNIT_ASSERT_EQ(test, amdgpu_userq_mgr_init(uq_mgr, NULL, mock->adev), 0);
	mock->adev->userq_funcs[AMDGPU_RING_TYPE_GFX] = &mock_userq_funcs;
	mock->adev->gfx.gfx_supported_reset = AMDGPU_RESET_TYPE_PER_QUEUE;
	atomic_set(&uq_mgr->userq_count[AMDGPU_RING_TYPE_GFX], 1);
	mock_userq_resets = 0;

	schedule_work(&uq_mgr->reset_work);
	flush_work(&uq_mgr->reset_work);
	KUNIT_EXPECT_EQ(test, mock_userq_resets, 1);

	mock_unplug(mock);
	schedule_work(&uq_mgr->reset_work);
	flush_work(&uq_mgr->reset_work);
	KUNIT_EXPECT_EQ(test, mock_userq_resets, 1);
}

/* Queues that are freed meanwhile, for KASAN to look at. */
static int mock_userq_churn(void *data)
{
	struct mock *mock = data;
	struct xarray *xa = &mock->adev->userq_doorbell_xa;
	struct amdgpu_usermode_queue *queue;

	while (!kthread_should_stop()) {
		queue = kzalloc_obj(*queue);
		if (queue && !xa_insert_irq(xa, 1, queue, GFP_KERNEL))
			xa_erase_irq(xa, 1);
		kfree(queue);
		cond_resched();
	}

	return 0;
}

static void unplug_user_queue_race(struct kunit *test)
{
	struct mock *mock = mock_new_bare(test);
	struct task_struct *task;
	int i;

	mock_unplug(mock);
	task = kthread_run(mock_userq_churn, mock, "amdgpu-unplug");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 0; i < 5000; i++) {
		amdgpu_unplug_ops.signal(adev_to_drm(mock->adev), -ENODEV);
		if (!(i % 100))
			mock_lose(mock);
		cond_resched();
	}
	kthread_stop(task);
}

/* Registers */

/* Every accessor that there is. The sum of what was read. */
static u64 mock_access_all(struct amdgpu_device *adev)
{
	u64 high = BIT_ULL(32), sum = 0;

	amdgpu_device_wreg(adev, 1, 1, 0);
	amdgpu_device_xcc_wreg(adev, 2, 2, 0, 0);
	amdgpu_mm_wreg8(adev, 3 * 4, 3);
	amdgpu_mm_wreg_mmio_rlc(adev, 4, 4, 0);
	/* Beyond the end, by way of the port. */
	amdgpu_device_wreg(adev, MOCK_REGS_SIZE, 5, 0);
	amdgpu_device_indirect_wreg(adev, 6, 6);
	amdgpu_device_indirect_wreg_ext(adev, high, 7);
	amdgpu_device_indirect_wreg64(adev, 8, 8);
	amdgpu_device_indirect_wreg64_ext(adev, high, 9);
	amdgpu_device_pcie_port_wreg(adev, 10, 10);
	amdgpu_mm_wdoorbell(adev, 1, 11);
	amdgpu_mm_wdoorbell64(adev, 2, 12);

	sum += amdgpu_device_rreg(adev, 1, 0);
	sum += amdgpu_device_xcc_rreg(adev, 2, 0, 0);
	sum += amdgpu_mm_rreg8(adev, 3 * 4);
	sum += amdgpu_device_rreg(adev, MOCK_REGS_SIZE, 0);
	sum += amdgpu_device_indirect_rreg(adev, 6);
	sum += amdgpu_device_indirect_rreg_ext(adev, high);
	sum += amdgpu_device_indirect_rreg64(adev, 8);
	sum += amdgpu_device_indirect_rreg64_ext(adev, high);
	sum += amdgpu_device_pcie_port_rreg(adev, 10);
	sum += amdgpu_mm_rdoorbell(adev, 1);
	sum += amdgpu_mm_rdoorbell64(adev, 2);

	return sum;
}

static void unplug_registers_lost(struct kunit *test)
{
	struct mock *mock = mock_new(test);

	mock_regs_init(mock);
	mock_regs_fill(mock);
	KUNIT_EXPECT_NE(test, mock_access_all(mock->adev), 0);
	KUNIT_EXPECT_GE(test, mock_regs_written(mock), 10);

	mock_regs_fill(mock);
	mock_lose(mock);
	KUNIT_EXPECT_EQ(test, mock_access_all(mock->adev), 0);
	KUNIT_EXPECT_EQ(test, mock_regs_written(mock), 0);
}

/* T6: an orderly removal needs the registers, until the driver is unbound. */
static void unplug_registers_unmapped(struct kunit *test)
{
	struct mock *mock = mock_new(test);

	mock_regs_init(mock);
	mock_unplug(mock);
	mock_regs_fill(mock);
	KUNIT_EXPECT_NE(test, mock_access_all(mock->adev), 0);
	KUNIT_EXPECT_GE(test, mock_regs_written(mock), 10);

	drm_dev_get(adev_to_drm(mock->adev));
	mock_regs_fill(mock);
	kunit_device_unregister(test, mock->parent);
	KUNIT_EXPECT_TRUE(test, !mock->adev->rmmio);
	KUNIT_EXPECT_EQ(test, mock_access_all(mock->adev), 0);
	KUNIT_EXPECT_EQ(test, mock_regs_written(mock), 0);

	/* The last reference is the client's who closes late. */
	kunit_release_action(test, mock_regs_fini, mock);
	kunit_remove_action(test, mock_leave, mock);
	drm_dev_put(adev_to_drm(mock->adev));
}

/* Page faults */

static struct ttm_tt *mock_tt_create(struct ttm_buffer_object *bo, u32 flags)
{
	/* There is more to one of amdgpu, which looks for it. */
	struct ttm_tt *tt = kzalloc(sizeof(*tt) + SZ_1K, GFP_KERNEL);

	if (tt && ttm_tt_init(tt, bo, flags, ttm_cached, 0)) {
		kfree(tt);
		return NULL;
	}
	return tt;
}

static void mock_tt_destroy(struct ttm_device *bdev, struct ttm_tt *tt)
{
	ttm_tt_fini(tt);
	kfree(tt);
}

static void mock_evict_flags(struct ttm_buffer_object *bo, struct ttm_placement *placement)
{
}

static int mock_move(struct ttm_buffer_object *bo, bool evict, struct ttm_operation_ctx *ctx,
		     struct ttm_resource *res, struct ttm_place *hop)
{
	ttm_bo_move_null(bo, res);
	return 0;
}

static struct ttm_device_funcs mock_bdev_funcs = {
	.ttm_tt_create = mock_tt_create,
	.ttm_tt_destroy = mock_tt_destroy,
	.eviction_valuable = ttm_bo_eviction_valuable,
	.evict_flags = mock_evict_flags,
	.move = mock_move,
};

KUNIT_DEFINE_ACTION_WRAPPER(mock_bdev_fini, ttm_device_fini, struct ttm_device *);

static void mock_bo_destroy(struct ttm_buffer_object *tbo)
{
	drm_gem_object_release(&tbo->base);
	kfree(ttm_to_amdgpu_bo(tbo));
}

KUNIT_DEFINE_ACTION_WRAPPER(mock_bo_put, drm_gem_object_put, struct drm_gem_object *);

/* A buffer in system memory. */
static struct amdgpu_bo *mock_bo(struct mock *mock)
{
	static const struct ttm_place place = { .mem_type = TTM_PL_SYSTEM };
	struct ttm_placement placement = { .num_placement = 1, .placement = &place };
	struct drm_device *dev = adev_to_drm(mock->adev);
	struct ttm_device *bdev = &mock->adev->mman.bdev;
	struct kunit *test = mock->test;
	struct amdgpu_bo *bo;

	KUNIT_ASSERT_EQ(test, 0, ttm_device_init(bdev, &mock_bdev_funcs, mock->parent,
						 dev->anon_inode->i_mapping,
						 dev->vma_offset_manager, 0));
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_bdev_fini, bdev), 0);

	bo = kzalloc_obj(*bo);
	KUNIT_ASSERT_NOT_NULL(test, bo);
	drm_gem_private_object_init(dev, &bo->tbo.base, PAGE_SIZE);
	bo->tbo.base.funcs = &amdgpu_gem_object_funcs;
	KUNIT_ASSERT_EQ(test, 0, ttm_bo_init_validate(bdev, &bo->tbo, ttm_bo_type_device,
						      &placement, 1, false, NULL, NULL,
						      mock_bo_destroy));
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_bo_put, &bo->tbo.base), 0);

	return bo;
}

static int mock_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct amdgpu_bo *bo = file->private_data;
	struct drm_gem_object *obj = &bo->tbo.base;

	vma->vm_pgoff = drm_vma_node_start(&obj->vma_node);
	return drm_gem_mmap_obj(obj, obj->size, vma);
}

static const struct file_operations mock_file_ops = {
	.mmap = mock_file_mmap,
};

KUNIT_DEFINE_ACTION_WRAPPER(mock_fput, __fput_sync, struct file *);

struct mock_map {
	struct mm_struct *mm;
	u32 __user *at;
	u32 value;
	int ret;
	struct completion done;
};

static void mock_map_fini(void *data)
{
	struct mock_map *map = data;

	/* Kept by the test when it attached to it. */
	kthread_use_mm(map->mm);
	vm_munmap((unsigned long)map->at, PAGE_SIZE);
	kthread_unuse_mm(map->mm);
	mmdrop(map->mm);
}

/* A client's map of a buffer, with a value in it. */
static struct mock_map *mock_map(struct mock *mock, struct amdgpu_bo *bo)
{
	struct kunit *test = mock->test;
	struct mock_map *map = kunit_kzalloc(test, sizeof(*map), GFP_KERNEL);
	unsigned long at;
	struct file *file;

	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_ASSERT_EQ(test, kunit_attach_mm(), 0);
	file = anon_inode_getfile("amdgpu-unplug", &mock_file_ops, bo, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	file->f_mapping = adev_to_drm(mock->adev)->anon_inode->i_mapping;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_fput, file), 0);

	at = vm_mmap(file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(at));
	map->mm = current->mm;
	map->at = (u32 __user *)at;
	mmgrab(map->mm);
	init_completion(&map->done);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_map_fini, map), 0);

	KUNIT_ASSERT_EQ(test, put_user(MOCK_PATTERN, map->at), 0);
	KUNIT_ASSERT_EQ(test, get_user(map->value, map->at), 0);
	KUNIT_ASSERT_EQ(test, map->value, MOCK_PATTERN);

	return map;
}

/* M1, M5: the map works and shows nothing of the device. */
static void unplug_gem_fault(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct mock_map *map = mock_map(mock, mock_bo(mock));

	mock_unplug(mock);

	KUNIT_EXPECT_EQ(test, get_user(map->value, map->at), 0);
	KUNIT_EXPECT_EQ(test, map->value, 0);
	KUNIT_EXPECT_EQ(test, put_user(1, map->at), 0);
	KUNIT_EXPECT_EQ(test, get_user(map->value, map->at), 0);
	KUNIT_EXPECT_EQ(test, map->value, 1);
}

static int mock_touch(void *data)
{
	struct mock_map *map = data;

	kthread_use_mm(map->mm);
	map->ret = get_user(map->value, map->at);
	kthread_unuse_mm(map->mm);
	complete(&map->done);
	return 0;
}

/* T1: a fault that waits for a move which never ends does not hold up the unplug. */
static void unplug_gem_fault_waits(struct kunit *test)
{
	struct mock *mock = mock_new(test);
	struct amdgpu_bo *bo;
	struct mock_map *map;
	struct task_struct *client;

	mock_ring_init(mock, 4, MAX_SCHEDULE_TIMEOUT);
	bo = mock_bo(mock);
	map = mock_map(mock, bo);

	dma_resv_lock(bo->tbo.base.resv, NULL);
	KUNIT_ASSERT_EQ(test, dma_resv_reserve_fences(bo->tbo.base.resv, 1), 0);
	dma_resv_add_fence(bo->tbo.base.resv, mock_emit(mock), DMA_RESV_USAGE_KERNEL);
	ttm_bo_unmap_virtual(&bo->tbo);
	dma_resv_unlock(bo->tbo.base.resv);

	client = kthread_run(mock_touch, map, "amdgpu-unplug");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&map->done, MOCK_GRACE), 0);

	mock_unplug(mock);

	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&map->done, MOCK_TIMEOUT), 0);
	KUNIT_EXPECT_EQ(test, map->ret, 0);
	KUNIT_EXPECT_EQ(test, map->value, 0);
}

#if IS_ENABLED(CONFIG_HSA_AMD)

/* KFD */

static int mock_evict(struct device_queue_manager *dqm, struct qcm_process_device *qpd)
{
	container_of(dqm, struct mock, dqm)->evictions++;
	return 0;
}

static int mock_restore(struct device_queue_manager *dqm, struct qcm_process_device *qpd)
{
	container_of(dqm, struct mock, dqm)->restores++;
	return 0;
}

static void mock_node_free(void *data)
{
	struct mock *mock = data;

	kfree(mock->kfd.nodes[0]);
	mock->kfd.nodes[0] = NULL;
	mock->adev->kfd.dev = NULL;
}

/* The device is a GPU of KFD, too. */
static void mock_kfd_init(struct mock *mock)
{
	struct kfd_node *node = kzalloc_obj(*node);

	KUNIT_ASSERT_NOT_NULL(mock->test, node);
	mock->dqm.ops.evict_process_queues = mock_evict;
	mock->dqm.ops.restore_process_queues = mock_restore;
	node->adev = mock->adev;
	node->kfd = &mock->kfd;
	node->dqm = &mock->dqm;
	node->id = 1;
	INIT_LIST_HEAD(&node->smi_clients);
	mock->kfd.adev = mock->adev;
	mock->kfd.nodes[0] = node;
	mock->kfd.num_nodes = 1;
	mock->kfd.device_info.doorbell_size = sizeof(u32);
	mock->kfd.init_complete = true;
	refcount_set(&mock->kfd.client_users, 1);
	mock->adev->kfd.dev = &mock->kfd;
	KUNIT_ASSERT_EQ(mock->test,
			kunit_add_action_or_reset(mock->test, mock_node_free, mock), 0);
}

struct mock_process {
	struct kfd_process p;
	struct kfd_event signal, hw_exception;
};

static void mock_process_exit(void *data)
{
	struct mock_process *process = data;
	struct kfd_process *p = &process->p;
	int i;

	mutex_lock(&kfd_processes_mutex);
	hash_del_rcu(&p->kfd_processes);
	mutex_unlock(&kfd_processes_mutex);
	synchronize_srcu(&kfd_processes_srcu);
	for (i = 0; i < p->n_pdds; i++) {
		idr_destroy(&p->pdds[i]->alloc_idr);
		kfree(p->pdds[i]);
	}
	idr_destroy(&p->event_idr);
}

static void mock_event_init(struct mock *mock, struct kfd_process *p, struct kfd_event *ev,
			    int type)
{
	ev->type = type;
	spin_lock_init(&ev->lock);
	init_waitqueue_head(&ev->wq);
	KUNIT_ASSERT_GT(mock->test, idr_alloc(&p->event_idr, ev, 1, 0, GFP_KERNEL), 0);
}

/* A process that has bound itself to a GPU, and has two events. */
static struct mock_process *mock_process(struct mock *mock)
{
	struct kunit *test = mock->test;
	struct mock_process *process = kunit_kzalloc(test, sizeof(*process), GFP_KERNEL);
	struct kfd_process_device *pdd;

	KUNIT_ASSERT_NOT_NULL(test, process);
	process->p.lead_thread = current;
	process->p.mm = process;
	KUNIT_ASSERT_EQ(test, kfd_event_init_process(&process->p), 0);
	mock_event_init(mock, &process->p, &process->signal, KFD_EVENT_TYPE_SIGNAL);
	mock_event_init(mock, &process->p, &process->hw_exception,
			KFD_EVENT_TYPE_HW_EXCEPTION);
	pdd = kfd_create_process_device_data(mock->kfd.nodes[0], &process->p);
	KUNIT_ASSERT_NOT_NULL(test, pdd);
	pdd->drm_priv = process;

	mutex_lock(&kfd_processes_mutex);
	hash_add_rcu(kfd_processes_table, &process->p.kfd_processes,
		     (uintptr_t)process->p.mm);
	mutex_unlock(&kfd_processes_mutex);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, mock_process_exit, process), 0);

	return process;
}

static bool mock_kfd_locked(void)
{
	guard(mutex)(&kfd_processes_mutex);

	return kfd_is_locked(NULL);
}

/* A GPU that KFD does not know goes, while another one has a process. */
static void unplug_kfd_unsupported(struct kunit *test)
{
	struct mock *mock = mock_new(test), *other = mock_new_bare(test);
	struct mock_process *process;

	mock_kfd_init(other);
	process = mock_process(other);

	mock_unplug(mock);
	amdgpu_amdkfd_teardown_processes(mock->adev);

	KUNIT_EXPECT_FALSE(test, process->signal.signaled);
	KUNIT_EXPECT_NOT_NULL(test, kfd_process_device_data_by_id(&process->p, 1));
}

/* The order of a surprise removal: KFD's nodes are gone before the processes are. */
static void unplug_kfd_freed(struct kunit *test)
{
	struct mock *mock = mock_new(test);

	mock_kfd_init(mock);
	mock_process(mock);
	kunit_release_action(test, mock_node_free, mock);

	amdgpu_amdkfd_teardown_processes(mock->adev);
}

/* One of two GPUs behind a cable that was pulled: its turn is yet to come. */
static void unplug_kfd_lost(struct kunit *test)
{
	struct mock *mock = mock_new_bare(test);
	struct drm_device *dev = adev_to_drm(mock->adev);
	struct mock_process *process;

	mock_kfd_init(mock);
	process = mock_process(mock);
	KUNIT_EXPECT_FALSE(test, kfd_unplug_lost_gpu(&process->p));

	mock->pdev.dev.bus = &pci_bus_type;
	mock->pdev.error_state = pci_channel_io_perm_failure;
	dev->dev = &mock->pdev.dev;
	KUNIT_EXPECT_TRUE(test, kfd_unplug_lost_gpu(&process->p));
	dev->dev = mock->parent;
}

/* Evictions are counted while a GPU is being reset, and not when it has gone. */
static void unplug_kfd_cut_off(struct kunit *test)
{
	struct mock *mock = mock_new_bare(test);
	struct mock_process *process;

	mock_kfd_init(mock);
	process = mock_process(mock);
	mock->adev->no_hw_access = true;
	KUNIT_EXPECT_EQ(test, kfd_process_evict_queues(&process->p, 0), 0);
	KUNIT_EXPECT_EQ(test, mock->evictions, 1);

	mock->kfd.unplugged = true;
	KUNIT_EXPECT_EQ(test, kfd_process_evict_queues(&process->p, 0), 0);
	KUNIT_EXPECT_EQ(test, mock->evictions, 1);
}

/* What stops the workers that map memory for a process again, and again. */
static void unplug_kfd_lost_mm(struct kunit *test)
{
	struct mock *mock = mock_new_bare(test);
	struct mock_process *process;
	struct mm_struct *mm;

	mock_kfd_init(mock);
	process = mock_process(mock);
	mm = process->p.mm;
	process->p.kgd_process_info = process;
	KUNIT_EXPECT_FALSE(test, kgd2kfd_unplug_lost_gpu(mm, process));
	mock->kfd.unplugged = true;
	KUNIT_EXPECT_TRUE(test, kgd2kfd_unplug_lost_gpu(mm, process));
	KUNIT_EXPECT_FALSE(test, kgd2kfd_unplug_lost_gpu(mm, mock));
	KUNIT_EXPECT_FALSE(test, kgd2kfd_unplug_lost_gpu(NULL, process));
}

static const struct kfd_case {
	const char *name;
	bool lost;
} kfd_cases[] = {
	{ "orderly", false },
	{ "lost", true },
};

/* A cable is pulled while the driver is being unbound. */
static void unplug_kfd_lost_later(struct kunit *test)
{
	struct mock *mock = mock_new(test);

	mock_kfd_init(mock);
	amdgpu_unplug_ops.quiesce(adev_to_drm(mock->adev), false);
	KUNIT_EXPECT_FALSE(test, mock->dqm.is_hws_hang);
	amdgpu_unplug_ops.quiesce(adev_to_drm(mock->adev), true);
	KUNIT_EXPECT_TRUE(test, mock->dqm.is_hws_hang);
	KUNIT_EXPECT_TRUE(test, mock->dqm.sched_halt);
}

KUNIT_ARRAY_PARAM_DESC(kfd, kfd_cases, name);

/* A process that does not exit is told, and not waited for. Others go on. */
static void unplug_kfd_teardown(struct kunit *test)
{
	const struct kfd_case *param = test->param_value;
	struct mock *mock = mock_new(test), *other = mock_new_bare(test);
	struct mock_process *process, *bystander;

	mock_kfd_init(mock);
	mock_kfd_init(other);
	process = mock_process(mock);
	bystander = mock_process(other);
	KUNIT_EXPECT_EQ(test, refcount_read(&mock->kfd.client_users), 2);
	KUNIT_EXPECT_NOT_NULL(test, kfd_process_device_data_by_id(&process->p, 1));
	mock->dqm.active_runlist = true;

	amdgpu_unplug_ops.quiesce(adev_to_drm(mock->adev), param->lost);
	KUNIT_EXPECT_EQ(test, mock->dqm.is_hws_hang, param->lost);
	KUNIT_EXPECT_EQ(test, mock->dqm.sched_halt, param->lost);
	KUNIT_EXPECT_EQ(test, mock->dqm.active_runlist, !param->lost);
	KUNIT_EXPECT_NULL(test, kfd_process_device_data_by_id(&process->p, 1));

	/* As amdgpu_device_ip_fini_early() does. */
	amdgpu_amdkfd_suspend_process(mock->adev);
	KUNIT_EXPECT_TRUE(test, mock_kfd_locked());
	KUNIT_EXPECT_EQ(test, mock->evictions, !param->lost);
	KUNIT_EXPECT_EQ(test, other->evictions, 1);
	amdgpu_amdkfd_teardown_processes(mock->adev);

	KUNIT_EXPECT_TRUE(test, process->signal.signaled);
	KUNIT_EXPECT_TRUE(test, process->hw_exception.signaled);
	KUNIT_EXPECT_EQ(test, process->hw_exception.hw_exception_data.memory_lost, 1);
	KUNIT_EXPECT_FALSE(test, signal_pending(current));
	KUNIT_EXPECT_EQ(test, mock->restores, 0);

	KUNIT_EXPECT_FALSE(test, bystander->signal.signaled);
	KUNIT_EXPECT_EQ(test, other->restores, 1);
	KUNIT_EXPECT_FALSE(test, mock_kfd_locked());

	/* What pins the device as long as the process lives. */
	KUNIT_EXPECT_EQ(test, refcount_read(&mock->kfd.client_users), 2);
}

#endif

static struct kunit_case amdgpu_unplug_cases[] = {
	KUNIT_CASE_PARAM(unplug_force_completion, error_gen_params),
	KUNIT_CASE(unplug_lets_work_end),
	KUNIT_CASE_SLOW(unplug_ends_work),
	KUNIT_CASE(unplug_job_on_its_way),
	KUNIT_CASE(unplug_fence_on_its_way),
	KUNIT_CASE(unplug_lost),
	KUNIT_CASE_SLOW(unplug_job_timeout),
	KUNIT_CASE(unplug_job_timeout_after),
	KUNIT_CASE(unplug_user_queue),
	KUNIT_CASE(unplug_user_queue_orderly),
	KUNIT_CASE(unplug_user_queue_fence),
	KUNIT_CASE(unplug_user_queue_race),
	KUNIT_CASE(unplug_user_queue_reset),
	KUNIT_CASE(unplug_registers_lost),
	KUNIT_CASE(unplug_registers_unmapped),
	KUNIT_CASE(unplug_gem_fault),
	KUNIT_CASE_SLOW(unplug_gem_fault_waits),
#if IS_ENABLED(CONFIG_HSA_AMD)
	KUNIT_CASE(unplug_kfd_unsupported),
	KUNIT_CASE(unplug_kfd_freed),
	KUNIT_CASE(unplug_kfd_lost),
	KUNIT_CASE(unplug_kfd_lost_later),
	KUNIT_CASE(unplug_kfd_cut_off),
	KUNIT_CASE(unplug_kfd_lost_mm),
	KUNIT_CASE_PARAM(unplug_kfd_teardown, kfd_gen_params),
#endif
	{}
};

static struct kunit_suite amdgpu_unplug_suite = {
	.name = "amdgpu_unplug",
	.test_cases = amdgpu_unplug_cases,
};

kunit_test_suite(amdgpu_unplug_suite);
