# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure the error of denoised images under two noise protocols: the remaining offset and the spread.

    python benchmarks/noise_offset.py MANIFEST runs/reproduce/training/two_stage/model.pt \
        runs/author_code/training/two_stage/model.pt

Two validation images of each modality, center crops of 256 x 256, seed 0; means over images, in gray levels.
"""

from __future__ import annotations

import dataclasses
import sys

import pandas as pd
import torch

from noisewise.pipelines.evaluation import EvaluationSettings, evaluation_preprocessing
from noisewise.pipelines.evaluation.conditions import expand_conditions
from noisewise.pipelines.evaluation.run import load_network
from noisewise.transforms import MultiPatternNoised

PROTOCOLS = ("physical", "author_code")
SETTINGS = EvaluationSettings(split="val", limit=2, crop=256, stds=(10.0, 75.0))


def main() -> None:
    """Print the table."""
    manifest, *weights = sys.argv[1:]
    networks = {trained: load_network(path)[0].eval() for trained, path in zip(PROTOCOLS, weights, strict=True)}
    prepare, corrupt = evaluation_preprocessing(SETTINGS.crop), MultiPatternNoised(keys="image")
    rows = []
    for item in SETTINGS.items(manifest):
        clean = prepare(expand_conditions([item], ["gaussian"], [0.0])[0])
        for protocol in PROTOCOLS:
            for condition in dataclasses.replace(SETTINGS, protocol=protocol).conditions([item]):
                noise = condition["noise"]
                data = corrupt({"image": clean["label"], "grayscale": clean["grayscale"], "noise": noise})
                for trained, network in networks.items():
                    with torch.inference_mode():
                        error = 255 * (network(data["image"][None].float())[0] - data["label"])
                    key = {"tested": protocol, "pattern": noise["pattern"], "sigma": noise["std"], "trained": trained}
                    found = {"offset": error.mean().item(), "spread": error.std().item()}
                    rows.append({**key, "noise_offset": 255 * data["residual"].mean().item(), **found})
    table = pd.DataFrame(rows).groupby(["tested", "pattern", "sigma", "trained"], sort=False).mean().round(2)
    print(table.to_string())


if __name__ == "__main__":
    main()
