# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The robustness study: weights on noise that they were not trained for, and on clean images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from ...atomic import write_text_atomically
from ...bundles import bundle_path
from ..bundle.inferer import DenoisingInferer
from ..evaluation import (
    EvaluationSettings,
    evaluation_postprocessing,
    evaluation_preprocessing,
    markdown_table,
    network_digest,
    summarize,
)
from ..evaluation.conditions import expand_conditions
from ..evaluation.run import ScoredNetwork, evaluate_into, load_network
from ..evaluation.settings import CENTER_CROPS, WHOLE_IMAGES
from ..evaluation.summary import AVERAGE, GROUP
from .progress import numbered
from .report import cell, setup_lines, write_report

__all__ = ["CONDITIONS", "clean_changes", "robustness_markdown", "robustness_study", "robustness_table"]

CONDITIONS: tuple[tuple[tuple[str, ...], tuple[float, ...]], ...] = (
    (("gaussian", "speckle"), (5, 25, 50, 75, 100)),
    (("rician", "poisson", "correlated", "salt_and_pepper"), (25, 50)),
    (("gaussian",), (0,)),
)
"""The study's noise: patterns and the sigmas of each. Sigma 0, the clean image, needs no pattern."""

METHOD = "network"
TRAINED_PATTERNS, TRAINED_STD = ("gaussian", "speckle"), 75.0
CLEAN, SEEN, LEVEL, PATTERN = "clean image", "as in training", "beyond training: level", "beyond training: pattern"
CHANGE = "largest_change"

MEANINGS = {
    "rician": "the magnitude of a complex signal with Gaussian noise of that sigma in both parts",
    "poisson": "photon counting with (255 / sigma)^2 photons at full intensity, where the standard deviation is sigma: "
    "104 at 25, 26 at 50",
    "correlated": "Gaussian noise of that sigma at every pixel, neighbors correlated by 0.78 (white noise through a "
    "Gaussian kernel of one pixel)",
    "salt_and_pepper": "pixels replaced by black or white, a share of 4 (sigma / 255)^2: 3.8 % at 25, 15.4 % at 50",
}


def robustness_study(
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    weights: str | os.PathLike | None = None,
    config: str | os.PathLike | None = None,
    settings: EvaluationSettings = CENTER_CROPS,
    *,
    bm3d: bool = False,
    conditions: Sequence[tuple[Sequence[str], Sequence[float]]] = CONDITIONS,
    report: Callable[[str], None] = print,
) -> list[Path]:
    """Score weights on noise inside and outside of their training, under the protocol ``physical``.

    The scores are in ``<output>/scores.csv``, the changes of clean images in ``<output>/clean.csv``. Existing results
    are not computed again, so an interrupted study resumes.

    Args:
        manifest: manifest of the images.
        output: folder of the study.
        weights: the weights; the bundle's own when None.
        config: file with the ``network_def`` that they belong to; the bundle's network when None.
        settings: the images, the seed and the device. Its protocol, patterns and standard deviations are not used.
        bm3d: whether to score BM3D and, on speckle, BM3D with a stabilized variance as well.
        conditions: patterns and their sigmas, which are combined within each entry.
        report: receives each line of progress.

    Returns:
        ``<output>/robustness.md`` and ``<output>/robustness.csv``.

    Raises:
        ValueError: when the manifest, the weights or the config cannot be used, or the folder has scores of another
            setup.
        ImportError: when BM3D is requested and not installed.
    """
    output = Path(output)
    weights = bundle_path("multimodal_denoising") / "models" / "model.pt" if weights is None else Path(weights)
    network, digest = load_network(weights, config)
    for (patterns, stds), report_row in numbered(conditions, report):
        report_row(f"scoring {', '.join(patterns)} at sigma {', '.join(f'{std:g}' for std in stds)}")
        asked = replace(settings, protocol="physical", patterns=tuple(patterns), stds=tuple(stds))
        # Not the network loaded above: an evaluation loads its weights itself, onto its own device.
        scored = ScoredNetwork.from_config(METHOD, weights, config)
        rows = evaluate_into(output, manifest, asked, scored, ["noisy", "bm3d"] if bm3d else ["noisy"])
        if bm3d and "speckle" in patterns:
            rows = evaluate_into(output, manifest, replace(asked, patterns=("speckle",)), references=["bm3d_vst"])
    report("measuring the changes of clean images")
    items = settings.items(manifest)
    changes = clean_changes(network, digest, items, output / "clean.csv", settings)
    shown = rows[rows["image_id"].isin([item["image_id"] for item in items])]
    table = robustness_table(shown, changes)
    return write_report(output, "robustness", robustness_markdown(shown, table), table)


def clean_changes(
    network: nn.Module,
    digest: str,
    items: Sequence[dict],
    path: str | os.PathLike,
    settings: EvaluationSettings = WHOLE_IMAGES,
) -> pd.DataFrame:
    """Measure how far a network changes the pixels of clean images.

    Args:
        network: the denoiser.
        digest: digest of its weights; rows in ``path`` of other weights, another network or another crop are computed
            again.
        items: the images, such as :func:`~noisewise.pipelines.evaluation.evaluation_items` returns.
        path: the CSV of the results.
        settings: its crop and device are used.

    Returns:
        One row per image: ``modality``, ``image_id`` and ``largest_change``, the largest absolute difference between
        output and input on 0..255 (the output clipped, and rounded where the image is 8 bit).

    Raises:
        ValueError: when ``path`` is not such a table.
    """
    device = torch.device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    crop = "none" if settings.crop is None else str(settings.crop)
    identity = {"weights": digest, "network": network_digest(network), "crop": crop}
    columns = ["modality", "image_id", CHANGE, *identity]
    known = _read_changes(Path(path), columns)
    known = known[(known[list(identity)] == list(identity.values())).all(axis=1)]
    pending = [item for item in items if item["image_id"] not in set(known["image_id"])]
    network = network.eval().to(device)
    prepare, finish, inferer = evaluation_preprocessing(settings.crop), evaluation_postprocessing(), DenoisingInferer()
    fresh = []
    for item in expand_conditions(pending, ["gaussian"], [0.0]):
        data = prepare(item)
        with torch.no_grad():
            pred = inferer(data["image"][None].to(device), network)[0].cpu()
        data = finish({**data, "pred": pred})
        change = (data["pred"] - data["label"]).abs().max().item()
        fresh.append([data["modality"], data["image_id"], round(change, 4), *identity.values()])
    parts = [part for part in (known, pd.DataFrame(fresh, columns=columns)) if len(part)]
    changes = pd.concat(parts) if parts else known
    if fresh:
        write_text_atomically(path, changes.to_csv(index=False))
    return changes[changes["image_id"].isin([item["image_id"] for item in items])].iloc[:, :3].reset_index(drop=True)


def robustness_table(rows: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """Compute the figures of the study.

    Args:
        rows: scores of the methods ``network``, ``noisy`` and any other; see
            :func:`~noisewise.pipelines.evaluation.read_scores`.
        changes: see :func:`clean_changes`.

    Returns:
        One row for each ``modality`` (``"average"``: the mean of the modalities' means), ``pattern`` (``"none"`` for
        the clean image), ``sigma`` and ``method``: ``setting`` (in or beyond the training's noise), ``n`` images, how
        many of them were ``capped`` (identical to the clean one: PSNR counted as 100 dB), ``<score>_mean`` and
        ``<score>_std`` (sample standard deviation over images; none for averages) of all scores, ``gain_mean`` and
        ``gain_std`` (PSNR over the noisy input's of the same image, dB; none on clean images, whose input's is
        infinite), and ``largest_change_mean`` and ``largest_change_max`` (the network on clean images, gray levels).
    """
    summary = summarize(rows)
    summary = summary[summary["pattern"] != AVERAGE].set_index(GROUP)
    noisy = rows[rows["method"] == "noisy"].set_index(["image_id", "pattern", "sigma"])["psnr"]
    gains = rows.join(noisy.rename("input"), on=["image_id", "pattern", "sigma"])
    gains = gains[(gains["method"] != "noisy") & (gains["sigma"] > 0)]
    gains = gains.assign(gain=gains["psnr"] - gains["input"])
    found = gains.groupby(GROUP)["gain"].agg(
        gain_mean=lambda values: values.mean(skipna=False), gain_std=lambda values: values.std(skipna=False)
    )
    summary = summary.join(_with_average(found, summary.index))
    moved = changes.groupby("modality")[CHANGE].agg(["mean", "max"])
    if len(moved) > 1:
        moved.loc[AVERAGE] = [moved["mean"].mean(), moved["max"].max()]
    table = summary.reset_index()
    clean = (table["sigma"] == 0) & (table["method"] == METHOD)
    for name in ("mean", "max"):
        table[f"{CHANGE}_{name}"] = table["modality"].map(moved[name]).where(clean)
    table.insert(3, "setting", [_setting(*pair) for pair in zip(table["pattern"], table["sigma"])])
    table["pattern"] = table["pattern"].where(table["sigma"] > 0, "none")
    return table


def robustness_markdown(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Format the study as Markdown.

    Args:
        rows: the scores.
        table: the result of :func:`robustness_table`.

    Returns:
        The text: the setup, the meaning of sigma for each pattern, the average over the modalities (or the only one),
        the gain by modality, and the loss on clean images.
    """
    modalities = sorted(rows["modality"].unique())
    whole = AVERAGE if AVERAGE in set(table["modality"]) else modalities[0]
    title = f"Average over {', '.join(modalities)}" if whole == AVERAGE else whole
    patterns = set(table["pattern"])
    lines = [
        "# Robustness",
        "",
        *setup_lines(rows),
        '- Noise protocol: `physical`, neither clipped nor rounded. "As in training" is Gaussian or speckle noise of a '
        f"sigma of at most {TRAINED_STD:g}, the range of the paper's Algorithm 1.",
        "- Scores as in `noisewise evaluate`: PSNR (dB) / SSIM, means over images; the gain is the network's PSNR over "
        "the noisy input's, image by image.",
        *(f"- Sigma of `{name}`: {text}." for name, text in MEANINGS.items() if name in patterns),
        "",
        f"## {title}",
        "",
        *_scores_part(table[(table["modality"] == whole) & (table["sigma"] > 0)]),
        "",
        "## Gain over the noisy input by modality (dB, mean ± standard deviation)",
        "",
        *_gains_part(table[table["method"] == METHOD]),
        "",
    ]
    clean = table[(table["sigma"] == 0) & (table["method"] == METHOD)]
    if len(clean):
        lines += ["## Loss on clean images", "", *_clean_part(clean), ""]
    return "\n".join(lines)


def _scores_part(part: pd.DataFrame) -> list[str]:
    methods = list(dict.fromkeys(["noisy", METHOD, *part["method"]]))
    lines = []
    for setting, pattern, sigma, group in _by_condition(part):
        of = group.set_index("method")
        cells = [
            f"{cell(of.at[name, 'psnr_mean'])} / {cell(of.at[name, 'ssim_mean'], 4)}" if name in of.index else "-"
            for name in methods
        ]
        gain = of.at[METHOD, "gain_mean"] if METHOD in of.index else None
        lines.append([setting, pattern, f"{sigma:g}", *cells, cell(gain, signed=True)])
    return markdown_table(["noise", "pattern", "sigma", *methods, "gain (dB)"], lines, 2)


def _gains_part(part: pd.DataFrame) -> list[str]:
    modalities = list(dict.fromkeys(part["modality"]))
    lines = []
    for setting, pattern, sigma, group in _by_condition(part[part["sigma"] > 0]):
        of = group.set_index("modality")
        cells = []
        for name in modalities:
            mean, std = (of.at[name, key] if name in of.index else None for key in ("gain_mean", "gain_std"))
            cells.append(cell(mean, signed=True) + ("" if std is None or pd.isna(std) else f" ± {cell(std)}"))
        lines.append([setting, pattern, f"{sigma:g}", *cells])
    return markdown_table(["noise", "pattern", "sigma", *modalities], lines, 2)


def _clean_part(clean: pd.DataFrame) -> list[str]:
    lines = []
    for row in clean.itertuples():
        lines.append(
            [row.modality, str(row.n), str(row.capped), cell(row.psnr_mean), cell(row.ssim_mean, 4)]
            + [cell(row.largest_change_mean, 1), cell(row.largest_change_max, 1)]
        )
    header = ["modality", "images", "unchanged", "PSNR (dB)", "SSIM", "largest change, mean", "largest change, most"]
    return [
        *markdown_table(header, lines),
        "",
        "The input is the clean image itself, so its PSNR is infinite and a gain is not defined; images that "
        "are not changed count as 100 dB. The largest change is that of a single pixel, in gray levels of 0..255.",
    ]


def _by_condition(part: pd.DataFrame):
    order = {name: index for index, name in enumerate((SEEN, LEVEL, PATTERN))}
    part = part[part["setting"].isin(order)]
    groups = part.groupby(["setting", "pattern", "sigma"], sort=False)
    for key, group in sorted(groups, key=lambda pair: (order[pair[0][0]], *pair[0][1:])):
        yield *key, group


def _setting(pattern: str, sigma: float) -> str:
    if sigma == 0:
        return CLEAN
    if pattern not in TRAINED_PATTERNS:
        return PATTERN
    return SEEN if sigma <= TRAINED_STD else LEVEL


def _with_average(found: pd.DataFrame, index: pd.MultiIndex) -> pd.DataFrame:
    """Add the means of the modalities' means, where the summary has an average."""
    means = found["gain_mean"].groupby(GROUP[1:]).mean()
    averages = pd.DataFrame({"gain_mean": means}).reset_index().assign(modality=AVERAGE).set_index(GROUP)
    return pd.concat([found, averages[averages.index.isin(index)]])


def _read_changes(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=list(columns))
    try:
        known = pd.read_csv(path, dtype={name: str for name in columns if name != CHANGE}, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    if list(known.columns) != list(columns):
        raise ValueError(f"{path}: is not a table of changes: its columns are {list(known.columns)}.")
    return known
