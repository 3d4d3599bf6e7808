"""Is a LIBSVM file read as it stands, and is a wrong one refused with its line?"""

import bz2
import gzip
import hashlib
import lzma
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from rounding import EPS
from scipy import sparse

from anisotropic import datasets, extras

HOME = os.environ.get(datasets.HOME_VARIABLE)
needs_data = pytest.mark.skipif(HOME is None, reason=f"{datasets.HOME_VARIABLE} names no folder of LIBSVM files")

#: Rows, columns, entries and share of the larger label, as published for these sets.
KNOWN = {
    "a9a": (32_561, 123, 451_592, 0.2408),
    "a9a.t": (16_281, 123, None, 0.2362),
    "a4a": (4_781, 123, None, None),
    "a8a": (22_696, 123, None, None),
    "w8a": (49_749, 300, None, 0.0297),
    "mushrooms": (8_124, 112, 8_124 * 21, None),
    "phishing": (11_055, 68, 11_055 * 30, None),
    "ijcnn1.tr": (35_000, 22, 35_000 * 13, None),
}


@pytest.fixture(autouse=True)
def no_home(monkeypatch):
    monkeypatch.delenv(datasets.HOME_VARIABLE, raising=False)


@pytest.fixture
def home(monkeypatch):
    monkeypatch.setenv(datasets.HOME_VARIABLE, HOME)


def write(tmp_path, text, name="set.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_plain_and_compressed_files(tmp_path, pack):
    text = b"+1 1:0.5 4:-2e-1 \n\n  \n-1\n+1 2:.5 3:3. # a comment 4:x\r\n# nothing else\n-1 1:1e2"
    X, y = datasets.load(write(tmp_path, pack(text)))
    assert isinstance(X, sparse.csr_array)
    assert X.dtype == y.dtype == np.float64
    np.testing.assert_array_equal(X.toarray(), [[0.5, 0, 0, -0.2], [0] * 4, [0, 0.5, 3, 0], [100, 0, 0, 0]])
    np.testing.assert_array_equal(y, [1.0, -1.0, 1.0, -1.0])


@given(
    st.lists(
        st.tuples(st.booleans(), st.dictionaries(st.integers(1, 40), st.floats(allow_nan=False, allow_infinity=False))),
        min_size=2,
        max_size=12,
    )
)
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read(tmp_path_factory, rows):
    rows = [(True, {}), (False, {7: 1.5}), *rows]
    lines = [" ".join([str(int(c)), *(f"{k}:{v!r}" for k, v in sorted(e.items()))]) for c, e in rows]
    X, y = datasets.load(write(tmp_path_factory.mktemp("data"), "\n".join(lines)), features=40)
    np.testing.assert_array_equal(y, [1.0 if c else -1.0 for c, _ in rows])
    dense = np.zeros((len(rows), 40))
    for i, (_, entries) in enumerate(rows):
        for k, v in entries.items():
            dense[i, k - 1] = v
    np.testing.assert_array_equal(X.toarray(), dense)


@pytest.mark.parametrize(("low", "high"), [("0", "1"), ("-1", "+1"), ("1", "2"), ("1.0", "3.5"), ("-2", "-1")])
def test_the_larger_label_is_plus_one(tmp_path, low, high):
    _, y = datasets.load(write(tmp_path, f"{high} 1:1\n{low} 1:2\n{high} 1:1\n"))
    np.testing.assert_array_equal(y, [1.0, -1.0, 1.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1:1\n-1 1:1 2\n", r"set\.txt, line 2: '2' is not of the form index:value"),
        ("1 1:1\n\n-1 1:1 2:\n", r"set\.txt, line 3: '2:' is not of the form"),
        ("1 1:1:2\n-1 1:1\n", r"line 1: '1:1:2' is not of the form"),
        ("1 1.5:1\n-1 1:1\n", r"line 1: '1.5:1' is not of the form index:value with a whole index"),
        ("1 qid:3 1:1\n-1 1:1\n", r"line 1: 'qid:3' is not of the form"),
        ("1 1:nan\n-1 1:1\n", r"line 1: '1:nan' is not of the form index:value .* finite value"),
        ("1 1:1e999\n-1 1:1\n", r"line 1: the value at index 1 is too large for a float"),
        ("1 1:1_0\n-1 1:1\n", r"line 1: '1:1_0' is not of the form"),
        ("yes 1:1\n-1 1:1\n", r"line 1: label 'yes' is not a number"),
        ("1:1 2:1\n-1 1:1\n", r"line 1: label '1:1' is not a number"),
        ("1 1:1\n\n# note\n-1 3:1 3:2\n", r"line 4: index 3 is repeated; indices must increase"),
        ("1 2:1\n-1 4:1 3:2\n", r"line 2: index 3 is after 4; indices must increase"),
        ("1 0:1\n-1 1:1\n", r"line 1: index 0 is out of range; indices start at 1"),
        ("1 1:1\n-1 9999999999:1\n", r"line 2: index 9999999999 is out of range"),
        ("1 1:1\n1 2:1\n", r"set\.txt has 2 rows of one class, label 1; expected two labels"),
        ("1 1:1\n2 2:1\n3\n", r"set\.txt has 3 different labels \(1, 2, 3\); expected two"),
        ("", r"set\.txt has no rows; expected lines of the form"),
        ("\n# only words\n", r"set\.txt has no rows"),
        (lzma.compress(b"1 1:1\n-1 1:1\n")[:-4], r"set\.txt cannot be decompressed .*is the file complete"),
        (bz2.compress(b"1 1:1\n-1 1:1\n")[:-4], r"cannot be decompressed"),
        (gzip.compress(b"1 1:1\n-1 1:1\n", mtime=0)[:-9], r"cannot be decompressed"),
    ],
)
def test_wrong_files_are_refused_with_their_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(write(tmp_path, text))


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, pack):
    path = tmp_path / "bomb"
    path.write_bytes(pack(b"1 1:1\n" * 5_000_000))
    with pytest.raises(ValueError, match=r"bytes and unpacks to more than [0-9,]+; unpack it yourself"):
        datasets.load(path)


def test_a_malformed_line_costs_time_in_proportion(tmp_path):
    """Counted, not timed: the pattern has one way to read a number, so a match fails without trying others."""
    from anisotropic.datasets.libsvm import _LINE, _NUMBER

    for text in (b"12", b"1.5", b".5", b"5.", b"-1e3"):
        assert re.fullmatch(_NUMBER, text)
    for text in (b".", b"1..2", b"e3", b"+-1", b""):
        assert not re.fullmatch(_NUMBER, text)
    line = b"-1 " + b" ".join(b"%d:1234567890" % i for i in range(1, 5_000)) + b" oops"
    assert not _LINE.fullmatch(line)  # never ended before
    path = tmp_path / "x"
    path.write_bytes(b"1 1:1\n" + line + b"\n")
    with pytest.raises(ValueError, match="line 2: 'oops' is not of the form index:value"):
        datasets.load(path)


def test_the_number_of_columns_can_be_given(tmp_path):
    path = write(tmp_path, "1 2:1\n-1 3:1\n")
    assert datasets.load(path)[0].shape == (2, 3)
    assert datasets.load(path, features=10)[0].shape == (2, 10)
    with pytest.raises(ValueError, match=r"has an entry in column 3, more than features = 2"):
        datasets.load(path, features=2)


def test_names_are_found_in_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "libsvm").mkdir()
    write(tmp_path, "1 1:1\n-1 1:2\n", "plain")
    write(tmp_path, "1 1:1\n-1 1:2\n", "plain.t")
    write(tmp_path, lzma.compress(b"1 1:1\n-1 1:2\n-1 1:3\n"), "libsvm/packed.xz")
    write(tmp_path, "no data", "README.md")
    with pytest.raises(ValueError, match=r"no data set or file is called 'packed'.*ANISOTROPIC_DATA_HOME is not set"):
        datasets.load("packed")
    monkeypatch.setenv(datasets.HOME_VARIABLE, str(tmp_path))
    assert datasets.available() == ["breast_cancer", "digits", "packed", "plain", "plain.t"]
    assert datasets.load("packed")[0].shape == (3, 1)
    assert datasets.load("plain.t")[0].shape == (2, 1)
    with pytest.raises(ValueError, match=r"called 'pakced'; did you mean 'packed'\?"):
        datasets.load("pakced")
    with pytest.raises(ValueError, match=r"'zzz'; known here: breast_cancer, digits, packed, plain, plain\.t"):
        datasets.load("zzz")
    with pytest.raises(FileNotFoundError, match="there is no file .*missing; give the path"):
        datasets.load(tmp_path / "missing")


def test_packaged_sets():
    X, y = datasets.load("breast_cancer")
    assert X.shape == (569, 31)
    dense = X.toarray()
    # Means over 569 rows of entries of size 1, taken twice: off by 569 EPS each, in whatever order they are added.
    np.testing.assert_allclose(dense[:, :30].mean(axis=0), 0.0, atol=2 * 569 * EPS)
    np.testing.assert_allclose((dense[:, :30] ** 2).mean(axis=0), 1.0, rtol=4 * 569 * EPS)
    np.testing.assert_array_equal(dense[:, 30], 1.0)
    assert (y == 1).sum() == 357  # benign
    X, y = datasets.load("digits")
    assert X.shape == (1797, 64)
    assert X.max() == 1.0
    assert (y == 1).sum() == 891  # 0, 2, 4, 6, 8


def test_a_missing_package_names_the_line_that_installs_it(monkeypatch):
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(extras.MissingExtra, match=r"run pip install 'anisotropic\[data\]'") as caught:
        datasets.load("digits")
    assert isinstance(caught.value, ImportError)


def test_reading_does_not_need_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert datasets.load(write(tmp_path, "1 1:1\n-1 1:2\n"))[0].shape == (2, 1)


@needs_data
@pytest.mark.parametrize("name", KNOWN)
def test_known_sets_have_their_published_shape(home, name):
    rows, columns, entries, positive = KNOWN[name]
    X, y = datasets.load(name)
    assert X.shape == (rows, columns)
    assert datasets.load(name)[0].shape[1] == columns  # a4a and a9a.t have nothing in the last one
    assert set(np.unique(y)) == {-1.0, 1.0}
    assert entries in (None, X.nnz)
    assert positive is None or round((y > 0).mean(), 4) == positive
    if name == "w8a":
        assert (np.diff(X.indptr) == 0).sum() == 4_203
    if name == "mushrooms":
        assert np.all(np.diff(X.indptr) == 21)


@needs_data
def test_agrees_with_scikit_learn(home):
    from sklearn.datasets import load_svmlight_file

    raw = lzma.decompress(Path(HOME, "libsvm", "a9a.xz").read_bytes())
    assert hashlib.md5(raw).hexdigest() == "fb3596510d780aaf76a06dc721d49662"
    X, y = datasets.load("a9a")
    from io import BytesIO

    theirs, labels = load_svmlight_file(BytesIO(raw))
    assert (sparse.csr_array(theirs) != X).nnz == 0
    np.testing.assert_array_equal(y, labels)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "text",
    [
        "age,height,sick\n30,1.5,yes\n40,2,no\n",
        "30,1.5,1\n40,2,0\n",
        '\ufeff"age","height","sick"\r\n30,1.5,"yes"\r\n\r\n40,2,"no"\r\n',
    ],
)
def test_csv_files(tmp_path, text, pack):
    X, y = datasets.load(write(tmp_path, pack(text.encode()), "table.csv" + (".gz" if pack is not bytes else "")))
    np.testing.assert_array_equal(X.toarray(), [[30, 1.5], [40, 2]])
    np.testing.assert_array_equal(y, [1.0, -1.0])


def test_the_column_of_labels_can_be_named(tmp_path):
    X, y = datasets.load(write(tmp_path, "sick,age\nyes,30\nno,40\n", "table.csv"), target="sick")
    assert X.toarray().tolist() == [[30.0], [40.0]] and y.tolist() == [1.0, -1.0]
    X, y = datasets.load(write(tmp_path, "1,30\n0,40\n", "table.csv"), target="0")
    assert X.toarray().tolist() == [[30.0], [40.0]] and y.tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"table\.csv has no rows"),
        ("age,sick\n", r"table\.csv has no rows"),
        ("1\n2\n", r"line 1: 1 column; expected features and one label"),
        ("age,sick\n30,1\nold,0\n", r"line 3: 'old' in column 'age' is not a number; encode"),
        ("age,sick\n30,1\n40\n", r"line 3: 1 columns; expected 2, as in the first line"),
        ("age,sick\n30,1\n,0\n", r"line 3: '' in column 'age' is not a number"),
        ("age,sick\n30,1\nnan,0\n", r"row 2: nan in column 'age'; fill in or drop such rows"),
        ("age,sick\n30,1\n40,1\n", r"has 2 rows of one class, label 1; expected two labels"),
        ("age,sick\n30,a\n40,b\n50,c\n", r"has 3 different labels \(a, b, c\)"),
    ],
)
def test_wrong_csv_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(write(tmp_path, text, "table.csv"))


def test_a_column_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'sikc'; did you mean 'sick'\?"):
        datasets.load(write(tmp_path, "age,sick\n1,1\n2,0\n", "table.csv"), target="sikc")
    with pytest.raises(ValueError, match=r"target = 'age' names a column of a CSV file"):
        datasets.load(write(tmp_path, "1 1:1\n0 1:2\n"), target="age")


def test_npz_archives(tmp_path):
    X = sparse.csr_array(np.array([[0.0, 2.0], [1.0, 0.0]]))
    np.savez(tmp_path / "dense.npz", X=X.toarray(), y=[True, False])
    np.savez(tmp_path / "sparse.npz", data=X.data, indices=X.indices, indptr=X.indptr, shape=X.shape, y=[3, 1])
    for name in ("dense", "sparse"):
        found, y = datasets.load(tmp_path / f"{name}.npz")
        assert found.toarray().tolist() == X.toarray().tolist() and y.tolist() == [1.0, -1.0]
    np.savez(tmp_path / "other.npz", features=X.toarray())
    with pytest.raises(ValueError, match=r"holds features; expected X and y, or data, indices"):
        datasets.load(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="cannot be read as NPZ"):
        datasets.load(write(tmp_path, "no archive", "text.npz"))


def test_frames_and_bunches():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [1, 2, 3], "kind": ["b", "a", "b"]})
    X, y = datasets.rows_and_labels(frame, target="kind")
    assert X.tolist() == [[1.0], [2.0], [3.0]] and y.tolist() == [1.0, -1.0, 1.0]
    from sklearn.datasets import load_breast_cancer

    X, y = datasets.rows_and_labels(load_breast_cancer())
    assert X.shape == (569, 30) and y.sum() == 357 - 212  # benign less malignant
    with pytest.raises(ValueError, match=r"column 'kind' does not hold numbers; encode it first"):
        datasets.rows_and_labels(frame, [0, 1, 0])
    with pytest.raises(ValueError, match=r"no column 'knd' of labels; the columns are age, kind"):
        datasets.rows_and_labels(frame, target="knd")
    frame["age"] = [1.0, np.nan, 3.0]
    with pytest.raises(ValueError, match=r"X has nan in row 1, column 'age' \(counted from 0\)"):
        datasets.rows_and_labels(frame, target="kind")


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((0, 2)), [], r"X has no rows"),
        (np.ones((3, 2)), [1, 1, 1], "y has 3 rows of one class, label 1"),
        (np.ones((3, 2)), [1, 0], "X has 3 rows and y has 2 labels"),
        (np.ones((3, 2)), [1, 0, np.nan], r"y has no label in row 2 \(NaN\)"),
        (np.ones((3, 2)), [[1], [0], [1]], r"y has labels of shape \(3, 1\)"),
        (np.ones(3), [1, 0, 1], r"X has shape \(3,\); expected rows and columns"),
        ([[1.0, np.inf], [0, 0]], [1, 0], "X has inf in row 0, column 1"),
        (sparse.csr_array([[1.0, 0], [0, np.nan]]), [1, 0], "X has nan in row 1, column 1"),
        (np.ones((2, 2)), None, "y is missing"),
    ],
)
def test_wrong_rows(X, y, message):
    with pytest.raises(ValueError, match=message):
        datasets.rows_and_labels(X, y)


class _Server:
    """Files by name, served on this machine; counts what is asked for."""

    def __init__(self, files):
        import threading
        from http.server import BaseHTTPRequestHandler, HTTPServer

        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                content = files.get(self.path.lstrip("/"))
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A registry of three small sets behind a server on this machine, and the cache they go to."""
    pooch = pytest.importorskip("pooch")
    registry, text = datasets.registry, b"1 1:1\n-1 2:1\n"
    good = "md5:" + hashlib.md5(text).hexdigest()
    sets = {
        "good": registry.Registered("good.bz2", "md5:" + hashlib.md5(bz2.compress(text)).hexdigest(), 2, 5, 2, "none"),
        "bad": registry.Registered("bad", good, 2, 5, None, "none"),
        "short": registry.Registered("short", None, 3, 5, None, "none"),
        "gone": registry.Registered("gone", good, 2, 5, None, "none"),
    }
    server = _Server({"good.bz2": bz2.compress(text), "bad": text + b"1 3:1\n", "short": text})
    monkeypatch.setattr(registry, "SETS", sets)
    monkeypatch.setattr(registry, "BASE", server.base)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    server.cache = tmp_path / "cache" / "anisotropic"
    yield server
    server.stop()


def test_a_registered_set_is_fetched_once(served, capsys):
    X, _ = datasets.load("good")
    assert X.shape == (2, 5)  # the registered width, not that of the largest index
    told = capsys.readouterr()
    assert told.out == "" and f"fetching good from {served.base}good.bz2 into {served.cache}" in told.err
    assert datasets.load("good")[0].shape == (2, 5)
    assert served.asked == ["/good.bz2"] and capsys.readouterr().err == ""
    assert [p.name for p in served.cache.iterdir()] == ["good.bz2"]


def test_another_file_is_not_kept_and_both_hashes_are_said(served):
    wanted = datasets.registry.SETS["bad"].hash.removeprefix("md5:")
    got = hashlib.md5(b"1 1:1\n-1 2:1\n1 3:1\n").hexdigest()
    with pytest.raises(ValueError, match=rf"hash expected {wanted}, got {got}\. Nothing was kept"):
        datasets.load("bad")
    assert list(served.cache.iterdir()) == []


def test_a_set_without_a_hash_is_checked_by_its_size(served):
    with pytest.raises(ValueError, match=r"has 2 rows and 2 entries; expected 3 rows\. It was removed"):
        datasets.load("short")
    assert list(served.cache.iterdir()) == []


def test_offline_the_folder_is_said(served):
    with pytest.raises(ConnectionError, match=rf"cannot fetch gone .*404.*put the file gone into {served.cache}"):
        datasets.load("gone")
    served.cache.mkdir(parents=True, exist_ok=True)
    (served.cache / "gone").write_bytes(b"1 1:1\n-1 2:1\n")  # as the sentence says
    assert datasets.load("gone")[0].shape == (2, 5)


def test_without_pooch_the_line_that_installs_it_is_said(served, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(extras.MissingExtra, match=r"pooch is not installed.*pip install 'anisotropic\[data\]'"):
        datasets.load("good")


def test_the_data_folder_comes_before_the_network(served, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "good.bz2").write_bytes(bz2.compress(b"1 1:1\n-1 2:1\n"))
    (tmp_path / "home" / "bad.xz").write_bytes(lzma.compress(b"1 1:1\n-1 2:1\n"))
    monkeypatch.setenv(datasets.HOME_VARIABLE, str(tmp_path / "home"))
    assert datasets.load("good")[0].shape == datasets.load("bad")[0].shape == (2, 5)
    assert served.asked == []


@pytest.mark.parametrize("text", ['"{}",1,1\n1,2,3\n', 'a,b,y\n"{}",1,1\n', "a,b,y\r1,2,1\r3,{},0"])
def test_a_csv_field_of_any_length_and_old_line_ends_are_a_sentence(tmp_path, text):
    path = tmp_path / "long.csv"
    path.write_bytes(text.format("x" * 140_000).encode())
    with pytest.raises(ValueError, match=r"long.csv, line \d+"):
        datasets.load(path)
