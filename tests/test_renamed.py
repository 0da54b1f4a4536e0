# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from noisewise.renamed import renamed_arguments, renamed_attribute


@renamed_arguments(colour="color")
def paint(shape, color="red"):
    return shape, color


class Paint:
    color = "red"
    colour = renamed_attribute("colour", "color")


def test_an_argument_is_taken_by_both_names():
    assert paint("dot", color="blue") == paint("dot", "blue") == ("dot", "blue")
    with pytest.warns(DeprecationWarning, match="argument 'colour' is now 'color'") as caught:
        assert paint("dot", colour="blue") == ("dot", "blue")
    assert caught[0].filename == __file__
    with pytest.raises(TypeError, match="both 'color' and its earlier name 'colour'"):
        paint("dot", color="blue", colour="blue")


def test_an_attribute_is_read_by_both_names():
    with pytest.warns(DeprecationWarning, match="attribute 'colour' is now 'color'") as caught:
        assert Paint().colour == "red"
    assert caught[0].filename == __file__
