# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""How a user's code uses the public interface, for mypy; test_typing.py reads the types that it reveals."""

from pathlib import Path
from typing import TYPE_CHECKING, reveal_type

import numpy as np
import torch

import noisewise
from noisewise.bundles import bundle_path
from noisewise.data_manifest import Manifest
from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.denoising import DenoisingSettings, load_model

if TYPE_CHECKING:
    image = np.zeros((8, 8))
    reveal_type(noisewise.denoise(image))  # numpy.ndarray
    reveal_type(noisewise.denoise(torch.zeros(8, 8), strength=0.5, device="cpu"))  # Tensor
    reveal_type(noisewise.Denoised("image"))  # Denoised
    reveal_type(noisewise.__version__)  # str
    reveal_type(bundle_path("multimodal_denoising"))  # Path
    reveal_type(TwoStageDenoiser(features=4))  # TwoStageDenoiser
    reveal_type(DenoisingSettings(strength=1.0).tile_size)  # int | None
    reveal_type(load_model().digest)  # str
    reveal_type(Manifest.read(Path("my.csv")).select("train"))  # Manifest
    noisewise.denoise(image, strenght=0.5)  # type: ignore[call-arg]
    noisewise.denoise("a.png")  # type: ignore[type-var]
