# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Print the short tables of docs/results.md from an evaluation's summary.csv.

    python benchmarks/compact_table.py docs/results/summary.csv
"""

from __future__ import annotations

import sys

import pandas as pd

METHODS = ["noisy", "bm3d", "two_stage"]
TITLES = {"noisy": "noisy", "bm3d": "BM3D, true noise level", "two_stage": "two-stage"}


def main() -> None:
    """Print both tables."""
    summary = pd.read_csv(sys.argv[1])
    summary = summary[summary["pattern"] != "average"]
    titles = " | ".join(TITLES[method] for method in METHODS)
    rule = "---|" * len(METHODS)

    print(f"| noise | sigma | {titles} |\n|---|---:|{rule}")
    average = summary[summary["modality"] == "average"].set_index(["pattern", "sigma", "method"])
    for pattern, sigma in average.index.droplevel("method").unique():
        cells = [average.loc[(pattern, sigma, method)] for method in METHODS]
        texts = [f"{cell['psnr_mean']:.2f} / {cell['ssim_mean']:.3f}" for cell in cells]
        print(f"| {pattern} | {sigma:g} | " + " | ".join(texts) + " |")

    print(f"\n| modality | noise | {titles} |\n|---|---|{rule}")
    upper = summary[summary["sigma"].isin([25, 50, 75])]
    means = upper.groupby(["modality", "pattern", "method"])[["psnr_mean", "ssim_mean"]].mean()
    for modality in [*sorted(set(upper["modality"]) - {"average"}), "average"]:
        for pattern in ("gaussian", "speckle"):
            cells = [means.loc[(modality, pattern, method)] for method in METHODS]
            texts = [f"{cell['psnr_mean']:.2f} / {cell['ssim_mean']:.3f}" for cell in cells]
            print(f"| {modality} | {pattern} | " + " | ".join(texts) + " |")


if __name__ == "__main__":
    main()
