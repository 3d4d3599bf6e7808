"""Does a noun keep the promises that a simulation relies on? Probed in plain Python, before anything is compiled.

A compiled loop trusts its functions: an index past the end of `state` corrupts memory, and a gradient that is not the
value's makes a true bound look violated. `check` answers for one noun, `require` for all nouns of a simulation.
"""

from __future__ import annotations

from .findings import ContractViolation, Finding, Findings
from .public import check, require

__all__ = ["ContractViolation", "Finding", "Findings", "check", "require"]
