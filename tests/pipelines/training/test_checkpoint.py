# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A resumed training keeps its best weights, and a checkpoint from elsewhere cannot run code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from ignite.metrics import Average
from monai.engines import Evaluator

from noisewise.pipelines.training import BestWeights, TrainingCheckpoint


class ScoreEvaluator(Evaluator):
    """Validates to a given score."""

    def __init__(self, score: float) -> None:
        super().__init__("cpu", [0], key_val_metric={"score": Average(lambda output: output)})
        self.score = score

    def _iteration(self, engine: Engine, batch: int) -> float:
        return self.score


def train(folder: Path, scores: dict[int, float], network: torch.nn.Module, resume: bool = False) -> None:
    """Train to the last epoch of ``scores``; after each epoch, the weights are its number."""
    evaluator = ScoreEvaluator(0.0)
    BestWeights(folder / "model.pt", network).attach(evaluator)

    def epoch(engine: Engine, batch: int) -> None:
        number = engine.state.epoch
        with torch.no_grad():
            network.weight.fill_(number)
        evaluator.score = scores[number]
        evaluator.run(number)

    trainer = Engine(epoch)
    trainer.state.device = torch.device("cpu")
    TrainingCheckpoint(folder / "checkpoint.pt", {"network": network}, evaluator, resume=resume).attach(trainer)
    trainer.run([0], max_epochs=max(scores))


def best_epoch(folder: Path) -> int:
    return int(torch.load(folder / "model.pt", weights_only=True)["weight"].item())


# scores of the epochs after the resume, the epoch whose weights are the best ones
@pytest.mark.parametrize(("later", "best"), [({3: 25.0, 4: 29.0}, 2), ({3: 25.0, 4: 31.0}, 4)])
def test_a_resumed_run_replaces_the_best_weights_with_better_ones_only(tmp_path, later, best):
    train(tmp_path, {1: 20.0, 2: 30.0}, torch.nn.Linear(1, 1, bias=False))
    assert best_epoch(tmp_path) == 2
    train(tmp_path, later, torch.nn.Linear(1, 1, bias=False), resume=True)
    assert best_epoch(tmp_path) == best
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert stored["best"] == {"metric": max(30.0, later[4]), "epoch": best}


class Boobytrap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_runs_no_code(tmp_path):
    path, exploded = tmp_path / "checkpoint.pt", tmp_path / "exploded"
    network = torch.nn.Linear(1, 1, bias=False)
    progress = {"epoch": 1, "iteration": 1, "epoch_length": 1, "stopped_early": False}
    torch.save({"network": network.state_dict(), "progress": progress, "extra": Boobytrap(exploded)}, path)
    with pytest.raises(ValueError, match=r"checkpoint\.pt: cannot be read as a training checkpoint"):
        train(tmp_path, {1: 20.0, 2: 30.0}, network, resume=True)
    assert not exploded.exists()
