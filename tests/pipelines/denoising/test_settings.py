# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The choices of a run: which of them results depend on, and which denoiser they mean."""

from __future__ import annotations

import pickle

import pytest

from noisewise.pipelines.denoising import settings as options_module
from noisewise.pipelines.denoising.settings import DenoisingOptions
from noisewise.pipelines.engines.base import EngineError


def test_settings_are_what_results_depend_on(halving, small_model):
    weights, config = map(str, small_model)
    plain = DenoisingOptions().settings()
    assert len(plain["weights"]["multimodal_denoising"]) == 64
    same = ({"engine": "torch"}, {"device": "cpu"}, {"tile_size": 64}, {"memory": 10**6})
    for options in (*same, {"noise_map": True}, {"audit": True}):
        assert DenoisingOptions(**options).settings() == plain, options
    other = ({"strength": 0.5}, {"precision": "bfloat16"}, {"modality": "ct"}, {"intensity_range": (0.0, 1.0)})
    for options in (*other, {"slice_axis": 0}, {"model": weights, "config": config}):
        assert DenoisingOptions(**options).settings() != plain, options


def test_what_the_user_says_of_the_modality_goes_before_the_file(halving, monkeypatch):
    asked = []
    monkeypatch.setattr(
        options_module, "choose_model", lambda model, modality: asked.append(modality) or "multimodal_denoising"
    )
    DenoisingOptions().denoiser("ct")
    DenoisingOptions(modality="mri").denoiser("ct")
    assert asked == ["ct", "mri"]


def test_the_model_is_loaded_once(halving):
    options = DenoisingOptions(tile_size=64)
    assert options.denoiser() is pickle.loads(pickle.dumps(options)).denoiser("mri")


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"strength": 1.5}, "strength must lie"),
        ({"intensity_range": (3.0, 3.0)}, "the intensity range 3 3 is empty"),
        ({"device": "abacus"}, "no device 'abacus'"),
    ],
)
def test_wrong_options_are_refused(options, cause):
    with pytest.raises(ValueError, match=cause):
        DenoisingOptions(**options)


def test_a_gpu_that_is_not_there():
    with pytest.raises(EngineError, match="no device 'cuda:99' here"):
        DenoisingOptions(device="cuda:99").check_device()
    DenoisingOptions(device="cpu").check_device()
    DenoisingOptions().check_device()
