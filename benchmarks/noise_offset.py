# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What denoised images are off by under two noise protocols: the offset that is left, and the spread.

    python benchmarks/noise_offset.py MANIFEST runs/reproduce/training/two_stage/model.pt \
        runs/author_code/training/two_stage/model.pt

Two validation images of each modality, centre crops of 256 x 256, seed 0; means over images, in grey levels.
"""

from __future__ import annotations

import sys

import pandas as pd
import torch

from noisewise.pipelines.evaluation import evaluation_items, evaluation_preprocessing
from noisewise.pipelines.evaluation.conditions import expand_conditions
from noisewise.pipelines.reproduce.published import PATTERNS
from noisewise.pipelines.reproduce.study import load_network
from noisewise.transforms import MultiPatternNoised

PROTOCOLS = ("physical", "author_code")
CROP = 256


def main() -> None:
    """Print the table."""
    manifest, *weights = sys.argv[1:]
    networks = {trained: load_network(path)[0].eval() for trained, path in zip(PROTOCOLS, weights, strict=True)}
    prepare, corrupt = evaluation_preprocessing(CROP), MultiPatternNoised(keys="image")
    rows = []
    for item in evaluation_items(manifest, "val", None, 2, CROP):
        clean = prepare(expand_conditions([item], ["gaussian"], [0.0])[0])
        for protocol in PROTOCOLS:
            for condition in expand_conditions([item], PATTERNS, (10.0, 75.0), protocol, 0):
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
