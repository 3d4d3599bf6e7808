"""How are the inputs of a batch passed to a model? One by one or by name, where its signature takes them so."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def arguments_for(function: Callable[..., Any], inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments: a dictionary by name, a tuple one by one, else (or if that fails) as one.

    Examples
    --------
    >>> arguments_for(lambda ids, mask=None: None, {"ids": 1, "mask": 2})
    ((), {'ids': 1, 'mask': 2})
    >>> arguments_for(lambda features: None, {"ids": 1, "mask": 2})
    (({'ids': 1, 'mask': 2},), {})
    >>> arguments_for(lambda pair: None, (1, 2))
    (((1, 2),), {})
    """
    args: tuple[Any, ...] = inputs if isinstance(inputs, tuple) else ()
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    if args or named:
        try:
            inspect.signature(function).bind(*args, **named)
            return args, named
        except TypeError:
            pass
    return (inputs,), {}
