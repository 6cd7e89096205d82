// SPDX-License-Identifier: GPL-2.0

#include <string.h>
#include <unistd.h>
#include <xf86drm.h>

#include "gpu.h"

void gpu_open_fd(struct gpu *gpu, int fd)
{
	uint32_t major, minor;

	memset(gpu, 0, sizeof(*gpu));
	gpu->fd = fd;
	check_ok(amdgpu_device_initialize(fd, &major, &minor, &gpu->dev));
	check_ok(amdgpu_cs_ctx_create(gpu->dev, &gpu->ctx));
}

void gpu_open(struct gpu *gpu, unsigned int card)
{
	int fd = sim_open(card, "renderD");

	if (fd < 0)
		fail("no render node for card %u: error %d", card, fd);
	gpu_open_fd(gpu, fd);
}

void gpu_close(struct gpu *gpu)
{
	amdgpu_cs_ctx_free(gpu->ctx);
	amdgpu_device_deinitialize(gpu->dev);
	close(gpu->fd);
}

void buffer_alloc(struct gpu *gpu, struct buffer *buffer, uint64_t size, uint32_t domain)
{
	struct amdgpu_bo_alloc_request request = {
		.alloc_size = size,
		.phys_alignment = 4096,
		.preferred_heap = domain,
		.flags = AMDGPU_GEM_CREATE_CPU_ACCESS_REQUIRED,
	};

	memset(buffer, 0, sizeof(*buffer));
	buffer->size = size;
	check_ok(amdgpu_bo_alloc(gpu->dev, &request, &buffer->bo));
	check_ok(amdgpu_va_range_alloc(gpu->dev, amdgpu_gpu_va_range_general, size, 4096, 0,
				       &buffer->va, &buffer->va_handle, 0));
	check_ok(amdgpu_bo_va_op(buffer->bo, 0, size, buffer->va, 0, AMDGPU_VA_OP_MAP));
	check_ok(amdgpu_bo_cpu_map(buffer->bo, (void **)&buffer->cpu));
	check_ok(amdgpu_bo_export(buffer->bo, amdgpu_bo_handle_type_kms, &buffer->handle));
}

void buffer_free(struct buffer *buffer)
{
	amdgpu_bo_cpu_unmap(buffer->bo);
	amdgpu_bo_va_op(buffer->bo, 0, buffer->size, buffer->va, 0, AMDGPU_VA_OP_UNMAP);
	amdgpu_va_range_free(buffer->va_handle);
	amdgpu_bo_free(buffer->bo);
}

int gpu_submit(struct gpu *gpu, unsigned int ip, unsigned int ring, const uint32_t *dwords,
	       unsigned int count, struct buffer *const *buffers, unsigned int buffer_count,
	       struct amdgpu_cs_fence *fence)
{
	struct buffer *ib = &gpu->ib;
	amdgpu_bo_handle handles[8];
	amdgpu_bo_list_handle list;
	struct amdgpu_cs_ib_info info = { };
	struct amdgpu_cs_request request = { };
	unsigned int i, at;
	int error;

	if (!ib->bo || gpu->ib_used + count + 8 > 4096) {
		buffer_alloc(gpu, ib, 4096 * 4, AMDGPU_GEM_DOMAIN_GTT);
		gpu->ib_used = 0;
	}
	at = gpu->ib_used;
	for (i = 0; i < count; i++)
		ib->cpu[at + i] = dwords[i];
	/* Whole lines of 8 dwords. */
	for (; i % 8; i++)
		ib->cpu[at + i] = ip == AMDGPU_HW_IP_DMA ? SDMA(0, 0, 0) : PACKET3(0x10, 0x3fff);
	gpu->ib_used += (i + 63) & ~63;

	handles[0] = ib->bo;
	for (count = 0; count < buffer_count; count++)
		handles[count + 1] = buffers[count]->bo;
	error = amdgpu_bo_list_create(gpu->dev, count + 1, handles, NULL, &list);
	if (error)
		return error;
	info.ib_mc_address = ib->va + at * 4;
	info.size = i;
	request.ip_type = ip;
	request.ring = ring;
	request.resources = list;
	request.number_of_ibs = 1;
	request.ibs = &info;
	error = amdgpu_cs_submit(gpu->ctx, 0, &request, 1);
	amdgpu_bo_list_destroy(list);
	if (error)
		return error;
	*fence = (struct amdgpu_cs_fence){
		.context = gpu->ctx, .ip_type = ip, .ring = ring, .fence = request.seq_no,
	};
	return 0;
}

int gpu_wait(struct amdgpu_cs_fence *fence, uint64_t ms)
{
	uint32_t expired = 0;
	int error = amdgpu_cs_query_fence_status(fence, ms * 1000000, 0, &expired);

	return error ? error : (int)expired;
}

int gpu_sync_file(struct gpu *gpu, struct amdgpu_cs_fence *fence)
{
	uint32_t fd = -1;

	check_ok(amdgpu_cs_fence_to_handle(gpu->dev, fence, AMDGPU_FENCE_TO_HANDLE_GET_SYNC_FILE_FD,
					   &fd));
	return fd;
}
