"""What does an npz archive hold, whoever wrote it? Arrays of numbers and texts, or a sentence; nothing is executed."""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np


class Unreadable(ValueError):
    """Bytes that are not an archive of plain arrays."""


def arrays_of(file: Path | IO[bytes], largest: int) -> dict[str, Any]:
    """The arrays of an npz by name; of no dimension, the numbers and texts.

    Neither a zip header nor an npy header is believed, so that no more memory is taken than the bytes that are there.

    Raises
    ------
    Unreadable
        It is not such an archive, or unpacks to more than `largest` bytes.
    """
    try:
        return dict(_members(file, largest))
    except Unreadable:
        raise
    except FileNotFoundError:
        raise
    except Exception as error:  # of zip, of three ways to compress, of npy: the bytes may come from anyone
        raise Unreadable(str(error) or type(error).__name__) from None


def _members(file: Path | IO[bytes], largest: int) -> Iterator[tuple[str, Any]]:
    room = largest + 1_000_000
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as member:
                data = member.read(room + 1)
            room -= len(data)
            if room < 0:
                raise Unreadable(f"it unpacks to more than {largest / 1e9:.1f} GB")
            array = _array(data)
            yield entry.filename.removesuffix(".npy"), array if array.ndim else array.item()


def _array(data: bytes) -> np.ndarray:
    """An array from the bytes of an npy file, without a copy by parts."""
    stream = io.BytesIO(data)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    shape, fortran, dtype = reader[version](stream) if version in reader else _header_3(stream)
    if dtype.hasobject:
        raise Unreadable("it holds Python objects")
    flat = np.frombuffer(data, dtype, offset=stream.tell()).copy()
    return flat.reshape(shape, order="F" if fortran else "C")


def _header_3(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Header of npy version 3.0, which has names of fields beyond Latin-1; NumPy has no public reader for it."""
    length = int.from_bytes(stream.read(4), "little")
    if length > 100_000:
        raise Unreadable("its header is too long")
    header = ast.literal_eval(stream.read(length).decode("utf-8"))
    return tuple(header["shape"]), bool(header["fortran_order"]), np.lib.format.descr_to_dtype(header["descr"])
