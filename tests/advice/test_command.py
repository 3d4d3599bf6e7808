"""Does ``anisotropic advise`` answer, resume, and refuse with one sentence and the right exit code?"""

import json

import numpy as np
import pytest

from anisotropic.advice import rows as by_rows
from anisotropic.cli import main

SMALL = ["--batch-size", "4", "--method", "sgd", "--method", "adagrad", "--budget", "400", "--replicas", "4"]


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 2))
    sick = np.where(X[:, 0] + rng.standard_normal(60) > 0, "yes", "no")
    path = tmp_path / "table.csv"
    path.write_text("sick,a,b\n" + "".join(f"{s},{x:.3f},{y:.3f}\n" for s, (x, y) in zip(sick, X, strict=True)))
    return path


def ask(capsys, *words):
    code = main(["advise", *map(str, words)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_csv_file_in_text_and_json_and_with_a_figure(table, tmp_path, capsys):
    words = [table, "--label", "sick", *SMALL, "--results", tmp_path / "kept"]
    code, out, err = ask(capsys, *words, "--figure", tmp_path / "ratio.png")
    assert code == 0 and "helps here" in out.partition("\n\n")[0].replace("\n", " ") and "batch size 4: sgd" in err
    assert (tmp_path / "ratio.png").stat().st_size > 1000
    code, out, err = ask(capsys, *words, "--json")
    found = json.loads(out)
    assert code == 0 and found["problem"]["name"] == str(table) and found["problem"]["rows"] == 60
    assert "batch size 4: sgd" not in err  # everything was kept
    code, out, err = ask(capsys, *words, "--quiet")
    assert code == 0 and err == "" and out.splitlines() == found["answer"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.csv"], "there is no file nowhere.csv"),
        (["no_such_set"], "no data set or file is called 'no_such_set'"),
        (["TABLE"], "in column 'sick' is not a number; encode texts"),
        (["TABLE", "--label", "sik"], "has no column 'sik'; did you mean 'sick'?"),
        (["TABLE", "--label", "sick", "--batch-size", "61"], "batch size 61 is above the 60 rows"),
        (["TABLE", "--label", "sick", "--budget", "20", "--batch-size", "8"], "pass budget = 80 or more"),
        (["TABLE", "--label", "sick", "--l2", "-1"], "l2 = -1"),
        (["TABLE", "--label", "sick", "--method", "sdg"], "no method is called 'sdg'; did you mean 'sgd'?"),
    ],
)
def test_wrong_words(table, capsys, words, message):
    code, out, err = ask(capsys, *[table if w == "TABLE" else w for w in words])
    assert code == 2 and out == "" and message in " ".join(err.split()) and "Traceback" not in err


def test_an_interrupt_is_three_and_says_how_to_go_on(table, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(by_rows, "runs", lambda *_: stop)
    code, out, err = ask(capsys, table, "--label", "sick", *SMALL, "--results", tmp_path / "kept")
    assert code == 3 and out == "" and "interrupted; the same command goes on" in err
    code, _, err = ask(capsys, table, "--label", "sick", *SMALL)
    assert code == 3 and "with --results DIR" in err
