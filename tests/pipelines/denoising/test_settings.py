# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings of a run: which of them results depend on, and which denoiser they select."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from noisewise.pipelines.denoising import denoiser as denoiser_module
from noisewise.pipelines.denoising import function, transform
from noisewise.pipelines.denoising import settings as settings_module
from noisewise.pipelines.denoising.denoiser import get_denoiser
from noisewise.pipelines.denoising.run import recorded_settings
from noisewise.pipelines.denoising.settings import DenoisingSettings
from noisewise.pipelines.engines.base import EngineError


def test_recorded_settings_are_those_that_results_depend_on(halving, small_model):
    weights, config = map(str, small_model)
    plain = recorded_settings(DenoisingSettings())
    assert len(plain["weights"]["multimodal_denoising"]) == 64
    same = ({"engine": "torch"}, {"device": "cpu"}, {"tile_size": 64}, {"memory": 10**6})
    for options in (*same, {"noise_map": True}, {"audit": True}):
        assert recorded_settings(DenoisingSettings(**options)) == plain, options
    other = ({"strength": 0.5}, {"precision": "bfloat16"}, {"modality": "ct"}, {"intensity_range": (0.0, 1.0)})
    for options in (*other, {"slice_axis": 0}, {"model": weights, "config": config}):
        assert recorded_settings(DenoisingSettings(**options)) != plain, options


def test_a_stated_modality_overrides_the_file(halving, monkeypatch):
    asked = []
    monkeypatch.setattr(
        denoiser_module, "choose_model", lambda model, modality: asked.append(modality) or "multimodal_denoising"
    )
    get_denoiser(DenoisingSettings(), "ct")
    get_denoiser(DenoisingSettings(modality="mri"), "ct")
    assert asked == ["ct", "mri"]


def test_the_model_is_loaded_once(halving):
    options = DenoisingSettings(tile_size=64)
    again = replace(pickle.loads(pickle.dumps(options)), strength=0.5, intensity_range=[0, 1], audit=True)
    assert get_denoiser(options) is get_denoiser(again, "mri")
    assert get_denoiser(options) is not get_denoiser(replace(options, memory=10**6))


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"strength": 1.5}, "strength must lie"),
        ({"intensity_range": (3.0, 3.0)}, "the intensity range 3 3 is empty"),
        ({"intensity_range": (3.0,)}, "two numbers"),
        ({"intensity_range": (3.0, 1.0)}, "the intensity range 3 1 is reversed"),
        ({"intensity_range": "auto"}, "two numbers"),
        ({"engine": "warp"}, "unknown engine 'warp'"),
        ({"precision": "int4"}, "unknown precision 'int4'"),
        ({"tile_size": 0}, "tile_size must be at least 1"),
        ({"slice_axis": 3}, "slice_axis must be 0, 1, 2 or None"),
        ({"device": "abacus"}, "no device 'abacus'"),
    ],
)
def test_wrong_options_are_refused(options, cause):
    with pytest.raises(ValueError, match=cause):
        DenoisingSettings(**options)


def test_a_missing_gpu_is_refused():
    with pytest.raises(EngineError, match="no device 'cuda:99' here"):
        DenoisingSettings(device="cuda:99").check_device()
    DenoisingSettings(device="cpu").check_device()
    DenoisingSettings().check_device()


def test_settings_are_equal_and_hashable_however_they_are_stated(tmp_path):
    device = torch.device("cpu")
    stated = DenoisingSettings(tmp_path / "w.pt", tmp_path, device=device, intensity_range=[0, 1])
    plain = DenoisingSettings(str(tmp_path / "w.pt"), str(tmp_path), device="cpu", intensity_range=(0, 1))
    assert stated == plain and hash(stated) == hash(plain)


def test_every_way_in_shares_the_settings(halving, monkeypatch):
    made, original = [], denoiser_module.Denoiser
    monkeypatch.setattr(denoiser_module, "Denoiser", lambda **kw: made.append(kw) or original(**kw))
    image = np.zeros((8, 8), np.float32)
    function.denoise(image, tile_size=48)
    transform.Denoise(tile_size=48, strength=0.5)(image[None])
    get_denoiser(DenoisingSettings(tile_size=48, modality="mri"))
    assert len(made) == 1 and made[0]["tile_size"] == 48


def test_the_earlier_name_still_works():
    with pytest.warns(DeprecationWarning, match="DenoisingSettings"):
        assert settings_module.DenoisingOptions is DenoisingSettings
    with pytest.raises(AttributeError, match="no attribute 'DenoisingChoices'"):
        _ = settings_module.DenoisingChoices
