# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The training engine and its handlers, one by one."""

from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine, Events
from monai.inferers import SimpleInferer

from noisewise.networks import NoiseEstimationNetwork, TwoStageDenoiser
from noisewise.pipelines.bundle.inferer import DenoisingInferer
from noisewise.pipelines.training import (
    BestWeights,
    DenoisingEvaluator,
    EpochSeeding,
    ResumableEarlyStop,
    TrainingCheckpoint,
    TwoStageTrainer,
    WeightAverage,
    learning_rate_schedule,
    prepare_denoising_batch,
    save_atomically,
    training_sampler,
)

SMALL = {"features": 4, "growth": 2, "num_blocks": 1}


def batches(count: int = 2, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    result = []
    for _ in range(count):
        clean = torch.rand(2, 3, 12, 12, generator=generator)
        noise = 0.1 * torch.randn(2, 3, 12, 12, generator=generator)
        result.append({"image": clean + noise, "label": clean, "residual": noise})
    return result


def make_trainer(network: TwoStageDenoiser, data, **options) -> TwoStageTrainer:
    adam = {"lr": 5e-4, "betas": (0.9, 0.99)}
    return TwoStageTrainer(
        device="cpu",
        max_epochs=options.pop("max_epochs", 1),
        train_data_loader=data,
        nen=network.nen,
        nen_optimizer=torch.optim.Adam(network.nen.parameters(), **adam),
        rn=network.rn,
        rn_optimizer=torch.optim.Adam(network.rn.parameters(), **adam),
        **options,
    )


def test_one_step_equals_the_two_objectives_written_out():
    torch.manual_seed(0)
    network, reference = TwoStageDenoiser(**SMALL), TwoStageDenoiser(**SMALL)
    reference.load_state_dict(network.state_dict())
    data = batches(1)
    trainer = make_trainer(network, data, channels_last=False)
    trainer.run()

    image, clean, residual = data[0]["image"], data[0]["label"], data[0]["residual"]
    optimizers = [torch.optim.Adam(part.parameters(), 5e-4, (0.9, 0.99)) for part in (reference.nen, reference.rn)]
    noise = reference.nen(image)
    nen_loss = ((noise - residual) ** 2).mean()
    denoised = reference.rn(image, noise.detach())
    rn_loss = (denoised - clean).abs().mean()
    nen_loss.backward()
    rn_loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    for (name, got), expected in zip(network.state_dict().items(), reference.state_dict().values()):
        torch.testing.assert_close(got, expected, msg=name)
    output = trainer.state.output
    torch.testing.assert_close(output["nen_loss"], nen_loss.detach())
    torch.testing.assert_close(output["loss"], rn_loss.detach())
    torch.testing.assert_close(output["pred"], denoised.detach())
    torch.testing.assert_close(output["noise_estimate"], noise.detach())


def test_no_gradient_reaches_the_first_stage_from_the_second():
    network = TwoStageDenoiser(**SMALL)
    before = {name: value.clone() for name, value in network.nen.state_dict().items()}
    make_trainer(network, batches(2), nen_loss_function=lambda estimate, residual: 0.0 * estimate.sum()).run()
    assert all(torch.equal(value, before[name]) for name, value in network.nen.state_dict().items())


def test_channels_last_and_bfloat16_train_to_nearly_the_same():
    results = []
    for options in ({"channels_last": False}, {"channels_last": True}, {"amp_dtype": "bfloat16"}):
        torch.manual_seed(0)
        network = TwoStageDenoiser(**SMALL)
        trainer = make_trainer(network, batches(6), **options)
        trainer.run()
        results.append(float(trainer.state.output["loss"]))
        assert all(p.dtype == torch.float32 for p in network.parameters())
    assert results[1] == pytest.approx(results[0], rel=1e-3)
    assert results[2] == pytest.approx(results[0], rel=0.05)
    assert results[2] != results[0]


def test_gradients_are_clipped():
    network = TwoStageDenoiser(**SMALL)
    norms = []
    trainer = make_trainer(network, batches(1), gradient_clip=1e-3)

    @trainer.on(Events.ITERATION_COMPLETED)
    def _norm():
        norms.append(torch.cat([p.grad.ravel() for p in network.rn.parameters()]).norm().item())

    trainer.run()
    assert norms[0] <= 1e-3 * 1.001


def test_a_loss_that_is_not_finite_stops_with_the_iteration():
    data = batches(2)
    data[1]["residual"] = torch.full_like(data[1]["residual"], math.nan)
    with pytest.raises(RuntimeError, match="nen loss is nan at iteration 2"):
        make_trainer(TwoStageDenoiser(**SMALL), data).run()


def test_pairs_without_residual_get_it_as_the_difference():
    image, clean, residual = prepare_denoising_batch({k: v for k, v in batches(1)[0].items() if k != "residual"})
    assert torch.equal(residual, image - clean)


@pytest.mark.parametrize(
    ("options", "message"), [({"amp_dtype": "float8"}, "amp_dtype"), ({"gradient_clip": 0}, "gradient_clip")]
)
def test_bad_trainer_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(TwoStageDenoiser(**SMALL), batches(1), **options)


def test_weight_average_equals_its_formula_and_resumes():
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2, bias=False)
    average = WeightAverage(network, 0.8)
    engine = Engine(lambda engine, batch: None)
    average.attach(engine)
    expected = None
    for step in range(12):
        with torch.no_grad():
            network.weight += torch.randn(2, 3)
        engine.run([0], max_epochs=1)
        engine.state.max_epochs = None
        if expected is None:
            expected = network.weight.detach().clone()  # the first update copies
        else:
            decay = min(0.8, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * network.weight.detach()
        torch.testing.assert_close(average.network.weight, expected)
        if step == 5:
            restored = WeightAverage(network, 0.8)
            restored.load_state_dict(average.state_dict())
            average = restored
            engine = Engine(lambda engine, batch: None)
            average.attach(engine)
    with pytest.raises(ValueError, match="decay"):
        WeightAverage(network, 1.0)


def test_evaluator_gives_both_stages_and_single_networks():
    torch.manual_seed(0)
    network = TwoStageDenoiser(**SMALL)
    evaluator = DenoisingEvaluator("cpu", batches(1), network, inferer=DenoisingInferer())
    evaluator.run()
    output = evaluator.state.output[0]
    image = batches(1)[0]["image"][:1]
    with torch.no_grad():
        denoised, noise = network.eval().stages(image)
    torch.testing.assert_close(output["pred"][None], denoised, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(output["nen_pred"][None], image - noise, atol=1e-6, rtol=1e-5)
    single = DenoisingEvaluator("cpu", batches(1), NoiseEstimationNetwork(**SMALL), inferer=SimpleInferer())
    single.run()
    assert "noise_estimate" not in single.state.output[0]


def test_checkpoint_refuses_what_does_not_fit(tmp_path):
    path = tmp_path / "checkpoint.pt"
    network = TwoStageDenoiser(**SMALL)
    make_trainer(network, batches(2), train_handlers=[TrainingCheckpoint(path, {"network": network})]).run()
    with pytest.raises(FileExistsError, match="resume"):
        TrainingCheckpoint(path, {"network": network})

    def resumed(network, data, **objects):
        handler = TrainingCheckpoint(path, {"network": network, **objects}, resume=True)
        return make_trainer(network, data, max_epochs=2, train_handlers=[handler])

    with pytest.raises(ValueError, match="'network' does not fit"):
        resumed(TwoStageDenoiser(features=5), batches(2)).run()
    with pytest.raises(ValueError, match="2 iterations per epoch"):
        resumed(network, batches(3)).run()
    with pytest.raises(ValueError, match=r"lacks \['ema'\]"):
        resumed(network, batches(2), ema=WeightAverage(network)).run()
    trainer = resumed(network, batches(2))
    trainer.run()
    assert trainer.state.epoch == 2 and trainer.state.iteration == 4
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot be read as a training checkpoint"):
        resumed(network, batches(2)).run()


def test_saving_is_atomic(tmp_path):
    path = tmp_path / "weights.pt"
    save_atomically({"a": torch.ones(2)}, path)

    class Unpicklable:
        def __reduce__(self):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        save_atomically({"a": Unpicklable()}, path)
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.ones(2))
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pt"]


def test_best_weights_follow_the_best_metric(tmp_path):
    network = torch.nn.Linear(1, 1)
    evaluator = Engine(lambda engine, batch: None)
    BestWeights(tmp_path / "model.pt", network).attach(evaluator)
    for epoch, best in ((1, 1), (2, 1), (3, 3)):
        with torch.no_grad():
            network.weight.fill_(epoch)

        @evaluator.on(Events.STARTED)
        def _state(engine, best=best, epoch=epoch):
            engine.state.best_metric_epoch = best
            engine.state.epoch = epoch - 1

        evaluator.run([0], max_epochs=epoch)
        evaluator.state.max_epochs = None
        assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == best


def test_epoch_seeding_depends_on_seed_and_epoch_alone():
    def draws(seed: int, epochs: int, waste: int = 0) -> list[float]:
        engine = Engine(lambda engine, batch: result.append(torch.rand(1).item()))
        result: list[float] = []
        EpochSeeding(seed).attach(engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: torch.rand(waste))
        engine.run([0, 0], max_epochs=epochs)
        return result

    assert draws(1, 3) == draws(1, 3, waste=7)
    assert draws(1, 3) != draws(2, 3)
    assert len(set(draws(1, 3))) == 6
    drawn = EpochSeeding(None)
    restored = EpochSeeding(0)
    restored.load_state_dict(drawn.state_dict())
    assert restored.seed == drawn.seed


def test_schedules():
    def rates(kind: str, total: int, warmup: int) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
        schedule = learning_rate_schedule(optimizer, kind, total, warmup)
        found = []
        for _ in range(total):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    assert rates("constant", 5, 0) == [2.0] * 5
    assert rates("constant", 5, 1) == [1.0, 2.0, 2.0, 2.0, 2.0]
    assert rates("cosine", 6, 1)[:2] == [1.0, 2.0]
    cosine = rates("cosine", 10, 0)
    assert cosine == pytest.approx([1 + math.cos(math.pi * step / 10) for step in range(10)])
    with pytest.raises(ValueError, match="schedule must be"):
        rates("steps", 5, 0)
    with pytest.raises(ValueError, match="warmup_steps"):
        rates("cosine", 5, 5)


def test_a_resumed_schedule_follows_the_new_length():
    def make(total: int):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        return optimizer, learning_rate_schedule(optimizer, "cosine", total)

    optimizer, schedule = make(10)
    for _ in range(5):
        optimizer.step()
        schedule.step()
    state, optimizer_state = schedule.state_dict(), optimizer.state_dict()
    optimizer, schedule = make(20)
    schedule.load_state_dict(state)
    optimizer.load_state_dict(optimizer_state)
    rates = []
    for _ in range(15):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([(1 + math.cos(math.pi * step / 20)) / 2 for step in range(6, 21)])


def test_sampler_balances_modalities():
    items = [{"modality": "mri"}] * 90 + [{"modality": "ct"}] * 10
    torch.manual_seed(0)
    drawn = list(training_sampler(items, 4000))
    assert sum(index >= 90 for index in drawn) / 4000 == pytest.approx(0.5, abs=0.04)
    uniform = list(training_sampler(items, 100, balance_modalities=False))
    assert sorted(uniform) == list(range(100))
    with pytest.raises(ValueError, match="no training images"):
        training_sampler([], 1)


def test_the_sampler_draws_uniformly_without_a_key():
    items = [{"modality": "ct"}] * 9 + [{"modality": "mri"}]
    assert sorted(training_sampler(items, 10, key=None)) == list(range(10))


@pytest.mark.parametrize("patience", [None, 0])
def test_without_patience_training_never_ends_early(patience):
    trainer = Engine(lambda engine, batch: None)
    handler = ResumableEarlyStop(patience, score_function=lambda engine: 0.0, trainer=trainer)
    for _ in range(50):
        handler(trainer)
    assert not trainer.should_terminate
    impatient = ResumableEarlyStop(2, score_function=lambda engine: 0.0, trainer=trainer)
    for _ in range(3):
        impatient(trainer)
    assert trainer.should_terminate


def test_the_sampler_balances_by_another_key():
    items = [{"modality": "ct", "kernel": "soft"}] * 9 + [{"modality": "ct", "kernel": "sharp"}] + [{"modality": "ct"}]
    torch.manual_seed(0)
    drawn = list(training_sampler(items, 3000, key="kernel"))
    assert abs(sum(index == 9 for index in drawn) - 1000) < 150
    assert abs(sum(index == 10 for index in drawn) - 1000) < 150
