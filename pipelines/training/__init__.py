# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training engines and handlers, which the bundles' configs combine."""

from .checkpoint import BestWeights, TrainingCheckpoint, save_atomically
from .evaluator import DenoisingEvaluator
from .handlers import EpochSeeding, ResumableEarlyStop, TrainingProgress, ValidationHistory, WeightAverage
from .losses import ImageCrossEntropy, PSNRLoss
from .sampler import training_sampler
from .schedule import learning_rate_schedule
from .trainer import SingleStageTrainer, TwoStageTrainer, prepare_denoising_batch

__all__ = [
    "BestWeights",
    "DenoisingEvaluator",
    "EpochSeeding",
    "ImageCrossEntropy",
    "PSNRLoss",
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
