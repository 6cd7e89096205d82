// SPDX-License-Identifier: GPL-2.0-only
/// drm_dev_unplug() and drm_dev_unregister() wait until all device critical
/// sections have ended. Called in one, they wait for their own caller. Queue
/// work instead.
///
//# Calls are followed through functions of the same directory, as far as its
//# files are given to spatch together. So use --file-groups, or name them.
//
// Confidence: Moderate
// Options: --no-includes --include-headers

virtual context
virtual report

@initialize:python@
@@
import os, re

targets = ("drm_dev_unplug", "drm_dev_unregister", "drm_put_dev")
calls = {}	# directory: {function: {called}}

def graph(p, g):
    calls.setdefault(os.path.dirname(p.file), {}).setdefault(p.current_element, set()).add(g)

def found(p, g):
    """The functions on the way from g to an unplug, or None."""
    todo, seen = [[g]], set()
    while todo:
        path = todo.pop(0)
        if path[-1] in targets:
            return path
        if path[-1] not in seen:
            seen.add(path[-1])
            todo += [path + [n] for n in sorted(calls.get(os.path.dirname(p.file), {}).get(path[-1], ()))]
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
    path = found(p, g)
    if path is None or (p.file, p.line, p.column) in reported:
        return
    reported.add((p.file, p.line, p.column))
    coccilib.report.print_report(p, f"unplug inside of a section: {' > '.join(path)} in {p.current_element}()")

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
