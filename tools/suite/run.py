"""tools/gpu-suite run DIR RESULTS [--minutes M] [--only STEP,...]: see tools/gpu-suite."""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import steps
from runner import Archive, Runner, Stopped

MORE_MANIFESTS = ["/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json"]  # where the loader does not look by itself


class Unusable(Exception):
    pass


def read_options():
    parser = argparse.ArgumentParser(
        prog="tools/gpu-suite run", description="Measures and tests everything on this machine's GPU."
    )
    parser.add_argument(
        "dir", metavar="DIR", help="what pack made, unpacked, or a build directory: vkgpt, test_gpu_*, lib, peer"
    )
    parser.add_argument("results", metavar="RESULTS", help="the folder for results.tar.xz")
    parser.add_argument("--minutes", type=float, default=5, help="for everything; what does not fit is left out (5)")
    parser.add_argument("--only", default="", metavar="STEP,...", help="these steps only")
    options = parser.parse_args()
    if not options.minutes > 0:
        parser.error(f"--minutes must be above 0, it is {options.minutes:g}")
    names = [name for name, _, _ in steps.STEPS]
    options.only = [name for name in options.only.split(",") if name]
    unknown = [name for name in options.only if name not in names]
    if unknown:
        parser.error(f"there is no step {unknown[0]}; the steps are {', '.join(names)}")
    return options


def environment_of(folder, work, rehearsal):
    """A fresh cache, so that nothing of before counts; the program's own libraries; no tuning of the user's."""
    libraries = [
        str((folder / name).resolve()) for name in ("lib", "root/usr/lib/x86_64-linux-gnu") if (folder / name).is_dir()
    ]
    path = ":".join(libraries + [os.environ.get("LD_LIBRARY_PATH", "")]).strip(":")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("VKGPT_")}
    environment = {**kept, **({"LD_LIBRARY_PATH": path} if path else {})}
    if not rehearsal:  # on a software driver compiling would take longer than everything else
        environment["XDG_CACHE_HOME"] = str(work / "cache")
    return environment


def ask_devices(vkgpt, environment):
    try:
        done = subprocess.run(
            [vkgpt, "devices", "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            env={**environment, "VK_LOADER_DEBUG": "error"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"{vkgpt} does not run: {error}") from None
    return (json.loads(done.stdout)["devices"] if done.returncode == 0 else []), done.stderr.strip()


def usable(devices, rehearsal):
    found = [device for device in devices if device["usable"] and (rehearsal or device["type"] != "software")]
    return found[0] if found else None


def find_device(vkgpt, environment, rehearsal):
    """The device that vkgpt takes. Without a usable one it ends here, with what the loader said."""
    devices, said = ask_devices(vkgpt, environment)
    for manifest in MORE_MANIFESTS:
        if not usable(devices, rehearsal) and os.path.exists(manifest):
            environment["VK_DRIVER_FILES"] = manifest
            devices, said = ask_devices(vkgpt, environment)
    device = usable(devices, rehearsal)
    if device:
        return device
    there = ", ".join(f"{device['name']} ({device['type']})" for device in devices) or "none"
    raise Unusable(f"no usable GPU; devices that Vulkan shows: {there}. The loader said:\n{said or '(nothing)'}")


def first_line(path, start, otherwise):
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(start):
                return line.partition("=" if "=" in line else ":")[2].strip().strip('"')
    except OSError:
        pass
    return otherwise


def commit_of(folder):
    """pack wrote it; in a clone git knows it."""
    try:
        return (folder / "commit").read_text().strip()
    except OSError:
        done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True)
        return done.stdout.strip() or "unknown"


def describe(options, folder, device, chosen, rehearsal):
    host = {
        "processor": first_line("/proc/cpuinfo", "model name", platform.machine()),
        "cores": os.cpu_count(),
        "system": first_line("/etc/os-release", "PRETTY_NAME", platform.system()),
        "python": platform.python_version(),
    }
    return {
        "format": 1,
        "date": datetime.date.today().isoformat(),
        "commit": commit_of(folder),
        "rehearsal": rehearsal,
        "minutes": options.minutes,
        "device": device,
        "host": host,
        "variants": steps.VARIANTS,
        "order": [name for name, _, _ in chosen],
    }


def run_steps(suite, runner, chosen):
    """One line a step as it ends. Returns whether nothing failed."""
    good = True
    for name, work, limit in chosen:
        step = runner.run_step(name, lambda runner: work(suite, runner), limit * (8 if suite.sizes.rehearsal else 1))
        print(
            f"{name:15} {step['seconds']:6.1f} s  {step['status']}{': ' if step['why'] else ''}{step['why']}",
            flush=True,
        )
        good = good and step["status"] in ("ok", "absent", "skipped")
    return good


def main():
    options, rehearsal = read_options(), os.environ.get("GPU_SUITE_REHEARSAL") == "1"
    folder = Path(os.path.relpath(options.dir))
    chosen = [step for step in steps.STEPS if not options.only or step[0] in options.only]
    with tempfile.TemporaryDirectory(prefix="gpu-suite-work-") as work:
        environment = environment_of(folder, Path(work), rehearsal)
        try:
            device = find_device(folder / "vkgpt", environment, rehearsal)
        except Unusable as reason:
            sys.exit(f"gpu-suite: {reason}")
        print(f"{device['name']}, {device['driver']}, Vulkan {device['api']}", flush=True)
        archive = Archive(options.results)
        archive.put("suite.json", describe(options, folder, device, chosen, rehearsal))
        models = Path(os.environ.get("GPU_SUITE_MODELS", work))
        runner = Runner(archive, environment, options.minutes)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: runner.stop())
        try:
            good = run_steps(steps.Suite(folder, models, rehearsal), runner, chosen)
        except Stopped:
            good = False
            print("gpu-suite: told to end; what was measured is kept", file=sys.stderr)
        archive.close()
    print(archive.file)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
