"""How are tables read? CSV text with or without a line of names, and NPZ archives."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from .._support.names import nearest
from ..records import FloatArray
from ..records.archive import Unreadable, arrays_of
from .libsvm import LARGEST
from .rows import rows_and_labels, signs


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_csv(
    path: Path, content: Callable[[Path], bytes], *, target: str | None = None
) -> tuple[FloatArray, FloatArray]:
    """Features and signs of a CSV file, plain or compressed; see `load`.

    The first line holds names where a feature in it is no number. The labels are the column that `target` names, by
    default the last; they may be texts.
    """
    text = content(path).decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    lines = csv.reader(io.StringIO(text))
    try:
        first = next((row for row in lines if row), None)
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num} is no line of a CSV file ({error})") from None
    if first is None:
        raise ValueError(f"{path} has no rows; expected a line for each sample, features and one label")
    if len(first) < 2:
        raise ValueError(f"{path}, line 1: {len(first)} column; expected features and one label, separated by commas")
    named = not all(_is_number(cell) for cell in first[:-1])
    names = [cell.strip() for cell in first] if named else [str(j) for j in range(len(first))]
    at = len(names) - 1
    if target is not None:
        if target not in names:
            hint = nearest(target, names) or f"; the columns are {', '.join(names)}"
            raise ValueError(f"{path} has no column {target!r}{hint}")
        at = names.index(target)
    features = [j for j in range(len(names)) if j != at]
    skip = lines.line_num if named else 0
    filled = [line for line in text.split("\n")[skip:] if line.strip()]
    if not filled:
        raise ValueError(f"{path} has no rows; expected a line for each sample, features and one label")
    try:
        table = np.loadtxt(filled, delimiter=",", usecols=features, ndmin=2, quotechar='"', comments=None)
        labels = np.loadtxt(
            filled, delimiter=",", usecols=at, ndmin=1, quotechar='"', comments=None, dtype=np.str_
        )
    except (ValueError, IndexError):
        raise ValueError(_first_fault(path, text, skip, names, features)) from None
    if not np.isfinite(table).all():
        i, j = (int(k) for k in np.argwhere(~np.isfinite(table))[0])
        raise ValueError(
            f"{path}, row {i + 1}: {table[i, j]:g} in column {names[features[j]]!r}; fill in or drop such rows first"
        )
    numbers = all(map(_is_number, labels))
    return table, signs(labels.astype(np.float64) if numbers else np.char.strip(labels), str(path))


def _first_fault(path: Path, text: str, skip: int, names: list[str], features: list[int]) -> str:
    reader = csv.reader(io.StringIO(text))
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            return f"{path}, line {reader.line_num} is no line of a CSV file ({error})"
        if reader.line_num <= skip or not row:
            continue
        if len(row) != len(names):
            return f"{path}, line {reader.line_num}: {len(row)} columns; expected {len(names)}, as in the first line"
        for j in features:
            if not _is_number(row[j]):
                return (
                    f"{path}, line {reader.line_num}: {row[j]!r} in column {names[j]!r} is not a number; encode texts "
                    "and categories first"
                )
    return f"{path} is not a table of {len(names)} columns separated by commas"


def read_npz(path: Path) -> tuple[Any, FloatArray]:
    """Features and signs of an NPZ archive; see `load`.

    Arrays X and y; or, for a sparse X, the arrays that scipy.sparse.save_npz writes for CSR, and y.
    """
    try:
        held = arrays_of(path, LARGEST)
    except Unreadable as error:
        raise ValueError(f"{path} cannot be read as NPZ ({error})") from None
    if "y" not in held or ("X" not in held and not {"data", "indices", "indptr", "shape"} <= set(held)):
        raise ValueError(
            f"{path} holds {', '.join(sorted(held)) or 'nothing'}; expected X and y, or data, indices, indptr, shape "
            "(of a CSR matrix) and y"
        )
    if "X" in held:
        return rows_and_labels(held["X"], held["y"])
    try:
        matrix = sparse.csr_array((held["data"], held["indices"], held["indptr"]), shape=tuple(held["shape"]))
        return rows_and_labels(matrix, held["y"])
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: its arrays are not the rows of a CSR matrix and labels ({error})") from None
