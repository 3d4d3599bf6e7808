"""Where does real data for a logistic regression come from?

A data set is a LIBSVM text file, plain or compressed, given by its path or by its name in the folder that the
environment variable ANISOTROPIC_DATA_HOME names; or one of two sets that scikit-learn carries (extra `data`). Nothing
is ever downloaded.
"""

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
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np
from scipy import sparse

from ._support.extras import require
from ._support.names import nearest, no_such_name
from .records import FloatArray, count

#: A file in the data folder has its name less one of these endings; what is left has no dot, or ends like a split.
ENDINGS = (".xz", ".bz2", ".gz", ".txt", ".libsvm", ".svm")
SPLITS = (".t", ".tr", ".val", ".scale")
FOLDERS = ("", "libsvm")
HOME_VARIABLE = "ANISOTROPIC_DATA_HOME"

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


def load(name_or_path: str | os.PathLike[str], *, features: int | None = None) -> tuple[sparse.csr_array, FloatArray]:
    """Features and labels of a binary classification problem.

    Parameters
    ----------
    name_or_path : str or path
        A name from `available`, or the path of a LIBSVM text file, plain or compressed by gzip, bzip2 or xz. Each line
        is ``label index:value index:value ...`` with increasing indices from 1; ``#`` starts a comment. A line with
        nothing but a label is a row of zeros; a blank line is no row.
    features : int, optional
        Number of columns; the largest index by default. A test set needs that of its training set.

    Returns
    -------
    X : CSR array ``(n, d)``, float64
    y : array ``(n,)``
        The smaller label is -1.0, the larger +1.0. "breast_cancer": 30 columns standardized by the population
        standard deviation, then a column of ones, +1 for benign. "digits": pixels / 16, +1 for even digits.

    Raises
    ------
    ValueError
        On an unknown name (with the nearest one), a malformed line (with file and line), indices that do not increase,
        other than two labels, or no rows.
    FileNotFoundError
        If a path does not exist.
    MissingExtra
        If the set comes from scikit-learn and that is not installed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny"
    >>> _ = path.write_text("2 1:0.5 3:1\\n1\\n")
    >>> X, y = load(path)
    >>> X.toarray(), y
    (array([[0.5, 0. , 1. ],
           [0. , 0. , 0. ]]), array([ 1., -1.]))
    """
    name = os.fspath(name_or_path)
    if name in _PACKAGED:
        return _PACKAGED[name]()
    path = Path(name).expanduser()
    found = path if path.is_file() else _in_home().get(name)
    if found is None:
        raise _unknown(name)
    return read_libsvm(found, features=features)


def available() -> list[str]:
    """Names that `load` knows here: the sets from scikit-learn, and files in the folder ANISOTROPIC_DATA_HOME.

    Examples
    --------
    >>> available()[:2]
    ['breast_cancer', 'digits']
    """
    return [*_PACKAGED, *sorted(_in_home())]


def _in_home() -> dict[str, Path]:
    """Files of the data folder and of its subfolder libsvm, by name."""
    home = os.environ.get(HOME_VARIABLE)
    found: dict[str, Path] = {}
    for place in [Path(home, folder) for folder in FOLDERS] if home else []:
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            name = path.name.removesuffix(next((e for e in ENDINGS if path.name.endswith(e)), ""))
            if path.is_file() and name not in _PACKAGED and ("." not in name or name.endswith(SPLITS)):
                found.setdefault(name, path)
    return found


def _unknown(name: str) -> Exception:
    if os.sep in name:
        names = ", ".join(available())
        return FileNotFoundError(f"there is no file {name}; give the path of a LIBSVM text file or one of {names}")
    hint = nearest(name, available()) or f"; known here: {', '.join(available())}"
    home = os.environ.get(HOME_VARIABLE)
    where = f"the folder {home}" if home else f"no folder, since {HOME_VARIABLE} is not set"
    return ValueError(f"no data set or file is called {name!r}{hint} (names were looked up in {where})")


def _at_most(room: int, file: IO[bytes]) -> bytearray:
    """What a file holds, up to one byte more than `room`."""
    content = bytearray()
    while len(content) <= room and (piece := file.read(min(2**22, room + 1 - len(content)))):
        content += piece
    return content


def _content(path: Path) -> bytes:
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
    for number, line in enumerate(_content(path).split(b"\n"), 1):
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
    return X, _signs(path, np.frombuffer(labels, dtype=np.float64))


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


def _signs(path: Path, labels: FloatArray) -> FloatArray:
    kinds = np.unique(labels)
    if kinds.size == 1:
        raise ValueError(f"{path} has {labels.size} rows of one class, label {kinds[0]:g}; expected two labels")
    if kinds.size > 2:
        shown = ", ".join(f"{v:g}" for v in kinds[:5]) + (", ..." if kinds.size > 5 else "")
        raise ValueError(f"{path} has {kinds.size} different labels ({shown}); expected two: make it binary first")
    return np.where(labels == kinds[1], 1.0, -1.0)


def _breast_cancer() -> tuple[sparse.csr_array, FloatArray]:
    data = require("sklearn.datasets", "data").load_breast_cancer()
    features = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    return sparse.csr_array(np.column_stack([features, np.ones(len(features))])), np.where(data.target == 1, 1.0, -1.0)


def _digits() -> tuple[sparse.csr_array, FloatArray]:
    data = require("sklearn.datasets", "data").load_digits()
    return sparse.csr_array(data.data / 16.0), np.where(data.target % 2 == 0, 1.0, -1.0)


_PACKAGED: dict[str, Callable[[], tuple[sparse.csr_array, FloatArray]]] = {
    "breast_cancer": _breast_cancer,
    "digits": _digits,
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
