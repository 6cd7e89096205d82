// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctls of a device that is pulled (spec U2, U3, U7).
 *
 * Each call is made once before the pull, over and over by several threads
 * while the device goes, and once more afterwards.
 */
#include "common.h"
#include "kselftest_harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <drm/qxl_drm.h>
#include <drm/radeon_drm.h>
#include <drm/virtgpu_drm.h>

#define BOGUS 0x7fffffff

/* Large enough for every argument structure used here. */
union arg {
	uint64_t align;
	unsigned char bytes[512];
};

/* What the calls work on. */
static struct {
	int fd;			/* primary node, master */
	int render;
	struct dumb bo;
	uint32_t name;		/* flink */
	int dmabuf;
	uint32_t crtc, encoder, connector, plane, property, fb;
} d;

static char scratch[8192];

/* ---- arguments; what is not set stays zero ---- */

#define FILL(_name, _type, ...) \
	static void fill_##_name(void *arg) \
	{ \
		_type a = { __VA_ARGS__ }; \
		memcpy(arg, &a, sizeof(a)); \
	}

static void fill_zero(void *arg)
{
}

FILL(get_cap, struct drm_get_cap, .capability = DRM_CAP_DUMB_BUFFER)
FILL(client_cap, struct drm_set_client_cap, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1)
FILL(set_version, struct drm_set_version, -1, -1, -1, -1)
FILL(magic, struct drm_auth, .magic = BOGUS)
FILL(vblank, union drm_wait_vblank, .request.type = _DRM_VBLANK_RELATIVE)
FILL(sequence, struct drm_crtc_get_sequence, .crtc_id = d.crtc)
FILL(queue_sequence, struct drm_crtc_queue_sequence, .crtc_id = BOGUS)
FILL(gem_close, struct drm_gem_close, .handle = BOGUS)
FILL(flink, struct drm_gem_flink, .handle = d.bo.handle)
FILL(gem_open, struct drm_gem_open, .name = d.name)
FILL(to_fd, struct drm_prime_handle, .handle = d.bo.handle, .flags = DRM_CLOEXEC)
FILL(to_handle, struct drm_prime_handle, .fd = d.dmabuf)
FILL(client_name, struct drm_set_client_name, 4, (uintptr_t)"pull")
FILL(crtc, struct drm_mode_crtc, .crtc_id = d.crtc)
FILL(set_crtc, struct drm_mode_crtc, .crtc_id = BOGUS)
FILL(plane, struct drm_mode_get_plane, .plane_id = d.plane)
FILL(set_plane, struct drm_mode_set_plane, .plane_id = BOGUS)
FILL(cursor, struct drm_mode_cursor, .flags = DRM_MODE_CURSOR_MOVE, .crtc_id = BOGUS)
FILL(cursor2, struct drm_mode_cursor2, .flags = DRM_MODE_CURSOR_MOVE, .crtc_id = BOGUS)
FILL(gamma, struct drm_mode_crtc_lut, .crtc_id = BOGUS)
FILL(encoder, struct drm_mode_get_encoder, .encoder_id = d.encoder)
#define ONE_MODE .count_modes = 1, .modes_ptr = (uintptr_t)scratch
/* Room for one mode: a count of zero would probe the display each time. */
FILL(connector, struct drm_mode_get_connector, .connector_id = d.connector, ONE_MODE)
FILL(property, struct drm_mode_get_property, .prop_id = d.property)
FILL(set_property, struct drm_mode_connector_set_property, .connector_id = BOGUS)
FILL(blob, struct drm_mode_get_blob, .blob_id = BOGUS)
FILL(fb, struct drm_mode_fb_cmd, .fb_id = d.fb)
FILL(fb2, struct drm_mode_fb_cmd2, .fb_id = d.fb)
/* The least that udl takes. */
#define WIDTH	640
#define HEIGHT	480
FILL(add_fb, struct drm_mode_fb_cmd, 0, WIDTH, HEIGHT, d.bo.pitch, 32, 24, d.bo.handle)
#define XR24	0x34325258
FILL(add_fb2, struct drm_mode_fb_cmd2, 0, WIDTH, HEIGHT, XR24, 0, { d.bo.handle }, { d.bo.pitch })
FILL(bogus_id, uint32_t, BOGUS)
FILL(close_fb, struct drm_mode_closefb, .fb_id = BOGUS)
FILL(flip, struct drm_mode_crtc_page_flip, .crtc_id = BOGUS, .fb_id = d.fb)
FILL(dirty, struct drm_mode_fb_dirty_cmd, .fb_id = BOGUS)
FILL(create_dumb, struct drm_mode_create_dumb, .width = 16, .height = 16, .bpp = 32)
FILL(map_dumb, struct drm_mode_map_dumb, .handle = d.bo.handle)
FILL(destroy_dumb, struct drm_mode_destroy_dumb, .handle = BOGUS)
FILL(get_props, struct drm_mode_obj_get_properties, .obj_id = d.connector)
FILL(set_prop, struct drm_mode_obj_set_property, .obj_id = BOGUS)
FILL(atomic, struct drm_mode_atomic, .flags = DRM_MODE_ATOMIC_TEST_ONLY)
FILL(create_blob, struct drm_mode_create_blob, .data = (uintptr_t)scratch, .length = 16)
FILL(lease, struct drm_mode_create_lease, .flags = O_CLOEXEC)
FILL(revoke_lease, struct drm_mode_revoke_lease, .lessee_id = BOGUS)

FILL(virtgpu_param, struct drm_virtgpu_getparam, VIRTGPU_PARAM_CAPSET_QUERY_FIX, (uintptr_t)scratch)
FILL(virtgpu_info, struct drm_virtgpu_resource_info, .bo_handle = d.bo.handle)
FILL(virtgpu_map, struct drm_virtgpu_map, .handle = d.bo.handle)
FILL(virtgpu_wait, struct drm_virtgpu_3d_wait, d.bo.handle, VIRTGPU_WAIT_NOWAIT)
FILL(radeon_info, struct drm_radeon_info, RADEON_INFO_DEVICE_ID, 0, (uintptr_t)scratch)
FILL(radeon_gem, struct drm_radeon_gem_create, 4096, 4096, 0, RADEON_GEM_DOMAIN_GTT)
FILL(radeon_mmap, struct drm_radeon_gem_mmap, .handle = d.bo.handle, .size = 4096)
FILL(radeon_busy, struct drm_radeon_gem_busy, .handle = d.bo.handle)
FILL(qxl_param, struct drm_qxl_getparam, QXL_PARAM_NUM_SURFACES, (uintptr_t)scratch)
FILL(qxl_alloc, struct drm_qxl_alloc, .size = 4096)
FILL(qxl_map, struct drm_qxl_map, .handle = d.bo.handle)

/* ---- what a successful call leaves behind ---- */

static void undo_gem(int fd, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	ioctl_err(fd, DRM_IOCTL_GEM_CLOSE, &args);
}

static void undo_gem_open(int fd, void *arg)
{
	undo_gem(fd, ((struct drm_gem_open *)arg)->handle);
}

static void undo_to_fd(int fd, void *arg)
{
	close(((struct drm_prime_handle *)arg)->fd);
}

static void undo_fb(int fd, void *arg)
{
	undo_gem(fd, ((struct drm_mode_fb_cmd *)arg)->handle);
}

static void undo_fb2(int fd, void *arg)
{
	undo_gem(fd, ((struct drm_mode_fb_cmd2 *)arg)->handles[0]);
}

static void undo_add_fb(int fd, void *arg)
{
	/* The id comes first in both structures. */
	uint32_t id = *(uint32_t *)arg;

	ioctl_err(fd, DRM_IOCTL_MODE_RMFB, &id);
}

static void undo_create_dumb(int fd, void *arg)
{
	struct drm_mode_destroy_dumb args = {
		.handle = ((struct drm_mode_create_dumb *)arg)->handle,
	};

	ioctl_err(fd, DRM_IOCTL_MODE_DESTROY_DUMB, &args);
}

static void undo_blob(int fd, void *arg)
{
	struct drm_mode_destroy_blob args = {
		.blob_id = ((struct drm_mode_create_blob *)arg)->blob_id,
	};

	ioctl_err(fd, DRM_IOCTL_MODE_DESTROYPROPBLOB, &args);
}

static void undo_lease(int fd, void *arg)
{
	close(((struct drm_mode_create_lease *)arg)->fd);
}

static void undo_drop_master(int fd, void *arg)
{
	ioctl_err(fd, DRM_IOCTL_SET_MASTER, NULL);
}

static void undo_radeon_gem(int fd, void *arg)
{
	undo_gem(fd, ((struct drm_radeon_gem_create *)arg)->handle);
}

static void undo_qxl_alloc(int fd, void *arg)
{
	undo_gem(fd, ((struct drm_qxl_alloc *)arg)->handle);
}

/* ---- the calls ---- */

#define OK	1	/* must succeed before the pull */
#define ONCE	2	/* not while the device goes: it disturbs others, or udev */
#define RENDER	4	/* allowed on a render node */

#define VIRTGPU	"virtio_gpu"
#define RADEON	"radeon"
#define QXL	"qxl"

static const struct call {
	const char *name;
	unsigned long request;
	void (*fill)(void *arg);
	void (*undo)(int fd, void *arg);
	int flags;
	const char *driver;
} calls[] = {
	{ "version", DRM_IOCTL_VERSION, fill_zero, NULL, OK | RENDER },
	{ "get_unique", DRM_IOCTL_GET_UNIQUE, fill_zero, NULL, OK },
	{ "get_magic", DRM_IOCTL_GET_MAGIC, fill_zero, NULL, OK },
	{ "get_client", DRM_IOCTL_GET_CLIENT, fill_zero, NULL, OK },
	{ "get_stats", DRM_IOCTL_GET_STATS, fill_zero, NULL, OK },
	{ "get_cap", DRM_IOCTL_GET_CAP, fill_get_cap, NULL, OK | RENDER },
	{ "set_client_cap", DRM_IOCTL_SET_CLIENT_CAP, fill_client_cap, NULL, OK },
	{ "set_version", DRM_IOCTL_SET_VERSION, fill_set_version, NULL, OK },
	{ "auth_magic", DRM_IOCTL_AUTH_MAGIC, fill_magic, NULL, 0 },
	{ "set_master", DRM_IOCTL_SET_MASTER, fill_zero, NULL, OK },
	{ "drop_master", DRM_IOCTL_DROP_MASTER, fill_zero, undo_drop_master, OK | ONCE },
	{ "wait_vblank_query", DRM_IOCTL_WAIT_VBLANK, fill_vblank, NULL, 0 },
	{ "crtc_get_sequence", DRM_IOCTL_CRTC_GET_SEQUENCE, fill_sequence, NULL, 0 },
	{ "crtc_queue_sequence", DRM_IOCTL_CRTC_QUEUE_SEQUENCE, fill_queue_sequence, NULL, 0 },
	{ "gem_close", DRM_IOCTL_GEM_CLOSE, fill_gem_close, NULL, RENDER },
	{ "gem_flink", DRM_IOCTL_GEM_FLINK, fill_flink, NULL, OK },
	{ "gem_open", DRM_IOCTL_GEM_OPEN, fill_gem_open, undo_gem_open, OK },
	{ "prime_handle_to_fd", DRM_IOCTL_PRIME_HANDLE_TO_FD, fill_to_fd, undo_to_fd, 0 },
	{ "prime_fd_to_handle", DRM_IOCTL_PRIME_FD_TO_HANDLE, fill_to_handle, NULL, RENDER },
	{ "set_client_name", DRM_IOCTL_SET_CLIENT_NAME, fill_client_name, NULL, OK | RENDER },
	{ "getresources", DRM_IOCTL_MODE_GETRESOURCES, fill_zero, NULL, OK },
	{ "getplaneresources", DRM_IOCTL_MODE_GETPLANERESOURCES, fill_zero, NULL, OK },
	{ "getcrtc", DRM_IOCTL_MODE_GETCRTC, fill_crtc, NULL, OK },
	{ "setcrtc", DRM_IOCTL_MODE_SETCRTC, fill_set_crtc, NULL, 0 },
	{ "getplane", DRM_IOCTL_MODE_GETPLANE, fill_plane, NULL, 0 },
	{ "setplane", DRM_IOCTL_MODE_SETPLANE, fill_set_plane, NULL, 0 },
	{ "cursor", DRM_IOCTL_MODE_CURSOR, fill_cursor, NULL, 0 },
	{ "cursor2", DRM_IOCTL_MODE_CURSOR2, fill_cursor2, NULL, 0 },
	{ "getgamma", DRM_IOCTL_MODE_GETGAMMA, fill_gamma, NULL, 0 },
	{ "setgamma", DRM_IOCTL_MODE_SETGAMMA, fill_gamma, NULL, 0 },
	{ "getencoder", DRM_IOCTL_MODE_GETENCODER, fill_encoder, NULL, OK },
	{ "getconnector", DRM_IOCTL_MODE_GETCONNECTOR, fill_connector, NULL, OK },
	{ "getproperty", DRM_IOCTL_MODE_GETPROPERTY, fill_property, NULL, 0 },
	{ "setproperty", DRM_IOCTL_MODE_SETPROPERTY, fill_set_property, NULL, 0 },
	{ "getpropblob", DRM_IOCTL_MODE_GETPROPBLOB, fill_blob, NULL, 0 },
	{ "getfb", DRM_IOCTL_MODE_GETFB, fill_fb, undo_fb, 0 },
	{ "getfb2", DRM_IOCTL_MODE_GETFB2, fill_fb2, undo_fb2, 0 },
	{ "addfb", DRM_IOCTL_MODE_ADDFB, fill_add_fb, undo_add_fb, OK },
	{ "addfb2", DRM_IOCTL_MODE_ADDFB2, fill_add_fb2, undo_add_fb, OK },
	{ "rmfb", DRM_IOCTL_MODE_RMFB, fill_bogus_id, NULL, 0 },
	{ "closefb", DRM_IOCTL_MODE_CLOSEFB, fill_close_fb, NULL, 0 },
	{ "page_flip", DRM_IOCTL_MODE_PAGE_FLIP, fill_flip, NULL, 0 },
	{ "dirtyfb", DRM_IOCTL_MODE_DIRTYFB, fill_dirty, NULL, 0 },
	{ "create_dumb", DRM_IOCTL_MODE_CREATE_DUMB, fill_create_dumb, undo_create_dumb, OK },
	{ "map_dumb", DRM_IOCTL_MODE_MAP_DUMB, fill_map_dumb, NULL, OK },
	{ "destroy_dumb", DRM_IOCTL_MODE_DESTROY_DUMB, fill_destroy_dumb, NULL, 0 },
	{ "obj_getproperties", DRM_IOCTL_MODE_OBJ_GETPROPERTIES, fill_get_props, NULL, OK },
	{ "obj_setproperty", DRM_IOCTL_MODE_OBJ_SETPROPERTY, fill_set_prop, NULL, 0 },
	{ "atomic", DRM_IOCTL_MODE_ATOMIC, fill_atomic, NULL, 0 },
	{ "createpropblob", DRM_IOCTL_MODE_CREATEPROPBLOB, fill_create_blob, undo_blob, OK },
	{ "destroypropblob", DRM_IOCTL_MODE_DESTROYPROPBLOB, fill_bogus_id, NULL, 0 },
	{ "create_lease", DRM_IOCTL_MODE_CREATE_LEASE, fill_lease, undo_lease, ONCE },
	{ "list_lessees", DRM_IOCTL_MODE_LIST_LESSEES, fill_zero, NULL, OK },
	{ "get_lease", DRM_IOCTL_MODE_GET_LEASE, fill_zero, NULL, 0 },
	{ "revoke_lease", DRM_IOCTL_MODE_REVOKE_LEASE, fill_revoke_lease, NULL, 0 },
	{ "virtgpu_getparam", DRM_IOCTL_VIRTGPU_GETPARAM, fill_virtgpu_param,
	  NULL, OK | RENDER, VIRTGPU },
	{ "virtgpu_info", DRM_IOCTL_VIRTGPU_RESOURCE_INFO, fill_virtgpu_info, NULL, OK, VIRTGPU },
	{ "virtgpu_map", DRM_IOCTL_VIRTGPU_MAP, fill_virtgpu_map, NULL, OK, VIRTGPU },
	{ "virtgpu_wait", DRM_IOCTL_VIRTGPU_WAIT, fill_virtgpu_wait, NULL, 0, VIRTGPU },
	{ "radeon_info", DRM_IOCTL_RADEON_INFO, fill_radeon_info, NULL, OK | RENDER, RADEON },
	{ "radeon_gem_create", DRM_IOCTL_RADEON_GEM_CREATE, fill_radeon_gem,
	  undo_radeon_gem, OK, RADEON },
	{ "radeon_gem_mmap", DRM_IOCTL_RADEON_GEM_MMAP, fill_radeon_mmap, NULL, OK, RADEON },
	{ "radeon_gem_busy", DRM_IOCTL_RADEON_GEM_BUSY, fill_radeon_busy, NULL, 0, RADEON },
	{ "qxl_getparam", DRM_IOCTL_QXL_GETPARAM, fill_qxl_param, NULL, OK, QXL },
	{ "qxl_alloc", DRM_IOCTL_QXL_ALLOC, fill_qxl_alloc, undo_qxl_alloc, OK, QXL },
	{ "qxl_map", DRM_IOCTL_QXL_MAP, fill_qxl_map, NULL, OK, QXL },
};

/* What became of each call. */
struct outcome {
	int before;
	unsigned int during_same, during_gone, during_other;
	int other;		/* the last result that was neither */
	unsigned int revived;	/* anything but ENODEV after ENODEV, one thread */
	unsigned int late;	/* begun after the pull returned, not ENODEV */
	int after;
};

static struct outcome *results;
static bool pulled_ok;

static bool applies(const struct call *c)
{
	return !c->driver || driver_is(c->driver);
}

static int make_call(const struct call *c, int fd, bool undo)
{
	union arg arg = {};
	int ret;

	c->fill(&arg);
	ret = ioctl_err(fd, c->request, &arg);
	if (!ret && undo && c->undo)
		c->undo(fd, &arg);
	return ret;
}

/* ---- the scene ---- */

static uint32_t first_object(unsigned long request, size_t ptr, size_t count)
{
	union arg arg = {};
	uint32_t ids[64] = {}, n = 64;
	uint64_t p = (uintptr_t)ids;

	memcpy(arg.bytes + ptr, &p, sizeof(p));
	memcpy(arg.bytes + count, &n, sizeof(n));
	return ioctl_err(d.fd, request, &arg) ? 0 : ids[0];
}

static void prepare(void)
{
	struct drm_mode_obj_get_properties props = {};
	struct drm_mode_fb_cmd fb = {};
	struct drm_gem_flink flink = {};
	uint32_t ids[64];
	uint64_t values[64];

	d.fd = open_card(0);
	d.render = open_render(0);
	d.dmabuf = -1;
	if (d.fd < 0 || dumb_create(d.fd, WIDTH, HEIGHT, &d.bo)) {
		printf("# cannot prepare %s\n", dev.card);
		exit(1);
	}
	ioctl_err(d.fd, DRM_IOCTL_SET_MASTER, NULL);

	flink.handle = d.bo.handle;
	if (!ioctl_err(d.fd, DRM_IOCTL_GEM_FLINK, &flink))
		d.name = flink.name;
	d.dmabuf = prime_export(d.fd, d.bo.handle);

#define FIRST(_request, _type, _what) \
	first_object(_request, offsetof(_type, _what##_id_ptr), \
		     offsetof(_type, count_##_what##s))
	d.crtc = FIRST(DRM_IOCTL_MODE_GETRESOURCES, struct drm_mode_card_res, crtc);
	d.encoder = FIRST(DRM_IOCTL_MODE_GETRESOURCES, struct drm_mode_card_res, encoder);
	d.connector = FIRST(DRM_IOCTL_MODE_GETRESOURCES, struct drm_mode_card_res, connector);
	d.plane = FIRST(DRM_IOCTL_MODE_GETPLANERESOURCES, struct drm_mode_get_plane_res, plane);

	props.obj_id = d.connector;
	props.count_props = 64;
	props.props_ptr = (uintptr_t)ids;
	props.prop_values_ptr = (uintptr_t)values;
	if (!ioctl_err(d.fd, DRM_IOCTL_MODE_OBJ_GETPROPERTIES, &props))
		d.property = ids[0];

	fill_add_fb(&fb);
	if (!ioctl_err(d.fd, DRM_IOCTL_MODE_ADDFB, &fb))
		d.fb = fb.fb_id;
}

static volatile int pull_state;	/* 0 before, 1 pull returned, 2 stop */

static void *hammer(void *data)
{
	bool gone[ARRAY_SIZE(calls)] = {};
	size_t i = (uintptr_t)data;
	struct outcome *r;
	int ret, state;

	for (; pull_state < 2; i++) {
		const struct call *c = &calls[i % ARRAY_SIZE(calls)];

		if (!applies(c) || (c->flags & ONCE))
			continue;
		/* Room for the one who pulls: locks are not fair to it. */
		if (i % 16 == 0)
			sleep_ms(1);
		r = &results[i % ARRAY_SIZE(calls)];
		state = pull_state;
		ret = make_call(c, d.fd, true);
		if (ret == -ENODEV) {
			gone[i % ARRAY_SIZE(calls)] = true;
			__atomic_add_fetch(&r->during_gone, 1, __ATOMIC_RELAXED);
			continue;
		}
		if (gone[i % ARRAY_SIZE(calls)])
			r->revived++;
		if (state)
			r->late++;
		if (ret == r->before) {
			__atomic_add_fetch(&r->during_same, 1, __ATOMIC_RELAXED);
		} else {
			r->other = ret;
			__atomic_add_fetch(&r->during_other, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

#define N_HAMMERS 2

static void run_scene(void)
{
	pthread_t threads[N_HAMMERS];
	size_t i;

	results = shared_zalloc(sizeof(*results) * ARRAY_SIZE(calls));
	prepare();
	for (i = 0; i < ARRAY_SIZE(calls); i++)
		if (applies(&calls[i]))
			results[i].before = make_call(&calls[i], d.fd, true);

	for (i = 0; i < N_HAMMERS; i++)
		pthread_create(&threads[i], NULL, hammer,
			       (void *)(i * ARRAY_SIZE(calls) / N_HAMMERS));
	sleep_ms(150);
	pulled_ok = pull();
	pull_state = 1;
	sleep_ms(100);
	pull_state = 2;
	for (i = 0; i < N_HAMMERS; i++)
		pthread_join(threads[i], NULL);

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		if (applies(&calls[i]))
			results[i].after = make_call(&calls[i], d.fd, false);
}

/* ---- the tests ---- */

TEST(T1_pull_succeeds)
{
	ASSERT_TRUE(pulled_ok);
	TH_LOG("the pull took %ld ms", (long)pull_ms);
	TH_LOG("pulled in %ld ms", pull_ms);
}

FIXTURE(U2_ioctl) {
};

FIXTURE_VARIANT(U2_ioctl) {
	int call;
};

FIXTURE_SETUP(U2_ioctl)
{
}

FIXTURE_TEARDOWN(U2_ioctl)
{
}

/* A variant for each call, which the harness has no macro for. */
static void __attribute__((constructor(KSELFTEST_PRIO_TEST))) add_variants(void)
{
	static FIXTURE_VARIANT(U2_ioctl) data[ARRAY_SIZE(calls)];
	static struct __fixture_variant_metadata variants[ARRAY_SIZE(calls)];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		data[i].call = i;
		variants[i].name = calls[i].name;
		variants[i].data = &data[i];
		__register_fixture_variant(&_U2_ioctl_fixture_object, &variants[i]);
	}
}

/* Before: it works or is refused for another reason.  After: ENODEV. */
TEST_F(U2_ioctl, gone)
{
	const struct call *c = &calls[variant->call];
	const struct outcome *r = &results[variant->call];

	if (!applies(c))
		SKIP(return, "a call of %s", c->driver);
	EXPECT_NE(-ENODEV, r->before);
	/* A card may have no connector. */
	if (c->flags & OK && r->before != -ENOENT)
		EXPECT_EQ(0, r->before);
	EXPECT_EQ(-ENODEV, r->after)
		TH_LOG("before: %s", err_name(r->before));
}

/*
 * During: as before or ENODEV, nothing else; after a thread saw ENODEV, never
 * anything else again; and ENODEV only, once the pull has returned (U3).
 */
TEST_F(U2_ioctl, going)
{
	const struct call *c = &calls[variant->call];
	const struct outcome *r = &results[variant->call];

	if (!applies(c))
		SKIP(return, "a call of %s", c->driver);
	if (c->flags & ONCE)
		SKIP(return, "disturbs the other calls");
	EXPECT_NE(0, r->during_same + r->during_gone + r->during_other);
	EXPECT_EQ(0, r->during_other)
		TH_LOG("last other result: %s", err_name(r->other));
	EXPECT_EQ(0, r->revived);
	EXPECT_EQ(0, r->late)
		TH_LOG("calls begun after the pull returned");
}

/* Whoever has the file gets ENODEV, not EACCES: here without any privilege. */
TEST(U2_unprivileged_process)
{
	unsigned int wrong = 0;
	size_t i;
	int ret;

	ASSERT_EQ(0, setgid(65534));
	ASSERT_EQ(0, setuid(65534));
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (!applies(&calls[i]))
			continue;
		ret = make_call(&calls[i], d.fd, false);
		if (ret != -ENODEV) {
			TH_LOG("%s: %s", calls[i].name, err_name(ret));
			wrong++;
		}
	}
	EXPECT_EQ(0, wrong);
}

/* The render node, also for calls that it never allows. */
TEST(U2_render_node)
{
	unsigned int wrong = 0;
	size_t i;
	int ret;

	if (d.render < 0)
		SKIP(return, "no render node");
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (!applies(&calls[i]) || !(calls[i].flags & RENDER))
			continue;
		ret = make_call(&calls[i], d.render, false);
		if (ret != -ENODEV) {
			TH_LOG("%s: %s", calls[i].name, err_name(ret));
			wrong++;
		}
	}
	EXPECT_EQ(0, wrong);
}

/* U7: no new lease, of a real object either. */
TEST(U7_create_lease_of_crtc)
{
	uint32_t ids[] = { d.crtc, d.connector };
	struct drm_mode_create_lease lease = {
		.object_ids = (uintptr_t)ids, .object_count = 2,
		.flags = O_CLOEXEC,
	};

	EXPECT_EQ(-ENODEV, ioctl_err(d.fd, DRM_IOCTL_MODE_CREATE_LEASE, &lease));
}

static bool write_late(const char *text)
{
	int f = open("/sys/module/drm/parameters/debug_unplug_late", O_WRONLY);
	bool ok;

	if (f < 0)
		return false;
	ok = write(f, text, 1) == 1;
	close(f);
	return ok;
}

/*
 * Handlers that start although the device is gone, as if the pull had come just after the
 * check.  They may return what they like; the kernel must not mind.
 */
TEST(U3_handlers_that_start_late)
{
	int status;
	pid_t pid;
	size_t i;

	if (!driver_is("bochs-drm") && !driver_is("cirrus-qemu") && !driver_is("vkms") &&
	    !driver_is("udl") && !driver_is("gud"))
		SKIP(return, "the handlers of %s need the section that this goes around",
		     dev.driver);
	if (!write_late("Y"))
		SKIP(return, "no drm.debug_unplug_late");
	pid = fork();
	if (!pid) {
		alarm(15);
		for (i = 0; i < ARRAY_SIZE(calls); i++)
			if (applies(&calls[i]))
				make_call(&calls[i], d.fd, true);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	EXPECT_TRUE(write_late("N"));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-ENODEV, make_call(&calls[0], d.fd, false));
}

#ifdef __x86_64__
/* An ioctl by the 32-bit entry: 0, a negative errno, or 1 if there is none. */
static int ioctl32(int fd, uint32_t request, void *arg)
{
	int ret;

	asm volatile("int $0x80" : "=a"(ret)
		     : "a"(54 /* __NR_ioctl */), "b"(fd), "c"(request),
		       "d"((uint32_t)(uintptr_t)arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret == -ENOSYS ? 1 : ret;
}

static void no_int80(int sig)
{
	_exit(KSFT_SKIP);
}

/* Numbers as a 32-bit program computes them, from its smaller structures. */
TEST(U2_compat_ioctls)
{
	static const struct {
		const char *name;
		uint32_t request;
	} calls32[] = {
		{ "version", _IOC(_IOC_READ | _IOC_WRITE, 'd', 0x00, 36) },
		{ "get_unique", _IOC(_IOC_READ | _IOC_WRITE, 'd', 0x01, 8) },
		{ "get_client", _IOC(_IOC_READ | _IOC_WRITE, 'd', 0x05, 24) },
		{ "wait_vblank", _IOC(_IOC_READ | _IOC_WRITE, 'd', 0x3a, 16) },
		{ "get_cap", DRM_IOCTL_GET_CAP },
		{ "getresources", DRM_IOCTL_MODE_GETRESOURCES },
	};
	unsigned int wrong = 0;
	void *arg;
	size_t i;
	int ret;

	arg = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, arg);
	signal(SIGSEGV, no_int80);
	for (i = 0; i < ARRAY_SIZE(calls32); i++) {
		memset(arg, 0, 4096);
		ret = ioctl32(d.fd, calls32[i].request, arg);
		if (ret == 1)
			SKIP(return, "no 32-bit system calls");
		if (ret != -ENODEV) {
			TH_LOG("%s: %s", calls32[i].name, err_name(ret));
			wrong++;
		}
	}
	EXPECT_EQ(0, wrong);
}
#endif

int main(int argc, char **argv)
{
	scene_init(&argc, argv);
	if (dev.name)
		run_scene();
	return test_harness_run(argc, argv);
}
