"""Would AdaGrad or Adam beat SGD on my problem, and at which batch size? One call that measures, and says what is open.

The race decides. Theory stands beside it as a hint, with its record.
"""

from __future__ import annotations

from .answer import Advice
from .call import advise

__all__ = ["Advice", "advise"]
