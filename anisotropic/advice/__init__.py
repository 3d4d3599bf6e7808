"""Would AdaGrad or Adam beat SGD on my problem, and at which batch size? One call that measures, and says what is open.

The race decides. Theory stands beside it as a hint, with its record.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._support.names import no_such_name

if TYPE_CHECKING:
    from .answer import Advice as Advice
    from .call import advise as advise

__all__ = ["Advice", "advise"]

_HOME = {"Advice": "answer", "advise": "call"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise no_such_name(__name__, name)
