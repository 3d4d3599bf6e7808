"""Under what conditions did this result arise, and is a repeat the same? The record beside every results folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._support.environment import environment
from .._support.output import SCHEMA
from .files import canonical, write_text
from .source import Definition
from .store import FINISHED, Entry

MANIFEST = "manifest.json"
SEEDS = "63 bits of SHA-256 of the point without the unpaired axes; in the kernels Philox4x32-10"
#: What a run with nothing to do says of the grid; all else is that of the run that computed the cells.
_OF_THE_GRID = ("schema", "study", "config", "config_sha256", "fingerprint", "seeds")


def now() -> str:
    """The time in seconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def conditions(study: Definition) -> dict[str, Any]:
    """The code and the environment of a study: what decides whether a repeat must be bit-identical."""
    return {"fingerprint": study.fingerprint(), **environment(study.path.resolve().parent if study.path else None)}


def opened(
    study: Definition, axes: dict[str, list[Any]], command: str, executor: Any, repeats: str = ""
) -> dict[str, Any]:
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
        **({"repeats": repeats} if repeats else {}),
        "start": now(),
        **conditions(study),
    }


def closed(
    points: Mapping[str, Mapping[str, Any]], index: Mapping[str, Entry], facts: Mapping[int, Any], state: str
) -> dict[str, Any]:
    """What a manifest says of the cells: how many, their digests, and under which conditions each group arose."""
    mine = {k: index[k] for k in points if k in index}
    done = {k: e for k, e in mine.items() if e.state in FINISHED}
    groups: dict[int, list[str]] = {}
    for entry in done.values():
        groups.setdefault(entry.conditions, []).append(entry.finished)
    return {
        "state": "complete" if len(done) == len(points) else state,
        "cells": len(points),
        "finished": len(done),
        "failed": sum(e.state == "failed" for e in mine.values()),
        "conditions": [
            {"cells": len(times), "first": min(times), "last": max(times), **facts.get(number, {})}
            for number, times in groups.items()
        ],
        "digests": {canonical(points[k]): e.digest for k, e in done.items()},
    }


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json, whole or not at all."""
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, allow_nan=False) + "\n")


def amend(folder: Path, before: dict[str, Any], opened: dict[str, Any], closed: dict[str, Any]) -> bool:
    """After a run with nothing to do: times, machine and versions stay those of the run that computed the cells.

    True where the manifest says something new all the same.
    """
    last: dict[str, Any] = max(closed["conditions"], key=lambda group: group["last"], default={})
    kept = before or opened | {"computed_now": 0, "start": last.get("first"), **_environment(last)}
    after = kept | {k: opened[k] for k in _OF_THE_GRID} | closed
    after.setdefault("stop", last.get("last"))
    if after == before:
        return False
    write(folder, after)
    return True


def _environment(group: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in group.items() if k not in ("cells", "first", "last")}


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, empty where there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


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
