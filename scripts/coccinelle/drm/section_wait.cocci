// SPDX-License-Identifier: GPL-2.0-only
/// A device critical section, from drm_dev_enter() to drm_dev_exit() or that of
/// CLASS(drm_dev_section), must end without help: drm_dev_unplug() waits for it.
/// A fence signals only if somebody signals it, and a page of user memory may
/// come from a FUSE server that never answers.
///
//# Waits are also found in functions of the same file that are called inside
//# of the section. drm_dev_fence_wait() and drm_dev_wait_event() end when the
//# device goes.
//
// Confidence: Moderate
// Options: --no-includes --include-headers

virtual context
virtual report

@initialize:python@
@@
import os, re

sleeps = re.compile(r"(dma_fence_wait(_timeout|_any_timeout)?|dma_resv_wait_timeout|ttm_bo_wait_ctx|"
                    r"ttm_bo_vm_(reserve|fault_reserved)|drm_sched_entity_flush|drm_syncobj_\w*wait\w*|"
                    r"amdgpu_(sync_wait|bo_sync_wait\w*|fence_wait_(empty|polling))|"
                    r"wait_event|wait_event_lock_irq|wait_for_completion)$")
copies = re.compile(r"(_*copy_(to|from)_user(_inatomic)?|copy_struct_from_user|_*[gp]et_user|_*put_user|"
                    r"v?memdup_(array_)?user(_nul)?|strndup_user|simple_(read_from|write_to)_buffer|"
                    r"clear_user|kstrto\w+_from_user)$")
calls = {}	# directory: {function: {called}}

def graph(p, g):
    calls.setdefault(os.path.dirname(p.file), {}).setdefault(p.current_element, set()).add(g)

def found(p, g):
    """What g, called at p, is or comes to; None if it is harmless."""
    todo, seen = [g], set()
    while todo:
        name = todo.pop(0)
        if copies.match(name):
            return "copy of user memory", name
        if sleeps.match(name):
            return "wait for others", name
        if name not in seen:
            seen.add(name)
            todo += sorted(calls.get(os.path.dirname(p.file), {}).get(name, ()))
    return None

# A section of CLASS(drm_dev_section) ends with its block, of which the rule knows nothing.
def in_block(c, p):
    with open(c.file, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()[int(c.line) - 1:int(p.line)]
    lines[-1] = lines[-1][:int(p.column)]
    lines[0] = lines[0][int(c.column):]
    depth = 0
    for brace in re.findall(r"[{}]", "\n".join(lines)):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return True

reported = set()
def say(p, g):
    what = found(p, g)
    if what is None or (p.file, p.line, p.column) in reported:
        return
    reported.add((p.file, p.line, p.column))
    via = "" if what[1] == g else f", which calls {what[1]}(),"
    coccilib.report.print_report(p, f"{what[0]} inside of a section: {g}(){via} in {p.current_element}()")

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

// Each rule is followed by its report. Spatch carries matches that wait for theirs into
// every rule after, and multiplies them.

@after exists@
expression idx;
identifier g;
position p;
statement S;
@@
if (\( !drm_dev_enter(..., &idx) \| <+... !drm_dev_enter(..., &idx) ...+> \)) S
... when != drm_dev_exit(idx)
* g@p(...)

@script:python depends on report@
g << after.g;
p << after.p;
@@
say(p[0], g)

@inside exists@
expression idx, e;
identifier g;
position p;
@@
if (\( drm_dev_enter(..., &idx) \| e && drm_dev_enter(..., &idx) \)) {
... when != drm_dev_exit(idx)
* g@p(...)
... when any
}

@script:python depends on report@
g << inside.g;
p << inside.p;
@@
say(p[0], g)

@inside_else exists@
expression idx, e;
identifier g;
position p;
statement S;
@@
if (\( drm_dev_enter(..., &idx) \| e && drm_dev_enter(..., &idx) \)) {
... when != drm_dev_exit(idx)
* g@p(...)
... when any
} else S

@script:python depends on report@
g << inside_else.g;
p << inside_else.p;
@@
say(p[0], g)

@scoped exists@
symbol drm_dev_section;
identifier s, g;
position c, p;
@@
CLASS@c(drm_dev_section, s)(...);
... when any
* g@p(...)

@script:python depends on report@
g << scoped.g;
c << scoped.c;
p << scoped.p;
@@
if in_block(c[0], p[0]):
    say(p[0], g)
