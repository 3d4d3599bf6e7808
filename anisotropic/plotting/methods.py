"""How do methods compare? Curves with intervals, speed-up by larger batches, and maps of who wins where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..intervals import Limits, t_limits
from .figures import drawn_in_style, inches, legend_above, method_styles, plain_ticks, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = ArrayLike | Limits


def limits_of(values: Series, points: int, name: str, level: float) -> tuple[Limits, int]:
    """Mean and limits of a series, and over how many replicas (0 where the limits are the caller's, or absent)."""
    if isinstance(values, Limits):
        found, replicas = values, 0
    else:
        array = np.asarray(values, dtype=np.float64)
        if array.ndim == 1:
            found, replicas = Limits(array, np.full_like(array, np.nan), np.full_like(array, np.nan)), 0
        elif array.ndim == 2 and array.shape[0] > 1:
            found, replicas = t_limits(array, level), array.shape[0]
        else:
            raise ValueError(f"series {name!r} has shape {array.shape}; expected ({points},) or (replicas, {points})")
    if np.shape(found.estimate) != (points,):
        raise ValueError(f"series {name!r} has shape {np.shape(found.estimate)}; expected ({points},), as x has")
    return found, replicas


@drawn_in_style
def curves(
    x: ArrayLike,
    series: Mapping[str, Series],
    *,
    xlabel: str = "",
    ylabel: str = "",
    level: float = 0.05,
    log: str = "xy",
    ax: Axes | None = None,
    style: str = "column",
) -> Axes:
    """One curve with a band for each method, told apart by color, marker and dashes.

    Parameters
    ----------
    x : array ``(n,)``
    series : mapping of labels to arrays ``(replicas, n)``, arrays ``(n,)`` or `anisotropic.intervals.Limits`
        Of an array with replicas the mean is drawn, with a t interval of this `level`; the legend says so.
    xlabel, ylabel : str
        With units.
    log : "", "x", "y" or "xy"
    ax : Axes, optional
        Drawn into; by default a new figure of the width that `style` names.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = curves([1, 2, 4], {"sgd": [4.0, 2.0, 1.0]}, xlabel="batch size M", ylabel="gap (units of f)")
    >>> ax.lines[0].get_ydata().tolist()
    [4.0, 2.0, 1.0]
    """
    assert ax is not None
    points = np.asarray(x, dtype=np.float64)
    counts, whole = set(), True
    for name, look in method_styles(series).items():
        found, replicas = limits_of(series[name], points.size, name, level)
        counts.add(replicas)
        ax.plot(points, found.estimate, label=title(name), **look)
        if np.isfinite(found.low).any():
            ax.fill_between(points, found.low, found.high, color=look["color"], alpha=0.2, linewidth=0)
        whole &= bool(np.isfinite(found.estimate).all())
    _axes(ax, log, xlabel, ylabel)
    if not whole:
        _explain_gaps(ax, "diverged or not measured")
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    runs = f" of {max(counts)} runs" if len(counts) == 1 else ""
    note = f"mean{runs}, {1 - level:.0%} interval" if max(counts, default=0) else None
    legend_above(ax, 2, title=note, alignment="left", title_fontsize="small")
    return ax


def _explain_gaps(ax: Axes, meaning: str) -> None:
    """Say in the legend what a missing marker means."""
    ax.plot([], [], linestyle="none", label=f"no marker: {meaning}")


def _axes(ax: Axes, log: str, xlabel: str, ylabel: str) -> None:
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log", nonpositive="clip")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)


@drawn_in_style
def speed_up(
    batch_sizes: ArrayLike,
    steps: Mapping[str, Series],
    *,
    critical: Mapping[str, float] | None = None,
    target: str = "the target",
    level: float = 0.05,
    ax: Axes | None = None,
    style: str = "column",
) -> Axes:
    """Iterations to a target against the batch size, beside the line of linear speed-up.

    Parameters
    ----------
    batch_sizes : array ``(n,)``
    steps : mapping of methods to arrays ``(n,)``, ``(replicas, n)`` or `anisotropic.intervals.Limits`
        NaN where the target was not reached.
    critical : mapping of methods to float, optional
        Critical batch sizes, drawn as vertical lines in the color and dashes of their method.
    target : str
        Names the target in the label of the axis.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = speed_up([1, 4, 16], {"sgd": [160.0, 40.0, 20.0]}, target="gap 0.02")
    >>> ax.get_ylabel()
    'iterations to gap 0.02'
    """
    assert ax is not None
    sizes = np.asarray(batch_sizes, dtype=np.float64)
    critical = dict(critical or {})
    unknown = set(critical) - set(steps)
    if unknown:
        raise ValueError(f"critical batch size for {sorted(unknown)}, but the methods are {list(steps)}")
    drawn: list[float] = []
    whole = True
    for name, look in method_styles(steps).items():
        found, _ = limits_of(steps[name], sizes.size, name, level)
        there = np.isfinite(found.estimate)
        drawn += list(found.estimate[there])
        whole &= bool(there.all())
        ax.plot(sizes[there], found.estimate[there], label=title(name), **look)
        if np.isfinite(found.low).any():
            ax.fill_between(sizes, found.low, found.high, color=look["color"], alpha=0.2, linewidth=0)
        if there.any():
            first = int(np.argmax(there))
            ideal = found.estimate[first] * sizes[first] / sizes[first:]
            ax.plot(sizes[first:], ideal, color="0.55", linewidth=0.8, zorder=1, label="_linear")
        if np.isfinite(critical.get(name, np.nan)):
            upright = {k: look[k] for k in ("color", "linestyle")}
            ax.axvline(critical[name], linewidth=0.9, label="_critical", **upright)
    unit = " (samples per iteration)" if inches(ax) > 2.5 else ""
    _axes(ax, "xy", f"batch size M{unit}", f"iterations to {target}")
    ax.set_xlim(sizes.min() / 1.6, sizes.max() * 1.6)  # room for every batch size, also where no marker is
    ax.plot([], [], color="0.55", linewidth=0.8, label="linear speed-up")
    if critical:
        ax.plot([], [], color="0.3", marker="|", markersize=7, linestyle="none", label="critical batch size")
    if not whole:
        _explain_gaps(ax, "target not reached")
    if drawn:
        ax.set_ylim(min(drawn) / 2, max(drawn) * 1.6)
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    legend_above(ax, 2)
    return ax


@drawn_in_style
def phase_diagram(
    x: Sequence[Any],
    y: Sequence[Any],
    ratio: ArrayLike,
    *,
    winner: str,
    loser: str,
    undecided: ArrayLike | None = None,
    largest: float | None = None,
    xlabel: str = "",
    ylabel: str = "",
    ax: Axes | None = None,
    style: str = "column",
) -> Axes:
    """Who wins where: a map of ratios, with hatching where the second method wins and dots where nobody does.

    Parameters
    ----------
    x, y : sequences of values or labels, of lengths n and m
    ratio : array ``(m, n)``
        Cost of `loser` over cost of `winner`: above 1 where `winner` is cheaper.
    undecided : bool array ``(m, n)``, optional
        Cells whose interval contains 1.
    largest : float, optional
        Where the colors saturate, at this ratio and at its inverse; give all panels of a figure the same.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = phase_diagram([1, 2], ["dense"], [[0.5, 2.0]], winner="adagrad", loser="sgd", xlabel="batch size M")
    >>> [t.get_text() for t in ax.texts]
    ['0.5', '2']
    """
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Patch

    assert ax is not None
    values = np.asarray(ratio, dtype=np.float64)
    if values.shape != (len(y), len(x)):
        raise ValueError(f"ratio has shape {values.shape}; expected ({len(y)}, {len(x)}): one row for each y")
    open_cells = np.zeros(values.shape, bool) if undecided is None else np.asarray(undecided, dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = max(2.0, float(np.nanmax(np.exp(np.abs(np.log(values))), initial=2.0, where=values > 0)))
    reach = reach if largest is None else max(float(largest), 2.0)
    mesh = ax.pcolormesh(values, norm=LogNorm(1 / reach, reach), cmap="PuOr_r", edgecolors="white", linewidth=0.5)
    if values.size <= 150:
        for (i, j), value in np.ndenumerate(values):
            dark = np.isfinite(value) and value > 0 and abs(np.log(value)) > 0.6 * np.log(reach)
            _number(ax, i, j, f"{value:.2g}", "white" if dark else "black")
    for mask, hatch in ((values < 1, "////"), (open_cells, "....")):
        for i, j in np.argwhere(mask & ~(open_cells & (hatch == "////"))):
            ax.add_patch(_hatched((j, i), hatch))
    _ticks(ax, x, y)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(False)
    _colour_bar(ax, mesh, f"cost of {title(loser)} / {title(winner)}", log=True)
    handles = [Patch(facecolor="white", edgecolor="0.4", hatch="////", label=f"{title(loser)} cheaper")]
    if open_cells.any():
        handles.append(Patch(facecolor="white", edgecolor="0.4", hatch="....", label="undecided"))
    if not np.isfinite(values).all():
        handles.append(Patch(facecolor="none", edgecolor="none", label='"-": diverged or not reached'))
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return ax


def _number(ax: Axes, row: int, column: int, text: str, color: str) -> None:
    shown = "-" if text == "nan" else text
    ax.text(column + 0.5, row + 0.5, shown, ha="center", va="center", fontsize="x-small", color=color)


def _hatched(corner: tuple[float, float], hatch: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 1, 1, fill=False, hatch=hatch, edgecolor="0.35", linewidth=0)


def _ticks(ax: Axes, x: Sequence[Any], y: Sequence[Any]) -> None:
    for axis, values in ((ax.xaxis, x), (ax.yaxis, y)):
        axis.set_ticks(np.arange(len(values)) + 0.5, [f"{v:g}" if isinstance(v, float) else str(v) for v in values])
    if sum(len(str(v)) + 1 for v in x) > 6 * inches(ax):
        ax.tick_params(axis="x", rotation=60)


def _colour_bar(ax: Axes, mesh: Any, label: str, log: bool) -> None:
    """A color bar with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    bar = ax.figure.colorbar(mesh, ax=ax, label=label)
    if log:
        wide = mesh.norm.vmax / mesh.norm.vmin > 100
        bar.locator = LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0))
        bar.formatter = FuncFormatter(lambda value, _: f"{value:g}")
        bar.minorticks_off()
        bar.update_ticks()


@drawn_in_style
def heat_map(
    x: Sequence[Any],
    y: Sequence[Any],
    values: ArrayLike,
    *,
    label: str,
    log: bool = False,
    limits: tuple[float, float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    ax: Axes | None = None,
    style: str = "column",
) -> Axes:
    """A quantity over two settings, with the numbers written in.

    `values` has shape ``(len(y), len(x))``; `label` names the quantity and its unit beside the color bar. Lightness
    grows with the value; where values of both signs occur, zero is white and the two signs have colors of their own.
    `limits` are the values at which the colors saturate; give all panels of a figure the same.

    >>> heat_map([1, 2], ["a"], [[3.0, 4.0]], label="ln R_med").texts[1].get_text()
    '4'
    """
    from matplotlib.colors import LogNorm, Normalize

    assert ax is not None
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(y), len(x)):
        raise ValueError(f"values have shape {array.shape}; expected ({len(y)}, {len(x)}): one row for each y")
    low, high = (float(np.nanmin(array)), float(np.nanmax(array))) if limits is None else limits
    signed = not log and low < 0 < high
    if signed:
        low, high = -max(-low, high), max(-low, high)
    norm = (LogNorm if log else Normalize)(low, high)
    cmap = "PuOr_r" if signed else "cividis"
    mesh = ax.pcolormesh(array, norm=norm, cmap=cmap, edgecolors="white", linewidth=0.5)
    if array.size <= 150:
        for (i, j), value in np.ndenumerate(array):
            place = norm(value)
            dark = abs(place - 0.5) > 0.3 if signed else place < 0.55
            _number(ax, i, j, f"{value:.{2 if signed else 3}g}", "white" if np.isfinite(value) and dark else "black")
    _ticks(ax, x, y)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(False)
    _colour_bar(ax, mesh, label, log)
    return ax
