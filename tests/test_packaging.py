"""Do type checkers see the names that users see?"""

import ast
from pathlib import Path

import anisotropic as an


def test_the_stub_names_what_the_package_loads_and_from_where():
    tree = ast.parse((Path(an.__file__).parent / "__init__.pyi").read_text(encoding="utf-8"))
    seen = {
        alias.name: f"{node.module}.{alias.name}" if node.module else alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name  # what is not repeated is not public
    }
    assert seen == an._MODULES | {name: f"{home}.{name}" for name, home in an._HOME.items()}
    assert {*seen, "__version__"} == set(an.__all__)
