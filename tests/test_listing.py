# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from noisewise.listing import check_known, first_lines, first_names, unknown_name


def test_names_beyond_the_shown_ones_are_counted():
    assert first_names("abc", 3) == "a, b, c"
    assert first_names(range(5), 3) == "0, 1, 2 and 2 more"


def test_lines_beyond_the_shown_ones_are_counted():
    assert first_lines(["a", "b"], 2) == "a\nb"
    assert first_lines(["a", "b", 3], 1) == "a\n... and 2 more"
    assert first_lines("abc", 2, rest="other causes") == "a\nb\n... and 1 other causes"


def test_unknown_names_are_refused_beside_the_known_ones():
    check_known("engine", "torch", ["torch", "openvino"])
    check_known("engine", ["torch", "openvino"], iter(["torch", "openvino"]))
    with pytest.raises(KeyError) as refused:
        check_known("engine", ["torch", "warp", "b"], ["torch", "openvino"], KeyError)
    assert refused.value.args == ("unknown engine 'warp', 'b'; choose from torch, openvino.",)
    assert unknown_name("engine", "warp", ["torch"]) == "unknown engine 'warp'; choose from torch."
