# SPDX-License-Identifier: GPL-2.0
"""Simulated cards (tools/testing/sim-radeon) in a guest: memory, kernel words, files."""

import os
import shutil

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
# One per card, kept from the kernel: 272 MiB on a boundary of 256 MiB.
BASES = (0x60000000, 0x40000000)

# What is not simulated must not be started: see tools/testing/sim-radeon/README.md. And udev
# is not to load the other driver, too.
DRIVER_WORDS = {
    "amdgpu": ["amdgpu.ip_block_mask=0x5f", "amdgpu.virtual_display=all", "amdgpu.dc=0",
               "amdgpu.num_kcq=0", "amdgpu.cg_mask=0", "amdgpu.pg_mask=0", "amdgpu.runpm=0",
               "amdgpu.exp_hw_support=1", "amdgpu.sched_policy=2", "modprobe.blacklist=radeon"],
    "radeon": ["radeon.cik_support=1", "amdgpu.cik_support=0", "radeon.dpm=0", "radeon.aspm=0",
               "radeon.pcie_gen2=0", "radeon.runpm=0", "modprobe.blacklist=amdgpu"],
}


def cards(devices):
    return [d for d in devices if d["bus"] == "sim"]


def place(devices):
    """Number the cards: slot is the PCI domain. Returns what is wrong, if anything is."""
    found = cards(devices)
    for i, card in enumerate(found):
        card["slot"] = 1 + i
    if len(found) > len(BASES):
        return f"{len(BASES)} simulated cards at most"
    if len({d["driver"] for d in found}) > 1:
        return "simulated cards for amdgpu and for radeon do not go together: one driver takes all"
    return None


def kernel_words(devices):
    found = cards(devices)
    words = [f"memmap=272M${base:#x}" for base in BASES[:len(found)]]
    return words + (DRIVER_WORDS[found[0]["driver"]] if found else [])


def prepare(job, devices, shell, modules_dir):
    """Build module and firmware, if need be, and put them where the guest finds them. For
    another kernel than the stock one, the module is among that kernel's."""
    if not cards(devices):
        return
    shell([os.path.join(TOP, "tools", "testing", "sim-radeon", "build")])
    out = os.path.join(TOP, "build", "sim-radeon")
    os.mkdir(os.path.join(job, "sim-radeon"))
    module = os.path.join(modules_dir, "extra") if modules_dir else out
    shutil.copy(os.path.join(module, "sim-radeon.ko"), os.path.join(job, "sim-radeon"))
    shutil.copytree(os.path.join(out, "firmware"), os.path.join(job, "sim-radeon", "firmware"))
