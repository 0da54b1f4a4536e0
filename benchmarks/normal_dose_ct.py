# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure the effect of denoising on normal-dose CT slices without simulated noise.

    python benchmarks/normal_dose_ct.py MANIFEST --split val --limit 6

Prints for each model the means over the slices of: the noise in flat soft tissue before and after, the ratio of the
edge sharpness after to before, and the mean and the largest change over the body.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from noisewise.data_manifest import Manifest
from noisewise.pipelines.denoising import Denoiser
from noisewise.pipelines.denoising.models import CT_MODEL, DEFAULT_MODEL
from noisewise.pipelines.low_dose_ct import (
    body_mask,
    edge_sharpness_ratio,
    find_edges,
    flat_regions,
    residual_noise_std,
)
from noisewise.pipelines.low_dose_ct.dose_picture import read_normal_dose
from noisewise.transforms.intensity import CT_RANGE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=6, help="use this many slices")
    arguments = parser.parse_args()
    records = Manifest.read(arguments.manifest).select(arguments.split, modalities=["ct"]).records[: arguments.limit]
    print("| model | noise before, HU | after | edges | mean change, HU | largest |\n|---|---:|---:|---:|---:|---:|")
    for model in (DEFAULT_MODEL, CT_MODEL):
        denoiser = Denoiser(model, precision="float32")
        before, after, edges, mean, largest = np.nanmean([measure(denoiser, each) for each in records], axis=0)
        print(f"| {model} | {before:.1f} | {after:.1f} | {edges:.2f} | {mean:.1f} | {largest:.0f} |", flush=True)


def measure(denoiser: Denoiser, record) -> tuple[float, float, float, float, float]:
    """Return noise before and after, edge ratio, mean and largest change of a slice; NaN without a suitable region."""
    image = read_normal_dose(record)
    denoised = denoiser.denoise_slices(image[None].astype(np.float32), CT_RANGE)[0].astype(np.float64)
    change = (denoised - image)[body_mask(image)]
    regions, edges = flat_regions(image, 24), find_edges(image)
    noise = [residual_noise_std(each, regions) if regions else np.nan for each in (image, denoised)]
    ratio = edge_sharpness_ratio(denoised, image, edges) if edges.points else np.nan
    return *noise, ratio, change.mean(), np.abs(change).max()


if __name__ == "__main__":
    main()
