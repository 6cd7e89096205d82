// SPDX-License-Identifier: GPL-2.0

#include <string.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "kms.h"
#include "test.h"

static uint32_t property(int fd, uint32_t object, uint32_t type, const char *name)
{
	drmModeObjectProperties *list = drmModeObjectGetProperties(fd, object, type);
	uint32_t i, id = 0;

	check(list);
	for (i = 0; i < list->count_props && !id; i++) {
		drmModePropertyRes *prop = drmModeGetProperty(fd, list->props[i]);

		if (prop && !strcmp(prop->name, name))
			id = prop->prop_id;
		drmModeFreeProperty(prop);
	}
	drmModeFreeObjectProperties(list);
	if (!id)
		fail("no property %s", name);
	return id;
}

static uint64_t value(int fd, uint32_t object, uint32_t type, const char *name)
{
	uint32_t id = property(fd, object, type, name), i;
	drmModeObjectProperties *list = drmModeObjectGetProperties(fd, object, type);
	uint64_t found = 0;

	for (i = 0; i < list->count_props; i++) {
		if (list->props[i] == id)
			found = list->prop_values[i];
	}
	drmModeFreeObjectProperties(list);
	return found;
}

#define PUT(request, fd, id, type, name, value) \
	check(drmModeAtomicAddProperty(request, id, property(fd, id, type, name), value) > 0)

static uint32_t make_fb(int fd, uint32_t width, uint32_t height)
{
	uint32_t handle, pitch, fb;
	uint64_t size;

	check_ok(drmModeCreateDumbBuffer(fd, width, height, 32, 0, &handle, &pitch, &size));
	check_ok(drmModeAddFB(fd, width, height, 24, 32, pitch, handle, &fb));
	return fb;
}

static uint32_t primary_plane(int fd)
{
	drmModePlaneRes *planes = drmModeGetPlaneResources(fd);
	uint32_t i, id = 0;

	check(planes);
	for (i = 0; i < planes->count_planes && !id; i++) {
		if (value(fd, planes->planes[i], DRM_MODE_OBJECT_PLANE, "type") ==
		    DRM_PLANE_TYPE_PRIMARY)
			id = planes->planes[i];
	}
	drmModeFreePlaneResources(planes);
	check(id);
	return id;
}

static void put_plane(drmModeAtomicReq *request, struct kms *kms, uint32_t fb, uint32_t width,
		      uint32_t height)
{
	uint32_t type = DRM_MODE_OBJECT_PLANE;

	PUT(request, kms->fd, kms->plane, type, "FB_ID", fb);
	PUT(request, kms->fd, kms->plane, type, "CRTC_ID", kms->crtc);
	PUT(request, kms->fd, kms->plane, type, "SRC_X", 0);
	PUT(request, kms->fd, kms->plane, type, "SRC_Y", 0);
	PUT(request, kms->fd, kms->plane, type, "SRC_W", (uint64_t)width << 16);
	PUT(request, kms->fd, kms->plane, type, "SRC_H", (uint64_t)height << 16);
	PUT(request, kms->fd, kms->plane, type, "CRTC_X", 0);
	PUT(request, kms->fd, kms->plane, type, "CRTC_Y", 0);
	PUT(request, kms->fd, kms->plane, type, "CRTC_W", width);
	PUT(request, kms->fd, kms->plane, type, "CRTC_H", height);
}

void kms_start(struct kms *kms, unsigned int card)
{
	drmModeAtomicReq *request = drmModeAtomicAlloc();
	drmModeConnector *connector;
	drmModeRes *resources;
	drmModeModeInfo *mode;
	uint32_t blob;

	memset(kms, 0, sizeof(*kms));
	kms->fd = sim_open(card, "card");
	check(kms->fd >= 0);
	check_ok(drmSetClientCap(kms->fd, DRM_CLIENT_CAP_ATOMIC, 1));
	resources = drmModeGetResources(kms->fd);
	check(resources && resources->count_crtcs && resources->count_connectors);
	kms->crtc = resources->crtcs[0];
	kms->connector = resources->connectors[0];
	kms->plane = primary_plane(kms->fd);
	connector = drmModeGetConnector(kms->fd, kms->connector);
	check(connector && connector->count_modes);
	mode = &connector->modes[0];
	kms->fb[0] = make_fb(kms->fd, mode->hdisplay, mode->vdisplay);
	kms->fb[1] = make_fb(kms->fd, mode->hdisplay, mode->vdisplay);

	check_ok(drmModeCreatePropertyBlob(kms->fd, mode, sizeof(*mode), &blob));
	PUT(request, kms->fd, kms->connector, DRM_MODE_OBJECT_CONNECTOR, "CRTC_ID", kms->crtc);
	PUT(request, kms->fd, kms->crtc, DRM_MODE_OBJECT_CRTC, "MODE_ID", blob);
	PUT(request, kms->fd, kms->crtc, DRM_MODE_OBJECT_CRTC, "ACTIVE", 1);
	put_plane(request, kms, kms->fb[0], mode->hdisplay, mode->vdisplay);
	check_ok(drmModeAtomicCommit(kms->fd, request, DRM_MODE_ATOMIC_ALLOW_MODESET, NULL));
	drmModeAtomicFree(request);
	drmModeFreeConnector(connector);
	drmModeFreeResources(resources);
}

int kms_flip(struct kms *kms, unsigned int picture, int in_fence)
{
	drmModeAtomicReq *request = drmModeAtomicAlloc();
	int error;

	PUT(request, kms->fd, kms->plane, DRM_MODE_OBJECT_PLANE, "FB_ID", kms->fb[picture]);
	PUT(request, kms->fd, kms->plane, DRM_MODE_OBJECT_PLANE, "IN_FENCE_FD", in_fence);
	error = drmModeAtomicCommit(kms->fd, request, DRM_MODE_ATOMIC_NONBLOCK, NULL);
	drmModeAtomicFree(request);
	return error;
}
