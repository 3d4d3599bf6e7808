"""Where do compiled kernels live between processes, and when are they believed?

One folder of the user's, mode 0700; one entry a kernel, named by the hash of everything that it was made from. An entry
is written elsewhere and renamed in one step, so it is whole or absent, and it lists the digests of its files, so that a
damaged one is known before Numba unpickles it. Whoever can write into the folder can run code as its owner: that is why
owner, mode and links are checked, and why the digests are a guard against accidents and not against attackers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path

SETTING = "ANISOTROPIC_KERNEL_CACHE"
LIMIT = 500 * 2**20  # bytes
DIGESTS = "digests.json"
UNFINISHED, DOOMED = "new-", "old-"


class Unusable(OSError):
    """There is no folder to keep kernels in; the sentence says why."""


def chosen() -> Path | None:
    """The folder that the setting or the platform names; None where the setting is ``off``."""
    setting = os.environ.get(SETTING, "")
    if setting == "off":
        return None
    if setting:
        if not os.path.isabs(setting):
            raise Unusable(f"{SETTING} = {setting!r}; expected 'off' or an absolute path")
        return Path(setting)
    try:
        home = Path.home()
    except RuntimeError:
        raise Unusable(f"no home directory is known; set {SETTING} to a folder or to 'off'") from None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "anisotropic" / "kernels"


def opened() -> Path | None:
    """The folder, made where it is missing, once it is seen to be a folder that only its owner, this user, can enter.

    Raises
    ------
    Unusable
        It is a link, a file, someone else's, open to others, or cannot be made.
    """
    folder = chosen()
    if folder is None:
        return None
    try:
        if not os.path.lexists(folder):
            os.makedirs(folder.parent, exist_ok=True)
            os.makedirs(folder, 0o700, exist_ok=True)
        status = os.lstat(folder)
    except OSError as error:
        raise Unusable(f"{folder} cannot be made: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise Unusable(f"{folder} is {'a link' if stat.S_ISLNK(status.st_mode) else 'no folder'}")
    if os.name == "posix":
        if status.st_uid != os.geteuid():
            raise Unusable(f"{folder} belongs to user {status.st_uid}, not to {os.geteuid()}")
        if status.st_mode & 0o077:
            raise Unusable(f"{folder} is open to others (mode {stat.S_IMODE(status.st_mode):o}; expected 700)")
    return folder


def whole(entry: Path, files: dict[str, bytes]) -> bool:
    """Whether an entry holds what was put there: every file with its digest, and those in `files` with this text."""
    try:
        digests = json.loads((entry / DIGESTS).read_bytes())
        found = {name: (entry / name).read_bytes() for name in _names(entry)}
    except (OSError, ValueError):
        return False
    if not isinstance(digests, dict) or {n: hashlib.sha256(d).hexdigest() for n, d in found.items()} != digests:
        return False
    return all(found.get(name) == text for name, text in files.items())


def _names(entry: Path) -> list[str]:
    return sorted(
        str(path.relative_to(entry)) for path in entry.rglob("*") if not path.is_dir() and path.name != DIGESTS
    )


def begin(folder: Path, files: dict[str, bytes]) -> Path:
    """A new folder for an entry that is not finished yet, with these files in it."""
    fresh = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
    for name, text in files.items():
        (fresh / name).write_bytes(text)
    return fresh


def publish(fresh: Path, entry: Path) -> None:
    """Give a finished entry its name; where another process was faster, its entry stays and this one goes."""
    digests = {name: hashlib.sha256((fresh / name).read_bytes()).hexdigest() for name in _names(fresh)}
    (fresh / DIGESTS).write_text(json.dumps(digests))
    try:
        os.rename(fresh, entry)
    except OSError:
        if not entry.is_dir():
            raise
        remove(fresh)
    bound(entry.parent)


def used(entry: Path) -> None:
    """Note that an entry was of use, for the order in which old ones go."""
    with contextlib.suppress(OSError):
        os.utime(entry / DIGESTS)


def remove(entry: Path) -> None:
    """Take an entry away in one step, so that nobody finds half of it."""
    doomed = entry.with_name(f"{DOOMED}{os.getpid()}-{time.monotonic_ns()}")
    try:
        os.rename(entry, doomed)
    except OSError:
        doomed = entry
    shutil.rmtree(doomed, ignore_errors=True)
    if doomed.is_file():
        doomed.unlink(missing_ok=True)


def bound(folder: Path, limit: int | None = None) -> None:
    """Remove the entries that were used longest ago until the rest takes at most `limit` bytes, and old leftovers."""
    limit = LIMIT if limit is None else limit
    entries: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        try:
            if path.name.startswith((UNFINISHED, DOOMED)):
                if time.time() - path.stat().st_mtime > 3600.0:
                    remove(path)
                continue
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            entries.append(((path / DIGESTS).stat().st_mtime, size, path))
        except OSError:  # another process is removing it, or it was never finished
            continue
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= limit:
            break
        remove(path)
        total -= size
