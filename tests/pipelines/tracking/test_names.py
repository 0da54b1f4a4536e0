# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from noisewise.pipelines.tracking.names import evaluation_name, training_name

TIME = r" \(\d{4}-\d\d-\d\d \d\d:\d\d\)"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (({"network": "TwoStageDenoiser", "protocol": "physical"}, 0), "train two_stage physical seed 0"),
        (({"network": "DnCNN", "protocol": "author_code"}, 7), "train dncnn author_code seed 7"),
        (({"network": "TwoStageDenoiser", "protocol": "none, pairs"}, 0), "train two_stage pairs seed 0"),
        (
            ({"network": "TwoStageDenoiser", "protocol": "physical", "initial_weights": "0123"}, 0),
            "train two_stage physical tuned seed 0",
        ),
        (({"network": "TwoStageDenoiser", "dose_range": [0.1, 1]}, 0), "train two_stage low_dose_ct seed 0"),
        (({"network": "MyNetwork"},), "train my_network"),
        # A network may be wrapped: the overlay tells the method.
        (
            ({"network": "GrayscaleDenoiser", "protocol": "physical"}, 0, ["a/train.yaml", "a/methods/cae.yaml"]),
            "train cae physical seed 0",
        ),
    ],
)
def test_a_training_is_named_after_what_it_is(arguments, name):
    assert re.fullmatch(re.escape(name) + TIME, training_name(*arguments))


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (
            {"methods": ["two_stage", "noisy"], "protocol": "physical", "split": "test", "crop": None},
            "evaluate two_stage, noisy physical test",
        ),
        ({"split": "val"}, "evaluate val"),
        ({}, "evaluate"),
    ],
)
def test_an_evaluation_is_named_after_what_it_is(params, name):
    assert re.fullmatch(re.escape(name) + TIME, evaluation_name(params))
