"""What are rows and labels? Arrays, sparse matrices, data frames and scikit-learn's bunches, made one thing.

Features become float64, dense or CSR as they came; of two labels of any kind the smaller becomes -1.0, the larger +1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from ..records import FloatArray, sound_sparse


def signs(labels: Any, where: str = "y") -> FloatArray:
    """-1.0 for the smaller and +1.0 for the larger of two labels.

    Parameters
    ----------
    labels : array ``(n,)``
        Numbers, texts or booleans.
    where : str
        What the labels belong to, for messages.

    Examples
    --------
    >>> signs(["spam", "ham", "spam"]).tolist()
    [1.0, -1.0, 1.0]
    """
    values = np.asarray(labels)
    if values.ndim != 1:
        raise ValueError(f"{where} has labels of shape {values.shape}; expected one label for each row, (n,)")
    if values.size == 0:
        raise ValueError(f"{where} has no rows; expected at least one row of each of two classes")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError(f"{where} has no label in row {int(np.argmax(np.isnan(values)))} (NaN); drop such rows")
    kinds = np.unique(values.astype(str) if values.dtype.kind == "O" else values)
    shown = ", ".join(_shown(v) for v in kinds[:5]) + (", ..." if kinds.size > 5 else "")
    if kinds.size == 1:
        raise ValueError(f"{where} has {values.size} rows of one class, label {shown}; expected two labels")
    if kinds.size > 2:
        raise ValueError(f"{where} has {kinds.size} different labels ({shown}); expected two: make it binary first")
    return np.where((values.astype(str) if values.dtype.kind == "O" else values) == kinds[1], 1.0, -1.0)


def _shown(label: Any) -> str:
    return f"{label:g}" if isinstance(label, np.floating) else str(label)


def rows_and_labels(X: Any, y: Any = None, *, target: str | None = None) -> tuple[Any, FloatArray]:
    """Features and signs from whatever holds rows in Python.

    Parameters
    ----------
    X : array, sparse matrix, pandas data frame, or a bunch with `data` and `target`
        One sample a row.
    y : array or series ``(n,)``, optional
        Two labels of any kind. Left out, they are the bunch's, or the column `target` of the frame.
    target : str, optional
        Name of the frame's column of labels.

    Returns
    -------
    X : array or CSR array ``(n, d)``, float64
    y : array ``(n,)`` of -1.0 and +1.0

    Raises
    ------
    ValueError
        On NaN or infinity (with the place), text in a column, no rows, other than two labels, sizes that differ.

    Examples
    --------
    >>> X, y = rows_and_labels([[1, 2], [3, 4]], ["no", "yes"])
    >>> X.tolist(), y.tolist()
    ([[1.0, 2.0], [3.0, 4.0]], [-1.0, 1.0])
    """
    if y is None and target is None and hasattr(X, "data") and hasattr(X, "target"):
        X, y = X.data, X.target
    if target is not None:
        if not hasattr(X, "columns") or target not in X.columns:
            known = ", ".join(map(str, getattr(X, "columns", [])))
            raise ValueError(f"there is no column {target!r} of labels; the columns are {known or 'without names'}")
        X, y = X.drop(columns=[target]), X[target]
    if y is None:
        raise ValueError("y is missing; pass the labels, or target= with the name of the frame's column of labels")
    names = [str(name) for name in X.columns] if hasattr(X, "columns") else None
    matrix = _features(X, names)
    labels = signs(y)
    if labels.size != matrix.shape[0]:
        raise ValueError(f"X has {matrix.shape[0]} rows and y has {labels.size} labels; expected one for each row")
    return matrix, labels


def _features(X: Any, names: Sequence[str] | None) -> Any:
    if sparse.issparse(X):
        matrix: Any = sparse.csr_array(sound_sparse(X), dtype=np.float64)
    else:
        try:
            matrix = np.asarray(X, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise ValueError(_not_numbers(X, names, error)) from None
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"X has shape {matrix.shape}; expected rows and columns, (n, d)")
    if matrix.shape[0] == 0:
        raise ValueError(f"X has no rows (shape {matrix.shape}); expected at least one row of each of two classes")
    entries = matrix.data if sparse.issparse(matrix) else matrix
    if not np.isfinite(entries).all():
        raise ValueError(_not_finite(matrix, names))
    return matrix


def _not_numbers(X: Any, names: Sequence[str] | None, error: Exception) -> str:
    for name in names or ():
        try:
            np.asarray(X[name], dtype=np.float64)
        except (ValueError, TypeError):
            return f"column {name!r} does not hold numbers; encode it first, e.g. with pandas.get_dummies"
    return f"X does not hold numbers ({error}); encode texts and categories first"


def _not_finite(matrix: Any, names: Sequence[str] | None) -> str:
    if sparse.issparse(matrix):
        table = matrix.tocoo()
        k = int(np.argmax(~np.isfinite(table.data)))
        i, j, value = int(table.row[k]), int(table.col[k]), table.data[k]
    else:
        i, j = (int(v) for v in np.argwhere(~np.isfinite(matrix))[0])
        value = matrix[i, j]
    column = f"column {names[j]!r}" if names else f"column {j}"
    return f"X has {value:g} in row {i}, {column} (counted from 0); fill in or drop such rows first"
