"""What do all figures share? Paper widths, colors that survive gray print, files with the fonts inside."""

from __future__ import annotations

import contextlib
import functools
import io
import textwrap
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from .._support.names import nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
Result = TypeVar("Result")

STYLES = ("column", "page")
#: Okabe and Ito's palette without its yellow, which vanishes on paper.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222",
)  # fmt: skip
PATTERNS = ((5, 1.5), (1.2, 1.2), (5, 1.5, 1.2, 1.5), (8, 2, 1, 2, 1, 2), (2.5, 1))
DASHES: tuple[Any, ...] = tuple((0, pattern) for pattern in PATTERNS)
METHODS: dict[str, dict[str, Any]] = {
    "sgd": {"color": BLUE, "marker": "o", "linestyle": "-"},
    "adagrad": {"color": VERMILLION, "marker": "s", "linestyle": DASHES[0]},
    "adagrad_norm": {"color": GREEN, "marker": "^", "linestyle": DASHES[2]},
    "sign_sgd": {"color": PURPLE, "marker": "v", "linestyle": DASHES[1]},
    "rmsprop": {"color": ORANGE, "marker": "P", "linestyle": DASHES[4]},
    "adam": {"color": BLACK, "marker": "D", "linestyle": DASHES[3]},
    "amsgrad": {"color": BLACK, "marker": "X", "linestyle": DASHES[1]},
    "heavy_ball": {"color": SKY, "marker": "p", "linestyle": DASHES[2]},
}
TITLES = {
    "sgd": "SGD", "adagrad": "AdaGrad", "adagrad_norm": "AdaGrad-Norm", "sign_sgd": "sign SGD", "rmsprop": "RMSProp",
    "adam": "Adam", "amsgrad": "AMSGrad", "heavy_ball": "heavy ball",
}  # fmt: skip


@contextlib.contextmanager
def style(name: str = "column") -> Iterator[None]:
    """Matplotlib settings of this package for the duration of a with block; afterwards they are as before.

    Parameters
    ----------
    name : "column" (3.25 in wide) or "page" (6.75 in wide)

    Examples
    --------
    >>> with style("page"):
    ...     figure, axes = subplots("page")
    >>> figure.get_size_inches().tolist()
    [6.75, 2.8]
    """
    import matplotlib

    if name not in STYLES:
        raise ValueError(f"style {name!r} is unknown; expected 'column' or 'page'{nearest(name, STYLES)}")
    with matplotlib.rc_context(fname=Path(__file__).with_name(f"{name}.mplstyle")):
        yield


def subplots(
    style_name: str = "column", rows: int = 1, columns: int = 1, *, height: float | None = None, **options: Any
) -> tuple[Figure, Any]:
    """A figure of paper width that pyplot does not know of, and its Axes (an array where there are several).

    `height` is in inches; other options go to ``Figure.subplots``, such as ``sharey=True``.
    """
    from matplotlib.figure import Figure

    with style(style_name):
        figure = Figure(layout="constrained")
        if height is not None:
            figure.set_figheight(height)
        axes = figure.subplots(rows, columns, **options)
    figure._repr_png_ = functools.partial(_png, figure)  # type: ignore[attr-defined]
    return figure, axes


def _png(figure: Figure) -> bytes:
    """The picture that a notebook shows."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def drawn_in_style(function: Callable[P, Result]) -> Callable[P, Result]:
    """Draw under the style named by the keyword `style`; Axes that the caller gives keep the caller's settings."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Result:
        if kwargs.get("ax") is not None:
            return function(*args, **kwargs)
        name = str(kwargs.get("style", "column"))
        with style(name):
            figure, kwargs["ax"] = subplots(name)
            result = function(*args, **kwargs)
            _make_room(figure)
            return result

    return wrapper


def _make_room(figure: Figure) -> None:
    """Grow a figure by what stands above and below its axes beyond two lines, so that the data keep their height."""
    lines = 0
    for ax in figure.axes:
        legend = ax.get_legend()
        if legend is not None:
            rows = sum(t.get_text().count("\n") + 1 for t in legend.get_texts())
            rows = -(-rows // legend._ncols)  # type: ignore[attr-defined]
            lines += rows + bool(legend.get_title().get_text()) - 2
        lines += sum(t.get_text().count("\n") + 1 for t in ax.texts if t.get_verticalalignment() == "top")
    figure.set_figheight(figure.get_figheight() + 0.13 * max(0, lines))


def save(figure: Figure, stem: str | Path, formats: Iterable[str] = ("pdf", "png")) -> list[Path]:
    """Write a figure in several formats, fonts embedded as outlines that stay editable; returns the paths.

    Raises
    ------
    OSError
        The folder cannot be written. A file is written whole or not at all.
    """
    import matplotlib

    paths = []
    for kind in formats:
        path = Path(f"{stem}.{kind}")
        part = path.with_name(f"{path.name}.part")
        metadata = {"CreationDate": None} if kind == "pdf" else {"Date": None} if kind == "svg" else None
        with matplotlib.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none",
                                     "svg.hashsalt": "anisotropic"}):  # fmt: skip
            try:
                figure.savefig(part, format=kind, dpi=300, metadata=metadata)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        paths.append(path)
    return paths


def method_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Color, marker and line style of each method: the same in every figure for the optimizers of this package.

    A label may say more than the name. "adagrad, tuned" is an AdaGrad; a second one in the same call keeps the hue and
    changes its lightness, marker and dashes. A name that is not known takes a look that the call leaves free.

    >>> looks = method_styles(["adagrad", "adagrad, tuned", "my_method"])
    >>> looks["adagrad"]["marker"], len({look["color"] for look in looks.values()})
    ('s', 3)
    """
    names = list(names)
    bases = {name: _base(name) for name in names}
    free = [k for k in METHODS if k not in bases.values()]
    count = dict.fromkeys(METHODS, 0)
    looks: dict[str, dict[str, Any]] = {}
    for name in names:
        base = bases[name]
        if base is None:
            pool = free or list(METHODS)
            base = pool[zlib.crc32(name.encode()) % len(pool)]
            free = [k for k in free if k != base]
        looks[name] = _variant(METHODS[base], count[base])
        count[base] += 1
    return looks


def _base(name: str) -> str | None:
    """The optimizer that a label begins with."""
    for known in sorted(METHODS, key=len, reverse=True):
        rest = name[len(known) :]
        if name.startswith(known) and not rest[:1].isalnum() and rest[:1] != "_":
            return known
    return None


def _variant(look: dict[str, Any], k: int) -> dict[str, Any]:
    """The k-th drawing of one method: lighter or darker, with another marker and other dashes."""
    if k == 0:
        return dict(look)
    from matplotlib.colors import to_hex, to_rgb

    towards, amount = ((1.0, 0.45), (0.0, 0.45), (1.0, 0.7), (0.0, 0.7))[(k - 1) % 4]
    red, green, blue = (channel + amount * (towards - channel) for channel in to_rgb(look["color"]))
    return {"color": to_hex((red, green, blue)), "marker": "dx<*"[(k - 1) % 4], "linestyle": DASHES[k % len(DASHES)]}


def title(name: str) -> str:
    """How a method is written in a legend: its proper name, whatever follows it unchanged.

    >>> [title(n) for n in ("adagrad_norm", "sgd, tuned", "my method")]
    ['AdaGrad-Norm', 'SGD, tuned', 'my method']
    """
    base = _base(name)
    return name if base is None else TITLES[base] + name[len(base) :]


def inches(ax: Axes) -> float:
    """Width of the column of panels that an Axes stands in."""
    cell = ax.get_subplotspec()
    return ax.figure.bbox.width / ax.figure.dpi / (cell.get_gridspec().ncols if cell else 1)


def plain_ticks(axis: Any) -> None:
    """Numbers instead of powers of ten on a logarithmic axis that spans less than two decades.

    For axes that you draw on yourself; the functions of this module do it where it helps.

    >>> _, ax = subplots()
    >>> _ = ax.set(xscale="log", xlim=(1, 50))
    >>> plain_ticks(ax.xaxis)
    >>> [ax.xaxis.get_major_formatter()(v, 0) for v in (1.0, 20.0)]
    ['1', '20']
    """
    from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, LogLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() != "log" or low <= 0:
        return
    narrow = high / low < 100
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low > 4 else tuple(range(1, 10))) if narrow
                           else LogLocator())  # fmt: skip
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}") if narrow else LogFormatterMathtext())
    axis.set_minor_locator(NullLocator() if narrow else LogLocator(subs=tuple(range(2, 10))))


def shared_legend(figure: Figure, columns: int = 4) -> None:
    """One legend above all panels of a figure, in place of those of its Axes; equal labels and titles appear once."""
    entries: dict[str, Any] = {}
    notes: dict[str, None] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
        if (legend := ax.get_legend()) is not None:
            drawn = {"".join(label.split()) for label in entries}  # a legend wraps long labels
            for mark, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
                if mark is not None and "".join(text.get_text().split()) not in drawn:
                    entries.setdefault(text.get_text(), mark)
            notes[legend.get_title().get_text()] = None
            legend.remove()
    note = "; ".join(filter(None, notes)) or None
    handles, labels = list(entries.values()), list(entries)
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, title=note, title_fontsize="small")


def page(
    rows: Sequence[Any],
    columns: Sequence[Any],
    draw: Callable[[Axes, Any, Any], object],
    *,
    height: float,
    share: str = "column",
    titles: Callable[[Any], str] | None = None,
    row_labels: Callable[[Any], str] | None = None,
    legend_columns: int = 4,
) -> Figure:
    """A page of panels, one for each row and column value: ``draw(ax, row, column)`` fills a panel.

    Equal axis labels stay on the outer panels only, and panels that share the label of the x axis share its limits.
    The panels of a "column", of a "row" or "all" share the limits of their y axes ("" shares none), and one legend
    stands above. `titles` names a column, `row_labels` is added to the y label of a row.

    Examples
    --------
    >>> figure = page(["a"], [1, 2], lambda ax, row, column: ax.plot([0, column]), height=2.0, share="all")
    >>> len({ax.get_ylim() for ax in figure.axes})
    1
    """
    with style("page"):
        figure, axes = subplots("page", len(rows), len(columns), height=height, squeeze=False)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                ax = axes[i, j]
                draw(ax, row, column)
                ax.set_title(titles(column) if titles and i == 0 else ax.get_title())
                if row_labels and j == 0:
                    ax.set_ylabel(f"{ax.get_ylabel()}\n{row_labels(row)}".strip())
        for line, what in ((axes.T, "x"), (axes, "y")):
            for group in line:
                _one_label(group[:-1] if what == "x" else group[1:], group[-1 if what == "x" else 0], what)
        for group in {"column": axes.T, "row": axes, "all": [axes.ravel()], "": []}[share]:
            _one_range(group, "y")
        for ax in axes.flat:
            plain_ticks(ax.xaxis)
            plain_ticks(ax.yaxis)
        shared_legend(figure, legend_columns)
    return figure


def _one_label(inner: Sequence[Axes], outer: Axes, what: str) -> None:
    """Drop the labels of panels that repeat that of the outer one; with the x label they share its range."""
    wanted = outer.get_xlabel() if what == "x" else outer.get_ylabel()
    for ax in inner:
        label = ax.get_xlabel() if what == "x" else ax.get_ylabel()
        if what == "x" and label == wanted:
            ax.set_xlabel("")
            _one_range([ax, outer], "x")
        elif what == "y" and wanted.startswith(label):
            ax.set_ylabel("")


def _one_range(group: Sequence[Axes], what: str) -> None:
    """Give all panels the limits that hold the data of each."""
    limits = np.array([ax.get_xlim() if what == "x" else ax.get_ylim() for ax in group])
    for ax in group:
        (ax.set_xlim if what == "x" else ax.set_ylim)(limits[:, 0].min(), limits[:, 1].max())


def legend_above(ax: Axes, columns: int = 1, **options: Any) -> None:
    """A legend above the data, where it cannot cover any of it; long labels are wrapped to the width of the figure."""
    handles, labels = ax.get_legend_handles_labels()
    letters = int(15 * (inches(ax) - 0.7) / columns)
    labels = [textwrap.fill(label, letters, subsequent_indent="  ") for label in labels]
    if handles:
        ax.legend(handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, **options)
