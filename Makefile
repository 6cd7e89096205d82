# SPDX-License-Identifier: GPL-2.0
# DRM device hot-unplug: every command of this tree. `make` alone lists them.

.DEFAULT_GOAL := help
.NOTPARALLEL:

# Variables that a user may give; exported for the scripts.
export KSRC KDIR DESTDIR AMDGPU

help:	## this list
	@echo 'make TARGET (as root; what is missing on the machine is fetched):'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' Makefile | while read -r t d; do printf '  %-13s %s\n' "$$t" "$$d"; done
	@echo 'variables:'
	@echo '  KSRC=DIR     use this Linux 7.2 tree instead of Debian'"'"'s (it is copied, never changed)'
	@echo '  KDIR=DIR     modules, install: headers to build with, such as /lib/modules/$$(uname -r)/build'
	@echo '  AMDGPU=full   modules: amdgpu as well, with its display part (takes long)'
	@echo '  DESTDIR=DIR  install, uninstall: below this directory'
	@echo '  XDG_CACHE_HOME=DIR  where downloads and build roots go (default ~/.cache)'

demo:	## pull nine devices, on stock modules and on ours, and show a table
	@tools/demo/demo

check:	## everything that can fail, close to an hour: static checks, unit tests, selftests, IGT, simulated cards
	@tools/check

tree:	## the kernel source with our patches and files, in build/linux
	@tools/tree/tree

modules:	## replacement modules for the stock Debian kernel, compared with its own
	@tools/tree/modules

install:	## put the modules where modprobe prefers them (/lib/modules/VERSION/updates)
	@tools/tree/install install

uninstall:	## take them out again
	@tools/tree/install uninstall

layout:	## compare every structure that a prebuilt driver sees with the stock kernel
	@tools/tree/layout

kunit:	## the unit tests, on UML with SMP, KASAN and lockdep
	@tools/tree/kunit

kunit-guest:	## the unit tests that UML cannot have (amdgpu), in the guest with the debug kernel
	@tools/guest/kunit

selftests:	## the tests with libdrm on real drivers in the guest, stock beside ours
	@tools/testing/selftests/drm_unplug/run

debug-kernel:	## a kernel for the guest with KASAN, lockdep and kmemleak, shown to work
	@tools/guest/debug-kernel test

cycles:	## 1,000 times unplugged and plugged with eight clients; and so with KASAN and lockdep, on UML
	@tools/testing/selftests/drm_unplug/cycles --uml
	@tools/testing/selftests/drm_unplug/cycles

compositors:	## weston, sway, cage, mutter and KWin when a GPU is pulled, stock beside ours (another 1 GB root)
	@tools/testing/compositors/run

igt:	## IGT core_hotunplug on the PCI devices of QEMU (on simulated cards: make sim)
	@tools/testing/selftests/drm_unplug/igt

model:	## check a model of the unplug protocol with spin, and that it can fail
	@tools/model/check

sim:	## amdgpu and radeon on a simulated card: its tests, the known bugs, one unplug in detail
	@tools/testing/sim-radeon/run

bench:	## what it costs: the guard, an unplug with many maps
	@tools/bench/bench

coccicheck:	## run the Coccinelle scripts of scripts/coccinelle/drm over all of DRM
	@tools/tree/coccinelle

driver-table:	## write the table of all drivers in Documentation/gpu/drm-unplug-drivers.rst
	@tools/tree/tree
	@tools/tree/driver-table

series:	## the work as mail-ready patches, in build/series
	@tools/tree/series

checkpatch:	## checkpatch --strict on the series
	@tools/tree/checkpatch

sparse:	## sparse on our files and on those that we patch
	@tools/tree/sparse

clean:	## remove build/ (downloads stay in the cache)
	rm -rf build

.PHONY: help demo check tree modules install uninstall layout kunit kunit-guest selftests cycles compositors debug-kernel igt model sim bench coccicheck driver-table series \
	checkpatch sparse clean
