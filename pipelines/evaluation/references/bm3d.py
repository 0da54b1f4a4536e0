# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""BM3D, the classical reference."""

from __future__ import annotations

import numpy as np
import torch
from monai.utils import optional_import

from .base import ReferenceDenoiser

__all__ = ["BM3DDenoiser"]

bm3d, has_bm3d = optional_import("bm3d")

# The compiled library reads past the end of smaller images and takes the process down with it.
SMALLEST_SIDE = 16


class BM3DDenoiser(ReferenceDenoiser):
    """BM3D (block matching and 3-D filtering) with a known noise level, through the authors' package ``bm3d``.

    **Licence**: the package ``bm3d`` is free for non-commercial use only (Tampere University), so it is an extra,
    ``pip install noisewise[bm3d]``, which nothing but this reference needs.

    Grey images run in one channel, colour through ``bm3d_rgb`` (opponent colours, blocks matched in luminance). A
    colour image with a constant opponent channel, which ``bm3d_rgb`` cannot scale, is denoised channel by channel.
    About 1.6 s for a grey and 4.2 s for a colour image of 256 x 256 on two cores, 2.5 s and 7 s on one.

    Args:
        num_threads: threads for one image; 0 takes all cores. None does so too, unless PyTorch is held to one thread
            (``OMP_NUM_THREADS=1``), as it should be where other work fills the cores: the threads wait for each other
            there, many times longer than one takes. Results differ by about 1e-5 dB.

    Raises:
        ImportError: when the package ``bm3d`` is not installed.
        ValueError: on a call, when an image's side is below 16 pixels.

    References:
        Dabov, Foi, Katkovnik and Egiazarian, "Image denoising by sparse 3-D transform-domain collaborative
        filtering", IEEE Transactions on Image Processing 16(8), 2007.
        Mäkinen, Azzari and Foi, "Collaborative filtering of correlated noise: exact transform-domain variance for
        improved shrinkage and patch matching", IEEE Transactions on Image Processing 29, 2020.
    """

    def __init__(self, num_threads: int | None = None) -> None:
        super().__init__()
        if not has_bm3d:
            raise ImportError(
                "BM3D needs the package 'bm3d', whose licence allows non-commercial use only: "
                "pip install noisewise[bm3d]"
            )
        self.profile = bm3d.BM3DProfile()
        if num_threads is None:
            num_threads = 1 if torch.get_num_threads() == 1 else 0
        self.profile.num_threads = num_threads

    def denoise(self, image: np.ndarray, level: float) -> np.ndarray:
        """Denoise one image; see :meth:`ReferenceDenoiser.denoise`."""
        if min(image.shape[:2]) < SMALLEST_SIDE:
            raise ValueError(f"BM3D needs images of at least {SMALLEST_SIDE} pixels a side, got {image.shape[:2]}.")
        if image.ndim == 2:
            return bm3d.bm3d(image, level, self.profile)
        opponent = image @ _OPPONENT.T
        if np.ptp(opponent, axis=(0, 1)).min() < 1e-6:
            return np.stack([bm3d.bm3d(channel, level, self.profile) for channel in np.moveaxis(image, -1, 0)], axis=-1)
        return bm3d.bm3d_rgb(image, level, self.profile)


# The colour transform of bm3d_rgb.
_OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [0.5, 0, -0.5], [0.25, -0.5, 0.25]])
