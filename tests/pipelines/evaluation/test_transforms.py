# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from noisewise.pipelines.evaluation import evaluation_items, evaluation_postprocessing, evaluation_preprocessing
from noisewise.pipelines.evaluation.conditions import expand_conditions
from noisewise.transforms import NoiseRecord, simulate_noise


def prepared(manifest, protocol="physical", crop=None):
    conditions = expand_conditions(evaluation_items(manifest), ("gaussian",), (50,), protocol)
    return {item["image"].rsplit("/", 1)[1]: evaluation_preprocessing(crop)(item) for item in conditions}


def test_items_hold_the_recorded_noise_and_the_clean_image(manifest, pictures):
    for name, d in prepared(manifest).items():
        expected = np.atleast_3d(pictures[name]).transpose(2, 1, 0) / 255.0
        np.testing.assert_allclose(d["label"].numpy(), np.broadcast_to(expected, d["label"].shape), atol=1e-6)
        torch.testing.assert_close(d["image"], simulate_noise(d["label"], NoiseRecord(**d["noise"])))
        assert d["image"].std() > d["label"].std()


def test_nothing_that_names_the_file_or_the_patient_goes_on(manifest):
    for d in prepared(manifest).values():
        assert not {"subject", "sha256", "image_meta_dict", "slice"} & set(d)
        assert "patient" not in repr(d)
        assert not hasattr(d["image"], "meta") and not hasattr(d["label"], "meta")


@pytest.mark.parametrize(("protocol", "equal"), [("physical", True), ("published", False), ("author_code", False)])
def test_channels_of_a_grey_image_share_their_noise_under_physical_alone(manifest, protocol, equal):
    items = prepared(manifest, protocol)
    grey, colour = items["patient_smith_1.png"]["image"], items["patient_jones.png"]["image"]
    assert torch.equal(grey[0], grey[1]) is equal
    assert not torch.equal(colour[0], colour[1])


def test_the_crop_is_centred_and_cut_before_the_noise(manifest):
    whole, cut = prepared(manifest), prepared(manifest, crop=41)
    for name, d in cut.items():
        label = whole[name]["label"]
        x, y = (size // 2 - 41 // 2 for size in label.shape[1:])
        torch.testing.assert_close(d["label"], label[:, x : x + 41, y : y + 41])
        assert d["image"].shape == (3, 41, 41)
        # The draw fills the crop: it is not a piece of the whole image's draw.
        assert not torch.allclose(d["image"], whole[name]["image"][:, x : x + 41, y : y + 41])


# grayscale, shared, whether the output channels are averaged
AVERAGED = [(True, True, True), (True, False, False), (False, False, False)]


@pytest.mark.parametrize(("grayscale", "shared", "averaged"), AVERAGED)
def test_postprocessing_averages_grey_outputs_then_gives_grey_levels(grayscale, shared, averaged):
    pred = torch.tensor([0.1, 0.2, 0.6])[:, None, None].expand(3, 4, 4).clone()
    pred[:, 0, 0] = 1.5
    item = {"image": pred, "label": pred, "grayscale": torch.tensor(grayscale), "noise": {"shared": shared}}
    d = evaluation_postprocessing()({**item, "pred": pred, "eight_bit": True})
    expected = [76.0, 76.0, 76.0] if averaged else [26.0, 51.0, 153.0]
    assert d["pred"][:, 1, 1].tolist() == expected  # 0.3 * 255 = 76.5 rounds to even
    assert d["pred"][:, 0, 0].tolist() == [255.0] * 3
    assert d["label"][:, 1, 1].tolist() == [26.0, 51.0, 153.0]
    unrounded = evaluation_postprocessing()({**item, "pred": pred, "eight_bit": False})["label"][0, 1, 1]
    assert unrounded.item() == pytest.approx(25.5)
