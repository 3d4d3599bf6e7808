"""How is what a cell returns kept? Numbers, texts and verdicts as JSON, arrays as npz, and a digest over all."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from ..records import TermCheck, Verdict
from .files import canonical

#: Bytes of arrays that one cell may return; SQLite takes no more than 10^9 in a row.
LARGEST = 900_000_000


class Damaged(ValueError):
    """Stored bytes that are not what was written."""


class Content(NamedTuple):
    """What a cell returned, as it is stored: JSON text, npz bytes (empty without arrays), digest of the numbers."""

    scalars: str
    arrays: bytes
    digest: str


def encode(values: Mapping[str, Any], point: Mapping[str, Any] | None = None) -> Content:
    """Arrays, numbers, texts and verdicts in the form that is stored.

    The digest covers `point`, names, types, shapes and every bit, whatever the zip file around the arrays says.

    >>> decode(*encode({"gap": 0.5, "name": "sgd", "w": [1.0, 2.0]})[:2])
    {'gap': 0.5, 'name': 'sgd', 'w': array([1., 2.])}
    """
    scalars: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, value in values.items():
        if isinstance(value, Verdict):
            scalars[str(name)] = {"verdict": asdict(value)}
            continue
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(
                f"cell returned {name!r} of type {type(value).__name__}; expected numbers, texts, arrays of them "
                "or a Verdict"
            )
        if array.ndim == 0 and (array.dtype.kind == "U" or (array.dtype.kind in "biuf" and array.itemsize <= 8)):
            scalars[str(name)] = array.item()
        else:
            arrays[str(name)] = array
    size = sum(a.nbytes for a in arrays.values())
    if size > LARGEST:
        big = max(arrays, key=lambda name: arrays[name].nbytes)
        raise ValueError(
            f"cell returned {size / 1e9:.1f} GB, {arrays[big].nbytes / 1e9:.1f} of them in {big!r}; a cell holds at "
            f"most {LARGEST / 1e9:.1f} GB: return less of it, or a summary"
        )
    text = json.dumps(scalars, sort_keys=True, separators=(",", ":"))
    sha = hashlib.sha256(f"{canonical(point or {})}|{text}".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"|{name}|{array.dtype.str}|{array.shape}|".encode("utf-8", "surrogatepass"))
        sha.update(array.data if array.size and array.dtype.kind in "biufc" else array.tobytes())
    return Content(text, _packed(arrays), sha.hexdigest()[:16])


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an npz; written here since `numpy.savez` cannot take an array that is called "file"."""
    if not arrays:
        return b""
    blob = io.BytesIO()
    with zipfile.ZipFile(blob, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getbuffer(), zipfile.ZIP_DEFLATED)
    return blob.getvalue()


def decode(scalars: str, arrays: bytes) -> dict[str, Any]:
    """What the cell returned; numbers and texts are Python's own.

    Raises
    ------
    Damaged
        The bytes are not what `encode` writes, or would unpack to more than `LARGEST`.
    """
    try:
        found = {name: _scalar(value) for name, value in json.loads(scalars).items()}
        return found | dict(_members(arrays)) if arrays else found
    except Exception as error:  # of zip, of three ways to compress, of JSON, of npy: the bytes may come from anyone
        raise Damaged(str(error) or type(error).__name__) from None


def _scalar(value: Any) -> Any:
    return verdict_from(value["verdict"]) if isinstance(value, dict) else value


def _members(blob: bytes) -> Iterator[tuple[str, Any]]:
    """The arrays of an npz, never more memory than their bytes: neither a zip header nor an npy header is believed."""
    room = LARGEST + 1_000_000
    with zipfile.ZipFile(io.BytesIO(blob)) as file:
        for entry in file.infolist():
            with file.open(entry) as member:
                data = member.read(room + 1)
            room -= len(data)
            if room < 0:
                raise Damaged(f"it unpacks to more than {LARGEST / 1e9:.1f} GB")
            array = _array(data)
            yield entry.filename.removesuffix(".npy"), array if array.ndim else array.item()


def _array(data: bytes) -> np.ndarray:
    """An array from the bytes of an npy file, without a copy by parts."""
    stream = io.BytesIO(data)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    shape, fortran, dtype = reader[version](stream) if version in reader else _header_3(stream)
    if dtype.hasobject:
        raise Damaged("it holds Python objects")
    flat = np.frombuffer(data, dtype, offset=stream.tell()).copy()
    return flat.reshape(shape, order="F" if fortran else "C")


def _header_3(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Header of npy version 3.0, which has names of fields beyond Latin-1; NumPy has no public reader for it."""
    length = int.from_bytes(stream.read(4), "little")
    if length > 100_000:
        raise Damaged("its header is too long")
    header = ast.literal_eval(stream.read(length).decode("utf-8"))
    return tuple(header["shape"]), bool(header["fortran_order"]), np.lib.format.descr_to_dtype(header["descr"])


def verdict_from(data: dict[str, Any]) -> Verdict:
    """A `Verdict` from its fields as JSON has them."""
    data = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Verdict(**(data | {"terms": tuple(TermCheck(**t) for t in data.get("terms", ()))}))
