"""Where does real data for a logistic regression come from?

A file (LIBSVM text, CSV, NPZ) given by its path; a name in the folder that the environment variable
ANISOTROPIC_DATA_HOME names; one of two sets that scikit-learn carries; or a name in the registry, which is fetched once
into the cache of the platform (extra `data` for both).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from scipy import sparse

from .._support.extras import require
from .._support.names import nearest, no_such_name
from ..records import FloatArray
from . import registry
from .fetch import cached
from .libsvm import content, read_libsvm
from .rows import rows_and_labels
from .tables import read_csv, read_npz

__all__ = ["HOME_VARIABLE", "available", "load", "read_libsvm", "registered", "rows_and_labels"]

#: A file in the data folder has its name less one of these endings; what is left has no dot, or ends like a split.
ENDINGS = (".xz", ".bz2", ".gz", ".txt", ".libsvm", ".svm", ".csv", ".npz")
SPLITS = (".t", ".tr", ".val", ".scale")
PACKED = (".xz", ".bz2", ".gz")
FOLDERS = ("", "libsvm")
HOME_VARIABLE = "ANISOTROPIC_DATA_HOME"

Pair = tuple[sparse.csr_array, FloatArray]


def load(
    name_or_path: str | os.PathLike[str], *, features: int | None = None, target: str | None = None
) -> tuple[sparse.csr_array, FloatArray]:
    """Features and labels of a binary classification problem.

    Parameters
    ----------
    name_or_path : str or path
        A path, a name from `available`, or one from `registered`, which is fetched unless it is at hand. Files may be
        compressed by gzip, bzip2 or xz. LIBSVM text: each line is ``label index:value index:value ...`` with
        increasing indices from 1; ``#`` starts a comment; a line with nothing but a label is a row of zeros, a blank
        line is no row. ``.csv``: commas, a first line of names or none. ``.npz``: arrays X and y, or a CSR matrix as
        scipy.sparse.save_npz writes it, and y.
    features : int, optional
        Number of columns of a LIBSVM file; by default that of the registered set, else the largest index. A test set
        needs that of its training set.
    target : str, optional
        Column of labels of a CSV file, by its name, or its number from 0 where columns have none; the last by default.

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
        other than two labels, no rows, or a fetched file that is not the published one.
    ConnectionError
        If a registered set is not at hand and cannot be fetched; with the folder to put the file into.
    FileNotFoundError
        If a path does not exist.
    MissingExtra
        If the set needs scikit-learn or pooch and that is not installed.

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
    path = Path(name).expanduser()
    if name in _PACKAGED:
        return _PACKAGED[name]()
    if path.is_file():
        return _read(path, features, target)
    known = registry.SETS.get(name)
    if known is not None and features is None:
        features = known.columns
    found = _in_home().get(name)
    if found is not None:
        return _read(found, features, target)
    if known is None:
        raise _unknown(name)
    whole = cached(name)
    X, y = read_libsvm(whole, features=features)
    if (X.shape[0], X.nnz) != (known.rows, known.entries or X.nnz):
        whole.unlink()
        expected = f"{known.rows:,} rows" + (f" and {known.entries:,} entries" if known.entries else "")
        raise ValueError(
            f"the file that came as {name} has {X.shape[0]:,} rows and {X.nnz:,} entries; expected {expected}. It was "
            "removed; try again"
        )
    return X, y


def _read(path: Path, features: int | None, target: str | None) -> Pair:
    kind = next((path.name[: -len(e)] for e in PACKED if path.name.endswith(e)), path.name)
    if kind.endswith(".csv"):
        X, y = read_csv(path, content, target=target)
        return sparse.csr_array(X), y
    if target is not None:
        raise ValueError(f"target = {target!r} names a column of a CSV file; {path} is none")
    if kind.endswith(".npz"):
        X, y = read_npz(path)
        return sparse.csr_array(X), y
    return read_libsvm(path, features=features)


def available() -> list[str]:
    """Names of data at hand: the sets from scikit-learn, and files in the folder ANISOTROPIC_DATA_HOME.

    Examples
    --------
    >>> available()[:2]
    ['breast_cancer', 'digits']
    """
    return [*_PACKAGED, *sorted(_in_home())]


def registered() -> list[dict[str, Any]]:
    """The public sets that have a name here, one dict each, whether they are at hand or not.

    Examples
    --------
    >>> next(row for row in registered() if row["name"] == "a4a")
    {'name': 'a4a', 'rows': 4781, 'columns': 123, 'licence': 'UCI: CC BY 4.0'}
    """
    return [
        {"name": name, "rows": s.rows, "columns": s.columns, "licence": s.licence}
        for name, s in registry.SETS.items()
    ]


def _in_home() -> dict[str, Path]:
    """Files of the data folder and of its subfolder libsvm, by name."""
    home = os.environ.get(HOME_VARIABLE)
    found: dict[str, Path] = {}
    files = {s.file: name for name, s in registry.SETS.items()}
    for place in [Path(home, folder) for folder in FOLDERS] if home else []:
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            name = path.name.removesuffix(next((e for e in ENDINGS if path.name.endswith(e)), ""))
            name = files.get(path.name, name)
            usual = "." not in name or name.endswith(SPLITS) or name in registry.SETS
            if path.is_file() and name not in _PACKAGED and usual:
                found.setdefault(name, path)
    return found


def _unknown(name: str) -> Exception:
    if os.sep in name or name.endswith((*ENDINGS, *PACKED)):
        names = ", ".join(available())
        return FileNotFoundError(f"there is no file {name}; give the path of a data file or one of {names}")
    hint = nearest(name, [*available(), *registry.SETS]) or f"; known here: {', '.join(available())}"
    home = os.environ.get(HOME_VARIABLE)
    where = f"the folder {home}" if home else f"no folder, since {HOME_VARIABLE} is not set"
    return ValueError(
        f"no data set or file is called {name!r}{hint} (names were looked up in {where}, and in the registry of sets "
        "that can be fetched)"
    )


def _breast_cancer() -> Pair:
    data = require("sklearn.datasets", "data").load_breast_cancer()
    features = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    return sparse.csr_array(np.column_stack([features, np.ones(len(features))])), np.where(data.target == 1, 1.0, -1.0)


def _digits() -> Pair:
    data = require("sklearn.datasets", "data").load_digits()
    return sparse.csr_array(data.data / 16.0), np.where(data.target % 2 == 0, 1.0, -1.0)


_PACKAGED: dict[str, Callable[[], Pair]] = {
    "breast_cancer": _breast_cancer,
    "digits": _digits,
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
