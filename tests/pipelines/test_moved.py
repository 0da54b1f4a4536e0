# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Modules under their old names."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest
from monai.bundle import ConfigParser

from noisewise.pipelines.bundle.inferer import DenoisingInferer
from noisewise.pipelines.moved import MOVED

PACKAGE = "noisewise.pipelines"


@pytest.fixture(autouse=True)
def forgotten():
    """No old name was imported before."""
    for old in MOVED:
        sys.modules.pop(f"{PACKAGE}.{old}", None)


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_gives_the_same_module_and_a_warning(old, new):
    with pytest.warns(DeprecationWarning, match=f"{PACKAGE}.{old} is now {PACKAGE}.{new};") as caught:
        module = import_module(f"{PACKAGE}.{old}")
    assert module is import_module(f"{PACKAGE}.{new}")
    assert module.__name__ == module.__spec__.name == f"{PACKAGE}.{new}"
    assert len(caught) == 1


def test_a_statement_that_imports_from_an_old_name_is_where_the_warning_points():
    with pytest.warns(DeprecationWarning) as caught:
        from noisewise.pipelines.weights import load_weights
    assert load_weights is import_module(f"{PACKAGE}.bundle.weights").load_weights
    assert caught[0].filename == __file__


def test_a_config_that_was_copied_before_still_works():
    config = {"imports": ["$from noisewise.pipelines.conditions import expand_conditions"]}
    config["inferer"] = {"_target_": "noisewise.pipelines.inferer.DenoisingInferer"}
    config["items"] = "$expand_conditions([{'image': 'a.png'}])"
    with pytest.warns(DeprecationWarning):
        parser = ConfigParser(config)
        assert isinstance(parser.get_parsed_content("inferer"), DenoisingInferer)
    assert len(parser.get_parsed_content("items")) == 8


def test_names_that_never_were_are_not_found():
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        import_module(f"{PACKAGE}.nothing")
