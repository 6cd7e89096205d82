/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The registers of the simulated card, numbered by dword in BAR 5. Only those stand here that it
 * sets at power-on, that its engines look at, or that drivers were seen to write after an
 * unplug: to the card all others are just memory, and a report gives them by number.
 *
 * The names are AMD's. The comment above each group says which public header of the kernel has
 * them (as mmNAME, in drivers/gpu/drm/amd/include/asic_reg); cikd.h, of the radeon driver, has
 * the same registers by byte. What one does is said where the card uses it. The build makes the
 * table of names from this file: one register a line.
 */
#ifndef SIM_RADEON_REGS_H
#define SIM_RADEON_REGS_H

enum sim_reg {
	/* bif/bif_4_1_d.h: the bus interface */
	BIOS_SCRATCH_0 = 0x05c9,
	BIOS_SCRATCH_2 = 0x05cb,
	BIOS_SCRATCH_3 = 0x05cc,
	BIOS_SCRATCH_6 = 0x05cf,
	BIOS_SCRATCH_7 = 0x05d0,
	CONFIG_CNTL = 0x1509,
	CONFIG_MEMSIZE = 0x150a,
	INTERRUPT_CNTL = 0x151a,
	INTERRUPT_CNTL2 = 0x151b,
	HDP_MEM_COHERENCY_FLUSH_CNTL = 0x1520,
	BIF_FB_EN = 0x1524,
	HDP_REG_COHERENCY_FLUSH_CNTL = 0x1528,
	GPU_HDP_FLUSH_REQ = 0x1537,
	GPU_HDP_FLUSH_DONE = 0x1538,
	PCIE_INDEX = 0x000e,
	PCIE_DATA = 0x000f,
	MM_INDEX = 0x0000,
	MM_DATA = 0x0001,

	/* gmc/gmc_7_1_d.h: the memory controller and its address translation */
	VM_L2_CNTL = 0x0500,
	VM_L2_CNTL2 = 0x0501,
	VM_CONTEXT0_CNTL = 0x0504,
	VM_CONTEXT1_CNTL = 0x0505,
	VM_CONTEXT1_CNTL2 = 0x050d,
	VM_CONTEXT8_PAGE_TABLE_BASE_ADDR = 0x050e,
	VM_INVALIDATE_REQUEST = 0x051e,
	VM_INVALIDATE_RESPONSE = 0x051f,
	VM_CONTEXT1_PROTECTION_FAULT_STATUS = 0x0537,
	VM_CONTEXT1_PROTECTION_FAULT_MCCLIENT = 0x0539,
	VM_CONTEXT1_PROTECTION_FAULT_ADDR = 0x053f,
	VM_CONTEXT0_PAGE_TABLE_BASE_ADDR = 0x054f,
	VM_CONTEXT0_PAGE_TABLE_START_ADDR = 0x0557,
	VM_CONTEXT0_PAGE_TABLE_END_ADDR = 0x055f,
	VM_L2_CG = 0x0570,
	MC_VM_FB_LOCATION = 0x0809,
	MC_VM_MX_L1_TLB_CNTL = 0x0819,
	MC_HUB_MISC_HUB_CG = 0x082e,
	MC_HUB_MISC_VM_CG = 0x082f,
	MC_HUB_MISC_SIP_CG = 0x0830,
	MC_XPB_CLK_GAT = 0x091e,
	MC_CITF_MISC_RD_CG = 0x0992,
	MC_CITF_MISC_WR_CG = 0x0993,
	MC_CITF_MISC_VM_CG = 0x0994,
	MC_SEQ_SUP_CNTL = 0x0a32,
	MC_SEQ_MISC0 = 0x0a80,
	ATC_MISC_CG = 0x0cd4,

	/* oss/oss_2_0_d.h: the interrupt ring, the SDMA engines, the register bus */
	SRBM_GFX_CNTL = 0x0391,
	SRBM_STATUS = 0x0394,
	SRBM_SOFT_RESET = 0x0398,
	HDP_MEM_POWER_LS = 0x0bd4,
	IH_VMID_0_LUT = 0x0f50,
	IH_RB_CNTL = 0x0f80,
	IH_RB_BASE = 0x0f81,
	IH_RB_RPTR = 0x0f82,
	IH_RB_WPTR = 0x0f83,
	IH_RB_WPTR_ADDR_HI = 0x0f84,
	IH_RB_WPTR_ADDR_LO = 0x0f85,
	IH_CNTL = 0x0f86,
	SDMA0_UCODE_ADDR = 0x3400,
	SDMA0_UCODE_DATA = 0x3401,
	SDMA0_POWER_CNTL = 0x3402,
	SDMA0_CNTL = 0x3404,
	SDMA0_F32_CNTL = 0x3412,
	SDMA0_GFX_RB_CNTL = 0x3480,
	SDMA0_GFX_RB_BASE = 0x3481,
	SDMA0_GFX_RB_BASE_HI = 0x3482,
	SDMA0_GFX_RB_RPTR = 0x3483,
	SDMA0_GFX_RB_WPTR = 0x3484,
	SDMA0_GFX_RB_RPTR_ADDR_HI = 0x3488,
	SDMA0_GFX_RB_RPTR_ADDR_LO = 0x3489,
	SDMA0_GFX_IB_CNTL = 0x348a,

	/* gca/gfx_7_2_d.h: the command processor and what hangs on it */
	CP_MEC_CNTL = 0x208d,
	CP_ME_CNTL = 0x21b6,
	CP_RB0_RPTR = 0x21c0,
	CP_RB0_BASE = 0x3040,
	CP_RB0_CNTL = 0x3041,
	CP_RB0_RPTR_ADDR = 0x3043,
	CP_RB0_RPTR_ADDR_HI = 0x3044,
	CP_RB0_WPTR = 0x3045,
	CP_INT_CNTL_RING0 = 0x306a,
	CP_MEM_SLP_CNTL = 0x3079,
	CP_ME1_PIPE0_INT_CNTL = 0x3085,
	CP_ME1_PIPE1_INT_CNTL = 0x3086,
	CP_ME1_PIPE2_INT_CNTL = 0x3087,
	CP_ME1_PIPE3_INT_CNTL = 0x3088,
	CP_RB0_BASE_HI = 0x30b1,
	RLC_CNTL = 0x30c0,
	RLC_MEM_SLP_CNTL = 0x30c6,
	RLC_CGCG_CGLS_CTRL = 0x3109,
	RLC_SERDES_WR_CTRL = 0x311f,
	CP_HQD_ACTIVE = 0x3247,
	CP_HQD_DEQUEUE_REQUEST = 0x325d,
	SCRATCH_REG0 = 0xc040,
	GRBM_GFX_INDEX = 0xc200,
};

#endif
