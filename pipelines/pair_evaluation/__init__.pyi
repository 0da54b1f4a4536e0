# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoisers scored on pairs of a really noisy image and a nearly noise-free one of the same scene."""

from .evaluate import evaluate_pairs
from .gain_and_offset import fit_gain_and_offset
from .pairs import ImagePair, PairsError, read_pairs
from .scores import PAIR_SCORES, score_pair

__all__ = [
    "PAIR_SCORES",
    "ImagePair",
    "PairsError",
    "evaluate_pairs",
    "fit_gain_and_offset",
    "read_pairs",
    "score_pair",
]
