# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import hashlib
import shutil

import pytest
import torch

from noisewise.bundles import bundle_path
from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.denoising import choose_model, load_model
from noisewise.pipelines.denoising import models as models_module
from noisewise.pipelines.denoising.models import CT_MODEL, DEFAULT_MODEL


def test_the_shipped_bundle():
    model = load_model(DEFAULT_MODEL)
    weights = bundle_path(DEFAULT_MODEL) / "models" / "model.pt"
    assert (model.name, model.halo) == (DEFAULT_MODEL, 94)
    assert model.digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not model.network.training
    assert load_model(DEFAULT_MODEL) is model


def test_a_bundle_elsewhere_and_a_weights_file(tmp_path, small_model):
    weights, config = small_model
    copy = tmp_path / "my_bundle"
    (copy / "configs").mkdir(parents=True)
    (copy / "models").mkdir()
    shutil.copy(config, copy / "configs" / "inference.yaml")
    shutil.copy(weights, copy / "models" / "model.pt")
    x = torch.rand(1, 3, 8, 8)
    expected = load_model(str(weights), str(config)).network(x)
    assert torch.equal(load_model(str(copy)).network(x), expected)
    assert load_model(str(copy)).name == "my_bundle"


def test_a_weights_file_of_the_default_network(tmp_path):
    torch.manual_seed(1)
    network = TwoStageDenoiser().eval()
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    x = torch.rand(1, 3, 8, 8)
    assert torch.allclose(load_model(str(tmp_path / "mine.pt")).network(x), network(x), atol=1e-6)


def test_other_weights_of_a_bundle(tmp_path, monkeypatch, small_model):
    weights, config = small_model
    for folder in ("configs", "models"):
        (tmp_path / "small" / folder).mkdir(parents=True)
    shutil.copy(config, tmp_path / "small" / "configs" / "inference.yaml")
    shutil.copy(weights, tmp_path / "small" / "models" / "model_other.pt")
    monkeypatch.setattr(models_module, "bundle_path", lambda name: tmp_path / name)
    assert load_model("small:other").name == "small:other"
    assert load_model("small:other").digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    with pytest.raises(FileNotFoundError, match=r"small has no weights 'none'.*\['other'\]"):
        load_model("small:none")


def test_weights_that_do_not_fit_are_refused(small_model):
    with pytest.raises(ValueError, match=r"small\.pt.*do not fit"):
        load_model(str(small_model[0]))


def test_the_ct_model_is_chosen_for_ct_alone_and_only_where_it_exists(tmp_path, monkeypatch):
    assert choose_model("auto", "mri") == DEFAULT_MODEL
    assert choose_model("mine.pt", "ct") == "mine.pt"
    (tmp_path / DEFAULT_MODEL).mkdir()
    monkeypatch.setattr(models_module, "bundle_path", lambda name: tmp_path / name)
    assert choose_model("auto", "ct") == DEFAULT_MODEL
    (tmp_path / CT_MODEL / "models").mkdir(parents=True)
    (tmp_path / CT_MODEL / "models" / "model.pt").touch()
    assert choose_model("auto", "ct") == CT_MODEL
    assert choose_model("auto", None) == DEFAULT_MODEL
