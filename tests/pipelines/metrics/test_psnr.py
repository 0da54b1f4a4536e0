# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import PSNRMetric

from noisewise.pipelines.metrics import CappedPSNRMetric


def pair(n: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(2, n, 3, 12, 14, generator=torch.Generator().manual_seed(0)).unbind(0)


def test_as_monai_and_numpy_where_nothing_is_capped():
    y_pred, y = pair()
    metric, monai_metric = CappedPSNRMetric(max_val=1.0), PSNRMetric(max_val=1.0)
    values = metric(y_pred, y)
    expected = -10 * np.log10(((y_pred - y).double().numpy() ** 2).mean((1, 2, 3)))
    assert values.dtype == torch.float32
    assert torch.allclose(values, monai_metric(y_pred, y), rtol=1e-6)
    np.testing.assert_allclose(values[:, 0].numpy(), expected, rtol=1e-6)
    assert metric.aggregate().item() == pytest.approx(expected.mean(), rel=1e-6)
    assert metric.capped == 0


def test_one_level_of_8_bit():
    y = torch.full((1, 1, 4, 4), 200, dtype=torch.uint8)
    metric = CappedPSNRMetric(max_val=255)
    assert metric(y - 1, y).item() == pytest.approx(48.1308, abs=1e-4)
    assert metric(y + 1, y).item() == pytest.approx(48.1308, abs=1e-4)  # unsigned differences would wrap around


def test_identical_images_are_capped_and_counted_until_reset():
    y_pred, y = pair()
    y_pred = y_pred.clone()
    y_pred[1:3] = y[1:3]
    metric = CappedPSNRMetric(max_val=1.0)
    assert metric.capped == 0
    values = metric(y_pred, y)
    assert values[1:3].flatten().tolist() == [100.0, 100.0]
    metric([y[0]], [y[0]])
    assert metric.capped == 3
    assert metric.aggregate().item() == pytest.approx(np.mean([*values.flatten().tolist(), 100]), rel=1e-6)
    assert metric.capped == 3
    metric.reset()
    assert metric.capped == 0


@pytest.mark.parametrize("cap", [60.0, 96.3])
def test_other_cap_and_nearly_identical_images(cap):
    y = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    metric = CappedPSNRMetric(max_val=1.0, cap=cap)
    assert metric(y + 1e-9, y).item() == pytest.approx(cap)  # 180 dB
    assert metric(y, y).item() == pytest.approx(cap)
    assert metric(y + 0.1, y).item() == pytest.approx(20)
    assert metric.capped == 2


def test_lists_meta_tensors_and_mixed_sizes():
    y_pred, y = pair()
    metric = CappedPSNRMetric(max_val=1.0, get_not_nans=True)
    batch = metric(y_pred, y)
    assert torch.allclose(metric(list(y_pred), list(y)), batch)
    meta = metric([MetaTensor(x) for x in y_pred], [MetaTensor(x) for x in y])
    assert type(meta) is torch.Tensor
    assert torch.allclose(meta, batch)
    assert metric([y_pred[0], y_pred[1, :, :5]], [y[0], y[1, :, :5]]).shape == (2, 1)
    mean, count = metric.aggregate()
    assert count.item() == 14
    assert 0 < mean.item() < 100


@pytest.mark.parametrize("arguments", [{"max_val": 0}, {"max_val": -1}, {"max_val": 1, "cap": float("inf")}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="must be a positive finite number"):
        CappedPSNRMetric(**arguments)
