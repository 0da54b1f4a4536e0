# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Decide choices that the paper leaves open (output activation, global skip) by short trainings of equal length.

    python benchmarks/open_choices.py MANIFEST OUTPUT [--steps 250] [--batch-size 12] [--seeds 0 1]

Every variant sees the same images, crops and noise draws; validation PSNR decides. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from noisewise.bundles import bundle_path

VARIANTS: dict[str, dict[str, object]] = {
    "linear outputs, no skip": {"global_skip": False},
    "global skip in RN": {"global_skip": True},
    "sigmoid after RN, no skip": {"global_skip": False, "output_activation": "sigmoid"},
    "tanh after NEN, with the skip": {"global_skip": True, "noise_activation": "tanh"},
}


def train(name: str, arguments: dict[str, object], seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Train one variant through the bundle and return its best validation figures."""
    folder = options.output / f"{name.replace(',', '').replace(' ', '_')}_seed{seed}"
    result = folder / "result.json"
    if result.exists():
        return json.loads(result.read_text())
    overrides: dict[str, object] = {
        "manifest": options.manifest,
        "output_dir": folder,
        "batch_size": options.batch_size,
        "steps_per_epoch": options.steps // 5,
        "max_epochs": 5,
        "schedule": "cosine",
        "ema_decay": 0.98,
        "amp_dtype": "bfloat16",
        "seed": seed,
        "track": False,
        "resume": True,
        **{f"network_def#{key}": value for key, value in arguments.items()},
        **dict(pair.split("=", 1) for pair in options.set),
    }
    command = [sys.executable, "-m", "monai.bundle", "run", "training"]
    command += ["--config_file", str(bundle_path("multimodal_denoising") / "configs" / "train.yaml")]
    for key, value in overrides.items():
        command += [f"--{key}", str(value)]
    log = options.output / f"{folder.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        subprocess.run(command, check=True, stdout=file, stderr=subprocess.STDOUT)
    metrics = json.loads((folder / "validation.jsonl").read_text().splitlines()[-1])
    result.write_text(json.dumps(metrics))
    return metrics


def main() -> None:
    """Run all variants and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", nargs="*", default=[], help="more overrides, KEY=VALUE")
    options = parser.parse_args()
    options.manifest, options.output = options.manifest.resolve(), options.output.resolve()
    print("| variant | seed | PSNR (dB) | SSIM | NEN alone, PSNR (dB) |\n|---|---|---|---|---|")
    for seed in options.seeds:
        for name, arguments in VARIANTS.items():
            m = train(name, arguments, seed, options)
            print(f"| {name} | {seed} | {m['psnr']:.2f} | {m['ssim']:.4f} | {m['nen_psnr']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
