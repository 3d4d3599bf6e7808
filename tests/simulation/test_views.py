"""Views without an owner: the same entries as NumPy's slices, in the same memory."""

import sys
from typing import NamedTuple

import numpy as np
import pytest
from numba import njit

from anisotropic.compiled.views import matrix, part, share


class Inner(NamedTuple):
    vector: np.ndarray
    number: float


class Mixed(NamedTuple):
    vector: np.ndarray
    other: np.ndarray
    table: np.ndarray
    whole: np.ndarray
    inner: Inner
    flag: bool
    integers: np.ndarray


MIXED = Mixed(
    np.arange(10.0), np.arange(7.0), np.arange(20.0).reshape(10, 2), np.arange(10), Inner(-np.arange(10.0), 2.5), True,
    np.arange(10),
)  # fmt: skip


@njit
def double(x, start, size):
    piece = part(x, start, size)
    for j in range(piece.size):
        piece[j] *= 2.0
    return piece.sum()


@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 3, 2)])
def test_a_part_is_a_slice_of_the_flat_array_and_writes_through(shape):
    x = np.arange(12.0).reshape(shape)
    expected = np.arange(12.0)
    expected[5:9] *= 2.0
    assert double(x, 5, 4) == expected[5:9].sum()
    np.testing.assert_array_equal(x.ravel(), expected)


@njit
def trace(x, start):
    square = matrix(x, start, 3, 3)
    square[2, 0] = -1.0
    return square[0, 0] + square[1, 1] + square[2, 2], square.shape


def test_a_matrix_is_a_reshaped_slice():
    x = np.arange(12.0)
    assert trace(x, 2) == (2.0 + 6.0 + 10.0, (3, 3)) and x[8] == -1.0


@njit
def sums(params, start, size, whole):
    p = share(params, start, size, whole)
    return p.vector.sum(), p.other.sum(), p.table.sum(), p.whole.sum(), p.inner.vector.sum(), p.inner.number, p.flag


def test_a_share_cuts_the_float64_vectors_of_the_whole_length_and_nothing_else():
    """Every other field passes as it is, whatever its shape or type."""
    total = MIXED.whole.sum()
    cut = MIXED.vector[3:7].sum()
    assert sums(MIXED, 3, 4, 10) == (cut, MIXED.other.sum(), MIXED.table.sum(), total, -45.0, 2.5, True)
    assert sums(MIXED, 0, 3, 7) == (45.0, 3.0, MIXED.table.sum(), total, -45.0, 2.5, True)


def test_memory_outlives_a_thousand_views():
    """Views hold no reference: the arrays' counts are the same afterwards, and their entries too."""
    x = np.arange(10.0)
    sums(MIXED, 3, 4, 10)
    before = sys.getrefcount(MIXED.vector)
    for _ in range(1000):
        sums(MIXED, 3, 4, 10)
        double(x, 0, 0)
    after = sys.getrefcount(MIXED.vector)
    assert after == before
    np.testing.assert_array_equal(x, np.arange(10.0))
