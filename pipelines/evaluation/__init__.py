# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation: denoisers scored over modality, noise pattern and standard deviation, with tables and pictures."""

from .evaluator import ComparisonEvaluator
from .examples import draw_examples, median_images
from .items import evaluation_items
from .markdown import crop_in_words, markdown_table
from .network_digest import network_digest
from .picture import PictureRow, picture_grid
from .progress import EvaluationProgress
from .references import REFERENCES, reference_methods
from .references.base import ReferenceDenoiser
from .references.bm3d import BM3DDenoiser
from .references.bm3d_vst import StabilizedBM3DDenoiser, stabilized_mean
from .references.nlm import NonLocalMeansDenoiser
from .references.noise_level import TrueNoiseLeveld, remove_noise_mean, speckle_factor, true_noise_level
from .score_table import ScoreTable, ScoreTableError, read_scores
from .scores import SCORES, Score, evaluation_metrics
from .summary import summarize, summary_markdown, summary_metrics
from .transforms import AverageGrayscaled, evaluation_postprocessing, evaluation_preprocessing

__all__ = [
    "REFERENCES",
    "SCORES",
    "AverageGrayscaled",
    "BM3DDenoiser",
    "ComparisonEvaluator",
    "EvaluationProgress",
    "NonLocalMeansDenoiser",
    "PictureRow",
    "ReferenceDenoiser",
    "Score",
    "ScoreTable",
    "ScoreTableError",
    "StabilizedBM3DDenoiser",
    "TrueNoiseLeveld",
    "crop_in_words",
    "draw_examples",
    "evaluation_items",
    "evaluation_metrics",
    "evaluation_postprocessing",
    "evaluation_preprocessing",
    "markdown_table",
    "median_images",
    "network_digest",
    "picture_grid",
    "read_scores",
    "reference_methods",
    "remove_noise_mean",
    "speckle_factor",
    "stabilized_mean",
    "summarize",
    "summary_markdown",
    "summary_metrics",
    "true_noise_level",
]
