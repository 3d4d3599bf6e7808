"""What did the user mean? The nearest known name, for every sentence about a name that does not exist."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from inspect import isfunction


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """"; did you mean 'x'?" for the known name nearest to `name`, nothing where none is near.

    >>> nearest("adagard", ["sgd", "adagrad"])
    "; did you mean 'adagrad'?"
    >>> nearest("lion", ["sgd", "adagrad"])
    ''
    """
    from difflib import get_close_matches

    near = get_close_matches(str(name), list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""


def no_such_name(module: str, name: str) -> AttributeError:
    """The error for ``module.name``: raise it in the ``__getattr__`` of a module that users complete by hand.

    Known are the names in ``__all__``, or else the public functions defined in the module.

    >>> no_such_name("anisotropic._support.names", "neerest")
    AttributeError("module 'anisotropic._support.names' has no name 'neerest'; did you mean 'nearest'?")
    """
    found = vars(sys.modules[module])
    own = [k for k, v in found.items() if isfunction(v) and v.__module__ == module and not k.startswith("_")]
    known = found.get("__all__", own)
    hint = nearest(name, known) or (f"; it has {', '.join(sorted(known))}" if len(known) <= 20 else "")
    return AttributeError(f"module {module!r} has no name {name!r}{hint}")
