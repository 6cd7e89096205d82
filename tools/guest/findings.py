# SPDX-License-Identifier: GPL-2.0
"""What counts as a finding in a kernel log."""

import re
from dataclasses import dataclass

# The stamp of printk, and with CONFIG_PRINTK_CALLER who said it.
STAMP = re.compile(r"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ")

# How the kernel begins a report. lockdep's come as WARNING, KASAN's and KFENCE's as BUG.
BEGIN = re.compile(r"""
      WARNING:\ (?!polling\ idle)       # WARN, lockdep, suspicious RCU usage
    | BUG:\                             # KASAN, KFENCE, page faults, sleeping in atomic, soft lockups
    | \[\ BUG:\                          # lockdep, too: invalid wait context, held lock freed
    | BUG\ [\w:-]+\ .*:\                # slab poison and red zones
    | kernel\ BUG\ at
    | UBSAN:\ 
    | KASAN:\  | KCSAN:\  | KFENCE:\ 
    | Oops: | Kernel\ panic | general\ protection\ fault | divide\ error: | invalid\ opcode:
    | int3: | stack\ segment:
    | Internal\ error:
    | INFO:\ task\ .*blocked\ for\ more\ than
    | INFO:\ .*stall
    | INFO:\ trying\ to\ register\ non-static\ key
    | rcu:\ INFO:\ .*stall
    | DEBUG_LOCKS_WARN_ON
    | ODEBUG:
    | refcount_t:
    | list_(?:add|del)\ corruption
    | Unable\ to\ handle\ kernel
    | watchdog:\ .*(?:hard|soft)\ LOCKUP
    | unregister_netdevice:\ waiting
    | scheduling\ while\ atomic
    | kmemleak:\ \d+\ new
    """, re.VERBOSE)

# Findings of the same report, not new ones.
END = re.compile(r"---\[ end trace|---\[ end Kernel panic|={20}$")
LINES = 80      # of one report at most

# What a report begins with that is none of ours: a part of its first lines, and the reason.
HARMLESS = {
    # udmabuf maps for a device of its own, which has no limits set. Nothing reads them there.
    "DMA-API: misc udmabuf: mapping sg segment longer": "stock udmabuf sets no maximal segment",
}


@dataclass
class Finding:
    title: str          # the line that made it one
    lines: list         # the report
    mark: int           # where in lines the title stands


def findings(log):
    """The reports in a log, in order."""
    lines = [STAMP.sub("", line) for line in log.replace("\r", "").split("\n")]
    stamped = log.replace("\r", "").split("\n")
    found = []
    i = 0
    while i < len(lines):
        if not BEGIN.match(lines[i]):
            i += 1
            continue
        # "cut here", what a WARN has to say, and lockdep's ruler stand before the title.
        before = range(max(i - 4, 0), i)
        first = next((k for k in before if "cut here" in lines[k] or lines[k].startswith("=====")), i)
        last = report_end(lines, i)
        if any(part in line for part in HARMLESS for line in lines[first:i + 1]):
            i = last + 1
            continue
        found.append(Finding(lines[i], stamped[first:last + 1], i - first))
        i = last + 1
    return found


def report_end(lines, begin):
    """The last line of the report that begins there."""
    for i in range(begin + 1, min(begin + LINES, len(lines))):
        if END.search(lines[i]):
            return i
        if "cut here" in lines[i] or lines[i].startswith(("drm-guest: end of run", "drm-check:")):
            return i - 1
    return min(begin + LINES, len(lines)) - 1
