"""How is what a cell returns kept? Numbers, texts and verdicts as JSON, arrays as npz, and a digest over all."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from ..records import TermCheck, Verdict
from ..records.archive import arrays_of
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
        return found | arrays_of(io.BytesIO(arrays), LARGEST) if arrays else found
    except Exception as error:  # of JSON or of the archive: the bytes may come from anyone
        raise Damaged(str(error) or type(error).__name__) from None


def _scalar(value: Any) -> Any:
    return verdict_from(value["verdict"]) if isinstance(value, dict) else value


def verdict_from(data: dict[str, Any]) -> Verdict:
    """A `Verdict` from its fields as JSON has them."""
    data = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Verdict(**(data | {"terms": tuple(TermCheck(**t) for t in data.get("terms", ()))}))
