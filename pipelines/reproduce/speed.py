# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The speed and memory of a network, measured in a separate process."""

from __future__ import annotations

import copy
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from torch import nn

from ..evaluation.score_table import wait_for
from .budget import TrainingPlan

__all__ = ["inference_speed", "measure_in_process", "training_speed"]

MEGABYTE = 2**20
MODULE = __name__


def measure_in_process(plan: TrainingPlan, size: int = 256, repeats: int = 10, steps: int = 5) -> dict[str, Any]:
    """Measure a method's network in a new process, so that the memory of no other network is counted.

    Args:
        plan: the plan of the training; defines the network, the training step and the size of its batches.
        size: side of the image that is denoised, in pixels.
        repeats: how often it is denoised.
        steps: training steps that are timed; 0 leaves the training out.

    Returns:
        By part (``"network"``, and for two-stage networks ``"nen"`` and ``"rn"``) the results of
        :func:`inference_speed`, and under ``"training"`` those of :func:`training_speed`.

    Raises:
        RuntimeError: when the process fails; the message ends with the process's error.
    """
    task = {
        "files": [str(path) for path in plan.files],
        "settings": dict(plan.settings),
        "size": size,
        "repeats": repeats,
        "steps": steps,
    }
    done = subprocess.run([sys.executable, "-m", MODULE, json.dumps(task)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{plan.method.name}: measuring failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def inference_speed(network: nn.Module, *inputs: torch.Tensor, repeats: int = 10, warmup: int = 2) -> dict[str, Any]:
    """Time a network in float32, applied to images (channels last, no gradients).

    Args:
        network: the network, on the device of the inputs.
        inputs: its inputs, each ``(1, C, H, W)``.
        repeats: how often it is timed.
        warmup: calls before that.

    Returns:
        ``milliseconds`` (the median), ``quartiles`` of the times, ``cpu_milliseconds`` (median processor time of all
        threads, which other work on the machine moves much less), ``repeats``, and ``peak_mb``: the largest growth of
        the process's memory in MiB (of GPU memory on a GPU), None where the system does not report it.
    """
    device = inputs[0].device
    network = network.to(memory_format=torch.channels_last).eval()
    inputs = tuple(tensor.contiguous(memory_format=torch.channels_last) for tensor in inputs)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device) / MEGABYTE
    else:
        before = _status_mb("VmRSS")
    times, cpu_times = [], []
    with torch.no_grad():
        for index in range(warmup + repeats):
            started, cpu_started = time.perf_counter(), time.process_time()
            network(*inputs)
            wait_for(device)
            if index >= warmup:
                times.append(1000 * (time.perf_counter() - started))
                cpu_times.append(1000 * (time.process_time() - cpu_started))
    after = torch.cuda.max_memory_allocated(device) / MEGABYTE if device.type == "cuda" else _status_mb("VmHWM")
    quartiles = statistics.quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    return {
        "milliseconds": statistics.median(times),
        "quartiles": [quartiles[0], quartiles[2]],
        "cpu_milliseconds": statistics.median(cpu_times),
        "repeats": repeats,
        "peak_mb": None if before is None or after is None else after - before,
    }


def training_speed(config: Mapping[str, Any], steps: int = 5, warmup: int = 1) -> dict[str, Any]:
    """Time a method's own training step (its losses, optimizers and mixed precision) on random batches.

    Args:
        config: the merged training config.
        steps: steps that are timed.
        warmup: steps before that.

    Returns:
        ``images_per_second`` (patches of the budget's size, by the median step), ``images_per_cpu_second`` (by its
        processor time), ``batch_size``, ``patch_size`` and ``steps``. Loading, validation and the average of the
        weights are not part of it.
    """
    # A copy, because a parser modifies its config.
    parser = ConfigParser(copy.deepcopy(dict(config)))
    batch, patch = config["batch_size"], config["patch_size"]
    clean = torch.rand(batch, 3, patch, patch, generator=torch.Generator().manual_seed(0))
    residual = 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    parser["train#dataloader"] = [
        {"image": clean + residual, "label": clean, "residual": residual} for _ in range(warmup + steps)
    ]
    parser["train#trainer#train_handlers"] = []
    parser["max_epochs"] = 1
    trainer = parser.get_parsed_content("train#trainer")
    times: list[float] = []
    cpu_times: list[float] = []
    started = cpu_started = 0.0

    @trainer.on(Events.ITERATION_STARTED)
    def start() -> None:
        nonlocal started, cpu_started
        wait_for(trainer.state.device)
        started, cpu_started = time.perf_counter(), time.process_time()

    @trainer.on(Events.ITERATION_COMPLETED)
    def stop() -> None:
        wait_for(trainer.state.device)
        times.append(time.perf_counter() - started)
        cpu_times.append(time.process_time() - cpu_started)

    trainer.run()
    return {
        "images_per_second": batch / statistics.median(times[warmup:]),
        "images_per_cpu_second": batch / statistics.median(cpu_times[warmup:]),
        "batch_size": batch,
        "patch_size": patch,
        "steps": steps,
    }


def _measure(task: Mapping[str, Any]) -> dict[str, Any]:
    parser = _parser(task)
    device = parser.get_parsed_content("device")
    network = parser.get_parsed_content("network_def").to(device)
    image = torch.rand(1, 3, task["size"], task["size"], device=device)
    result = {"network": inference_speed(network, image, repeats=task["repeats"])}
    if hasattr(network, "nen") and hasattr(network, "rn"):
        # The peak of the process is that of the whole network; the peaks of its parts cannot be measured any more.
        for name, inputs in (("nen", (image,)), ("rn", (image, image))):
            speed = inference_speed(getattr(network, name), *inputs, repeats=task["repeats"])
            result[name] = {**speed, "peak_mb": None}
    if task["steps"]:
        # A new parser, because the first one keeps resolved items such as the network.
        result["training"] = training_speed(_parser(task).get(), task["steps"])
    return result


def _parser(task: Mapping[str, Any]) -> ConfigParser:
    parser = ConfigParser(ConfigParser.load_config_files(task["files"]))
    for key, value in task["settings"].items():
        parser[key] = value
    return parser


def _status_mb(name: str) -> float | None:
    """A figure of ``/proc/self/status`` (Linux), in MiB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) / 1024 if found else None


if __name__ == "__main__":
    logging.disable(logging.INFO)
    print(json.dumps(_measure(json.loads(sys.argv[1]))))
