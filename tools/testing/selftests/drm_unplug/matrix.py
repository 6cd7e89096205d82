# SPDX-License-Identifier: GPL-2.0
"""What run, igt and the demo share: guests, two at a time, and tables of what is expected."""

import concurrent.futures
import fnmatch
import os
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "../../../.."))
GUEST = os.path.join(TOP, "tools/guest")
SIM_RADEON = os.path.join(TOP, "tools/testing/sim-radeon")
BUILD = os.path.join(TOP, "build")
REPORT = os.path.join(BUILD, "report")
SELFTESTS = os.path.join(BUILD, "selftests")
sys.path.insert(0, GUEST)

from findings import findings  # noqa: E402

started = time.monotonic()
_lock = threading.Lock()


def say(text):
    """Progress, with the seconds since the start."""
    with _lock:
        print(f"# {time.monotonic() - started:4.0f} s  {text}", file=sys.stderr, flush=True)


def die(text):
    sys.exit(f"{os.path.basename(sys.argv[0])}: error: {text}")


def prepare(directory, sets):
    """All that the guests share is made before two of them want it at once."""
    if os.geteuid():
        die("needs root: run it again with sudo")
    os.makedirs(os.path.join(REPORT, directory), exist_ok=True)
    steps = [[os.path.join(HERE, "build")], [os.path.join(GUEST, "root")], [os.path.join(SIM_RADEON, "build")]]
    steps += [[os.path.join(GUEST, "debug-kernel")] if name == "debug" else [os.path.join(GUEST, "modules"), name]
              for name in sets]
    # A fresh clone has none yet; later on it is for the user to say when to build.
    if "ours" in sets and not os.path.exists(os.path.join(BUILD, "modules/kv")):
        steps.insert(0, [os.path.join(TOP, "tools/tree/modules")])
    for step in steps:
        # Each says itself what is wrong and what to do.
        if subprocess.run(step, check=False, stdout=subprocess.DEVNULL).returncode:
            sys.exit(1)


def device_line(device):
    """The words of a device in tools/guest/devices: name, module, driver, bus, methods."""
    with open(os.path.join(GUEST, "devices")) as lines:
        for line in lines:
            words = line.split()
            if words and words[0] == device:
                return words
    return die(f"tools/guest/devices does not know {device}")


def methods_of(device):
    """The ways to pull it; one that ends in ! has no way back."""
    return [m for m in device_line(device)[4].split(",") if m != "-"]


class Guest:
    """One boot: a command on some devices and one set of modules."""

    def __init__(self, directory, name, modules, devices, command, timeout, share=SELFTESTS, words=()):
        self.name = name
        self.modules = modules
        self.devices = devices
        self.base = os.path.join(REPORT, directory, f"{name}.{modules}")
        self.command = command
        self.timeout = timeout
        self.share = share
        self.kernel_words = words
        self.status = None
        self.seconds = 0

    def run(self):
        words = [os.path.join(GUEST, "run"), "--modules", self.modules, "--share", self.share,
                 "--timeout", str(self.timeout), "--log", self.base + ".log"]
        for device in self.devices:
            words += ["--device", device]
        for word in self.kernel_words:
            words += ["--append", word]
        began = time.monotonic()
        for attempt in range(3):
            with open(self.base + ".out", "w") as out, open(self.base + ".err", "w") as err:
                self.status = subprocess.run([*words, "--", *self.command], stdin=subprocess.DEVNULL,
                                             stdout=out, stderr=err, check=False).returncode
            why = self.accident(attempt)
            if not why:
                break
            say(f"{os.path.basename(self.base)}: {why}: again ({attempt + 1})")
        self.seconds = time.monotonic() - began

    def accident(self, attempt):
        """Why a run says nothing of the kernel, or ''."""
        if self.clock_is_wrong():
            return "the guest's clock was wrong"
        if attempt:
            return ""
        if "Oops: int3: " in self.log():
            return "the emulator ran a breakpoint that the kernel had patched out"
        # The stock kernel has bugs enough that look the same.
        if self.modules != "stock" and self.stood_still():
            return "the guest stood still"
        return ""

    def clock_is_wrong(self):
        """On a busy machine an emulated kernel may measure its clock many times too fast, so
        that every timeout comes too early. It then finds nothing to refine later."""
        log = self.log()
        last = re.findall(r"^\[ *(\d+)\.", log, re.MULTILINE)[-1:]
        return bool(last) and int(last[0]) > 5 and "Refined TSC" not in log

    def stood_still(self):
        """Without KVM, QEMU loses a timer interrupt now and then, and all processors sleep for ever:
        nobody answers to sysrq, as the kernel does when only tasks hang. Once is an accident."""
        with open(self.base + ".err", errors="replace") as f:
            return "no end within" in f.read() and "sysrq: Show" not in self.log()

    def lines(self):
        with open(self.base + ".out", errors="replace") as f:
            return [line.rstrip("\n") for line in f]

    def log(self):
        try:
            with open(self.base + ".log", "rb") as f:
                return f.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def log_parts(self, marker):
        """The titles of the kernel's findings, by what the marker (a pattern) found before them. What
        boot and probe had to say is the first one's."""
        before, *parts = re.split(marker, self.log())
        if parts:
            parts[1] = before + parts[1]
        return [(key, [x.title for x in findings(text)]) for key, text in zip(parts[::2], parts[1::2])]

    def ending(self):
        """What was wrong with the guest as a whole, or ''."""
        if self.status == 126:
            with open(self.base + ".err", errors="replace") as f:
                errors = [line.strip() for line in f if "error:" in line]
            return errors[-1] if errors else "the guest could not be run"
        return {0: "", 124: "the guest hangs", 125: "the kernel complains"}.get(
            self.status, f"the guest ended with {self.status}")


def run_all(jobs, lanes):
    """Run the jobs, so many at a time; the results in the order of the jobs."""
    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        return list(pool.map(lambda job: job.run(), jobs))


class Table:
    """Lines of: devices, methods, program, tests, verdict, reason. The first that fits counts."""

    def __init__(self, name, verdicts):
        self.lines = []
        with open(os.path.join(HERE, name)) as f:
            for number, line in enumerate(f, 1):
                words = line.split(None, 5)
                if not words or words[0].startswith("#"):
                    continue
                if len(words) < 5 or words[4] not in verdicts:
                    die(f"{name}:{number}: want device, method, program, test, "
                        f"{'|'.join(verdicts)}, reason")
                self.lines.append([*words[:5], words[5].strip() if len(words) > 5 else ""])

    def find(self, *key):
        for *patterns, verdict, reason in self.lines:
            if all(any(fnmatch.fnmatchcase(value, p) for p in pattern.split(","))
                   for value, pattern in zip(key, patterns)):
                return verdict, reason
        return None, ""
