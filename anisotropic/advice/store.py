"""Where does an interrupted contest go on? A folder with one JSON file for each finished piece.

A folder belongs to one problem with one choice of settings, which `about.json` describes; another one is refused rather
than mixed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ..study.files import canonical, sweep, usable, write_text

ABOUT = "about.json"


def fingerprint(*parts: Any) -> str:
    """A hash of arrays and sparse matrices, for telling problems apart.

    >>> fingerprint(np.zeros(2)) == fingerprint(np.zeros(2)) != fingerprint(np.zeros(3))
    True
    """
    found = hashlib.sha256()
    for part in parts:
        arrays = [part.data, part.indices, part.indptr] if sparse.issparse(part) else [np.asarray(part)]
        for array in arrays:
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]


class Folder:
    """Pieces by name; without a path nothing is kept.

    Parameters
    ----------
    path : path or None
    about : mapping
        Everything that decides the numbers; compared with that of an earlier call.

    Raises
    ------
    ValueError
        If the folder holds the results of another problem or other settings; with what differs.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any]) -> None:
        self.path = path
        if path is None:
            return
        with usable(path):
            path.mkdir(parents=True, exist_ok=True)
            sweep(path)
        file, wanted = path / ABOUT, json.loads(canonical(about))
        if file.is_file():
            known = _read(file)
            differs = sorted(k for k in {*wanted, *(known or {})} if (known or {}).get(k) != wanted.get(k))
            if differs:
                raise ValueError(
                    f"{path} holds the results of another call ({', '.join(differs)} differ); pass another folder, or "
                    "remove this one"
                )
        elif any(path.iterdir()):
            raise ValueError(f"{path} holds something else than results of advise; pass an empty or a new folder")
        else:
            write_text(file, canonical(about))

    def get(self, name: str) -> dict[str, Any] | None:
        """A finished piece, or None where there is none or its file is damaged."""
        return None if self.path is None else _read(self.path / f"{name}.json")

    def put(self, name: str, piece: Mapping[str, Any]) -> None:
        """Keep a piece, whole or not at all."""
        if self.path is not None:
            write_text(self.path / f"{name}.json", json.dumps(piece))


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
