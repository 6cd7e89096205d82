# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every script here shares. Source it:
#	. "$(dirname "$(readlink -f "$0")")/../tree/lib.sh"
# Sets TOP (the repository), BUILD, CACHE, BUILD_ROOT, LINUX (the tree that is built) and
# KERNEL_LINE (the kernels that the series is for).

TOP=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
BUILD=$TOP/build
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/drm-unplug
BUILD_ROOT=$CACHE/build-root
LINUX=$BUILD/linux
KERNEL_LINE=7.2
export TOP BUILD CACHE BUILD_ROOT LINUX KERNEL_LINE

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# The kernel's make cannot do with them, and says so in riddles.
case $TOP$CACHE in
*[[:space:]:]*) die "a space or a colon in '$TOP' or '$CACHE': use a directory without, and XDG_CACHE_HOME" ;;
esac

need_root() {
	[ "$(id -u)" = 0 ] || die "needs root: run it again with sudo"
}

# need_space DIR GIGABYTES: a full disk half way through is hard to read.
need_space() {
	local free
	mkdir -p "$1" || die "cannot create $1: choose another place with XDG_CACHE_HOME"
	free=$(df --output=avail -BG "$1" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge "$2" ] ||
		die "$1 has $free GB free and $2 GB are needed: free some space or choose another place with XDG_CACHE_HOME"
}

# locked NAME [DIR]: hold a lock of that name until the script ends. A lock of the cache, or of
# what is in DIR.
locked() {
	local fd dir=${2:-$CACHE}
	mkdir -p "$dir"
	exec {fd}>"$dir/.$1.lock"
	flock -n "$fd" && return
	say "waiting for another run to finish with $1 ..."
	flock "$fd"
}

# host_packages PKG...: install on this machine what is missing.
host_packages() {
	local pkg missing=()
	command -v apt-get >/dev/null || die "needs a Debian machine with apt-get"
	for pkg; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$pkg" 2>/dev/null)" = installed ] ||
			missing+=("$pkg")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	need_root
	say "installing on this machine: ${missing[*]}"
	local log apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
	log=$(mktemp)
	# An update can fail for a source that is none of our business: the install decides.
	"${apt[@]}" update >"$log" 2>&1 || true
	"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null || {
		grep -E '^[EW]:' "$log" | tail -n 5 >&2
		rm -f "$log"
		die "apt-get could not install ${missing[*]}: check the network and 'apt-get update', then run this again"
	}
	rm -f "$log"
}

# mirror: the Debian archive that this machine's apt uses. DRM_UNPLUG_MIRROR overrides.
mirror() {
	local codename uri
	if [ -n "${DRM_UNPLUG_MIRROR:-}" ]; then
		echo "$DRM_UNPLUG_MIRROR"
		return
	fi
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# Release names what stands in the sources, so this works before any update, too.
	uri=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk -v want="$codename" '
			$2 != "main" || $1 ~ /security/ { next }
			$1 == want { print $3; found = 1; exit }
			/\/debian\/?$/ && !other { other = $3 }
			END { if (!found && other) print other }')
	case $uri in
	mirror+file:*)	# a list of mirrors, as cloud images have
		uri=$(grep -hoE '^[^#[:space:]]+' "${uri#mirror+file:}" 2>/dev/null | head -n 1) ;;
	esac
	case $uri in
	http://* | https://* | file:* | copy:*) echo "${uri%/}" ;;
	*) die "apt on this machine names no Debian archive: set DRM_UNPLUG_MIRROR to the address of one" ;;
	esac
}

# kernel_version: the stock kernel that all is built for, for instance 7.2.12+deb13-amd64.
kernel_version() {
	[ -s "$BUILD_ROOT/kv" ] || "$TOP/tools/tree/build-root" >&2
	cat "$BUILD_ROOT/kv"
}

# in_build_root CMD...: run CMD in the Debian 13 build root, in this directory, with the
# repository (and what BUILD_ROOT_BINDS names, one path a word) at the same path.
# The mounts are private to the command: nothing stays mounted, whatever happens to it.
in_build_root() {
	[ -s "$BUILD_ROOT/.complete" ] || "$TOP/tools/tree/build-root"
	mkdir -p "$CACHE/ccache"
	# shellcheck disable=SC2016 # expanded by the inner shell
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES \
	    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
	    CCACHE_DIR="$CACHE/ccache" CCACHE_BASEDIR="$TOP" CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=5G \
	unshare --mount --propagation private bash -euc '
		root=$1 dir=$2 binds=$3; shift 3
		mount --bind "$root" "$root"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
		for b in $binds; do
			mkdir -p "$root$b"
			mount --bind "$b" "$root$b"
		done
		mount -o remount,bind,ro "$root" "$root"
		exec chroot "$root" sh -c '\''cd "$1" && shift && exec "$@"'\'' sh "$dir" "$@"
	' in_build_root "$BUILD_ROOT" "$PWD" "$TOP $CACHE/ccache ${BUILD_ROOT_BINDS:-}" "$@"
}

# for_kernel: choose the kernel that modules are for: that of KDIR=DIR, which is built for with the
# tools of this machine, or Debian's in the build root. Sets KV (its version), HEADERS (where its
# headers are), ROOT (before every path of that kernel) and MODULES (where our modules for it go),
# and makes run CMD... run the right tools.
for_kernel() {
	if [ -n "${KDIR:-}" ]; then
		HEADERS=$(readlink -m "$KDIR")
		[ -e "$HEADERS/include/config/auto.conf" ] ||
			die "KDIR=$KDIR has no configured kernel headers: install linux-headers-\$(uname -r), or name their directory"
		host_packages make
		KV=$(make -s -C "$HEADERS" kernelrelease)
		[[ $KV == "$KERNEL_LINE".* ]] ||
			die "KDIR=$KDIR is for kernel $KV: only $KERNEL_LINE.y is supported"
		ROOT=''
		MODULES=$BUILD/modules.$KV
		run() { "$@"; }
	else
		KV=$(kernel_version)
		HEADERS=/usr/src/linux-headers-$KV
		ROOT=$BUILD_ROOT
		MODULES=$BUILD/modules
		run() { in_build_root "$@"; }
	fi
}

# pristine_drm DIR: make DIR the parts of the kernel that DRM modules are built from, without our
# work and without the drivers that we do not build. By content: an unchanged file keeps its time.
pristine_drm() {
	local dir f
	host_packages rsync
	mkdir -p "$1/drivers/gpu" "$1/include/uapi"
	for dir in drivers/gpu/drm drivers/accel include/drm include/uapi/drm; do
		rsync -rc --delete --exclude={/i915,/nouveau,/xe} "$LINUX/$dir/" "$1/$dir/"
	done
	while read -r f; do
		case $f in
		drivers/* | include/*) put_or_remove "$BUILD/.tree/pristine/$f" "$1/$f" ;;
		esac
	done <"$BUILD/.tree/touched"
}

# put_or_remove FROM TO: make TO like FROM, also where FROM does not exist.
put_or_remove() {
	if [ ! -e "$1" ]; then
		rm -f "$2"
	elif ! cmp -s "$1" "$2"; then
		mkdir -p "${2%/*}"
		cp "$1" "$2"
	fi
}
