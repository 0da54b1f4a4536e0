# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure whether the data pipeline keeps up with the training step.

    python benchmarks/data_pipeline.py MANIFEST [--batches 20] [--steps 5] [--set KEY=VALUE ...]

Prints the images per second of the training config's data loader alone and of the training step alone (on batches in
memory). If the first is not larger, the training step waits for data.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

import torch
import yaml
from monai.bundle import ConfigParser

from noisewise.bundles import bundle_path


def main() -> None:
    """Run both measurements and print them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("manifest", type=Path)
    arguments.add_argument("--batches", type=int, default=20)
    arguments.add_argument("--steps", type=int, default=5)
    arguments.add_argument("--set", nargs="*", default=[], help="more overrides, KEY=VALUE")
    options = arguments.parse_args()

    config = ConfigParser()
    config.read_config(bundle_path("multimodal_denoising") / "configs" / "train.yaml")
    overrides = dict(pair.split("=", 1) for pair in options.set)
    overrides |= {"manifest": str(options.manifest), "track": False, "steps_per_epoch": options.batches + 4}
    for key, value in overrides.items():
        config[key] = yaml.safe_load(value) if isinstance(value, str) else value
    loader = config.get_parsed_content("train#dataloader")
    size = config.get_parsed_content("batch_size")

    batches = iter(loader)
    kept = [next(batches) for _ in range(2)]  # the worker process has started
    time.sleep(1.0)
    list(islice(batches, 2))  # empties the filled queue
    start = time.perf_counter()
    count = sum(1 for _ in islice(batches, options.batches))
    loading = count * size / (time.perf_counter() - start)

    trainer = config.get_parsed_content("train#trainer")
    trainer.state.iteration = 0
    trainer._iteration(trainer, kept[0])
    start = time.perf_counter()
    for step in range(options.steps):
        trainer._iteration(trainer, kept[step % 2])
    training = options.steps * size / (time.perf_counter() - start)
    print(f"threads {torch.get_num_threads()}, workers {loader.num_workers}, batch {size}")
    print(f"data loader alone  {loading:8.1f} images/s")
    print(f"training step      {training:8.1f} images/s")


if __name__ == "__main__":
    main()
