# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure the effect of denoising on later measurements: the segmentation of a brain, and the position of CT edges.

    python benchmarks/downstream.py

The images are part of Python packages (extra ``embedded``): slices of the MNI152 brain template and a CT slice of
pydicom-data. Noise is simulated (Gaussian, protocol ``physical``). The same measurement is made on the clean, the noisy
and the denoised image, and the last two are compared with the first.
"""

from __future__ import annotations

import argparse

import numpy as np
import pydicom
from nilearn.datasets import load_mni152_template
from pydicom.data import get_testdata_file
from skimage.filters import threshold_multiotsu

import noisewise
from noisewise.transforms import MultiPatternNoise

TISSUES = ("background", "CSF and edges", "gray matter", "white matter")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sigmas", type=float, nargs="+", default=[10, 25, 50], help="of 255 gray levels")
    parser.add_argument("--slices", type=int, default=6, help="of the brain template")
    arguments = parser.parse_args()

    brain = brain_slices(arguments.slices)
    thresholds = threshold_multiotsu(brain[brain > 0.05], 3)
    print("| sigma | image | Dice CSF and edges | Dice gray matter | Dice white matter |\n|---:|---|---:|---:|---:|")
    for sigma in arguments.sigmas:
        noisy = with_noise(brain, sigma)
        for name, volume in (("noisy", noisy), ("denoised", noisewise.denoise(noisy))):
            scores = dice(np.digitize(brain, [0.05, *thresholds]), np.digitize(volume, [0.05, *thresholds]))
            print(f"| {sigma:g} | {name} | {' | '.join(f'{score:.3f}' for score in scores[1:])} |")

    ct = ct_slice()
    truth = edge_places(ct)
    print("\n| sigma | image | rows with the edge within 3 pixels | mean shift, pixels | mean distance, pixels |")
    print("|---:|---|---:|---:|---:|")
    for sigma in arguments.sigmas:
        noisy = with_noise(ct[None], sigma)[0]
        for name, image in (("noisy", noisy), ("denoised", noisewise.denoise(noisy))):
            shift = edge_places(image) - truth
            near = np.abs(shift) <= 3
            valid = ~np.isnan(truth)
            print(
                f"| {sigma:g} | {name} | {near[valid].mean():.0%} | {shift[near].mean():+.3f} | "
                f"{np.abs(shift[near]).mean():.3f} |"
            )


def brain_slices(count: int) -> np.ndarray:
    """Return axial slices of the template, (slices, rows, columns), in [0, 1]."""
    template = load_mni152_template(resolution=1)
    volume = np.moveaxis(np.asarray(template.dataobj, np.float32), 2, 0)
    middle = len(volume) // 2
    return volume[middle - 5 * (count // 2) : middle + 5 * ((count + 1) // 2) : 5] / volume.max()


def ct_slice() -> np.ndarray:
    """Return a CT slice, with -1000..1000 HU scaled to [0, 1]."""
    dataset = pydicom.dcmread(get_testdata_file("693_UNCR.dcm"))
    return ((dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept) + 1000) / 2000).astype(
        np.float32
    )


def with_noise(images: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([MultiPatternNoise("gaussian", sigma, seed=i)(image[None])[0] for i, image in enumerate(images)])


def dice(truth: np.ndarray, other: np.ndarray) -> list[float]:
    """Compute the Dice score of each class of two label images."""
    return [
        2 * float(((truth == label) & (other == label)).sum()) / float((truth == label).sum() + (other == label).sum())
        for label in range(len(TISSUES))
    ]


def edge_places(image: np.ndarray) -> np.ndarray:
    """Find where each row first rises above -300 HU for at least five pixels; NaN if it does not."""
    level = (-300 + 1000) / 2000
    places = np.full(len(image), np.nan)
    for index, row in enumerate(image):
        above = row > level
        runs = np.convolve(above, np.ones(5, int), "valid") == 5
        starts = np.flatnonzero(runs)
        if len(starts) and starts[0] > 0:
            right = starts[0]
            left = right - 1
            places[index] = left + (level - row[left]) / (row[right] - row[left])
    return places


if __name__ == "__main__":
    main()
