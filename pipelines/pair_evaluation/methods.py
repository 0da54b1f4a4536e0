# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The compared methods: trained weights through the product, and methods that are told the measured noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..denoising import denoise
from ..evaluation.references.bm3d import BM3DDenoiser
from ..evaluation.references.nlm import NonLocalMeansDenoiser
from ..noise_measurement import measure_noise
from .variance_stabilization import VarianceStabilizer

__all__ = ["NOISY", "REFERENCES", "Method", "model_methods", "reference_methods"]

Method = Callable[[np.ndarray], np.ndarray]
"""Maps slices ``(N, H, W)`` or ``(N, H, W, 3)`` in [0, 1] to denoised ones."""

NOISY = "noisy"
REFERENCES = ("bm3d", "bm3d_vst", "nlm")


def model_methods(models: Sequence[str], engine: str) -> dict[str, Method]:
    """Trained weights by name.

    Args:
        models: bundles, folders or weights files, as ``noisewise denoise --model`` takes them.
        engine: as ``noisewise denoise --engine`` takes it.

    Returns:
        The methods, named as the bundle or as the file without its suffix.

    Raises:
        ValueError: if two have one name.
    """
    methods: dict[str, Method] = {}
    for model in models:
        name = Path(model).stem if Path(model).is_file() else Path(model).name
        if name in methods:
            raise ValueError(f"--model {model}: another model is called {name} as well; rename one.")
        methods[name] = _model(model, engine)
    return methods


def _model(model: str, engine: str) -> Method:
    def run(slices: np.ndarray) -> np.ndarray:
        # Color is stated: a gray image of 3 columns would be taken for color.
        return denoise(
            slices.astype(np.float32), model=model, engine=engine, intensity_range=(0.0, 1.0), color=slices.ndim == 4
        )

    return run


def reference_methods(names: Sequence[str]) -> tuple[dict[str, Method], dict[str, str]]:
    """The methods without training, each told the noise that :func:`measure_noise` finds in the image.

    Args:
        names: in :data:`REFERENCES`.

    Returns:
        The methods by name, and the reason for each that cannot run here.
    """
    methods, skipped = {}, {}
    for name in names:
        try:
            methods[name] = _per_slice(_BUILDERS[name]())
        except ImportError as error:
            skipped[name] = str(error)
    return methods, skipped


def _per_slice(run: Method) -> Method:
    return lambda slices: np.stack([run(each) for each in slices])


def _with_level(denoise_image: Callable[[np.ndarray, float], np.ndarray]) -> Method:
    def run(image: np.ndarray) -> np.ndarray:
        level = measure_noise(image, intensity_range=(0.0, 1.0)).level
        return denoise_image(np.ascontiguousarray(image, np.float64), level) if level > 0 else image

    return run


def _stabilized_bm3d() -> Method:
    bm3d = BM3DDenoiser()

    def run(image: np.ndarray) -> np.ndarray:
        measured = measure_noise(image, intensity_range=(0.0, 1.0))
        if measured.level <= 0:
            return image
        stabilizer = VarianceStabilizer(measured.curve)
        values = stabilizer.forward(image)
        low, span = values.min(), np.ptp(values) or 1.0
        return stabilizer.inverse(bm3d.denoise((values - low) / span, 1 / span) * span + low)

    return run


_BUILDERS: dict[str, Callable[[], Method]] = {
    "bm3d": lambda: _with_level(BM3DDenoiser().denoise),
    "bm3d_vst": _stabilized_bm3d,
    "nlm": lambda: _with_level(NonLocalMeansDenoiser().denoise),
}
