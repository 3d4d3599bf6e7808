"""Why can a study not go on? Exceptions whose texts say what to do."""

from __future__ import annotations


class StudyError(Exception):
    """A study cannot go on; the message says what to do (exit code 2)."""


class Stopped(StudyError):
    """A study had to stop before its end; what is finished is stored, and it can be run again (exit code 3)."""
