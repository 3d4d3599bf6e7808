"""Where do generated functions and records live? In this module's name, so that any process can load what refers to it.

Compiled code on disk names the module of each function in it and the class of each record it takes. Those of a script,
a notebook or a study's file may be absent or different in the next process; their copies live here instead. A record
is made from its name when it is first asked for: the name spells out class and fields.
"""

from __future__ import annotations

import sys
from collections import namedtuple
from typing import Any


def record(name: str, fields: tuple[str, ...]) -> Any:
    """A NamedTuple class with these fields that is found again by its name.

    >>> record("Turned", ("scaled",)).__name__, record("Turned", ("scaled",)) is record("Turned", ("scaled",))
    ('Turned__6scaled', True)
    """
    return getattr(sys.modules[__name__], f"{name}__{''.join(f'{len(field)}{field}' for field in fields)}")


def _fields(text: str) -> list[str]:
    found = []
    while text:
        digits = len(text) - len(text.lstrip("0123456789"))
        size = int(text[:digits] or 0)
        found.append(text[digits : digits + size])
        if not size or len(found[-1]) != size:
            raise ValueError(text)
        text = text[digits + size :]
    return found


def __getattr__(name: str) -> Any:
    title, separator, rest = name.rpartition("__")
    if not separator or not title or name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        made: Any = namedtuple(name, _fields(rest), module=__name__)  # type: ignore[misc]
    except ValueError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = made
    return made
