# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures 6 to 10 and 12: the same noisy images, denoised by every method, with error maps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from monai.data import DataLoader, Dataset
from torch import nn

from ...atomic import write_text_atomically
from ...data_manifest import Manifest
from ..bundle.weights import load_weights
from ..evaluation import (
    ComparisonEvaluator,
    EvaluationSettings,
    PictureRow,
    ScoreTable,
    evaluation_preprocessing,
    reference_methods,
)
from ..evaluation.picture import error_map, quality_text, save_figure, show_image
from ..evaluation.settings import CENTER_CROPS
from ..evaluation.summary import PATTERNS
from .comparison import TITLES
from .curves import draw_curves, read_history
from .methods import Method
from .progress import numbered
from .published import ABLATION, published_scores
from .training import read_marker, row_folder

__all__ = ["FIGURE_NUMBERS", "comparison_picture", "draw_comparisons", "draw_validation_curves"]

FIGURE_NUMBERS = {"mri": 6, "xray": 7, "ct": 8, "skin": 9, "microscopy": 10}
CELL_INCHES = 1.6
PROPOSED = "TwoStage"


def comparison_picture(
    rows: Sequence[PictureRow], path: str | os.PathLike, titles: Mapping[str, str] | None = None, dpi: int = 120
) -> Path:
    """Draw a PNG: for each image a line of pictures (noisy, each method, clean) and below it a line of error maps.

    PSNR and SSIM are printed below each picture. The error maps (absolute, mean over channels) share one scale, shown
    by the color bar. It ends at the 99.5th percentile of the methods' errors, so the map of the noisy input may
    saturate.

    Args:
        rows: the images, 0..255, all with the same methods.
        path: the PNG, written atomically.
        titles: titles of the methods; their names by default.
        dpi: resolution; each picture is 1.6 inches wide.

    Returns:
        ``path``.

    Raises:
        ValueError: when there is nothing to draw, or the rows have different methods.
    """
    titles = titles or {}
    methods = list(rows[0].denoised) if rows else []
    if not methods or any(list(row.denoised) != methods for row in rows):
        raise ValueError("there must be at least one image and one method, and the same methods for all images.")
    columns = len(methods) + 2
    errors = [error_map(row.denoised[name], row.clean) for row in rows for name in methods]
    limit = max(float(np.percentile(error.numpy(), 99.5)) for error in errors) or 1.0
    figure = Figure(
        figsize=(CELL_INCHES * columns + 0.8, (2 * CELL_INCHES + 0.5) * len(rows) + 0.3), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * len(rows), columns, squeeze=False)
    mapped = None
    for index, row in enumerate(rows):
        above, below = axes[2 * index], axes[2 * index + 1]
        images = {"noisy": row.noisy, **row.denoised, "clean": row.clean}
        for axis, error_axis, (name, image) in zip(above, below, images.items()):
            show_image(axis, image)
            if index == 0:
                axis.set_title(titles.get(name, name), fontsize=8, wrap=True)
            if name == "clean":
                axis.set_xlabel("PSNR / SSIM", fontsize=7)
                error_axis.set_visible(False)
            else:
                axis.set_xlabel(quality_text(image, row.clean), fontsize=7)
                error = error_map(image, row.clean).numpy().T
                mapped = error_axis.imshow(error, cmap="magma", vmin=0, vmax=limit, interpolation="nearest")
        for axis in (*above, *below):
            axis.set_xticks([])
            axis.set_yticks([])
        above[0].set_ylabel(row.label, fontsize=8)
        below[0].set_ylabel("error", fontsize=8)
    bar = figure.colorbar(mapped, ax=axes, extend="max", fraction=0.02)
    bar.set_label("absolute error, gray levels", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return save_figure(figure, Path(path), dpi)


def draw_comparisons(
    methods: Sequence[Method],
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    folder: str | os.PathLike,
    settings: EvaluationSettings = CENTER_CROPS,
    *,
    sigma: float = 50.0,
    images: Sequence[str] | None = None,
    references: Sequence[str] = ("bm3d",),
    report: Callable[[str], None] = print,
) -> list[Path]:
    """Draw Figures 6 to 10, one a modality, and Figure 12, the ablation.

    One image of each modality is drawn with Gaussian noise (above) and with speckle (below).

    Args:
        methods: the compared methods; those with a finished training are drawn.
        manifest: the manifest of the images.
        output: the folder of the trainings.
        folder: the folder of the figures.
        settings: the images, the protocol, the seed and the device; the CPU where it names none. Its limit, patterns
            and standard deviations are not used.
        sigma: standard deviation of the noise, 0..255 scale.
        images: ``image_id`` of the images to draw, at most one per modality; chosen from the manifest by default.
        references: methods without weights to draw as well, if their package is installed.
        report: receives each line of progress.

    Returns:
        The files: one PNG per figure, and ``figures.csv``, which lists the images that they show.

    Raises:
        ValueError: when no training is finished, the manifest has no modality of the paper, or a requested image is not
            in it.
        ManifestError: when the manifest cannot be read.
    """
    items, device = _chosen_items(manifest, settings, images), settings.device or "cpu"
    trained = [method for method in methods if read_marker(output, method.name) is not None]
    if not trained:
        raise ValueError(f"{output}: no training is finished, so there is nothing to draw; run the training first.")
    networks: dict[str, nn.Module] = _references(references, report)
    for method in trained:
        networks[method.name] = method.network().to(device)
        load_weights(networks[method.name], row_folder(output, method.name) / "model.pt")
    conditions = replace(settings, patterns=PATTERNS, stds=(sigma,)).conditions(items)
    dataset = Dataset(conditions, evaluation_preprocessing(settings.crop))
    titles = {method.name: method.marked_title for method in trained} | TITLES
    ablated = _ablation_names(trained)
    proposed = [method.name for method in trained if method.published == PROPOSED]
    compared = [*(name for name in networks if name not in ablated), *proposed]
    written, lines = [], []
    with tempfile.TemporaryDirectory() as scratch:
        evaluator = ComparisonEvaluator(device, DataLoader(dataset, batch_size=1), networks, ScoreTable(scratch))
        for item, report_row in numbered(items, report):
            modality = item["modality"]
            pictures = _pictures(evaluator, conditions, item, list(networks))
            path = Path(folder) / f"figure_{FIGURE_NUMBERS[modality]}_{modality}.png"
            report_row(f"figure {FIGURE_NUMBERS[modality]}: {modality}")
            written.append(comparison_picture([_only(row, compared) for row in pictures], path, titles))
            lines.append({"figure": FIGURE_NUMBERS[modality], **_description(item)})
            if item is items[0] and len(ablated) > 1:
                path = Path(folder) / "figure_12_ablation.png"
                written.append(comparison_picture([_only(row, ablated) for row in pictures], path, titles))
                lines.append({"figure": 12, **_description(item)})
    table = pd.DataFrame(lines).assign(
        split=settings.split,
        sigma=sigma,
        crop=settings.crop or "none",
        protocol=settings.protocol,
        seed=settings.seed,
    )
    written.append(write_text_atomically(Path(folder) / "figures.csv", table.to_csv(index=False)))
    return written


def draw_validation_curves(
    methods: Sequence[Method], output: str | os.PathLike, folder: str | os.PathLike
) -> list[Path]:
    """Draw Figure 13 (all five scores of the two-stage network and its parts) and the PSNR of all methods.

    Args:
        methods: the compared methods; those with a record are drawn, finished or not.
        output: the folder of the trainings.
        folder: the folder of the figures.

    Returns:
        The files: PNG and CSV of each.

    Raises:
        ValueError: when no training has left a record, or one is damaged.
    """
    paths = {method.name: row_folder(output, method.name) / "validation.jsonl" for method in methods}
    histories = {method.name: read_history(paths[method.name]) for method in methods if paths[method.name].exists()}
    if not histories:
        raise ValueError(f"{output}: no training has left a validation.jsonl.")
    titles = {method.name: method.marked_title for method in methods}
    written = []
    parts = {titles[name]: histories[name] for name in _ablation_names(methods) if name in histories}
    if parts:
        written += draw_curves(parts, Path(folder) / "figure_13_validation.png")
    everything = {titles[name]: history for name, history in histories.items()}
    return written + draw_curves(everything, Path(folder) / "figure_validation_psnr.png", ["psnr"])


def _ablation_names(methods: Sequence[Method]) -> list[str]:
    """Return the two-stage network and its parts in the order of the paper's figure, the whole network last."""
    printed = published_scores()
    order = list(dict.fromkeys(printed[printed["table"] == ABLATION]["method"]))
    found = [method for method in methods if method.published in order]
    return [method.name for method in sorted(found, key=lambda method: order.index(method.published))]


def _references(names: Sequence[str], report: Callable[[str], None]) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {}
    for name in names:
        try:
            found |= reference_methods([name])
        except ImportError as error:
            report(f"{name}: left out: {error}")
    return found


def _chosen_items(
    manifest: str | os.PathLike, settings: EvaluationSettings, images: Sequence[str] | None
) -> list[dict[str, Any]]:
    split = settings.split
    known = {modality for modality, own in Manifest.read(manifest).counts() if own == split}
    modalities = tuple(name for name in FIGURE_NUMBERS if name in known)
    if not modalities:
        raise ValueError(f"{manifest}: has no {split} image of {', '.join(FIGURE_NUMBERS)}.")
    items = replace(settings, modalities=modalities, limit=None if images else 1).items(manifest)
    if images:
        missing = sorted(set(images) - {item["image_id"] for item in items})
        if missing:
            raise ValueError(f"{manifest}: has no {split} image {', '.join(missing)}.")
        items = [item for item in items if item["image_id"] in images]
    chosen = {item["modality"]: item for item in items}
    if len(chosen) < len(items):
        raise ValueError("name at most one image of each modality.")
    return [chosen[modality] for modality in modalities if modality in chosen]


def _pictures(
    evaluator: ComparisonEvaluator, conditions: Sequence[Mapping[str, Any]], item: Mapping[str, Any], names: list[str]
) -> list[PictureRow]:
    rows = []
    for index, condition in enumerate(conditions):
        if condition["image_id"] == item["image_id"]:
            outputs = {name: evaluator.denoise(index, name) for name in names}
            first, noise = outputs[names[0]], condition["noise"]
            rows.append(
                PictureRow(
                    f"{noise['pattern']}, sigma {noise['std']:g}",
                    first["image"],
                    first["label"],
                    {name: output["pred"] for name, output in outputs.items()},
                )
            )
    return rows


def _only(row: PictureRow, names: Sequence[str]) -> PictureRow:
    return PictureRow(row.label, row.noisy, row.clean, {name: row.denoised[name] for name in names})


def _description(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"modality": item["modality"], "source": item["source"], "image_id": item["image_id"]}
