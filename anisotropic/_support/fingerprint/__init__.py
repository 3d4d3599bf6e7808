"""Would this function still compute the same? One digest of its code and of everything that the code reaches.

`of_function` reads live objects, so it serves notebooks and scripts too: byte code with the constants in it, defaults,
closure cells and the globals it names, followed into helper functions and modules wherever they live. `of_source` reads
files: a study's text and the text behind its imports. Packages that are installed count by name and version, this
package by one digest of its files. Nothing depends on line numbers, paths, addresses or the order of a set.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER
from typing import Any

from ..sources import NoFingerprint, SourceChanged, package_digest
from .imports import closure_of
from .walk import Walk

__all__ = ["NoFingerprint", "SourceChanged", "of_function", "of_source", "package_digest"]


def of_function(function: Callable[..., Any]) -> str:
    """SHA-256, as 64 hex digits, of a function and of all that it reaches.

    Parameters
    ----------
    function : callable
        A Python function or one compiled by Numba, a lambda, a closure, a method, a partial or a class.

    Raises
    ------
    NoFingerprint
        Something within reach has no stable description: a function of an extension module of the user's, an open
        file, a lock.
    SourceChanged
        Files of this package changed while the process was running.

    Examples
    --------
    A constant counts, the place does not.

    >>> first, second = (eval("lambda x: x * SIZE", {"SIZE": size}) for size in (3, 4))
    >>> again = eval("\\n\\nlambda x: x * SIZE", {"SIZE": 3})
    >>> of_function(first) == of_function(again) != of_function(second)
    True
    """
    walk = Walk({}, [getattr(function, "__qualname__", None) or repr(type(function))])
    walk.put("python", sys.implementation.cache_tag or "", MAGIC_NUMBER.hex(), package_digest())
    try:
        walk.visit(function)
    except NoFingerprint:
        raise
    except Exception as error:  # objects answer as their authors like
        raise NoFingerprint(f"{' -> '.join(walk.trail)} has no fingerprint: {type(error).__name__}: {error}") from error
    return walk.hash.hexdigest()


def of_source(path: Any, *, text: str | None = None) -> str:
    """SHA-256, as 64 hex digits, of a study's file, of the modules behind its imports, and of this package.

    Parameters
    ----------
    path : str or Path
    text : str, optional
        Counts in place of the file's own text: its part that matters. The imports are always those of the file.

    Raises
    ------
    NoFingerprint
        The file cannot be read or is not Python.
    SourceChanged
        Files of this package changed while the process was running.

    Notes
    -----
    Followed are import statements anywhere in a file and ``import_module("name")`` with the name written out; a module
    whose name is computed is not seen, nor are files of data. The texts are those on disk now: a process that loaded
    them takes the digest at that time.
    """
    whole = hashlib.sha256(package_digest().encode())
    for name, content in closure_of(path):
        content = text.encode() if name == "" and text is not None else content
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()
