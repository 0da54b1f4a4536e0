# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from noisewise.data_manifest import Manifest, ManifestError
from noisewise.pipelines.evaluation import evaluation_items


def test_limit_and_modalities_select(manifest):
    assert len(evaluation_items(manifest)) == 3
    assert [item["modality"] for item in evaluation_items(manifest, limit=1)] == ["microscopy", "histology"]
    assert [item["modality"] for item in evaluation_items(manifest, modalities=["histology"])] == ["histology"]


def write(folder, records):
    return Manifest(records).write(folder / "manifest.csv")


def test_images_that_cannot_be_scored_are_named_before_the_run(tmp_path, record_of):
    good = record_of(tmp_path / "good.png", np.zeros((50, 50), np.uint8), "mri")
    small = record_of(tmp_path / "small.png", np.ones((60, 40), np.uint8), "mri")
    gone = record_of(tmp_path / "gone.png", np.full((50, 50), 2, np.uint8), "mri")
    (tmp_path / "gone.png").unlink()
    paired = dataclasses.replace(
        record_of(tmp_path / "paired.png", np.full((50, 50), 3, np.uint8), "mri"), target=str(tmp_path / "good.png")
    )
    with pytest.raises(ValueError) as caught:
        evaluation_items(write(tmp_path, [good, small, gone, paired]))
    message = str(caught.value)
    assert all(name in message for name in ("small.png", "gone.png", "paired.png", "manifest.csv"))
    assert "good.png: " not in message


def test_wrong_arguments_are_refused(manifest, tmp_path):
    with pytest.raises(ValueError, match="at least 41"):
        evaluation_items(manifest, crop=40)
    with pytest.raises(ManifestError, match="train"):
        evaluation_items(manifest, split="train")
    with pytest.raises(ManifestError, match=r"none\.csv"):
        evaluation_items(tmp_path / "none.csv")
