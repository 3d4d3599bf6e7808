"""How is a function compiled that a trajectory kernel takes as an argument? By `leaf`.

Its flags let LLVM reassociate and contract, and keep NaN and infinity, so that divergence stays visible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

FLAGS = {"contract", "reassoc", "nsz", "arcp", "afn"}
EXACT_ORDER = {"contract", "nsz"}  # reassociation would undo range reductions and the bit tricks of the normals

leaf: Callable[..., Any] = njit(fastmath=FLAGS, error_model="numpy", nogil=True, forceinline=True)
