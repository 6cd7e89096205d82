/* SPDX-License-Identifier: GPL-2.0 */
/* A client of amdgpu, by libdrm_amdgpu: what a Mesa driver does, with the packets of CIK. */
#ifndef SIM_GPU_H
#define SIM_GPU_H

#include <amdgpu.h>
#include <amdgpu_drm.h>

#include "test.h"

struct buffer {
	amdgpu_bo_handle bo;
	amdgpu_va_handle va_handle;
	uint64_t va;
	uint64_t size;
	uint32_t handle;	/* GEM */
	volatile uint32_t *cpu;
};

struct gpu {
	int fd;
	amdgpu_device_handle dev;
	amdgpu_context_handle ctx;
	struct buffer ib;	/* what is submitted; the card may read it long after */
	unsigned int ib_used;	/* dwords */
};

/* Opens a render node of the card, and makes a context. */
void gpu_open(struct gpu *gpu, unsigned int card);
void gpu_open_fd(struct gpu *gpu, int fd);
void gpu_close(struct gpu *gpu);

/* A buffer in AMDGPU_GEM_DOMAIN_*, mapped for the card and for us. */
void buffer_alloc(struct gpu *gpu, struct buffer *buffer, uint64_t size, uint32_t domain);
void buffer_free(struct buffer *buffer);

/* Submits dwords to a ring; 0 or -errno. The fence is for gpu_wait(). */
int gpu_submit(struct gpu *gpu, unsigned int ip, unsigned int ring, const uint32_t *dwords,
	       unsigned int count, struct buffer *const *buffers, unsigned int buffer_count,
	       struct amdgpu_cs_fence *fence);
/* 1 if it has signalled, 0 if not within the time, or -errno. */
int gpu_wait(struct amdgpu_cs_fence *fence, uint64_t ms);

/* A sync_file of a fence. */
int gpu_sync_file(struct gpu *gpu, struct amdgpu_cs_fence *fence);

#define SDMA(op, sub, extra) ((uint32_t)(op) | (sub) << 8 | (uint32_t)(extra) << 16)
#define PACKET3(op, count) (3U << 30 | (uint32_t)(count) << 16 | (op) << 8)
#define LO(addr) (uint32_t)(addr)
#define HI(addr) (uint32_t)((uint64_t)(addr) >> 32)
#define A(addr) LO(addr), HI(addr)

/* Dwords that fill a buffer, and that copy one into another. */
#define FILL(buffer, value) SDMA(11, 0, 0x8000), A((buffer)->va), (value), (uint32_t)(buffer)->size
#define COPY(to, from) \
	SDMA(1, 0, 0), (uint32_t)(to)->size, 0, A((from)->va), A((to)->va)

#endif
