# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The extreme values that a header states are those of the denoised pixels, of the image and of the series."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from noisewise.pipelines.formats.dicom import read_dicom, write_dicom

IMAGE = ("SmallestImagePixelValue", "LargestImagePixelValue")
SERIES = ("SmallestPixelValueInSeries", "LargestPixelValueInSeries")


@pytest.mark.parametrize("names", [IMAGE, SERIES, IMAGE + SERIES])
def test_extremes_of_images_and_series(tmp_path, dicom_slice, names):
    paths = []
    for number in (1, 2, 3):
        paths.append(dicom_slice(tmp_path / "in" / str(number), number))
        dataset = pydicom.dcmread(paths[-1])
        for name in names:
            dataset.add_new(name, "SS", 77)
        dataset.save_as(paths[-1])
    stack = read_dicom(paths)
    # The extremes of the series lie in two different images, neither of them the first.
    slices = stack.slices.copy()
    for index, (low, high) in enumerate([(10, 20), (-300, 40), (5, 900)]):
        slices[index] = 15
        slices[index, 0, :2] = low, high
    outputs = [tmp_path / "out" / str(index) for index in range(3)]
    write_dicom(stack, slices, outputs)
    for path, pixels in zip(outputs, slices):
        expected = dict(zip(IMAGE + SERIES, (pixels.min(), pixels.max(), -300, 900)))
        dataset = pydicom.dcmread(path)
        np.testing.assert_array_equal(dataset.pixel_array, pixels)
        assert {name: dataset[name].value for name in IMAGE + SERIES if name in dataset} == {
            name: expected[name] for name in names
        }
