"""How does a result appear in a paper? Values with intervals, no digit that the interval does not support, in LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .output import visible

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "\n": " ",
}  # fmt: skip


def measured(estimate: float, low: float, high: float) -> tuple[str, str, str, int]:
    """Estimate, lower and upper limit as texts that share their last digit, and the power of ten they are divided by.

    Half the width of the interval keeps two digits; the limits are rounded outward, so that the printed interval
    contains the computed one. Numbers of 100,000 and more, or below 0.001, are divided by a power of ten.

    Examples
    --------
    >>> measured(6.912, 6.873, 7.126)
    ('6.91', '6.87', '7.13', 0)
    >>> measured(1.2345e-5, 1.19e-5, 1.28e-5)
    ('1.234', '1.190', '1.280', -5)
    >>> measured(3291.6, 3000.0, 3600.0)
    ('3290', '3000', '3600', 0)
    """
    values = (float(estimate), float(low), float(high))
    size = max(map(abs, values))
    half = (values[2] - values[1]) / 2
    if not all(map(math.isfinite, values)) or size == 0.0:
        return (*(f"{v:.4g}" for v in values), 0)  # type: ignore[return-value]
    exponent = 0 if 1e-3 <= size < 1e5 else math.floor(math.log10(size))
    scaled = [v / 10.0**exponent for v in values]
    spread = half / 10.0**exponent or abs(scaled[0]) * 1e-3 or 1.0
    decimals = 1 - math.floor(math.log10(spread))
    unit = 10.0**-decimals
    outward = (round(scaled[0] / unit), math.floor(scaled[1] / unit + 1e-9), math.ceil(scaled[2] / unit - 1e-9))
    return (*(f"{n * unit:.{max(decimals, 0)}f}" for n in outward), exponent)  # type: ignore[return-value]


def latex_value(value: Any) -> str:
    r"""A cell of a table: numbers in math mode, texts with LaTeX's special characters escaped.

    Anything with `estimate`, `low` and `high`, such as an `Interval`, is written as value and interval.

    >>> latex_value(0.0000123456), latex_value("50 % of a_b"), latex_value(None)
    ('$1.235 \\times 10^{-5}$', '50 \\% of a\\_b', '--')
    """
    if all(hasattr(value, name) for name in ("estimate", "low", "high")):
        if not math.isfinite(value.estimate):
            return "--"
        middle, low, high, exponent = measured(value.estimate, value.low, value.high)
        body = rf"{middle}\;[{low},\,{high}]"
        return rf"$({body}) \times 10^{{{exponent}}}$" if exponent else f"${body}$"
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return "--"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"${int(value)}$"
    if isinstance(value, (float, np.floating)):
        if math.isinf(value):
            return r"$\infty$" if value > 0 else r"$-\infty$"
        digits, _, tens = f"{float(value):.4g}".partition("e")
        return rf"${digits} \times 10^{{{int(tens)}}}$" if tens else f"${digits}$"
    return "".join(_SPECIAL.get(c, c) for c in visible(str(value)))


def latex_table(rows: Iterable[Mapping[str, Any]], caption: str = "", label: str = "") -> str:
    r"""Rows as a ``table`` for a paper; it needs the package booktabs.

    Parameters
    ----------
    rows : iterable of dicts
        Keys are column heads. Values are numbers, texts, or intervals (anything with `estimate`, `low` and `high`).
    caption, label : str
        The caption is text and is escaped; without a caption and a label only the ``tabular`` is returned.

    Examples
    --------
    >>> print(latex_table([{"batch": 16, "ratio": 2.5}]))
    \begin{tabular}{rr}
    \toprule
    batch & ratio \\
    \midrule
    $16$ & $2.5$ \\
    \bottomrule
    \end{tabular}
    """
    listed = [dict(row) for row in rows]
    columns = list(dict.fromkeys(k for row in listed for k in row))
    if not columns:
        raise ValueError("a table needs at least one row with at least one column; got none")
    texts = {c: any(isinstance(row.get(c), str) for row in listed) for c in columns}
    lines = [
        rf"\begin{{tabular}}{{{''.join('l' if texts[c] else 'r' for c in columns)}}}",
        r"\toprule",
        " & ".join(map(latex_value, map(str, columns))) + r" \\",
        r"\midrule",
        *(" & ".join(latex_value(row.get(c)) for c in columns) + r" \\" for row in listed),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if caption or label:
        if set(label) & set("{}\\%#~ "):
            raise ValueError(f"label = {label!r}; expected letters, digits, colons and hyphens, such as 'tab:race'")
        told = [rf"\caption{{{latex_value(caption)}}}"] * bool(caption) + [rf"\label{{{label}}}"] * bool(label)
        lines = [r"\begin{table}", r"\centering", *told, *lines, r"\end{table}"]
    return "\n".join(lines)
