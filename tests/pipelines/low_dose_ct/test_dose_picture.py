# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from noisewise.data_manifest import build_manifest
from noisewise.pipelines.low_dose_ct.dose_picture import draw_low_dose, read_normal_dose


@pytest.fixture
def normal() -> np.ndarray:
    image = np.full((48, 64), -1000.0)
    image[8:40, 8:32] = 40
    image[8:40, 32:56] = 140
    return image


def test_draws_a_row_a_kernel_from_left_to_right(normal, tmp_path):
    seen = []

    def denoise(low):
        seen.append(low)
        return low

    path = draw_low_dose([normal], denoise, tmp_path / "new" / "ct.png", dots_per_inch=60)
    assert [low.shape for low in seen] == [normal.shape] * 2
    noise = [(low - normal)[12:36, 12:52] for low in seen]
    assert 0 < noise[0].std() < noise[1].std()  # soft, then sharp
    picture = np.asarray(Image.open(path).convert("L"), dtype=float)
    height, width = picture.shape
    upper = picture[: height // 2]
    # Nothing was taken away, so the last column is gray throughout, of 0 HU in the middle of the window.
    assert np.median(upper[height // 6 : height // 3, -width // 6 : -width // 12]) == pytest.approx(127, abs=2)
    # In the first column the right half of the body is the brighter one, and gray levels are those of the window.
    levels = np.unique(upper[:, width // 24 : width // 4], return_counts=True)
    common = set(levels[0][np.argsort(levels[1])[-4:]])
    assert {round(255 * 0.5), round(255 * 0.75)} <= {round(level + 0.5) - d for level in common for d in (0, 1)}


def test_reads_hu_row_by_row(tmp_path):
    source = get_testdata_file("CT_small.dcm")
    header = dcmread(source)
    shutil.copy(source, tmp_path / "ct.dcm")
    record = build_manifest(tmp_path, tmp_path / "m.csv", modality="ct", subject_pattern="(ct)").records[0]
    expected = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    np.testing.assert_allclose(read_normal_dose(record), expected, atol=1e-2)


def test_names_what_is_wrong(normal, tmp_path):
    with pytest.raises(ValueError, match="no slices"):
        draw_low_dose([], lambda low: low, tmp_path / "a.png")
    with pytest.raises(ValueError, match="returned the shape"):
        draw_low_dose([normal], lambda low: low[1:], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
