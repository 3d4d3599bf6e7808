"""How does a picture of a results folder get into a page? As drawing elements alone, whatever else its file holds.

A summary may come from a stranger: it may name files outside its folder, and an SVG file may hold scripts, links and
style sheets. Only regular files of the folder itself are read, and of an SVG only shapes and texts are kept.
"""

from __future__ import annotations

import base64
import os
import re
import stat
import xml.etree.ElementTree as ET
from html import escape
from pathlib import Path

#: Bytes of one picture; a larger one stays beside the page.
LARGEST = 1_500_000
DEEPEST = 100
_SHAPES = """
svg g defs clipPath pattern path rect circle ellipse line polyline polygon text tspan use image linearGradient stop
"""
_ATTRIBUTES = """
id d x y x1 x2 y1 y2 cx cy r rx ry width height points viewBox transform style clip-path clip-rule fill fill-opacity
fill-rule opacity stroke stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin stroke-opacity stroke-width
font-family font-size font-weight font-style text-anchor offset stop-color stop-opacity gradientUnits gradientTransform
patternUnits patternTransform preserveAspectRatio
"""
SHAPES, ATTRIBUTES = frozenset(_SHAPES.split()), frozenset(_ATTRIBUTES.split())
STYLES = ATTRIBUTES | {"font", "font-stretch", "font-variant", "white-space"}
_HARMLESS = re.compile(r"[\w\s:;,.#%()'\"+-]*")
_LINK = re.compile(r"url\(\s*['\"]?#([\w.-]+)['\"]?\s*\)")
_LONG = re.compile(r"(\.\d\d)\d+")


def content(folder: Path, name: str) -> bytes | None:
    """What a regular file of the folder itself holds; None for anything else."""
    path = folder / name
    try:
        if Path(name).name != name or not stat.S_ISREG(path.lstat().st_mode):
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def absent(folder: Path, name: str) -> str:
    """Why a file that the summary lists is not in the page."""
    gone = Path(name).name == name and not os.path.lexists(folder / name)
    return f"{name} is listed in the summary but {'missing' if gone else 'is not a file of this folder'}."


def drawing(data: bytes, prefix: str, label: str) -> str | None:
    """The shapes and texts of an SVG file as inline markup, its names begun with `prefix`; None if it is not one.

    >>> drawing(b'<svg viewBox="0 0 1 1"><script>x()</script><path d="M0.123456 1" onclick="x()"/></svg>', "a", "A <b>")
    '<svg viewBox="0 0 1 1" role="img" aria-label="A &lt;b&gt;"><path d="M0.12 1"></path></svg>'
    """
    if len(data) > LARGEST or b"<!ENTITY" in data:
        return None
    try:
        root = ET.fromstring(data)
    except (ET.ParseError, ValueError):
        return None
    if _local(root.tag) != "svg":
        return None
    parts: list[str] = []
    known = _write(root, prefix, f' role="img" aria-label="{escape(label)}"', parts, 0)
    return "".join(parts) if known else None


def _write(element: ET.Element, prefix: str, more: str, parts: list[str], depth: int) -> bool:
    """Append one element with all below it; False where it is not a shape or lies too deep."""
    name = _local(element.tag)
    if name not in SHAPES or depth > DEEPEST:
        return False
    attributes = [_attribute(_local(key), value, name, prefix) for key, value in element.items()]
    size = ("width", "height") if depth == 0 else ()
    kept = "".join(f' {key}="{escape(value)}"' for key, value in filter(None, attributes) if key not in size)
    parts.append(f"<{name}{kept}{more}>{escape((element.text or '') if name in ('text', 'tspan') else '')}")
    for child in element:
        _write(child, prefix, "", parts, depth + 1)
        if name in ("text", "tspan"):
            parts.append(escape(child.tail or ""))
    parts.append(f"</{name}>")
    return True


def _attribute(key: str, value: str, element: str, prefix: str) -> tuple[str, str] | None:
    """An attribute that draws and does nothing else; references stay inside the picture."""
    if key == "href":
        if value.startswith("#"):
            return key, f"#{prefix}-{value[1:]}"
        if element == "image" and re.fullmatch(r"data:image/png;base64,[\w+/=\s]*", value):
            return key, value
        return None
    if key not in ATTRIBUTES or not _HARMLESS.fullmatch(value):
        return None
    if key == "id":
        return key, f"{prefix}-{value}"
    if key == "style":
        told = [part.strip() for part in value.split(";")]
        value = "; ".join(part for part in told if part.partition(":")[0].strip() in STYLES)
    if "(" in value and "url" in value.lower():
        if len(_LINK.findall(value)) != value.lower().count("url"):
            return None
        return key, _LINK.sub(rf"url(#{prefix}-\1)", value)
    return key, _LONG.sub(r"\1", value) if key in ("d", "transform", "points", "x", "y") else value


def _local(name: object) -> str:
    return name.rpartition("}")[2] if isinstance(name, str) else ""


def embedded(data: bytes, label: str) -> str:
    """A PNG as an ``img`` element."""
    return f'<img alt="{escape(label)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
