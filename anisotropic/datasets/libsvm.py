"""How is a LIBSVM text file read, plain or compressed, and refused with the line that is wrong?"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import zlib
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from scipy import sparse

from ..records import FloatArray, count
from .rows import signs

#: A file that unpacks to more, or to more than `STEEPEST` times its size, is refused before it fills the memory.
LARGEST = 16 * 2**30
STEEPEST = 2_000

_NUMBER = rb"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_PAIR = re.compile(rb"\d+:" + _NUMBER)
_LINE = re.compile(rb"\s*" + _NUMBER + rb"(?:\s+\d+:" + _NUMBER + rb")*\s*")
_LABEL = re.compile(_NUMBER)
_OPEN: dict[bytes, Callable[[io.BytesIO], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}


def _at_most(room: int, file: IO[bytes]) -> bytearray:
    """What a file holds, up to one byte more than `room`."""
    content = bytearray()
    while len(content) <= room and (piece := file.read(min(2**22, room + 1 - len(content)))):
        content += piece
    return content


def content(path: Path) -> bytes:
    """What a file holds, decompressed where it begins as gzip, bzip2 or xz do."""
    raw = path.read_bytes()
    room = min(LARGEST, max(2**24, STEEPEST * len(raw)))
    for magic, opened in _OPEN.items():
        if raw.startswith(magic):
            try:
                with opened(io.BytesIO(raw)) as file:
                    content = _at_most(room, file)
            except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
                raise ValueError(f"{path} cannot be decompressed ({error}); is the file complete?") from error
            if len(content) > room:
                raise ValueError(f"{path} has {len(raw):,} bytes and unpacks to more than {room:,}; unpack it yourself")
            return bytes(content)
    return raw


def read_libsvm(path: str | os.PathLike[str], *, features: int | None = None) -> tuple[sparse.csr_array, FloatArray]:
    """Read a LIBSVM text file; see `load`."""
    path = Path(path)
    numbers = array("d")  # index, value, index, value, ...
    labels, lengths, line_numbers = array("d"), array("q", [0]), array("q")
    for number, line in enumerate(content(path).split(b"\n"), 1):
        if b"#" in line:
            line = line.partition(b"#")[0]
        if not line or line.isspace():
            continue
        if not _LINE.fullmatch(line):
            raise ValueError(f"{path}, line {number}: {_complaint(line)}")
        label, *pairs = line.replace(b":", b" ").split()
        labels.append(float(label))
        numbers.extend(map(float, pairs))
        lengths.append(len(pairs) // 2)
        line_numbers.append(number)
    if not labels:
        raise ValueError(f"{path} has no rows; expected lines of the form 'label index:value index:value ...'")
    table = np.frombuffer(numbers, dtype=np.float64).reshape(-1, 2) if numbers else np.empty((0, 2))
    starts = np.cumsum(np.frombuffer(lengths, dtype=np.int64))
    lines = np.frombuffer(line_numbers, dtype=np.int64)
    _check_entries(path, table, starts, lines)
    indices = table[:, 0].astype(np.int32) - 1
    width = _width(path, int(indices.max(initial=-1)) + 1, features)
    X = sparse.csr_array((table[:, 1].copy(), indices, starts.astype(np.int32)), shape=(len(labels), width))
    return X, signs(np.frombuffer(labels, dtype=np.float64), str(path))


def _complaint(line: bytes) -> str:
    """What is wrong with a line that does not match."""
    label, *pairs = line.split()
    if not _LABEL.fullmatch(label):
        return f"label {label.decode(errors='replace')!r} is not a number"
    wrong = next((p for p in pairs if not _PAIR.fullmatch(p)), line)
    return f"{wrong.decode(errors='replace')!r} is not of the form index:value with a whole index and a finite value"


def _check_entries(path: Path, table: FloatArray, starts: np.ndarray, lines: np.ndarray) -> None:
    """Indices from 1 to 2^31 - 1 that increase within each row, and finite values; name the first line that fails."""
    index, value = table[:, 0], table[:, 1]
    first = np.zeros(len(table), dtype=bool)
    first[starts[:-1][np.diff(starts) > 0]] = True
    steady = np.diff(index, prepend=0.0) > 0
    bad = np.flatnonzero((index < 1) | (index > 2**31 - 1) | ~np.isfinite(value) | (~steady & ~first))
    if bad.size == 0:
        return
    k = bad[0]
    line = lines[np.searchsorted(starts, k, side="right") - 1]
    if not np.isfinite(value[k]):
        problem = f"the value at index {index[k]:.0f} is too large for a float"
    elif not 1 <= index[k] <= 2**31 - 1:
        problem = f"index {index[k]:.0f} is out of range; indices start at 1"
    else:
        order = "repeated" if index[k] == index[k - 1] else f"after {index[k - 1]:.0f}"
        problem = f"index {index[k]:.0f} is {order}; indices must increase within a line"
    raise ValueError(f"{path}, line {line}: {problem}")


def _width(path: Path, found: int, features: int | None) -> int:
    wanted = max(found, 1) if features is None else count(features, "features")
    if wanted < found:
        raise ValueError(f"{path} has an entry in column {found}, more than features = {wanted}")
    return wanted
