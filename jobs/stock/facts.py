"""Gathers what is known of a node; prints it as JSON, and gives it to AnyJob as the result."""

# ruff: noqa: T201, PTH123, UP006, UP035  what it prints is its work; it runs on nodes with Python 3.6

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from typing import Any, Dict, List


def read(path: str) -> str:
    """Give a small file's text, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 20)
    except OSError:
        return ""


def pairs(text: str, separator: str) -> "Dict[str, str]":
    """Give `KEY separator VALUE` lines as a mapping, without quotes."""
    found = {}
    for line in text.splitlines():
        key, sign, value = line.partition(separator)
        if sign:
            found[key.strip()] = value.strip().strip('"')
    return found


def system() -> "Dict[str, Any]":
    """What runs here."""
    release = pairs(read("/etc/os-release"), "=")
    seconds = read("/proc/uptime").split()
    return {
        "hostname": socket.gethostname(),
        "fqdn": socket.getfqdn(),
        "os": release.get("PRETTY_NAME", platform.system()),
        "os_id": release.get("ID", ""),
        "os_version": release.get("VERSION_ID", ""),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "uptime_s": float(seconds[0]) if seconds else None,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def hardware() -> "Dict[str, Any]":
    """Processors and memory, in bytes."""
    memory = pairs(read("/proc/meminfo"), ":")
    sizes = {
        name: int(memory[key].split()[0]) * 1024
        for name, key in (("total", "MemTotal"), ("available", "MemAvailable"), ("swap", "SwapTotal"))
        if key in memory
    }
    model = pairs(read("/proc/cpuinfo"), ":").get("model name", "")
    return {"cpus": os.cpu_count(), "cpu": model, "memory": sizes, "load": list(os.getloadavg())}


def disks() -> "List[Dict[str, Any]]":
    """File systems that have a device, with sizes in bytes."""
    found = []  # type: List[Dict[str, Any]]
    for line in read("/proc/mounts").splitlines():
        device, path = line.split()[:2]
        path = path.replace("\\040", " ")
        if not device.startswith("/dev/") or any(disk["device"] == device for disk in found):
            continue
        try:
            usage = shutil.disk_usage(path)
        except OSError:
            continue
        found.append({"device": device, "path": path, "size": usage.total, "free": usage.free})
    return found


def addresses() -> "Dict[str, List[str]]":
    """IP addresses by interface, if the program ip is here."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    program = shutil.which("ip", path=path)
    if program is None:
        return {}
    done = subprocess.run([program, "-o", "addr"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)  # noqa: S603  fixed words
    found = {}  # type: Dict[str, List[str]]
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        words = line.split()
        if len(words) > 3 and words[2] in {"inet", "inet6"}:
            found.setdefault(words[1], []).append(words[3])
    return found


def main() -> None:
    """Print it all."""
    facts = {"system": system(), "hardware": hardware(), "disks": disks(), "addresses": addresses()}
    print(json.dumps(facts, indent=2, sort_keys=True))
    number = os.environ.get("ANYJOB_FD")
    if number:
        text = json.dumps({"result": facts})
        if len(text) <= 16384:
            os.write(int(number), text.encode() + b"\n")
    sys.stdout.flush()


main()
