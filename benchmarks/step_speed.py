# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure how fast the two-stage denoiser trains: plain PyTorch against the training config, in one run.

    python benchmarks/step_speed.py [--steps 8] [--batch-size 12] [--device cpu]

Prints images per second of a whole training step (both stages forward, backward and Adam) for each combination of
memory layout, precision and form of the dense blocks. ``OMP_NUM_THREADS`` sets the threads.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch

from noisewise.networks import TwoStageDenoiser
from noisewise.networks.residual_dense import ResidualDenseBlock
from noisewise.pipelines.training import TwoStageTrainer

# name, channels_last, stacked dense blocks, bfloat16
VARIANTS = (
    ("plain PyTorch", False, False, False),
    ("channels_last", True, False, False),
    ("channels_last, stacked", True, True, False),
    ("channels_last, bfloat16", True, False, True),
    ("channels_last, stacked, bfloat16", True, True, True),
)


def images_per_second(
    batch: dict[str, torch.Tensor], steps: int, channels_last: bool, stacked: bool, bfloat16: bool
) -> float:
    """Measure the median speed of a training step; two steps of warm-up are not counted."""
    torch.manual_seed(0)
    device = batch["image"].device
    network = TwoStageDenoiser().to(device)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, ResidualDenseBlock):
            module.stacked = stacked
    times = []

    def note(_engine: object) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter())

    trainer = TwoStageTrainer(
        device=device,
        max_epochs=1,
        train_data_loader=[batch] * (steps + 2),
        nen=network.nen,
        nen_optimizer=torch.optim.Adam(network.nen.parameters(), 5e-4),
        rn=network.rn,
        rn_optimizer=torch.optim.Adam(network.rn.parameters(), 5e-4),
        channels_last=channels_last,
        amp_dtype="bfloat16" if bfloat16 else None,
    )
    trainer.logger.setLevel("ERROR")
    trainer.add_event_handler("ITERATION_COMPLETED", note)
    trainer.run()
    seconds = [after - before for before, after in itertools.pairwise(times[1:])]
    return len(batch["image"]) / statistics.median(seconds)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--patch-size", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    label = torch.rand(arguments.batch_size, 3, arguments.patch_size, arguments.patch_size, device=arguments.device)
    residual = 0.1 * torch.randn_like(label)
    batch = {"image": label + residual, "label": label, "residual": residual}
    side = arguments.patch_size
    print(f"{torch.get_num_threads()} threads, {arguments.batch_size} patches of {side} x {side} pixels\n")
    print("| training step | images/s | against plain |\n|---|---:|---:|")
    base = None
    for name, channels_last, stacked, bfloat16 in VARIANTS:
        speed = images_per_second(batch, arguments.steps, channels_last, stacked, bfloat16)
        base = base or speed
        print(f"| {name} | {speed:.2f} | {speed / base:.2f} x |", flush=True)


if __name__ == "__main__":
    main()
