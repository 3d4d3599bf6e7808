"""Which public data sets have a name here, where are they, how large are they, and by what are they known to be whole?

Facts about LIBSVM files as their site serves them. A hash is one that was published by at least one party other than
this project; where none was found, rows, columns and entries are checked instead. The licences are those of the
sources as far as they are stated anywhere; no data set comes with this package.
"""

from __future__ import annotations

from typing import NamedTuple

BASE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"

_UCI = "UCI: CC BY 4.0"
_NONE = "no licence stated"
_RCV1 = "from Reuters texts, whose use is under an agreement; do not pass it on"


class Registered(NamedTuple):
    """File name on the server, hash as "algorithm:digest" or None, rows, columns, nonzero entries or None, licence."""

    file: str
    hash: str | None
    rows: int
    columns: int
    entries: int | None
    licence: str


SETS: dict[str, Registered] = {
    "a4a": Registered("a4a", "md5:ce53c338007a0ad8e7021186cc259b07", 4_781, 123, None, _UCI),
    "a4a.t": Registered("a4a.t", "md5:9603c250270fa627d9cb9b7adbdacad0", 27_780, 123, None, _UCI),
    "a6a": Registered("a6a", "md5:02abf77023749b83eb5cfb1ad60969cc", 11_220, 123, None, _UCI),
    "a6a.t": Registered("a6a.t", "md5:1b71168068d9cf198408ac839d9f3b1a", 21_341, 123, None, _UCI),
    "a8a": Registered("a8a", "md5:247737ca98b22d3186c0c0db33d5f006", 22_696, 123, None, _UCI),
    "a9a": Registered(
        "a9a", "sha256:f5d5ffd8d865ff41328e7ee043e4b020816914ff6843ff15b98905ddbedce906", 32_561, 123, 451_592, _UCI
    ),
    "a9a.t": Registered(
        "a9a.t", "sha256:1f448a153f0320399a7e40836eb207655b0bde0f21fc941cc472193daa9f5de9", 16_281, 123, None, _UCI
    ),
    "covtype.binary": Registered(
        "covtype.libsvm.binary.bz2", "md5:0d3439b314ce13e2f8b903b12bb3ea20", 581_012, 54, None, _UCI
    ),
    "covtype.binary.scale": Registered(
        "covtype.libsvm.binary.scale.bz2", "md5:d95f45e15c284005c2c7a4c82e4be102", 581_012, 54, None, _UCI
    ),
    "ijcnn1": Registered("ijcnn1.bz2", "md5:c3e9162f8e38e0b6c0e02d313a59de2b", 49_990, 22, None, _NONE),
    "ijcnn1.tr": Registered("ijcnn1.tr.bz2", "md5:9889c2e9d957dca5304ed2d285f1be6d", 35_000, 22, 35_000 * 13, _NONE),
    "mushrooms": Registered(
        "mushrooms", "sha256:f39a4eb628dc61a7d43760815b061c9e497aa728ce1ad8bde57a09ef6043b538", 8_124, 112, 8_124 * 21,
        _UCI,
    ),
    "phishing": Registered("phishing", None, 11_055, 68, 11_055 * 30, _UCI),
    "rcv1.binary": Registered(
        "rcv1_train.binary.bz2", "md5:1aeda848408e621468c0fe6944d9382f", 20_242, 47_236, None, _RCV1
    ),
    "rcv1.binary.t": Registered(
        "rcv1_test.binary.bz2", "md5:d6e3ab397758fb5c036d9cced52aedae", 677_399, 47_236, None, _RCV1
    ),
    "real-sim": Registered("real-sim.bz2", None, 72_309, 20_958, None, _NONE),
    "w8a": Registered("w8a", "md5:05cdbfad8de0af3887c0e6f42fddc32b", 49_749, 300, None, _NONE),
    "w8a.t": Registered("w8a.t", "md5:938543adbdc198246247d5d2015f01e8", 14_951, 300, None, _NONE),
}  # fmt: skip
