"""How does a study write beside its cells? Whole files or none, and one sentence for what the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import StudyError

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, ASCII, so that equal points have equal hashes."""
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_text(path: Path, text: str) -> Path:
    """Write a text file whole or not at all; what UTF-8 cannot say is written as an escape."""
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all, through a neighbor whose name nobody can guess and no link can redirect."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.part")
    with usable(path.parent):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return path


def sweep(folder: Path) -> None:
    """Remove the parts of files that a killed process left behind."""
    for part in folder.glob(".*.part"):
        writer = part.name.removesuffix(".part").rpartition(".")[2].partition("-")[0]
        if writer.isdigit() and not _alive(int(writer)):
            with contextlib.suppress(OSError):
                part.unlink()


def _alive(process: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def usable(folder: Path, file: Path | None = None) -> Iterator[None]:
    """Turn what the disk refuses into one sentence; `file` is the database that is open inside, if one is."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StudyError(_sentence(folder, file, error)) from None


def _sentence(folder: Path, file: Path | None, error: OSError | sqlite3.Error) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, sqlite3.Error) and file is not None:
        if "not a database" in reason:
            return f"{file} is not a results file; move it away or pass --results"
        if "malformed" in reason or "corrupt" in reason:
            return (
                f"{file} is damaged ({reason}); move it away and run again, or save what is left of it with "
                f"sqlite3 {file} .recover"
            )
        if "locked" in reason:
            return f"{file} is being written by another program; wait until it ends, or pass --results"
    refused = f"cannot use the results folder {folder}: {reason}"
    if (isinstance(error, OSError) and error.errno in _FULL) or "disk is full" in reason:
        return f"{refused}; free the disk and run again, which keeps every stored cell"
    return f"{refused}; pass --results with a folder that you may write"
