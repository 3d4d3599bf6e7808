"""Which versions are at work? What belongs into every report of a problem."""

from __future__ import annotations


def show_versions() -> None:
    """Print the versions of the package, of Python and of what it stands on, and the machine.

    Examples
    --------
    >>> show_versions()
    anisotropic ...
    python ...
    """
    from ..study import environment

    found = environment()
    versions = dict(found["versions"])
    rows = {"anisotropic": versions.pop("anisotropic")}
    rows |= {name: found[name] for name in ("python", "os", "cpu", "cpu_target", "cores")} | versions
    for name, value in rows.items():
        print(f"{name:<14}{value}")
