"""How does a registered data set come onto this machine? Once, into the cache of the platform, and only if it is whole.

pooch (extra `data`) downloads under a temporary name, compares the hash, and renames. What fails the comparison is not
kept.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from .._support.extras import require
from . import registry

TIMEOUT = 30  # seconds without an answer


def cached(name: str) -> Path:
    """The file of a registered set in the cache, fetched unless it is there and whole.

    Raises
    ------
    ConnectionError
        If it cannot be fetched; the message has the address, and the folder to put the file into.
    ValueError
        If what came has another hash; nothing is kept.
    MissingExtra
        If pooch is not installed.
    """
    entry = registry.SETS[name]
    pooch = require("pooch", "data")
    folder = Path(pooch.os_cache("anisotropic"))
    pooch.get_logger().setLevel("ERROR")
    url = registry.BASE + entry.file
    if not (folder / entry.file).is_file():
        print(f"fetching {name} from {url} into {folder} ({entry.licence})", file=sys.stderr, flush=True)
    bar = sys.stderr.isatty() and find_spec("tqdm") is not None
    try:
        found = pooch.retrieve(
            url, entry.hash, fname=entry.file, path=folder, downloader=pooch.HTTPDownloader(bar, timeout=TIMEOUT)
        )
    except ValueError as error:
        hashes = re.search(r"expected (?:\w+:)?(\S+) but got (\S+?)\.? ", str(error))
        told = f"expected {hashes[1]}, got {hashes[2]}" if hashes else str(error)
        raise ValueError(
            f"{url} is not the file that was published as {name}: hash {told}. Nothing was kept; try again, or put a "
            f"copy that you trust into {folder}"
        ) from None
    except OSError as error:
        raise ConnectionError(
            f"cannot fetch {name} from {url} ({_reason(error)}). Without a network, put the file {entry.file} into "
            f"{folder}, or into the folder that ANISOTROPIC_DATA_HOME names"
        ) from None
    return Path(found)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__ if not str(error) else str(error).partition("\n")[0][:120]
