"""Under what conditions did this result arise, and is a repeat the same? The record beside every results folder."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "sympy", "matplotlib", "torch", "scikit-learn", "dask")
SEEDS = "63 bits of SHA-256 of the point without the unpaired axes; in the kernels Philox4x32-10"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(folder: Path | None = None) -> dict[str, Any]:
    """Versions, machine and git commit: what a reader needs to judge whether a repeat must be bit-identical.

    >>> environment()["python"] == platform.python_version()
    True
    """
    from importlib.metadata import PackageNotFoundError, version

    from .. import __version__

    versions = {"anisotropic": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": cpu_name(),
        "cpu_target": cpu_target(),
        "cores": cores(),
        "threads": {k: os.environ[k] for k in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if k in os.environ},
        "git": git_commit(folder or Path.cwd()),
    }


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_target() -> str:
    """The instruction set for which kernels are compiled; bit-identity is promised on one target only."""
    from llvmlite import binding

    return os.environ.get("NUMBA_CPU_NAME") or binding.get_host_cpu_name()


def git_commit(folder: Path) -> str | None:
    """Commit of the work tree around `folder`, with "+changes" where it is not clean; None outside of git."""
    def ask(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        return ask("rev-parse", "HEAD") + ("+changes" if ask("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What explains that a repeat is not bit-identical: the conditions that changed."""
    changed = []
    for name in ("fingerprint", "python", "cpu_target"):
        if old.get(name) != new.get(name):
            changed.append(f"{name} was {old.get(name)}, is {new.get(name)}")
    for package in sorted(set(old.get("versions", {})) | set(new["versions"])):
        before, after = old.get("versions", {}).get(package), new["versions"].get(package)
        if before != after:
            changed.append(f"{package} was {before or 'absent'}, is {after or 'absent'}")
    return changed
