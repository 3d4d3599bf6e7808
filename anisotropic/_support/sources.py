"""Which text of this package runs in this process? One digest of its source files, as they were when it was imported.

The package notes its files when it is first imported (a stat each, no reading). A digest is handed out only while they
are still the same: a file that is edited later may or may not have been loaded already, so results of this process
belong to neither text.
"""

from __future__ import annotations

import os
from functools import cache

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

Stamp = tuple[int, int, int, int]


class NoFingerprint(ValueError):
    """Code or a value has no fingerprint; the sentence says which and why."""


class SourceChanged(NoFingerprint):
    """Files of the package changed after this process imported it."""


def stamp(status: os.stat_result) -> Stamp:
    """What changes when a file is written, replaced or moved in: inode, size, times of content and of inode."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def source_files(folder: str) -> dict[str, Stamp]:
    """Relative name and stamp of every Python file below `folder`, sorted by name."""
    found: dict[str, Stamp] = {}
    todo = [""]
    while todo:
        prefix = todo.pop()
        with os.scandir(os.path.join(folder, prefix)) as entries:
            for entry in entries:
                if entry.is_dir():
                    if entry.name != "__pycache__":
                        todo.append(f"{prefix}{entry.name}/")
                elif entry.name.endswith(".py"):
                    found[prefix + entry.name] = stamp(os.stat(entry.path))
    return dict(sorted(found.items()))


def _noted() -> dict[str, Stamp]:
    try:
        return source_files(PACKAGE)
    except OSError:  # imported from an archive
        return {}


_AT_IMPORT = _noted()


@cache
def _digest() -> str:
    import hashlib

    whole = hashlib.sha256()
    for name in _AT_IMPORT:
        with open(os.path.join(PACKAGE, name), "rb") as file:
            text = file.read().replace(b"\r\n", b"\n")
        whole.update(f"{name}\0{len(text)}\0".encode() + text)
    return whole.hexdigest()


def package_digest() -> str:
    """SHA-256 over names and texts of the package's Python files, in the order of their names.

    Raises
    ------
    SourceChanged
        A file was written, added or removed after this process imported the package.
    NoFingerprint
        The package has no files to read, for example inside an archive.

    Examples
    --------
    >>> len(package_digest())
    64
    """
    if not _AT_IMPORT:
        raise NoFingerprint(f"the package at {PACKAGE} has no source files to read; install it as files")
    try:
        digest = _digest()
        now = source_files(PACKAGE)
    except OSError as error:
        raise SourceChanged(f"{error.filename} cannot be read any more ({error.strerror}); restart Python") from None
    if now != _AT_IMPORT:
        changed = sorted(name for name in {*now, *_AT_IMPORT} if now.get(name) != _AT_IMPORT.get(name))
        raise SourceChanged(
            f"{', '.join(changed[:3])} of the package changed after this process imported it, "
            "so results cannot be filed under either text; restart Python"
        )
    return digest
