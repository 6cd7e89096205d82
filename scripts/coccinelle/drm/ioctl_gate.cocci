// SPDX-License-Identifier: GPL-2.0-only
/// drm_ioctl() refuses every ioctl of a device that is gone, with ENODEV. What
/// a driver does in a wrapper before it calls drm_ioctl() runs without that:
/// on a device that is gone, or with another errno for user space.
///
//# drm_dev_is_gone(), drm_dev_enter() and drm_dev_is_unplugged() in front of
//# it count as a gate.
//
// Confidence: High
// Options: --no-includes --include-headers

virtual context
virtual report

@initialize:python@
@@
harmless = ("_IOC_NR", "_IOC_TYPE", "_IOC_SIZE", "_IOC_DIR", "DRM_IOCTL_NR", "WARN_ON", "WARN_ON_ONCE", "likely",
            "unlikely", "drm_ioctl_flags", "ARRAY_SIZE", "file_inode", "container_of", "offsetof",
            "array_index_nospec")
reported = set()
def say(p, text):
    if (p.file, p.line) not in reported:
        reported.add((p.file, p.line))
        coccilib.report.print_report(p, f"{text} in {p.current_element}()")

@root@
identifier s, f, m =~ "^(unlocked|compat)_ioctl$";
@@
struct file_operations s = { ..., .m = f, ... };

// It is a wrapper if it calls drm_ioctl() at all.
@wrapper@
identifier root.f;
identifier g =~ "^drm_(compat_)?ioctl$|_drm_ioctl$";
position q;
@@
f@q(...) { <+... g(...) ...+> }

@before exists@
identifier root.f;
position wrapper.q;
identifier g !~ "^drm_(compat_)?ioctl$|_drm_ioctl$|^drm_dev_(is_gone|enter|is_unplugged)$";
position p;
@@
f@q(...)
{
... when != drm_ioctl(...)
    when != drm_compat_ioctl(...)
    when != drm_dev_is_gone(...)
    when != drm_dev_is_unplugged(...)
    when != drm_dev_enter(...)
* g@p(...)
... when any
}

@answer exists@
identifier root.f;
position wrapper.q;
identifier g =~ "^drm_(compat_)?ioctl$|_drm_ioctl$";
expression e;
position p;
@@
f@q(...)
{
... when != g(...)
    when != drm_dev_is_gone(...)
    when != drm_dev_is_unplugged(...)
    when != drm_dev_enter(...)
(
  return <+... g(...) ...+>;
|
* return@p e;
)
}

@script:python depends on report@
g << before.g;
p << before.p;
@@
if g not in harmless and not g.startswith("to_"):
    say(p[0], f"{g}() runs before drm_ioctl()")

@script:python depends on report@
p << answer.p;
@@
say(p[0], "an answer without drm_ioctl()")
