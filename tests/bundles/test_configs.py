# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The configs only hold configuration: longer computations are tested functions of the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

import noisewise

ROOT = Path(noisewise.__file__).parent / "bundles"
CONFIGS = sorted(ROOT.glob("*/configs/**/*.yaml"))
LONGEST = 140  # characters


def expressions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from expressions(each)
    elif isinstance(node, str) and node.startswith("$"):
        yield node


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_expressions_are_short_and_build_no_dictionaries(path):
    for expression in expressions(ConfigParser.load_config_file(path)):
        assert len(expression) <= LONGEST, expression
        assert "dict(" not in expression and "10**" not in expression, expression


def test_all_configs_are_looked_at():
    assert len(CONFIGS) > 30
