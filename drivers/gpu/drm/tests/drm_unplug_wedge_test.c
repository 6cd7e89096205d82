// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Devices that are beyond repair (U1, U2, U5, F1 for them, and T5: an unplug
 * after that, or at the same time), and objects that a driver frees under its
 * clients (T3).
 */

#include <linux/dma-fence.h>
#include <linux/fs.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_framebuffer.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_mode_config.h>
#include <drm/drm_property.h>
#include <drm/drm_unplug.h>

#include <kunit/test.h>

#include "../drm_unplug_internal.h"
#include "drm_unplug_mock.h"

static const char *fence_name(struct dma_fence *fence)
{
	return "mock";
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
};

static long get_cap(struct mock_client *client, struct file *file)
{
	struct drm_get_cap cap = { .capability = DRM_CAP_PRIME };

	return mock_ioctl(client, file, DRM_IOCTL_GET_CAP, &cap);
}

static long wedge_fn(struct mock_client *client, void *dev)
{
	return drm_dev_wedge(dev, DRM_WEDGE_RECOVERY_REBIND, NULL);
}

static long read_fn(struct mock_client *client, void *file)
{
	struct file *filp = file;
	loff_t pos = 0;

	return filp->f_op->read(filp, client->user, 64, &pos);
}

/* U1, U2, U5, F1: clients of a wedged device see what they see after an unplug. */
static void drm_test_unplug_wedge_closes(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct mock_client *reader = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR), *late;
	struct dma_fence *fence;
	int idx;

	fence = drm_unplug_fence_create(&mdev->drm, &fence_ops, mdev, 0, 1);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	mock_start(reader, read_fn, file);
	mock_wait_asleep(reader);
	KUNIT_EXPECT_EQ(test, get_cap(client, file), 0);

	KUNIT_EXPECT_EQ(test, mock_run(client, wedge_fn, &mdev->drm), 0);

	KUNIT_EXPECT_EQ(test, mock_finish(reader), -ENODEV);
	KUNIT_EXPECT_EQ(test, get_cap(client, file), -ENODEV);
	KUNIT_EXPECT_FALSE(test, drm_dev_enter(&mdev->drm, &idx));
	KUNIT_EXPECT_TRUE(test, drm_dev_is_gone(&mdev->drm));
	/* It is still registered, so that it is a rebind that brings it back. */
	KUNIT_EXPECT_TRUE(test, mdev->drm.registered);
	late = mock_open_node(test, DRM_MAJOR, mdev->drm.primary->index, O_RDWR);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(late), -ENXIO);

	KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(fence));
	KUNIT_EXPECT_EQ(test, dma_fence_get_status(fence), -ENODEV);
	dma_fence_put(fence);
	mock_close(file);
}

/* T5: each after the other, and the device unregisters once. */
static void drm_test_unplug_wedge_then_leave(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	struct file *file = mock_open(mdev, O_RDWR);

	KUNIT_EXPECT_EQ(test, mock_run(client, wedge_fn, &mdev->drm), 0);
	KUNIT_EXPECT_EQ(test, mock_run(client, wedge_fn, &mdev->drm), 0);
	KUNIT_EXPECT_EQ(test, mock_run(client, mock_leave_fn(test), &mdev->drm), 0);

	KUNIT_EXPECT_FALSE(test, mdev->drm.registered);
	KUNIT_EXPECT_EQ(test, get_cap(client, file), -ENODEV);
	mock_close(file);
}

/* T1: it waits for a handler that runs, as an unplug does. */
static void drm_test_unplug_wedge_waits(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct mock_client *client = mock_client_new(test);
	int idx;

	KUNIT_ASSERT_TRUE(test, drm_dev_enter(&mdev->drm, &idx));
	mock_start(client, wedge_fn, &mdev->drm);
	mock_wait_gone(test, &mdev->drm);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(client));
	drm_dev_exit(idx);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
}

struct mock_fb {
	struct drm_framebuffer base;
	unsigned int *freed;
	struct mock_gate *gate;		/* where destroy() stops, if set */
};

static struct mock_fb *to_mock_fb(struct drm_framebuffer *fb)
{
	return container_of(fb, struct mock_fb, base);
}

static void fb_destroy(struct drm_framebuffer *fb)
{
	struct mock_fb *mfb = to_mock_fb(fb);

	if (mfb->gate)
		mock_gate_pass(mfb->gate);
	drm_framebuffer_cleanup(fb);
	++*mfb->freed;
	kfree(mfb);
}

static const struct drm_framebuffer_funcs fb_funcs = {
	.destroy = fb_destroy,
};

/* What ADDFB does for a client. */
static struct drm_framebuffer *fb_new(struct kunit *test, struct file *file, unsigned int *freed)
{
	struct drm_file *priv = mock_drm_file(file);
	struct drm_device *dev = priv->minor->dev;
	struct mock_fb *mfb = kzalloc_obj(*mfb);

	KUNIT_ASSERT_NOT_NULL(test, mfb);
	mfb->freed = freed;
	mfb->base.dev = dev;
	mfb->base.format = drm_format_info(DRM_FORMAT_XRGB8888);
	KUNIT_ASSERT_EQ(test, drm_framebuffer_init(dev, &mfb->base, &fb_funcs), 0);
	list_add(&mfb->base.filp_head, &priv->fbs);

	return &mfb->base;
}

/* What CREATEPROPBLOB does. */
static void blob_new(struct kunit *test, struct file *file)
{
	struct drm_file *priv = mock_drm_file(file);
	struct drm_property_blob *blob;

	blob = drm_property_create_blob(priv->minor->dev, 4, "mock");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, blob);
	list_add_tail(&blob->head_file, &priv->blobs);
}

/*
 * T3: the driver frees its mode config in the remove callback, while clients have
 * framebuffers and blobs in it. Each is freed once: then, or when the last
 * reference goes. The client's close comes later, and the release of the device
 * cleans the mode config up once more.
 */
static void drm_test_unplug_objects(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct file *files[2] = { mock_open(mdev, O_RDWR), mock_open(mdev, O_RDWR) };
	unsigned int i, freed = 0;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fb_new(test, files[i], &freed);
		fb_new(test, files[i], &freed);
		blob_new(test, files[i]);
	}

	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, freed, 0);

	drm_mode_config_cleanup(&mdev->drm);
	KUNIT_EXPECT_EQ(test, freed, 4);
	KUNIT_EXPECT_EQ(test, mdev->drm.mode_config.num_fb, 0);

	for (i = 0; i < ARRAY_SIZE(files); i++)
		mock_close(files[i]);
	flush_delayed_fput();
	KUNIT_EXPECT_EQ(test, freed, 4);
}

/* T3: where the driver leaves that to the release of the device, close frees them. */
static void drm_test_unplug_objects_of_the_file(struct kunit *test)
{
	struct mock_dev *mdev = mock_dev_new(test);
	struct file *file = mock_open(mdev, O_RDWR);
	unsigned int freed = 0;

	fb_new(test, file, &freed);
	blob_new(test, file);
	mock_leave(test, mdev);
	KUNIT_EXPECT_EQ(test, freed, 0);
	mock_close(file);
	flush_delayed_fput();
	KUNIT_EXPECT_EQ(test, freed, 1);
}

static long close_fn(struct mock_client *client, void *file)
{
	mock_close(file);

	return 0;
}

static long cleanup_fn(struct mock_client *client, void *dev)
{
	drm_mode_config_cleanup(dev);

	return 0;
}

/* T3: a file that is just being closed is off the list, and still has framebuffers. */
static void drm_test_unplug_objects_closing(struct kunit *test)
{
	struct mock_client *client = mock_client_new(test), *remover = mock_client_new(test);
	struct mock_dev *mdev = mock_dev_new(test);
	struct file *files[2] = { mock_open(mdev, O_RDWR), mock_open(mdev, O_RDWR) };
	struct mock_gate gate;
	unsigned int i, freed = 0;

	mock_gate_init(&gate);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fb_new(test, files[i], &freed);
		to_mock_fb(fb_new(test, files[i], &freed))->gate = i ? NULL : &gate;
	}
	mock_leave(test, mdev);
	mock_start(client, close_fn, files[0]);
	mock_gate_wait(test, &gate);
	mock_start(remover, cleanup_fn, &mdev->drm);
	KUNIT_EXPECT_FALSE(test, mock_returns_early(remover));
	complete_all(&gate.leave);
	KUNIT_EXPECT_EQ(test, mock_finish(client), 0);
	KUNIT_EXPECT_EQ(test, mock_finish(remover), 0);
	KUNIT_EXPECT_EQ(test, freed, 4);
	mock_close(files[1]);
	KUNIT_EXPECT_EQ(test, freed, 4);
}

static struct kunit_case drm_unplug_wedge_tests[] = {
	KUNIT_CASE(drm_test_unplug_wedge_closes),
	KUNIT_CASE_PARAM(drm_test_unplug_wedge_then_leave, mock_leave_params),
	KUNIT_CASE(drm_test_unplug_wedge_waits),
	KUNIT_CASE_PARAM(drm_test_unplug_objects, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_objects_of_the_file, mock_leave_params),
	KUNIT_CASE_PARAM(drm_test_unplug_objects_closing, mock_leave_params),
	{}
};

static struct kunit_suite drm_unplug_wedge_test_suite = {
	.name = "drm_unplug_wedge",
	.test_cases = drm_unplug_wedge_tests,
};

kunit_test_suite(drm_unplug_wedge_test_suite);
