"""The reference in C on a cell, compiled here by gcc: plain, and with the fast-math flags of the package's leaves."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from cells import CENTRE, METHODS, SEED, STEP, Cell

from anisotropic.compiled import random

FLAGS = "-fassociative-math -freciprocal-math -fno-signed-zeros -ffp-contract=fast -fno-math-errno -fno-trapping-math"
POINTERS = ("record", "h", "c", "scale", "lo", "hi", "polynomial", "drawn")


class Problem(ctypes.Structure):
    """The struct `problem` of reference.c."""

    _fields_ = [
        *((n, ctypes.c_long) for n in ("d", "replicas", "records", "columns")),
        *((n, ctypes.c_void_p) for n in POINTERS),
        ("step", ctypes.c_double),
        ("key0", ctypes.c_uint64),
        ("key1", ctypes.c_uint64),
    ]


@cache
def library(flags: str) -> ctypes.CDLL:
    """Compile reference.c and load it."""
    if shutil.which("gcc") is None:
        raise ImportError("no gcc")
    source = Path(__file__).with_name("reference.c")
    with TemporaryDirectory() as folder:
        target = Path(folder) / "reference.so"
        command = ["gcc", "-O3", "-march=native", *flags.split(), "-shared", "-fPIC", source, "-o", target, "-lm"]
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(target))


def beside(normals: np.ndarray, together: int) -> np.ndarray:
    """Normals (4, replicas, d) with `together` replicas innermost, a flat row for each of the four steps."""
    _, replicas, d = normals.shape
    tiles = normals.reshape(4, replicas // together, together, d).transpose(0, 1, 3, 2)
    return np.ascontiguousarray(tiles).reshape(4, -1)


def prepare(flags: str, cell: Cell):
    """See `cells.Peer`."""
    d = cell.dim
    arrays = {
        "record": cell.record.astype(np.int64),
        "h": cell.curvature,
        "c": np.full(d, CENTRE),
        "scale": cell.scale,
        "lo": np.full(d, -1.0),
        "hi": np.full(d, 1.0),
        "polynomial": np.array([getattr(random, f"A{i}") for i in range(11)]),
        "drawn": beside(cell.normals(), 32 if d < 64 else 1) if cell.drawn else np.zeros((4, 1)),
    }
    key = random.key_words(SEED)
    problem = Problem(
        d, cell.replicas, cell.record.size, arrays["drawn"].shape[1], *(arrays[n].ctypes.data for n in POINTERS),
        STEP[cell.method], int(key[0]), int(key[1]),
    )  # fmt: skip
    out = np.empty((cell.replicas, cell.record.size, 6))
    simulate = library(flags).simulate

    def run(keep=arrays):
        switches = METHODS.index(cell.method), cell.theory, cell.drawn
        simulate(*switches, ctypes.byref(problem), ctypes.c_void_p(out.ctypes.data))
        return out[:, -1]

    return run


plain, fast = partial(prepare, ""), partial(prepare, FLAGS)
