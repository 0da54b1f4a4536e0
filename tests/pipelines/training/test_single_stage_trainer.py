# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training of one network: its step written out, mixed precision, clipping, errors, losses and averages."""

from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from noisewise.networks import DnCNN
from noisewise.pipelines.training import ImageCrossEntropy, SingleStageTrainer, TrainingProgress, WeightAverage


def batches(count: int = 2) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    result = []
    for _ in range(count):
        clean = torch.rand(2, 3, 12, 12, generator=generator)
        noise = 0.1 * torch.randn(2, 3, 12, 12, generator=generator)
        result.append({"image": clean + noise, "label": clean, "residual": noise})
    return result


def small() -> DnCNN:
    torch.manual_seed(0)
    return DnCNN(depth=4, features=8)


def make_trainer(network: torch.nn.Module, data, **options) -> SingleStageTrainer:
    arguments = {"max_epochs": 1, "loss_function": torch.nn.MSELoss(), **options}
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    return SingleStageTrainer("cpu", train_data_loader=data, network=network, optimizer=optimizer, **arguments)


def test_one_step_equals_the_objective_written_out():
    network, reference = small(), small()
    (data,) = batches(1)
    trainer = make_trainer(network, [data], channels_last=False)
    trainer.run()
    assert isinstance(trainer, SupervisedTrainer)

    optimizer = torch.optim.Adam(reference.parameters(), 1e-3)
    reference.train()
    pred = reference(data["image"])
    noise = data["image"] - pred
    # The squared error of the image is that of the noise.
    loss = ((noise - data["residual"]) ** 2).mean()
    loss.backward()
    optimizer.step()
    for (name, got), expected in zip(network.state_dict().items(), reference.state_dict().values()):
        torch.testing.assert_close(got, expected, msg=name)
    output = trainer.state.output
    torch.testing.assert_close(output["loss"], loss.detach())
    torch.testing.assert_close(output["pred"], pred.detach())
    assert torch.equal(output["residual"], data["residual"]) and torch.equal(output["label"], data["label"])


def test_channels_last_and_bfloat16_train_to_nearly_the_same():
    results = []
    for options in ({"channels_last": False}, {"channels_last": True}, {"amp_dtype": "bfloat16"}):
        network = small()
        trainer = make_trainer(network, batches(6), **options)
        trainer.run()
        results.append(float(trainer.state.output["loss"]))
        assert all(p.dtype == torch.float32 for p in network.parameters())
    assert results[1] == pytest.approx(results[0], rel=1e-3)
    assert results[2] == pytest.approx(results[0], rel=0.05) and results[2] != results[0]


def test_the_loss_sees_float32():
    seen = []

    def loss(pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        seen.append((pred.dtype, torch.is_autocast_enabled("cpu")))
        return (pred - label).abs().mean()

    make_trainer(torch.nn.Conv2d(3, 3, 1), batches(1), loss_function=loss, amp_dtype="bfloat16").run()
    assert seen == [(torch.float32, False)]


def test_gradients_are_clipped():
    network, norms = small(), []
    trainer = make_trainer(network, batches(1), gradient_clip=1e-3)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda: norms.append(torch.cat([p.grad.ravel() for p in network.parameters()]).norm().item()),
    )
    trainer.run()
    assert 0 < norms[0] <= 1e-3 * 1.001


def test_a_loss_that_is_not_finite_stops_with_the_iteration():
    data = batches(2)
    data[1]["label"] = torch.full_like(data[1]["label"], math.nan)
    with pytest.raises(RuntimeError, match=r"^the loss is nan at iteration 2: "):
        make_trainer(small(), data).run()


@pytest.mark.parametrize(
    ("options", "message"), [({"amp_dtype": "float8"}, "amp_dtype"), ({"gradient_clip": 0}, "gradient_clip")]
)
def test_bad_trainer_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(small(), batches(1), **options)


def test_the_progress_bar_shows_the_one_loss():
    trainer = make_trainer(small(), batches(2))
    progress = TrainingProgress()
    progress.attach(trainer)
    shown = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda: shown.append(progress.bar.postfix))
    trainer.run()
    assert shown[0].startswith("loss=") and "L_E" not in shown[0]


def test_cross_entropy_clips_what_is_clean():
    pred = torch.tensor([0.0, 0.2, 0.7, 1.0])
    target = torch.tensor([-0.1, 0.3, 1.3, 0.5])
    # PyTorch bounds each logarithm at -100.
    expected = (0 - 0.3 * math.log(0.2) - 0.7 * math.log(0.8) - math.log(0.7) + 0.5 * 100) / 4
    assert float(ImageCrossEntropy()(pred, target)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        torch.nn.BCELoss()(pred, target)


def test_batch_statistics_reach_the_averaged_network():
    """Its running statistics are the latest ones of the trained network; its weights lag behind."""
    network = small()
    average = WeightAverage(network, 0.9)
    make_trainer(network, batches(4), train_handlers=[average]).run()
    trained, averaged = dict(network.named_buffers()), dict(average.network.named_buffers())
    assert trained.keys() == averaged.keys() and len(trained) == 2 * 3
    for name, value in trained.items():
        assert torch.equal(averaged[name], value), name
    assert int(averaged["layers.3.num_batches_tracked"]) == 4
    assert not torch.equal(averaged["layers.3.running_mean"], torch.zeros(8))
    assert not torch.equal(average.network.layers[2].weight, network.layers[2].weight)
