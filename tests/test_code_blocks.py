"""Every block of Python in the README and the documentation runs; the executed pages run when the site is built."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from anisotropic.cli import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
#: Blocks that need a package that is not an extra of this one: their text is compiled and not run.
FOREIGN = ("dask_jobqueue", "lightning.LightningModule", "transformers.Trainer", '"lm_head.weight"')
NEEDS = {"torch": "import torch"}


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


BLOCKS = [(p, k, text) for p in PAGES for k, text in enumerate(blocks(p, "python"))]


def test_blocks_are_found():
    assert len(BLOCKS) >= 8 and sum(any(mark in text for mark in FOREIGN) for _, _, text in BLOCKS) == 4


@pytest.mark.parametrize(("path", "k", "text"), BLOCKS, ids=[f"{p.stem}-{k}" for p, k, _ in BLOCKS])
def test_a_block_runs(path, k, text, tmp_path):
    compile(text, f"{path.name} block {k}", "exec")
    if any(mark in text for mark in FOREIGN):
        return
    for module, mark in NEEDS.items():
        if mark in text:
            pytest.importorskip(module)
    script = tmp_path / "block.py"
    script.write_text(text)
    words = ["--quick"] if "an.study.main()" in text else []
    done = subprocess.run([sys.executable, str(script), *words], cwd=tmp_path, capture_output=True, text=True,
                          timeout=300, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


COMMANDS = [
    line.removeprefix("$ ").partition("  #")[0].split()
    for p in PAGES for language in ("sh", "console") for block in blocks(p, language) for line in block.splitlines()
    if line.removeprefix("$ ").startswith("anisotropic ")
]  # fmt: skip


def test_commands_exist():
    """Each command of the pages is one that the command line has, with options that it takes."""
    assert len(COMMANDS) >= 12
    for words in COMMANDS:
        command, left = cli, words[1:]
        while isinstance(command, click.Group):
            name, *left = left
            assert name in command.commands, words
            command = command.commands[name]
        known = {flag for p in command.params for flag in p.opts}
        if not command.context_settings.get("ignore_unknown_options"):
            assert {w for w in left if w.startswith("--") and not w[2:3].isupper()} <= known, words
