"""What does a result look like on paper? Figures that work in grey, at column width, with the fonts inside.

Functions take and return matplotlib Axes; they never call show, never touch pyplot or the global settings. With no
``ax`` each makes a figure of its own: ``empirical_vs_theory(run, [bound]).figure.savefig("a.pdf")``. To place several
panels side by side::

    with an.plotting.style("page"):
        figure, axes = an.plotting.subplots("page", columns=2)
        an.plotting.curves(x, {"sgd": gaps}, ax=axes[0])
        an.plotting.speed_up(batch_sizes, {"sgd": steps}, ax=axes[1])
        an.plotting.shared_legend(figure)                        # one above all panels, in place of one each
    an.plotting.save(figure, "comparison")                       # comparison.pdf and comparison.png
"""

from __future__ import annotations

from .describe import describe
from .figures import (
    METHODS,
    legend_above,
    method_styles,
    page,
    plain_ticks,
    save,
    shared_legend,
    style,
    subplots,
    title,
)
from .methods import curves, heat_map, phase_diagram, speed_up
from .theory import empirical_vs_theory

__all__ = [
    "METHODS",
    "curves",
    "describe",
    "empirical_vs_theory",
    "heat_map",
    "legend_above",
    "method_styles",
    "page",
    "phase_diagram",
    "plain_ticks",
    "save",
    "shared_legend",
    "speed_up",
    "style",
    "subplots",
    "title",
]
