"""Under what conditions did this result arise, and is a repeat the same? The record beside every results folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .._support.environment import environment
from .._support.output import SCHEMA
from .source import Definition
from .store import canonical, write_text

MANIFEST = "manifest.json"
SEEDS = "63 bits of SHA-256 of the point without the unpaired axes; in the kernels Philox4x32-10"


def conditions(study: Definition) -> dict[str, Any]:
    """The code and the environment of a study: what decides whether a repeat must be bit-identical."""
    return {"fingerprint": study.fingerprint(), **environment(study.path.resolve().parent if study.path else None)}


def opened(study: Definition, axes: dict[str, list[Any]], command: str, executor: Any, started: str) -> dict[str, Any]:
    """The manifest of a run that begins."""
    config = {"axes": axes, "unpaired": list(study.unpaired)}
    return {
        "schema": SCHEMA,
        "study": study.name,
        "config": config,
        "config_sha256": hashlib.sha256(canonical(config).encode()).hexdigest(),
        "seeds": SEEDS,
        "command": command,
        "executor": executor if isinstance(executor, str) else type(executor).__name__,
        "start": started,
        **conditions(study),
    }


def write(folder: Path, manifest: dict[str, Any]) -> None:
    """Write manifest.json, whole or not at all."""
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, allow_nan=False) + "\n")


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
