# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings of an evaluation."""

from __future__ import annotations

from monai.bundle import ConfigParser

from noisewise.bundles import bundle_path
from noisewise.pipelines.evaluation import EvaluationSettings, evaluation_items
from noisewise.pipelines.evaluation.conditions import expand_conditions


def test_names_and_defaults_are_those_of_the_config():
    config = ConfigParser.load_config_file(bundle_path("multimodal_denoising") / "configs" / "evaluate.yaml")
    overrides = EvaluationSettings().overrides()
    assert overrides.pop("through") == "network"  # chooses an overlay
    assert overrides == {key: config[key] for key in overrides}
    assert "device" not in overrides and EvaluationSettings(device="cpu").overrides()["device"] == "cpu"


def test_images_and_conditions_are_chosen_by_the_settings(manifest):
    settings = EvaluationSettings(
        modalities=("microscopy",), limit=1, crop=48, protocol="published", patterns=("poisson",), stds=(25.0,), seed=3
    )
    items = settings.items(manifest)
    assert items == evaluation_items(manifest, "test", ["microscopy"], 1, 48) and len(items) == 1
    assert settings.conditions(items) == expand_conditions(items, ["poisson"], [25], "published", 3)
    assert hash(settings) == hash(EvaluationSettings(**vars(settings)))
