"""Which pages are made from what is there already? The gallery of stored results, and links that open notebooks."""

from __future__ import annotations

import ast
import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generated import OUT, write

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parent
PICTURES = OUT / "gallery"


def gallery(studies: Path, results: Path) -> str:
    """A section for each study: its question, the command, and the first figure and sentences that results hold."""
    lines: list[str] = []
    for path in sorted(studies.glob("[!_]*.py")):
        question = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        lines += [f"## {path.stem}", "", f"*{_literal(question)}*", ""]
        folder = results / f"{path.stem}-quick"
        summary = _summary(folder)
        if summary is None:
            if os.environ.get("ANISOTROPIC_GALLERY") == "required":
                raise FileNotFoundError(f"{folder} has no summary.json; run {path.name} --quick before make docs")
            lines += [f"Not drawn where this page was built: `anisotropic study run {path.stem} --quick`.", ""]
            continue
        for name, alt in list(summary["figures"].items())[:1]:
            PICTURES.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / f"{name}.svg", PICTURES / f"{path.stem}.svg")
            lines += [f":::{{image}} /_generated/gallery/{path.stem}.svg", f":alt: {' '.join(alt.split())}", ":::", ""]
        lines += [f"* {_literal(sentence)}" for sentence in summary["sentences"][:3]]
        lines += ["", f"`anisotropic study run {path.stem} --quick`", ""]
    return "\n".join(lines)


def _summary(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _literal(sentence: str) -> str:
    """A sentence whose signs Markdown must not read."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#$|~" else c for c in sentence)


def launch(repository: str) -> str:
    """Links that open the notebooks elsewhere, where the public address of the repository is known."""
    names = sorted(p.stem for p in (HERE / "notebooks").glob("*.ipynb"))
    if not repository.startswith("https://github.com/"):
        return (
            "To run them elsewhere: download a notebook and open it in Jupyter, or upload it to "
            "[Colab](https://colab.research.google.com) (File, Upload notebook). The first cell installs the package.\n"
        )
    place = repository.removeprefix("https://github.com/").strip("/")
    lines = ["| notebook | Colab | Binder |", "|---|---|---|"]
    for name in names:
        colab = f"https://colab.research.google.com/github/{place}/blob/main/docs/notebooks/{name}.ipynb"
        binder = f"https://mybinder.org/v2/gh/{place}/main?labpath=docs%2Fnotebooks%2F{name}.ipynb"
        lines.append(f"| {name} | [open]({colab}) | [open]({binder}) |")
    return "\n".join(lines) + "\n"


def generate(app: Sphinx | None = None) -> None:
    """Write the pages that the gallery and the page of notebooks include."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    write(OUT / "gallery.md", gallery(ROOT / "studies", ROOT / "results"))
    write(OUT / "launch.md", launch(urls.get("Repository", "")))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
