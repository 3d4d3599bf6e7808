"""A study that counts its calls, in a folder of its own."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_study import FAKE

# A shell ignores interrupts in what it starts in the background, and children inherit that: tests send some.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The path of a study file; `calls()` of it lists the cells computed so far."""
    path = tmp_path / "fake.py"
    path.write_text(FAKE)
    log = tmp_path / "log.txt"
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def script(fake):
    """Start the study as a process: ``script("run", FAKE_WAIT="1")``; whatever is left of it ends with the test."""
    started = []

    def start(*words: str, **environment: str) -> subprocess.Popen:
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join([root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        env = os.environ | {"PYTHONPATH": path, "COLUMNS": "80"} | environment
        call, pipe = [sys.executable, fake.name, *words], subprocess.PIPE
        started.append(subprocess.Popen(call, cwd=fake.parent, env=env, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def browser():
    """Chromium under Playwright. Where ANISOTROPIC_BROWSER is "required", as in .ci/run, a missing one is an error."""
    required = os.environ.get("ANISOTROPIC_BROWSER") == "required"
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not required:
        pytest.importorskip("playwright")
        if path is None:
            pytest.skip("no Chromium on this machine: apt-get install chromium")
    assert path, "ANISOTROPIC_BROWSER=required, but there is no chromium on the path: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser):
    """Open a file at a width; ``page.faults`` are errors, and requests for anything but files and data."""
    opened = []

    def go(path: Path, width: int = 1400, scheme: str = "light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.faults = []
        page.on("console", lambda m: page.faults.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("dialog", lambda dialog: (page.faults.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or page.faults.append(r.url))
        page.goto(path.resolve().as_uri())
        opened.append(page)
        return page

    yield go
    for page in opened:
        page.close()
