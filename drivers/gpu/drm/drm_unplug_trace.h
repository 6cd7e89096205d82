/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#if !defined(_DRM_UNPLUG_TRACE_H_) || defined(TRACE_HEADER_MULTI_READ)
#define _DRM_UNPLUG_TRACE_H_

#include <linux/stringify.h>
#include <linux/tracepoint.h>
#include <linux/types.h>

#include <drm/drm_device.h>

#undef TRACE_SYSTEM
#define TRACE_SYSTEM drm
#define TRACE_INCLUDE_FILE drm_unplug_trace

TRACE_EVENT(drm_unplug_step,
	    TP_PROTO(struct drm_device *dev, const char *step, s64 ns),
	    TP_ARGS(dev, step, ns),
	    TP_STRUCT__entry(__string(dev, dev->unique)
			     __string(step, step)
			     __field(s64, ns)
	    ),
	    TP_fast_assign(__assign_str(dev);
			   __assign_str(step);
			   __entry->ns = ns;
	    ),
	    TP_printk("dev=%s step=%s ns=%lld",
		      __get_str(dev), __get_str(step), __entry->ns)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../drivers/gpu/drm
#include <trace/define_trace.h>
