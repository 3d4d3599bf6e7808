"""On what machine and with which versions does this run? What a repeat and a report of a problem need to know."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "sympy", "matplotlib", "torch", "scikit-learn", "dask")


def show_versions() -> None:
    """Print the versions of the package, of Python and of the packages it needs, and the machine.

    Examples
    --------
    >>> show_versions()
    anisotropic ...
    python ...
    """
    found = environment()
    versions = dict(found["versions"])
    rows = {"anisotropic": versions.pop("anisotropic")}
    rows |= {name: found[name] for name in ("python", "os", "cpu", "cpu_target", "cores")} | versions
    for name, value in rows.items():
        print(f"{name:<14}{value}")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(folder: Path | None = None) -> dict[str, Any]:
    """Versions, machine, and the git commit of a folder: what decides whether a repeat must be identical.

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
        "git": git_commit(folder) if folder is not None else None,
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
    """Commit of the work tree around `folder`, with "+changes" where it is not clean; None outside of git.

    The settings of a repository may name programs that `git status` runs; they are switched off.
    """
    def ask(*words: str) -> str:
        safe = ["-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "--no-optional-locks"]
        call = ["git", *safe, *words]
        done = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        return ask("rev-parse", "HEAD") + ("+changes" if ask("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None
