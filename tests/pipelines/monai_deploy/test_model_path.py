# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from noisewise.bundles import bundle_path
from noisewise.pipelines.monai_deploy.model_path import find_model

BUNDLE = bundle_path("multimodal_denoising")


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def test_no_model_selects_those_of_noisewise(tmp_path):
    assert find_model(None) == find_model(tmp_path) == "auto"


def test_a_file_and_a_bundle_are_taken_as_they_are(tmp_path):
    assert find_model(touch(tmp_path / "model.ts")) == str(tmp_path / "model.ts")
    assert find_model(BUNDLE) == str(BUNDLE)


def test_a_file_may_be_in_a_sub_folder(tmp_path):
    model = touch(tmp_path / "model" / "model.ts")
    assert find_model(tmp_path) == find_model(tmp_path / "model") == model


def test_a_bundle_is_found_as_the_packager_arranges_it(tmp_path):
    for name in ("configs/inference.yaml", "models/model.pt"):
        touch(tmp_path / "packed" / "my_bundle" / name)
    assert find_model(tmp_path / "packed") == str(tmp_path / "packed" / "my_bundle")
    # If the bundle itself is named, each of its folders is copied once more, as a model of its own.
    for name in ("configs/inference.yaml", "models/model.pt"):
        touch(tmp_path / "packed" / name)
    assert find_model(tmp_path / "packed") == str(tmp_path / "packed")


@pytest.mark.parametrize("names", [["a.txt"], ["a.pt", "b.ts"], ["a/m.pt", "b/m.pt"]])
def test_no_model_and_several_are_refused(tmp_path, names):
    for name in names:
        touch(tmp_path / name)
    with pytest.raises(ValueError, match=r"expected one model, found [02]"):
        find_model(tmp_path)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"away: no such file or folder\."):
        find_model(tmp_path / "away")
