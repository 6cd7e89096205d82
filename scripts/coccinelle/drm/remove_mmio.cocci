// SPDX-License-Identifier: GPL-2.0-only
/// Registers are touched after their mapping has gone, or after drm_dev_unplug()
/// without drm_dev_enter(): the device may be gone, so a read gives all ones,
/// and another device may have its addresses by then.
///
//# Calls are followed through functions of the same file, but not into those
//# that call drm_dev_enter().
//
// Confidence: Low
// Options: --no-includes --include-headers

virtual context
virtual report

@initialize:python@
@@
import re

access = re.compile(r"_*(read|write)[bwlq](_relaxed|_poll_timeout\w*)?$|io(read|write)(8|16|32|64)\w*$|memcpy_(from|to)io$|"
                    r"memset_io$|(in|out)[bwl]$|[RW]REG(8|16|32)\w*$|regmap_(write|read|update_bits)$")
guards = ("drm_dev_enter", "drm_dev_is_unplugged", "pci_dev_is_disconnected")
calls = {}	# file: {function: {called}}

def graph(p, g):
    calls.setdefault(p.file, {}).setdefault(p.current_element, set()).add(g)

def found(p, g):
    """The functions on the way from g to an access, or None."""
    todo, seen = [[g]], set()
    while todo:
        path = todo.pop(0)
        if access.match(path[-1]):
            return path
        called = calls.get(p.file, {}).get(path[-1], set())
        if path[-1] not in seen and not called.intersection(guards):
            seen.add(path[-1])
            todo += [path + [n] for n in sorted(called)]
    return None

reported = set()
def say(p, g, what):
    path = found(p, g)
    if path and (p.file, p.line) not in reported:
        reported.add((p.file, p.line))
        coccilib.report.print_report(p, f"access after {what}: {' > '.join(path)} in {p.current_element}()")

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

// What is unmapped must be what is used, or what a called function is given.
@unmapped exists@
expression x, y;
identifier g, m;
position p;
@@
(
 iounmap(x->m)
|
 pci_iounmap(..., x->m)
|
 devm_iounmap(..., x->m)
)
... when != x = y
    when != x->m = y
(
* g@p(..., <+... x->m ...+>, ...)
|
* g@p(x, ...)
|
* g@p(..., x)
)

@plain exists@
expression y;
idexpression x;
identifier g;
position p;
@@
(
 iounmap(x)
|
 pci_iounmap(..., x)
|
 devm_iounmap(..., x)
)
... when != x = y
* g@p(..., <+... x ...+>, ...)

@unplugged exists@
identifier g;
position p;
@@
drm_dev_unplug(...)
... when != drm_dev_enter(...)
    when != drm_dev_is_unplugged(...)
* g@p(...)

@script:python depends on report@
g << unmapped.g;
p << unmapped.p;
@@
say(p[0], g, "iounmap()")

@script:python depends on report@
g << plain.g;
p << plain.p;
@@
say(p[0], g, "iounmap()")

@script:python depends on report@
g << unplugged.g;
p << unplugged.p;
@@
say(p[0], g, "drm_dev_unplug() without a section")
