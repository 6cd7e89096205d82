# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# What the drm-* programs of the guest share. How devices are found, made, pulled and plugged,
# by bus; ../devices says which device has which.

JOB=/usr/lib/drm-guest/job
STATE=/run/drm-guest
PLUG_SECONDS=60		# for a driver to come up again (qxl: 31 s with an old fd open)

say() { echo "${0##*/}: $*" >&2; }
fail() { say "$*"; exit 1; }
skip() { say "$*"; exit 4; }

# Sets id, slot, module, driver, bus and pull of device $1.
read_device() {
	while read -r name id slot module driver bus pull; do
		[ "$name" = "$1" ] && return
	done <$JOB/devices
	fail "no device $1: this guest has: $(cut -d' ' -f1 $JOB/devices | tr '\n' ' ')"
}

# Sets where to the sysfs directory of the device, or fails if there is none (now).
find_device() {
	case $bus in
	pci) set -- /sys/bus/pci/devices/0000:00:"$slot".0/0000:*/vendor ;;
	sim) set -- /sys/bus/pci/devices/00"$slot":01:00.0/vendor ;;
	configfs) set -- /sys/devices/faux/"$id"/uevent ;;
	usb) set -- /sys/devices/platform/dummy_hcd.0/usb*/*-1/*-1:1.0/uevent ;;
	platform) set -- /sys/devices/platform/"${module%_device}"/uevent ;;
	*) set -- /sys/devices/faux/"$module"/uevent ;;
	esac
	[ -e "$1" ] || return
	where=$(readlink -f "${1%/*}")
}

# Sets card, render (/dev paths), parent (the device in sysfs that has the driver) and bound
# (that driver's name). Fails without a card.
find_card() {
	card= render= parent= bound=
	find_device || return
	parent=$where
	# A virtio function is a bus: its driver is on the device behind.
	for drm in "$where"/virtio*; do
		[ -e "$drm" ] && parent=$drm
	done
	for drm in "$where"/drm/* "$parent"/drm/*; do
		[ -e "$drm/dev" ] || continue
		case ${drm##*/} in
		card*) card=/dev/dri/${drm##*/} ;;
		render*) render=/dev/dri/${drm##*/} ;;
		esac
	done
	[ ! -e "$parent/driver" ] || bound=$(basename "$(readlink -f "$parent/driver")")
	[ -n "$bound" ] && [ -c "$card" ]
}

settle() {
	[ ! -e /run/udev/control ] || udevadm settle
}

# Until the card of the device is there, which may take its driver a while.
wait_card() {
	tries=$((PLUG_SECONDS * 20))
	until find_card; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return
		sleep 0.05
	done
	settle
}

# The smallest vkms: a plane, a CRTC, an encoder, a connector.
make_vkms() {
	dir=/sys/kernel/config/vkms/$id
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || return
	mkdir "$dir" && (
		cd "$dir" &&
		mkdir planes/p crtcs/c encoders/e connectors/o &&
		echo 1 >planes/p/type &&
		ln -s "$dir/crtcs/c" planes/p/possible_crtcs/c &&
		ln -s "$dir/crtcs/c" encoders/e/possible_crtcs/c &&
		ln -s "$dir/encoders/e" connectors/o/possible_encoders/e &&
		echo 1 >enabled
	)
}

# All simulated cards are made at once, with the first one: the module is loaded only once.
SIM_RADEON=/sys/kernel/debug/sim-radeon
make_sim_radeon() {
	[ -e $SIM_RADEON ] || {
		mkdir -p /lib/firmware && cp -r $JOB/sim-radeon/firmware/* /lib/firmware/ || return
		insmod $JOB/sim-radeon/sim-radeon.ko chip="$(
			sed -n 's/^sim-\([a-z]*\).* sim .*/\1/p' $JOB/devices | paste -sd,)" || return
	}
	modprobe "$module" && echo plug >"$SIM_RADEON/card$((slot - 1))/control"
}

# One that this kernel lacks comes with the tests, and what it uses is in the usual place.
load_module() {
	[ -e "$JOB/modules/$1.ko" ] || { modprobe "$1"; return; }
	modinfo -F depends "$JOB/modules/$1.ko" | tr , '\n' | xargs modprobe -a && insmod "$JOB/modules/$1.ko"
}

# A USB display at the port of dummy_hcd: a gadget whose function is the program usb-display.
# Writing to UDC plugs it in and pulls it out.
GADGET=/sys/kernel/config/usb_gadget/display
UDC=dummy_udc.0
make_usb_display() {
	case $module in
	udl) usb_id='0x17e9 0x0141' ;;
	gud) usb_id='0x1d50 0x614d' ;;
	esac
	mountpoint -q /sys/kernel/config || modprobe configfs
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || return
	modprobe -a dummy_hcd libcomposite usb_f_fs &&
		mkdir $GADGET && mkdir $GADGET/strings/0x409 $GADGET/configs/c.1 $GADGET/functions/ffs.display || return
	echo "${usb_id% *}" >$GADGET/idVendor && echo "${usb_id#* }" >$GADGET/idProduct &&
		echo 1 >$GADGET/strings/0x409/serialnumber &&
		ln -s $GADGET/functions/ffs.display $GADGET/configs/c.1/ || return
	mkdir -p /run/usb-display && mount -t functionfs display /run/usb-display || return
	mkfifo $STATE/usb-display
	usb-display "$module" /run/usb-display >$STATE/usb-display &
	read -r ready <$STATE/usb-display && load_module "$module" && echo $UDC >$GADGET/UDC
}
