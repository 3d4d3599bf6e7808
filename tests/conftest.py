"""A study that counts its calls, in a folder of its own."""

import pytest
from fake_study import FAKE


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The path of a study file; `calls()` of it lists the cells computed so far."""
    path = tmp_path / "fake.py"
    path.write_text(FAKE)
    log = tmp_path / "log.txt"
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.chdir(tmp_path)
    return path
