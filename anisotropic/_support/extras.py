"""Which optional package is missing, and how is it installed?"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class MissingExtra(ImportError):
    """An optional dependency is not installed; the message has the pip line. The command line exits with 5."""


def require(module: str, extra: str) -> Any:
    """Import `module`, which comes with the extra `extra` of this package.

    Raises
    ------
    MissingExtra
        If it, or a module that it needs, is not installed.

    Examples
    --------
    >>> require("math", "data").sqrt(4.0)
    2.0
    >>> require("nowhere_to_be_found", "data")
    Traceback (most recent call last):
    anisotropic._support.extras.MissingExtra: nowhere_to_be_found is not installed; it comes with the extra 'data': run pip install 'anisotropic[data]'
    """  # noqa: E501
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name} is not installed; it comes with the extra '{extra}': run pip install 'anisotropic[{extra}]'",
            name=error.name,
        ) from error
