# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The noise of an image, measured from the image alone: level, dependence on intensity, color and kind."""

from .measure import NoiseMeasurement, measure_noise
from .noise_curve import NoiseCurve

__all__ = ["NoiseCurve", "NoiseMeasurement", "measure_noise"]
