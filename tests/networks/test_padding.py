# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reflection padding against numpy's, which takes any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisewise.networks.padding import apply_padded, reflect_pad

# height, width, (left, right, top, bottom)
CASES = [
    (5, 7, (0, 0, 0, 0)),
    (5, 7, (1, 2, 3, 4)),
    (5, 3, (0, 9, 0, 11)),
    (2, 2, (7, 0, 0, 8)),
    (1, 4, (1, 9, 3, 2)),
    (6, 1, (2, 3, 0, 17)),
    (1, 1, (1, 2, 3, 4)),
]


@pytest.mark.parametrize(("height", "width", "sides"), CASES)
def test_reflection_is_numpy_s(height, width, sides):
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    left, right, top, bottom = sides
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)), mode="reflect")
    np.testing.assert_array_equal(reflect_pad(x, *sides).numpy(), expected)


# height, width, multiple, minimum, padded size
@pytest.mark.parametrize(
    ("height", "width", "multiple", "minimum", "padded"),
    [(8, 12, 4, 1, (8, 12)), (9, 11, 4, 1, (12, 12)), (3, 20, 8, 16, (16, 24)), (5, 30, 1, 21, (21, 30))],
)
def test_a_network_sees_the_size_that_it_needs(height, width, multiple, minimum, padded):
    seen = []
    x = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))
    result = apply_padded(lambda image: seen.append(image.shape[-2:]) or 2 * image, x, multiple, minimum)
    assert seen == [padded]
    assert torch.equal(result, 2 * x)
