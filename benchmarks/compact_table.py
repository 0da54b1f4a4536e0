# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Print the short tables of docs/results.md from the scores of an evaluation.

    python benchmarks/compact_table.py docs/results/scores.csv
"""

from __future__ import annotations

import sys

import pandas as pd

from noisewise.pipelines.evaluation import read_scores, summarize

TITLES = {
    "noisy": "noisy",
    "bm3d": "BM3D, true noise level",
    "bm3d_vst": "BM3D, variance stabilized",
    "two_stage_shipped": "two-stage",
    "two_stage_commercial": "two-stage without HAM10000",
}


def main() -> None:
    """Print both tables."""
    summary = summarize(read_scores(sys.argv[1]))
    summary = summary[summary["pattern"] != "average"]
    methods = [method for method in TITLES if method in set(summary["method"])]
    titles = " | ".join(TITLES[method] for method in methods)
    rule = "---|" * len(methods)

    def row(cells: pd.DataFrame, key: tuple) -> str:
        texts = []
        for method in methods:
            found = (*key, method) in cells.index
            cell = cells.loc[(*key, method)] if found else None
            texts.append(f"{cell['psnr_mean']:.2f} / {cell['ssim_mean']:.3f}" if found else "-")
        return " | ".join(texts)

    print(f"| noise | sigma | {titles} |\n|---|---:|{rule}")
    average = summary[summary["modality"] == "average"].set_index(["pattern", "sigma", "method"])
    for pattern, sigma in average.index.droplevel("method").unique():
        print(f"| {pattern} | {sigma:g} | {row(average, (pattern, sigma))} |")

    print(f"\n| modality | noise | {titles} |\n|---|---|{rule}")
    upper = summary[summary["sigma"].isin([25, 50, 75])]
    means = upper.groupby(["modality", "pattern", "method"])[["psnr_mean", "ssim_mean"]].mean()
    for modality in [*sorted(set(upper["modality"]) - {"average"}), "average"]:
        for pattern in ("gaussian", "speckle"):
            print(f"| {modality} | {pattern} | {row(means, (modality, pattern))} |")


if __name__ == "__main__":
    main()
