"""Does a missing optional package end in the line that installs it?"""

import pytest

import anisotropic
from anisotropic._support.extras import MissingExtra, require


def test_what_is_installed_is_returned():
    assert require("json.decoder", "data").JSONDecoder


def test_what_is_missing_is_named_with_its_extra():
    with pytest.raises(MissingExtra, match=r"no_such_thing is not installed.*anisotropic\[certify\]'") as e:
        require("no_such_thing.inside", "certify")
    assert e.value.name == "no_such_thing"
    assert anisotropic.MissingExtra is MissingExtra
