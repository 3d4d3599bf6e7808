"""What does a figure show, in words? A description for readers who cannot see it, made from the figure itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.output import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Panels that are described one by one.
MOST = 12


def describe(figure: Figure) -> str:
    """Panels, axes, series with where they begin and end, and maps with their range, as sentences.

    Examples
    --------
    >>> from anisotropic.plotting import curves
    >>> ax = curves([1, 2, 4], {"sgd": [4.0, 2.0, 1.0]}, xlabel="batch size M", ylabel="gap")
    >>> describe(ax.figure)
    'Gap against batch size M (1 to 4). SGD: from 4 to 1.'
    """
    panels = [ax for ax in figure.axes if not hasattr(ax, "_colorbar") and (ax.has_data() or ax.texts)]
    if len(panels) == 1:
        return _panel(panels[0])
    told = [f"Panel {k + 1}: {_panel(ax)}" for k, ax in enumerate(panels[:MOST])]
    more = f" {len(panels) - MOST} more panels of the same kind." if len(panels) > MOST else ""
    return f"{len(panels)} panels. {' '.join(told)}{more}"


def _panel(ax: Axes) -> str:
    x, y = _label(ax, "x"), _label(ax, "y")
    head = _plain(ax.get_title())
    parts = [f"{head}. "] if head else []
    series = [line for line in ax.lines if not str(line.get_label()).startswith("_") and _finite(line.get_ydata()).size]
    maps = [m for m in ax.collections if getattr(m, "get_array", lambda: None)() is not None and hasattr(m, "norm")]
    if series:
        span = _finite(np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in series]))
        parts.append(_sentence(f"{y or 'Values'} against {x or 'x'} ({number(span.min())} to {number(span.max())})"))
        for line in series:
            values = _finite(line.get_ydata())
            parts.append(f" {_plain(str(line.get_label()))}: from {number(values[0])} to {number(values[-1])}.")
    for mesh in maps:
        values = _finite(np.ma.filled(np.ma.asarray(mesh.get_array(), dtype=float), np.nan))
        if values.size:
            bar = _plain(mesh.colorbar.ax.get_ylabel()) if mesh.colorbar else "values"
            over = f" over {x} and {y}" if x and y else ""
            parts.append(_sentence(f"A map of {bar}{over}, from {number(values.min())} to {number(values.max())}"))
    if not series and not maps:
        parts.append(_sentence(f"{y or 'Values'} against {x or 'x'}"))
    return "".join(parts).strip()


def _label(ax: Axes, what: str) -> str:
    """The label of an axis, or that of an outer panel with which it shares it."""
    own = ax.get_xlabel() if what == "x" else ax.get_ylabel()
    place = ax.get_subplotspec()
    if own or place is None:
        return _plain(own)
    for other in ax.figure.axes:
        theirs = other.get_subplotspec()
        if theirs is None:
            continue
        beside = theirs.colspan == place.colspan if what == "x" else theirs.rowspan == place.rowspan
        label = other.get_xlabel() if what == "x" else other.get_ylabel()
        if beside and label and not hasattr(other, "_colorbar"):
            return _plain(label)
    return ""


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[$\\{}]", "", text)).strip()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _finite(values: Any) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=float).ravel()
    except (TypeError, ValueError):
        return np.array([])
    return array[np.isfinite(array)]
