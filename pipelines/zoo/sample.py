# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Small images, and the package's own results for them, which a copy must reproduce."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from ...bundles import bundle_path
from .modules import ZooError

__all__ = ["package_results", "write_sample"]


def write_sample(folder: Path) -> Path:
    """Write a gray and a color PNG and a NIfTI volume, filled with the same random values each time.

    Args:
        folder: the folder that gets the files.

    Returns:
        ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(0)
    Image.fromarray(random.randint(0, 256, (40, 28), np.uint8)).save(folder / "gray.png")
    Image.fromarray(random.randint(0, 256, (28, 40, 3), np.uint8)).save(folder / "color.png")
    volume = random.gamma(2, 300, (24, 20, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(volume, np.diag([0.7, 0.8, 2.5, 1])), folder / "volume.nii.gz")
    return folder


def package_results(name: str, images: Path, output: Path) -> None:
    """Denoise images with a bundle of this package, on the CPU.

    Args:
        name: the bundle's folder name.
        images: folder of the images.
        output: folder of the results, which must be empty.

    Raises:
        ZooError: when the bundle's inference fails.
    """
    config = next(path for path in sorted((bundle_path(name) / "configs").iterdir()) if path.stem == "inference")
    command = [sys.executable, "-m", "monai.bundle", "run", "inferring", "--config_file", str(config)]
    command += ["--dataset_dir", str(images), "--output_dir", str(output)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ZooError(f"{name}: the package's own inference failed: {last}")
