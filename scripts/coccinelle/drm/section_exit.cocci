// SPDX-License-Identifier: GPL-2.0-only
/// Each drm_dev_enter() that succeeds needs a drm_dev_exit() on every path.
/// After one that was left out drm_dev_unplug() waits for ever.
//
// Confidence: Moderate
// Options: --no-includes --include-headers

virtual context
virtual report

@initialize:python@
@@
reported = set()
def say(p, q):
    if (p.file, p.line) in reported:
        return
    reported.add((p.file, p.line))
    coccilib.report.print_report(p, f"no drm_dev_exit() on the way to line {q.line} in {p.current_element}()")

@ret exists@
expression idx;
position p, q;
statement S;
@@
if (\( !drm_dev_enter@p(..., &idx) \| <+... !drm_dev_enter@p(..., &idx) ...+> \)) S
... when != drm_dev_exit(idx)
* return@q ...;

@end exists@
expression idx;
identifier f;
position p, q;
statement S;
@@
f@q(...)
{
... when any
* if (\( !drm_dev_enter@p(..., &idx) \| <+... !drm_dev_enter@p(..., &idx) ...+> \)) S
... when != drm_dev_exit(idx)
    when != return ...;
}

@negated@
position p;
@@
!drm_dev_enter@p(...)

@closed@
expression idx, e;
position p;
@@
if (\( drm_dev_enter@p(..., &idx) \| e && drm_dev_enter@p(..., &idx) \)) {
... drm_dev_exit(idx)
... when any
}

@closed_else@
expression idx, e;
position p;
statement S;
@@
if (\( drm_dev_enter@p(..., &idx) \| e && drm_dev_enter@p(..., &idx) \)) {
... drm_dev_exit(idx)
... when any
} else S

@block@
expression idx, e;
position p != { negated.p, closed.p, closed_else.p };
statement S, S2;
@@
* if (\( drm_dev_enter@p(..., &idx) \| e && drm_dev_enter@p(..., &idx) \)) S else S2

@block_ret exists@
expression idx, e;
position p, q;
statement S;
@@
(
if (\( drm_dev_enter@p(..., &idx) \| e && drm_dev_enter@p(..., &idx) \)) {
... when != drm_dev_exit(idx)
* return@q ...;
... when any
}
|
if (\( drm_dev_enter@p(..., &idx) \| e && drm_dev_enter@p(..., &idx) \)) {
... when != drm_dev_exit(idx)
* return@q ...;
... when any
} else S
)

@script:python depends on report@
p << ret.p;
q << ret.q;
@@
say(p[0], q[0])

@script:python depends on report@
p << end.p;
q << end.q;
@@
say(p[0], p[0])

@script:python depends on report@
p << block.p;
@@
say(p[0], p[0])

@script:python depends on report@
p << block_ret.p;
q << block_ret.q;
@@
say(p[0], q[0])
