"""Which words have a meaning to the library? Properties, laws, forms of a batch rule, and how a wrong word is answered.

Names of optimizers, problems, noises, schedules, batch rules and statistics are open: a user may add some, so that an
unknown one is not refused, but the sentence that misses it suggests the nearest known one.
"""

from __future__ import annotations

from collections.abc import Iterable

from .._support.names import nearest

#: What may be claimed of an objective.
PROPERTIES = ("convex", "separable", "interior minimizer", "finite sum")
#: Laws of a noise.
LAWS = ("gaussian", "bounded", "heavy", "rows", "none")
#: Forms of a batch rule.
FORMS = ("plug_in", "exact", "unbiased")
#: Where AdaGrad's accumulator starts and on which side of the root its epsilon stands.
PRESETS = ("convex", "nonconvex", "torch", "optax")
#: Update rules of `an.optimizers`.
OPTIMIZERS = (
    "sgd", "heavy_ball", "nesterov", "adagrad", "adagrad_norm", "rmsprop", "adam", "adamw", "amsgrad", "sign_sgd",
    "signum", "lion",
)  # fmt: skip


def one_of(word: str, known: tuple[str, ...], what: str) -> str:
    """`word` where it is in a closed vocabulary, else a ValueError with all words and the nearest.

    >>> one_of("konvex", PROPERTIES, "property")
    Traceback (most recent call last):
    ValueError: property = 'konvex'; expected one of 'convex', 'separable', ...; did you mean 'convex'?
    """
    if word in known:
        return word
    raise ValueError(
        f"{what} = {word!r}; expected one of {', '.join(map(repr, known))}{nearest(str(word).lower(), known)}"
    )


def meant(word: str, known: Iterable[str]) -> str:
    """"; did you mean ...?" for an open vocabulary, where only a slip of the pen is taken for one.

    >>> meant("sdg", OPTIMIZERS), meant("power_adagrad", OPTIMIZERS)
    ("; did you mean 'sgd'?", '')
    """
    pool = list(known)
    if word in pool:
        return ""
    same = [k for k in pool if sorted(k) == sorted(word)]
    return f"; did you mean {same[0]!r}?" if same else nearest(word, pool, cutoff=0.85)


def words(given: Iterable[str] | str) -> frozenset[str]:
    """One word, or several, as a set."""
    return frozenset([given] if isinstance(given, str) else given)
