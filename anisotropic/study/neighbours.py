"""Which modules beside a study's file may be imported, and by whom? By the study and its neighbors, nobody else.

With the folder on `sys.path` any package that looks for an optional one, as SymPy does for gmpy2, would run a file of
that name which happens to lie beside the study.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType


class Neighbours(MetaPathFinder):
    """Finds top-level modules in one folder, for import statements of files below that folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or not _file_of_importer(sys._getframe(1)).startswith(self.folder + os.sep):
            return None
        return PathFinder.find_spec(fullname, [self.folder])


def admit(folder: str) -> None:
    """Let files below a folder import their neighbors, after everything that is installed."""
    if not any(isinstance(finder, Neighbours) and finder.folder == folder for finder in sys.meta_path):
        sys.meta_path.append(Neighbours(folder))


def _file_of_importer(frame: FrameType | None) -> str:
    """The file whose import statement, or call of `import_module`, is being served."""
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _MACHINERY:
        frame = frame.f_back
    return os.path.abspath(str(frame.f_globals.get("__file__", ""))) if frame is not None else ""


_MACHINERY = ("importlib", "_frozen_importlib", "_frozen_importlib_external")
