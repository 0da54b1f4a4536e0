# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import from_engine

from noisewise.pipelines.metrics import (
    SCORES,
    VIFP,
    CappedPeakSignalToNoiseRatio,
    CappedPSNRMetric,
    DeltaE,
    DeltaEMetric,
    StructuralSimilarity,
    VIFPMetric,
    metric_handler,
)

PAIR = from_engine(["pred", "label"])


def psnr(y: np.ndarray, y_pred: np.ndarray) -> float:
    return min(100.0, 20 * np.log10(1 / np.sqrt(((y - y_pred) ** 2).mean()) if (y != y_pred).any() else 1e9))


def ssim(y: np.ndarray, y_pred: np.ndarray) -> float:
    metrics = pytest.importorskip("skimage.metrics")
    return metrics.structural_similarity(
        y, y_pred, channel_axis=0, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


def delta_e(y: np.ndarray, y_pred: np.ndarray) -> float:
    color = pytest.importorskip("skimage.color")
    lab = [color.rgb2lab(np.broadcast_to(x, (3, *x.shape[1:])), channel_axis=0) for x in (y, y_pred)]
    return color.deltaE_ciede2000(*lab, channel_axis=0).mean()


def vifp(y: np.ndarray, y_pred: np.ndarray) -> float:
    sewar = pytest.importorskip("sewar")
    return sewar.vifp(255 * y.transpose(1, 2, 0), 255 * y_pred.transpose(1, 2, 0))


def mse(y: np.ndarray, y_pred: np.ndarray) -> float:
    return ((y - y_pred) ** 2).mean()


# handler, its independent reference on channel-first numpy images of 0..1
HANDLERS = [
    [lambda **k: DeltaE(data_range=1, **k), delta_e],
    [lambda **k: VIFP(data_range=1, **k), vifp],
    [lambda **k: CappedPeakSignalToNoiseRatio(max_val=1, **k), psnr],
    [lambda **k: StructuralSimilarity(data_range=1, **k), ssim],
]
IDS = ["delta_e", "vifp", "psnr", "ssim"]


@pytest.fixture(scope="module")
def same_size(images, noisy):
    """Three pairs of one size: two noisy, one already clean."""
    clean = [images["retina"], images["retina"][:, ::-1], images["retina"][:, :, ::-1]]
    return [
        {"image": (noisy(x, s) / 255).astype(np.float32), "label": (x / 255).astype(np.float32)}
        for x, s in zip(clean, (10, 40, 0))
    ]


@pytest.fixture(scope="module")
def any_size(images, noisy):
    """Four pairs, each of its own size, gray and color."""
    return [
        {"image": (noisy(x, 25) / 255).astype(np.float32), "label": (x / 255).astype(np.float32)}
        for x in images.values()
    ]


def evaluate(pairs, handler, batch_size: int, decollate: bool) -> SupervisedEvaluator:
    """Runs an evaluator whose network changes nothing."""
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(pairs), batch_size=batch_size),
        network=torch.nn.Identity(),
        key_val_metric={"score": handler},
        decollate=decollate,
    )
    evaluator.run()
    return evaluator


@pytest.mark.parametrize("batch_size, decollate", [(1, True), (2, True), (2, False)])
@pytest.mark.parametrize("handler, reference", HANDLERS, ids=IDS)
def test_mean_over_an_evaluation(same_size, handler, reference, batch_size, decollate):
    expected = [reference(x["label"].astype(np.float64), x["image"].astype(np.float64)) for x in same_size]
    evaluator = evaluate(same_size, handler(output_transform=PAIR), batch_size, decollate)
    assert evaluator.state.metrics["score"] == pytest.approx(np.mean(expected), rel=1e-4)
    details = evaluator.state.metric_details["score"]
    assert details.shape == (3, 1)
    np.testing.assert_allclose(details[:, 0].numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("handler, reference", HANDLERS, ids=IDS)
def test_images_of_several_sizes(any_size, handler, reference):
    expected = [reference(x["label"].astype(np.float64), x["image"].astype(np.float64)) for x in any_size]
    evaluator = evaluate(any_size, handler(output_transform=PAIR), batch_size=1, decollate=True)
    assert evaluator.state.metrics["score"] == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize("handler, _", HANDLERS, ids=IDS)
def test_plain_ignite_engine_with_reduction_and_without_details(same_size, handler, _):
    def step(engine, pair):
        return tuple(torch.from_numpy(pair[key].copy())[None] for key in ("image", "label"))

    total = handler(reduction="sum", save_details=False)
    mean = handler(reduction="mean", save_details=False)
    engine = Engine(step)
    total.attach(engine, "total")
    mean.attach(engine, "mean")
    engine.run(same_size)
    assert engine.state.metrics["total"] == pytest.approx(3 * engine.state.metrics["mean"], rel=1e-5)
    assert not hasattr(engine.state, "metric_details")


def test_psnr_counts_the_capped_of_each_run(same_size):
    handler = CappedPeakSignalToNoiseRatio(max_val=1, output_transform=PAIR, cap=80)
    evaluator = evaluate(same_size, handler, batch_size=1, decollate=True)
    assert handler.capped == 1
    assert evaluator.state.metric_details["score"].max().item() == 80
    evaluator.run()
    assert handler.capped == 1  # of this run, not of both


def test_handlers_hold_their_metrics():
    assert isinstance(DeltaE(data_range=1).metric_fn, DeltaEMetric)
    assert isinstance(VIFP(data_range=1).metric_fn, VIFPMetric)
    assert isinstance(CappedPeakSignalToNoiseRatio(max_val=1).metric_fn, CappedPSNRMetric)


@pytest.mark.parametrize("handler", [DeltaE, VIFP, CappedPeakSignalToNoiseRatio, StructuralSimilarity])
def test_bad_range(handler):
    with pytest.raises(ValueError, match="must be a positive finite number"):
        handler(0)


@pytest.mark.parametrize("reference", [psnr, ssim, delta_e, vifp, mse], ids=lambda reference: reference.__name__)
def test_a_score_by_its_name(same_size, reference):
    expected = [reference(x["label"].astype(np.float64), x["image"].astype(np.float64)) for x in same_size]
    handler = metric_handler(reference.__name__, data_range=1)
    evaluator = evaluate(same_size, handler, batch_size=2, decollate=True)
    assert evaluator.state.metrics["score"] == pytest.approx(np.mean(expected), rel=1e-4)
    np.testing.assert_allclose(evaluator.state.metric_details["score"][:, 0], expected, rtol=1e-4, atol=1e-6)


def test_a_score_of_another_output():
    """The first stage's image, 10 gray levels off everywhere, where the prediction is right."""
    label = torch.full((1, 8, 8), 100.0)
    engine = Engine(lambda engine, _: [{"label": label, "pred": label, "nen_pred": label + 10}])
    metric_handler("mse").attach(engine, "mse")
    metric_handler("mse", output="nen_pred").attach(engine, "nen_mse")
    engine.run([0])
    assert engine.state.metrics == {"mse": 0.0, "nen_mse": pytest.approx(100.0)}


def test_an_unknown_score_is_named():
    with pytest.raises(ValueError, match=r"psnr.*lpips"):
        metric_handler("lpips")
    assert list(SCORES)[:5] == ["psnr", "ssim", "delta_e", "vifp", "mse"]  # further ones may follow
