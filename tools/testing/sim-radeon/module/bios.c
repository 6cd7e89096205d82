// SPDX-License-Identifier: GPL-2.0
/*
 * The BIOS image: the least that amdgpu and radeon accept as an ATOM BIOS of a posted card. Its
 * layout is in drivers/gpu/drm/amd/include/atombios.h. There are no connectors and no tables of
 * commands: what would run them (display, power management) is not simulated.
 */

#include <linux/slab.h>
#include <linux/unaligned.h>

#include "sim.h"

enum {
	IMAGE_SIZE	= 32 << 10,
	PCI_DATA	= 0x1a0,	/* PCI Firmware Specification: the data structure PCIR */
	NAME		= 0x1c0,
	ROM_HEADER	= 0x200,	/* ATOM_ROM_HEADER */
	COMMANDS	= 0x300,	/* ATOM_MASTER_COMMAND_TABLE, empty */
	DATA		= 0x400,	/* ATOM_MASTER_DATA_TABLE */
	FIRMWARE_INFO	= 0x500,	/* ATOM_FIRMWARE_INFO_V2_2 */
	INDIRECT_IO	= 0x600,	/* IndirectIOAccess, empty */
};

static void put16(u8 *image, int where, u16 value)
{
	put_unaligned_le16(value, image + where);
}

static void put32(u8 *image, int where, u32 value)
{
	put_unaligned_le32(value, image + where);
}

/* ATOM_COMMON_TABLE_HEADER: size, format revision, content revision */
static void put_header(u8 *image, int where, u16 size, u8 format, u8 content)
{
	put16(image, where, size);
	image[where + 2] = format;
	image[where + 3] = content;
}

int sim_bios_init(struct sim_card *card)
{
	u8 *image = kzalloc(IMAGE_SIZE, GFP_KERNEL);

	if (!image)
		return -ENOMEM;

	put16(image, 0, 0xaa55);
	image[2] = IMAGE_SIZE / 512;
	put16(image, 0x18, PCI_DATA);
	memcpy(image + 0x30, " 761295520", 10);		/* ATI_MAGIC in atom.h */
	put16(image, 0x48, ROM_HEADER);
	memcpy(image + 0x50, "01/01/26 00:00", 14);	/* date of the image */
	put16(image, 0x6e, 0x80);			/* ATOM_ROM_PART_NUMBER_PTR */
	snprintf(image + 0x80, 32, "SIM-RADEON %s", card->chip->name);

	memcpy(image + PCI_DATA, "PCIR", 4);
	put16(image, PCI_DATA + 0x04, 0x1002);
	put16(image, PCI_DATA + 0x06, card->chip->device);
	put16(image, PCI_DATA + 0x0a, 0x18);		/* its length */
	put16(image, PCI_DATA + 0x10, IMAGE_SIZE / 512);
	image[PCI_DATA + 0x15] = 0x80;			/* the last image */

	put_header(image, ROM_HEADER, 0x24, 1, 1);
	memcpy(image + ROM_HEADER + 0x04, "ATOM", 4);
	put16(image, ROM_HEADER + 0x0c, NAME);		/* usConfigFilenameOffset */
	put16(image, ROM_HEADER + 0x1e, COMMANDS);
	put16(image, ROM_HEADER + 0x20, DATA);

	put_header(image, COMMANDS, 0xa8, 1, 1);
	put_header(image, DATA, 0x48, 1, 1);
	put16(image, DATA + 0x0c, FIRMWARE_INFO);
	put16(image, DATA + 0x32, INDIRECT_IO);
	put_header(image, FIRMWARE_INFO, 0x80, 2, 2);
	put32(image, FIRMWARE_INFO + 0x04, 0x0f000001);	/* ulFirmwareRevision */
	put32(image, FIRMWARE_INFO + 0x08, 80000);	/* engine clock, 10 kHz */
	put32(image, FIRMWARE_INFO + 0x0c, 100000);	/* memory clock, 10 kHz */
	put16(image, INDIRECT_IO, 8);

	memset_io(card->rom, 0, SIM_ROM_SIZE);
	memcpy_toio(card->rom, image, IMAGE_SIZE);
	kfree(image);
	return 0;
}
