"""What does a function name? The globals, attributes of modules and imports in its byte code."""

from __future__ import annotations

import dis
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_BETWEEN = {"PUSH_NULL", "CACHE", "EXTENDED_ARG", "PRECALL", "NOP"}


class Use(NamedTuple):
    """A global with the attributes taken of it at once, as in ``module.part.function``; or an imported module."""

    name: str
    attributes: tuple[str, ...] = ()
    imported: bool = False
    level: int = 0


@lru_cache(maxsize=4096)
def uses(code: CodeType) -> tuple[Use, ...]:
    """Everything that `code` and the code inside it name, in order and once."""
    found: list[Use] = []
    chain: list[str] = []
    constants: list[object] = []
    for step in dis.get_instructions(code):
        if chain and step.opname in _ATTRIBUTE:
            chain.append(str(step.argval))
            continue
        if step.opname in _BETWEEN:
            continue
        if chain:
            found.append(Use(chain[0], tuple(chain[1:])))
            chain = []
        if step.opname in _GLOBAL:
            chain = [str(step.argval)]
        elif step.opname == "IMPORT_NAME":
            level = constants[-2] if len(constants) > 1 and isinstance(constants[-2], int) else 0
            found.append(Use(str(step.argval), imported=True, level=level))
            names = constants[-1] if constants and isinstance(constants[-1], tuple) else ()
            prefix = f"{step.argval}." if step.argval else ""
            found += [Use(f"{prefix}{name}", imported=True, level=level) for name in names if name != "*"]
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            constants.append(step.argval)
    if chain:
        found.append(Use(chain[0], tuple(chain[1:])))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += uses(constant)
    return tuple(dict.fromkeys(found))
