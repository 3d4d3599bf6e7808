"""Where does a module come from? This package, the standard library, an installed distribution, or its user."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

USER, PACKAGE, OUTSIDE = "user", "package", "outside"
OWN = __name__.partition(".")[0]
_INSTALLED = {"site-packages", "dist-packages"}


class Origin(NamedTuple):
    """USER, PACKAGE or OUTSIDE; for what comes from outside its distribution and version."""

    kind: str
    name: str = ""
    version: str = ""


PYTHON = Origin(OUTSIDE, "python", ".".join(str(n) for n in sys.version_info[:3]))


def of_module(name: str) -> Origin:
    """Origin of the module `name`, loaded or not."""
    top = name.partition(".")[0]
    if top == OWN:
        return Origin(PACKAGE)
    module = sys.modules.get(name) or sys.modules.get(top)
    file = getattr(module, "__file__", None)
    if module is None and top not in sys.stdlib_module_names:
        file = _file_of(top)
    return of_file(top, file)


def _file_of(top: str) -> str | None:
    """Where a module that is not loaded would come from."""
    try:
        spec = importlib.util.find_spec(top) if top else None
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None and spec.has_location else None


def of_file(top: str, file: str | None) -> Origin:
    """Origin of a top-level name that lives in `file`; without a file it is built in or its user's."""
    if file is None:
        return PYTHON if top in sys.stdlib_module_names and top != "__main__" else Origin(USER)
    return _of_file(top, os.path.abspath(file))


@cache
def _of_file(top: str, file: str) -> Origin:
    if _INSTALLED & set(file.split(os.sep)):
        version = _version(top)
        return Origin(OUTSIDE, top, version) if version else Origin(USER)
    standard = {os.path.abspath(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib")}
    return PYTHON if any(file.startswith(folder + os.sep) for folder in standard) else Origin(USER)


@cache
def _version(top: str) -> str:
    """Version of the distribution that installed the module `top`; empty where none did, as for a file put there."""
    from importlib import metadata

    if not top:
        return ""
    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:
        names = sorted(set(metadata.packages_distributions().get(top, ())))
        return " ".join(f"{name} {metadata.version(name)}" for name in names)


def named(thing: Any) -> tuple[str, str] | None:
    """Module and qualified name under which `thing` itself is found, or None."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(name, str):
        name = getattr(thing, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None) if not isinstance(found, ModuleType) else vars(found).get(part)
    return (module, name) if found is thing else None
