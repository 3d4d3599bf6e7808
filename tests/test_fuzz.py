"""Do files and words of strangers end in an answer or a sentence? A few hundred of each; ``make fuzz`` tries more."""

import fuzz
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 8), st.binary(max_size=6)), max_size=6)


def mutated(data, edits):
    """The bytes with a few places replaced, shortened or grown."""
    for at, removed, added in edits:
        at %= len(data) + 1
        data = data[:at] + added + data[at + removed :]
    return data


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_nothing_but_answers_and_sentences(name):
    target, examples, _ = fuzz.TARGETS[name]
    starts = examples()
    for start in starts:
        target(start)

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=60), st.builds(mutated, st.sampled_from(starts), EDITS)))
    def hold(data):
        target(data)

    hold()


def test_the_targets_notice_a_traceback(monkeypatch):
    from anisotropic.records import run

    def broken(*_):
        raise KeyError("facts")

    monkeypatch.setattr(run, "arrays_of", broken)
    fuzz.saved_run(b"")  # turned into a sentence
    monkeypatch.setattr(run.Facts, "from_json", broken)
    monkeypatch.setattr(run, "load", broken)
    monkeypatch.setattr("anisotropic.load", broken)
    with pytest.raises(KeyError):
        fuzz.saved_run(b"")
