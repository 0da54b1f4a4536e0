# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure how often ``noisewise noise`` tells white noise from colored, and how well it measures the level.

    python benchmarks/noise_measurement.py MANIFEST [SPLIT] [IMAGES PER MODALITY]

Center crops of 320 x 320 of the images of a split (val) with simulated noise. The table gives the share of right
decisions and the median of the measured level over the true one.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace

import numpy as np
import torch

from noisewise.data_manifest import Manifest
from noisewise.pipelines.noise_measurement import measure_noise
from noisewise.transforms import (
    LoadMedicalImaged,
    NoiseColor,
    RealisticNoise,
    RepeatGrayscaled,
    ScaleToUnitRanged,
    derive_seed,
    simulate_realistic_noise,
)

CROP = 320
COLORS = {
    "Gaussian kernel 0.6": NoiseColor("gaussian", 0.6, 0.6),
    "Gaussian kernel 1.0": NoiseColor("gaussian", 1.0, 1.0),
    "Gaussian kernel 1.5": NoiseColor("gaussian", 1.5, 1.5),
    "upsampled 1.4, linear": NoiseColor("resampled", 1.4, 1.4),
    "upsampled 1.4, cubic": NoiseColor("resampled", 1.4, 1.4, order=3),
    "upsampled 2, linear": NoiseColor("resampled", 2.0, 2.0),
    "k-space band 0.7": NoiseColor("kspace", 0.7, 0.7),
    "k-space band 0.5": NoiseColor("kspace", 0.5, 0.5),
}
WHITE = {
    "clean": RealisticNoise(0),
    **{f"Gaussian {level}": RealisticNoise(0, additive=level) for level in (5, 10, 25, 50, 75)},
    **{f"speckle {level}": RealisticNoise(0, speckle=level) for level in (5, 25, 75)},
    **{f"Poisson {level}": RealisticNoise(0, poisson=level) for level in (5, 25, 75)},
    **{f"Gaussian {level}, 8 bit": RealisticNoise(0, additive=level, quantize=True) for level in (5, 25, 75)},
}
COLORED = {
    **{
        f"{name}, sigma {level}": RealisticNoise(0, additive=level, color=color)
        for name, color in COLORS.items()
        for level in (5, 25)
    },
    "Gaussian kernel 0.6, sigma 75, 8 bit": RealisticNoise(
        0, additive=75, color=COLORS["Gaussian kernel 0.6"], quantize=True
    ),
}


def images(manifest: str, split: str, limit: int):
    """Yield image id, modality, image (C, X, Y) in [0, 1], and whether it is gray."""
    load, scale, repeat = (each(keys="image") for each in (LoadMedicalImaged, ScaleToUnitRanged, RepeatGrayscaled))
    seen = defaultdict(int)
    for item in Manifest.read(manifest).datalist(split):
        seen[item["modality"]] += 1
        if seen[item["modality"]] > limit:
            continue
        data = repeat(scale(load(dict(item))))
        image = torch.as_tensor(data["image"]).as_subclass(torch.Tensor).float()
        starts = [max(0, (side - CROP) // 2) for side in image.shape[1:]]
        image = image[:, starts[0] : starts[0] + CROP, starts[1] : starts[1] + CROP]
        yield item["image_id"], item["modality"], image, data["grayscale"]


def main() -> None:
    """Print the table."""
    manifest, split, limit = (*sys.argv[1:], *("", "val", "1000")[len(sys.argv[1:]) :])
    hits, ratios, misses = defaultdict(list), defaultdict(list), defaultdict(lambda: defaultdict(int))
    for image_id, modality, clean, gray in images(manifest, split, int(limit)):
        for name, noise in (WHITE | COLORED).items():
            noisy, target = simulate_realistic_noise(clean, replace(noise, seed=derive_seed(image_id, name)), gray)
            values = noisy[0] if gray else noisy.permute(1, 2, 0)
            found = measure_noise(values.numpy(), intensity_range=(0, 1))
            right = (found.suggested_weights == "colored") == (name in COLORED)
            hits[name].append(right)
            misses[name][modality] += not right
            signal = target.numpy().clip(0, None)
            variance = noise.additive**2 + noise.poisson**2 * signal + np.square(noise.speckle * signal)
            ratios[name].append(found.gray_levels / max(float(np.sqrt(variance.mean())), 1e-9))
    print("| noise | expected | right | level measured / true | wrong in |\n|---|---|---:|---:|---|")
    for name, right in hits.items():
        level = f"{np.median(ratios[name]):.2f}" if name != "clean" else "-"
        wrong = ", ".join(f"{modality} {count}" for modality, count in misses[name].items() if count)
        expected = "colored" if name in COLORED else "white"
        print(f"| {name} | {expected} | {sum(right)} of {len(right)} | {level} | {wrong} |")
    for title, names in (("white", WHITE), ("colored", COLORED)):
        print(f"{title}: {np.mean([right for name in names for right in hits[name]]):.1%} right")


if __name__ == "__main__":
    main()
