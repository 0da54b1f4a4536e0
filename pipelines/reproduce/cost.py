# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Table VII: the counted and measured cost of every method, with the published figures of the two-stage network."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ...atomic import write_text_atomically
from ..evaluation import markdown_table
from .budget import TrainingPlan, plan_training
from .counts import NetworkCounts, count_network
from .methods import REINTERPRETED, Method
from .process import device_name
from .progress import numbered
from .published import published_cost
from .report import cell
from .speed import measure_in_process

__all__ = ["measure_costs", "write_cost_table"]

GIGA = 1e9
MEASUREMENT = 2  # increased when the measurement changes, so that older files are not used any more
PARTS = {"nen": "first stage (NEN)", "rn": "second stage (RN)"}
TWO_STAGE = "two_stage"

MEASURED_COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "method": lambda row: row["title"],
    "parameters": lambda row: f"{row['parameters']:,}",
    "GMAC, convolutions": lambda row: cell(row["convolution_gmac"]),
    "GMAC, matrix products": lambda row: cell(row["other_gmac"]),
    "memory estimate (MB)": lambda row: cell(row["memory_mb"]),
    "measured peak (MB)": lambda row: cell(row["peak_mb"], 0),
    "ms an image": lambda row: f"{row['milliseconds']:.0f} ({row['quartile_1']:.0f} to {row['quartile_3']:.0f})",
    "CPU ms an image": lambda row: cell(row["cpu_milliseconds"], 0),
    "training, patches/s": lambda row: cell(row["train_images_per_second"], 1),
    "training, patches/CPU s": lambda row: cell(row["train_images_per_cpu_second"], 1),
}
# Each figure with the published one to its right; all of these columns are titled "published".
PUBLISHED_COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "network": lambda row: row["title"],
    "parameters": lambda row: f"{row['parameters']:,}",
    "published parameters": lambda row: f"{row['published_parameters']:,.0f}",
    "GMAC": lambda row: cell(row["convolution_gmac"]),
    "published GMAC": lambda row: f"{row['published_gmac']:g}",
    "memory estimate (MB)": lambda row: cell(row["memory_mb"]),
    "published memory": lambda row: f"{row['published_memory_mb']:g}",
    "ms": lambda row: cell(row["milliseconds"]),
    "published ms": lambda row: f"{row['published_milliseconds']:g}",
}
REINTERPRETED_NOTE = "\N{DAGGER} re-interpreted: only the abstract was available."


def measure_costs(
    methods: Sequence[Method],
    output: str | os.PathLike,
    settings: Mapping[str, Any] | None = None,
    size: int = 256,
    repeats: int = 10,
    steps: int = 5,
    report: Callable[[str], None] = print,
) -> tuple[pd.DataFrame, list[str]]:
    """Count and measure every method; existing measurements of this machine are kept.

    Args:
        methods: the compared methods.
        output: the folder; measurements go to ``<output>/cost/<name>.json``.
        settings: overrides of the training config, the same as for the trainings.
        size: side of the image in pixels.
        repeats: how often an image is denoised to measure the time.
        steps: how many training steps are timed.
        report: receives each line of progress.

    Returns:
        One row per network (each stage of the two-stage method has its own): ``method``, ``part`` (empty for the
        whole network), ``title``, ``parameters``, ``convolution_gmac``, ``other_gmac``, ``memory_mb``
        (torchsummary's estimate), ``milliseconds``, ``cpu_milliseconds``, ``quartile_1``, ``quartile_3``, ``peak_mb``,
        ``train_images_per_second``, ``train_images_per_cpu_second``, the ``published_`` figures, and the ``size``,
        ``repeats``, ``batch_size``, ``patch_size``, ``threads``, ``device``, ``torch`` and ``dtype`` of the
        measurement; and the names of the methods that could not be measured.

    Raises:
        ValueError: when a setting is wrong.
    """
    rows, failed = [], []
    for plan, report_row in numbered([plan_training(method, settings) for method in methods], report):
        name = plan.method.name
        report_row(f"{name}: counting and measuring")
        try:
            measured = _measured(plan, Path(output) / "cost" / f"{name}.json", size, repeats, steps)
            rows += _rows(plan.method, measured, size)
        except (ValueError, RuntimeError) as error:
            # For example a package that is not installed; the other rows do not depend on it.
            report_row(f"{name}: left out: {error}")
            failed.append(name)
    return pd.DataFrame(rows), failed


def write_cost_table(costs: pd.DataFrame, folder: str | os.PathLike) -> list[Path]:
    """Write ``table_7_cost.md`` and ``.csv``.

    Args:
        costs: the rows of :func:`measure_costs`.
        folder: the output folder, which is created if necessary.

    Returns:
        Both files.

    Raises:
        ValueError: when there is nothing to write.
    """
    if costs.empty:
        raise ValueError("no method was measured.")
    beside = [row for row in costs.to_dict("records") if not pd.isna(row["published_parameters"])]
    lines = [
        "# Table VII: cost",
        "",
        *_notes(costs.iloc[0]),
        "",
        *_table(MEASURED_COLUMNS, costs.to_dict("records")),
        "",
        "## Beside the published figures",
        "",
        *(_table(PUBLISHED_COLUMNS, beside) if beside else ["The two-stage network was not measured."]),
        "",
    ]
    if costs["title"].str.contains("\N{DAGGER}").any():
        lines += [REINTERPRETED_NOTE, ""]
    folder = Path(folder)
    return [
        write_text_atomically(folder / "table_7_cost.md", "\n".join(lines)),
        write_text_atomically(folder / "table_7_cost.csv", costs.round(6).to_csv(index=False)),
    ]


def _table(columns: Mapping[str, Callable[[Mapping[str, Any]], str]], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    titles = ["published" if title.startswith("published") else title for title in columns]
    return markdown_table(titles, [[write(row) for write in columns.values()] for row in rows])


def _notes(first: Mapping[str, Any]) -> list[str]:
    """How the figures were counted and measured."""
    size = f"{first['size']} x {first['size']} x 3"
    return [
        f"- Parameters: the trainable ones. GMAC: 1e9 multiply-accumulates at {size}: of convolutions (transposed ones "
        "included, no biases; the paper counts the same) and of matrix products (attention); element-wise operations "
        "and normalizations are not counted.",
        "- Memory estimate: torchsummary's, as in the paper: input, all modules' outputs twice, parameters, in float32 "
        "(MiB). It depends on which operations are modules: the second stage's 1 MB (two channels) less than published "
        "is presumably the attention's sigmoid, which is a function here. The published figure of both stages is the "
        "sum of theirs; the whole network's row here counts the stages' own outputs as well.",
        f"- Time: median of {first['repeats']} runs after 2 (quartiles in brackets), one {size} image, "
        f"{first['dtype']}, {first['device']}, {first['threads']} thread(s), torch {first['torch']}. CPU ms: processor "
        "time of the same runs, all threads together; where other work shares the processor it is the one to compare. "
        "Measured peak: "
        "growth of the process's resident memory meanwhile (of GPU memory on a GPU), MiB.",
        f"- Training: patches of {first['patch_size']} x {first['patch_size']} in batches of {first['batch_size']}, "
        "by the median step with the method's own losses and optimizers, in the budget's precision; loading and "
        "validation excluded.",
        "- The published times are of the authors' GPU, which the paper does not name.",
    ]


def _measured(plan: TrainingPlan, path: Path, size: int, repeats: int, steps: int) -> dict[str, Any]:
    """Measure, or read an earlier measurement with the same setup."""
    setup = {
        "measurement": MEASUREMENT,
        "config_digest": plan.digest,
        "size": size,
        "repeats": repeats,
        "steps": steps,
        "device": device_name(),
        "node": platform.node(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch_size": plan.config["batch_size"],
        "patch_size": plan.config["patch_size"],
        "dtype": "float32",
    }
    if path.exists():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: is damaged ({error}); delete it.") from None
        if kept.get("setup") == setup:
            return kept
    measured = {"setup": setup, "speed": measure_in_process(plan, size, repeats, steps)}
    write_text_atomically(path, json.dumps(measured, indent=1) + "\n")
    return measured


def _rows(method: Method, measured: Mapping[str, Any], size: int) -> list[dict[str, Any]]:
    network, shape = method.network(), (1, 3, size, size)
    speed = measured["speed"]
    parts = [_row(method, "", method.marked_title, count_network(network, shape), measured, speed["network"])]
    if method.name == TWO_STAGE:
        for part, inputs in (("nen", (shape,)), ("rn", (shape, shape))):
            counts = count_network(getattr(network, part), *inputs)
            parts.append(_row(method, part, f"{method.title}: {PARTS[part]}", counts, measured, speed[part]))
    return parts


def _row(
    method: Method,
    part: str,
    title: str,
    counts: NetworkCounts,
    measured: Mapping[str, Any],
    speed: Mapping[str, Any],
) -> dict[str, Any]:
    setup = {
        key: value
        for key, value in measured["setup"].items()
        if key not in ("measurement", "config_digest", "node", "steps")
    }
    training = {} if part else measured["speed"].get("training", {})
    published = published_cost()
    name = (part or TWO_STAGE) if method.name == TWO_STAGE else ""
    return {
        "method": method.name,
        "part": part,
        "title": title,
        "reinterpreted": method.standing == REINTERPRETED,
        "parameters": counts.parameters,
        "convolution_gmac": counts.convolution_macs / GIGA,
        "other_gmac": counts.other_macs / GIGA,
        "memory_mb": counts.memory_mb,
        "milliseconds": speed["milliseconds"],
        "cpu_milliseconds": speed["cpu_milliseconds"],
        "quartile_1": speed["quartiles"][0],
        "quartile_3": speed["quartiles"][1],
        "peak_mb": float("nan") if speed["peak_mb"] is None else speed["peak_mb"],
        "train_images_per_second": training.get("images_per_second", float("nan")),
        "train_images_per_cpu_second": training.get("images_per_cpu_second", float("nan")),
        **{
            f"published_{column}": published.loc[name, column] if name in published.index else float("nan")
            for column in published.columns
        },
        **setup,
    }
