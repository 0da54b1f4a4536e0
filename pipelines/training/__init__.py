# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training engine and handlers; the bundles' configs put them together."""

from .checkpoint import BestWeights, TrainingCheckpoint, save_atomically
from .early_stop import ResumableEarlyStop
from .evaluator import DenoisingEvaluator
from .handlers import TrainingProgress
from .history import ValidationHistory
from .losses import ImageCrossEntropy
from .sampler import training_sampler
from .schedule import learning_rate_schedule
from .seeding import EpochSeeding
from .single_stage_trainer import SingleStageTrainer
from .trainer import TwoStageTrainer, prepare_denoising_batch
from .weight_average import WeightAverage

__all__ = [
    "BestWeights",
    "DenoisingEvaluator",
    "EpochSeeding",
    "ImageCrossEntropy",
    "ResumableEarlyStop",
    "SingleStageTrainer",
    "TrainingCheckpoint",
    "TrainingProgress",
    "TwoStageTrainer",
    "ValidationHistory",
    "WeightAverage",
    "learning_rate_schedule",
    "prepare_denoising_batch",
    "save_atomically",
    "training_sampler",
]
