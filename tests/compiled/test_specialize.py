"""The text of a kernel whose functions are known: the same results as with the functions as arguments."""

import numpy as np
import pytest
from numba import njit

from anisotropic.compiled import generated
from anisotropic.compiled.copies import stand_in
from anisotropic.compiled.disk import ready
from anisotropic.compiled.specialize import Unsuited, specialize


@njit
def double(x):
    return 2.0 * x


@njit
def square(x):
    return x * x


@njit
def both(f, g, x, y=1.0):
    return f(x) + (0.0 if g is None else g(y))


@njit
def loop(f, measure, x, total):
    """Hands `f` on to a helper, twice with other partners, and leaves out what is None."""
    for i in range(x.size):
        total[0] += both(f, measure, x[i], 3.0) + both(f, f, x[i])
        if measure is not None:
            total[1] += measure(x[i])


@pytest.mark.parametrize("measure", [None, square])
def test_a_specialized_kernel_agrees_with_one_that_takes_functions(measure, monkeypatch):
    monkeypatch.setenv("ANISOTROPIC_KERNEL_CACHE", "off")
    x, plain, special = np.arange(3.0), np.zeros(2), np.zeros(2)
    loop(double, measure, x, plain)
    ready(loop, (double, measure), (x, special))(x, special)
    by_hand = sum(2 * v + (0 if measure is None else 9.0) + 2 * v + 2.0 for v in x)
    assert plain.tolist() == special.tolist() == [by_hand, 0.0 if measure is None else 5.0]


def test_no_function_is_handed_on():
    text = specialize(loop, (double, square))
    assert text.source.count("def ") == 3 and set(text.options) == {"kernel", "both", "both_with"}
    assert "both(x[i], 3.0)" in text.source and "def both(x, y=1.0)" in text.source
    assert text.symbols == {"f": double, "measure": square, "range": range} or set(text.symbols) == {"f", "measure"}


OTHER = 5.0


@njit
def shadow(f, g, OTHER):
    return f(OTHER) + g(OTHER)


@njit
def assigns(f, x):
    f = x
    return f


@njit
def hands_on(f, x):
    return max(f, x)


@njit
def missing(f, x):
    return f(x) + nowhere  # noqa: F821


def test_a_parameter_with_the_name_of_a_global_stays_a_parameter():
    assert "OTHER" not in specialize(shadow, (double, square)).symbols


@pytest.mark.parametrize(
    ("kernel", "sentence"),
    [
        (assigns, "assigns line 3 assigns to the function 'f'"),
        (hands_on, "hands_on line 3 hands a function on to what is not compiled"),
        (missing, "missing line 3 names 'nowhere', which is not defined"),
    ],
)
def test_kernels_that_cannot_be_specialized_say_where(kernel, sentence):
    with pytest.raises(Unsuited, match=sentence):
        specialize(kernel, (double,))


def test_names_of_records_are_found_again_and_others_are_not():
    cls = generated.record("P", ("a", "b1", "long_name"))
    assert cls._fields == ("a", "b1", "long_name") and getattr(generated, cls.__name__) is cls
    for name in ("P", "P__2a", "P__x", "__wrapped__", "P__0"):
        with pytest.raises(AttributeError, match="has no attribute"):
            getattr(generated, name)


def test_records_of_the_package_stay_as_they_are():
    import anisotropic as an

    params = an.problems.quadratic(1.0).params
    assert type(stand_in(params)) is type(params) and stand_in((1, (2.0, params)))[1][0] == 2.0
