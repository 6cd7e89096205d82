// SPDX-License-Identifier: GPL-2.0-only
/// A VMA is linked into its address_space only after ->mmap has returned.
/// drm_dev_unplug() zaps the maps that it finds there. For page table entries
/// that ->mmap has filled it has to wait, and it can do so only for maps that are
/// made by drm_gem_mmap() and its like. Fill them in a fault handler.
///
//# Calls are followed through functions of the same file.
//
// Confidence: High
// Options: --no-includes --include-headers

virtual context
virtual report

@initialize:python@
@@
import re

helper = re.compile(r"drm_gem_\w*mmap$")
calls = {}	# file: {function: {called}}
roots = {}	# file: {function}

def graph(p, g):
    calls.setdefault(p.file, {}).setdefault(p.current_element, set()).add(g)

def say(p, g):
    # A helper is used from other files.
    seen, todo = set(), sorted(roots.get(p.file, ())) + [f for f in calls.get(p.file, ()) if helper.match(f)]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += calls.get(p.file, {}).get(name, ())
    if p.current_element in seen:
        coccilib.report.print_report(p, f"{g}() fills page tables in ->mmap in {p.current_element}()")

@call@
identifier g;
position p;
@@
g@p(...)

@script:python@
g << call.g;
p << call.p;
@@
graph(p[0], g)

// ->mmap of a GEM object, a file, a dma-buf; hw_mmap and the like of drivers.
@root@
identifier t, s, f, m =~ "mmap$";
position p;
@@
struct t s = { ..., .m = f@p, ... };

@script:python@
f << root.f;
p << root.p;
@@
roots.setdefault(p[0].file, set()).add(f)

@eager@
identifier g =~ "^(io_)?remap_pfn_range|^dma_mmap_|^vm_insert_pages?$|^vm_map_pages|^vm_iomap_memory$|^remap_vmalloc_range$";
position p;
@@
* g@p(...)

@script:python depends on report@
g << eager.g;
p << eager.p;
@@
say(p[0], g)
