# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The noise protocol study: networks trained under two protocols, each tested under both, beside the paper's figures.

The paper's text does not define its sigma completely (``noisewise.transforms.PROTOCOLS``). This study compares the
results of each reading.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd

from ...transforms import PROTOCOLS, MultiPatternNoised
from ..evaluation import (
    EvaluationSettings,
    evaluation_preprocessing,
    markdown_table,
    remove_noise_mean,
    summarize,
)
from ..evaluation.conditions import expand_conditions
from ..evaluation.run import ScoredNetwork, evaluate_into, load_network
from ..evaluation.settings import CENTER_CROPS, WHOLE_IMAGES
from ..evaluation.summary import AVERAGE, PATTERNS
from .progress import numbered
from .published import published_scores
from .report import cell, setup_lines, write_report

__all__ = [
    "TRAINED",
    "fit_to_published",
    "noise_levels",
    "protocol_study",
    "protocol_study_markdown",
    "protocol_study_table",
]

TRAINED = ("physical", "author_code")
"""The protocols that networks are trained and tested under."""

PREFIX = "trained_"
PUBLISHED_METHOD = "TwoStage"
GRAY_LEVELS = 255.0


def protocol_study(
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    weights: Mapping[str, str | os.PathLike],
    config: str | os.PathLike | None = None,
    settings: EvaluationSettings = CENTER_CROPS,
    *,
    bm3d: bool = False,
    report: Callable[[str], None] = print,
) -> list[Path]:
    """Score two networks, trained under ``physical`` and ``author_code``, under both protocols.

    The scores of each tested protocol are in ``<output>/<protocol>/scores.csv``. Existing scores are not computed
    again, so an interrupted study resumes. Under ``published``, the third protocol, only the noisy input is scored.

    Args:
        manifest: manifest of the images.
        output: folder of the study.
        weights: for each of :data:`TRAINED` the weights that were trained under it.
        config: file with the ``network_def`` of both; the bundle's network when None.
        settings: the images, the nominal sigmas, the seed and the device. Its protocol is not used.
        bm3d: whether to score BM3D as well, which is given the true level and, under ``author_code``, the noise's mean.
        report: receives each line of progress.

    Returns:
        ``protocol_study.md`` and ``.csv`` (the matrix), ``protocol_levels.csv`` and ``.md`` (how strong each protocol's
        noise is), all in ``output``.

    Raises:
        ValueError: when the manifest, the weights or the config cannot be used, or a folder has scores of another
            setup.
        ImportError: when BM3D is requested and not installed.
    """
    output = Path(output)
    for trained in TRAINED:
        load_network(weights[trained], config)  # fails now rather than after hours
    tested = {}
    for protocol, report_row in numbered(list(PROTOCOLS), report):
        references = ["noisy", "bm3d", "bm3d_vst"] if bm3d and protocol in TRAINED else ["noisy"]
        for trained in TRAINED if protocol in TRAINED else (None,):
            network = None if trained is None else ScoredNetwork.from_config(PREFIX + trained, weights[trained], config)
            names = [*([] if network is None else [network.name]), *references]
            report_row(f"protocol {protocol}: scoring {', '.join(names)}")
            asked = replace(settings, protocol=protocol)
            tested[protocol] = evaluate_into(output / protocol, manifest, asked, network, references)
            references = []
    items = settings.items(manifest)
    chosen = {item["image_id"] for item in items}
    tested = {
        protocol: rows[rows["image_id"].isin(chosen) & rows["sigma"].isin(settings.stds)]
        for protocol, rows in tested.items()
    }
    report("measuring the noise of each protocol")
    levels = noise_levels(items, settings, {name: _noisy(rows) for name, rows in tested.items()})
    table = protocol_study_table(tested)
    return [
        *write_report(output, "protocol_study", protocol_study_markdown(tested, table, levels), table),
        *write_report(output, "protocol_levels", "\n".join(["# Noise levels", "", *_levels_part(levels), ""]), levels),
    ]


def noise_levels(
    items: Sequence[dict],
    settings: EvaluationSettings = WHOLE_IMAGES,
    noisy_psnr: dict[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Measure how strong each protocol's noise is on real images.

    Args:
        items: clean images, such as :func:`~noisewise.pipelines.evaluation.evaluation_items` returns.
        settings: the nominal sigmas, the seed and the crop; the noise is drawn as an evaluation with these settings
            draws it.
        noisy_psnr: for each protocol the noisy input's ``psnr_mean`` by ``modality``, ``pattern`` and ``sigma``.

    Returns:
        One row for each ``protocol``, ``pattern``, ``sigma`` and ``modality`` (``"average"``: the mean over the
        modalities), means over images in gray levels (0..255): ``rms`` of noisy minus clean, unclipped; ``offset``, its
        mean; ``spread``, the RMS without the noise's known mean
        (:func:`~noisewise.pipelines.evaluation.remove_noise_mean`); ``spread_averaged``, the same of gray
        images' channels averaged, which is the noise that remains for a method that averages the copies; and
        ``psnr``, the noisy input's as an evaluation scores it (clipped).
    """
    prepare, corrupt = evaluation_preprocessing(settings.crop), MultiPatternNoised(keys="image")
    found = []
    for item in items:
        clean = prepare(expand_conditions([item], ["gaussian"], [0.0])[0])
        for protocol in PROTOCOLS:
            for condition in replace(settings, protocol=protocol).conditions([item]):
                data = corrupt({"image": clean["label"], "grayscale": clean["grayscale"], "noise": condition["noise"]})
                noise = data["residual"].double() * GRAY_LEVELS
                unbiased = (remove_noise_mean(data["image"].double(), data["noise"]) - data["label"]) * GRAY_LEVELS
                averaged = unbiased.mean(0) if clean["grayscale"] else unbiased
                found.append(
                    {
                        **{key: condition["noise"][key] for key in ("protocol", "pattern")},
                        "sigma": condition["noise"]["std"],
                        "modality": item["modality"],
                        "rms": noise.square().mean().sqrt().item(),
                        "offset": noise.mean().item(),
                        "spread": unbiased.square().mean().sqrt().item(),
                        "spread_averaged": averaged.square().mean().sqrt().item(),
                    }
                )
    keys = ["protocol", "pattern", "sigma", "modality"]
    means = pd.DataFrame(found).groupby(keys, sort=False).mean().reset_index()
    if means["modality"].nunique() > 1:
        averages = means.groupby(keys[:3], sort=False).mean(numeric_only=True).reset_index()
        means = pd.concat([means, averages.assign(modality=AVERAGE)], ignore_index=True)
    psnr = [part.assign(protocol=name) for name, part in (noisy_psnr or {}).items()]
    if not psnr:
        return means.assign(psnr=float("nan"))
    return means.merge(pd.concat(psnr).rename(columns={"psnr_mean": "psnr"}), how="left", on=keys)


def protocol_study_table(tested: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Tabulate the scores of each method under each protocol, with the published figures.

    Args:
        tested: scores by the protocol of the test; see :func:`~noisewise.pipelines.evaluation.read_scores`.

    Returns:
        One row for each ``tested`` protocol, ``method`` (``"trained_<protocol>"``, ``"noisy"``, ...), ``modality``
        (``"average"``: the mean of the modalities' means), ``pattern`` (``"average"`` of Gaussian and speckle included)
        and ``sigma``: ``n``, ``psnr_mean``, ``psnr_std``, ``ssim_mean``, ``ssim_std`` and the two-stage network's
        ``published_psnr`` and ``published_ssim``, whose averages are computed over the same modalities and are
        missing where the paper lacks one of them.
    """
    parts = []
    for protocol, rows in tested.items():
        parts.append(summarize(rows).assign(tested=protocol))
    scores = ["psnr_mean", "psnr_std", "ssim_mean", "ssim_std"]
    keys = ["modality", "pattern", "sigma"]
    table = pd.concat(parts, ignore_index=True)[["tested", "method", *keys, "n", *scores]]
    return table.merge(_published(sorted(set(table["modality"]) - {AVERAGE})), how="left", on=keys)


def fit_to_published(table: pd.DataFrame) -> pd.DataFrame:
    """Compare the PSNR of each cell of the matrix with the paper.

    Args:
        table: see :func:`protocol_study_table`.

    Returns:
        One row for each ``tested`` protocol, ``method`` and ``pattern`` that the paper has figures for, over the single
        modalities and sigmas: ``difference`` (mean of measured minus published, dB), ``distance`` (mean of its absolute
        value), ``fall`` and ``published_fall`` (mean over the modalities of the PSNR at the lowest sigma minus that at
        the highest one).
    """
    single = table[(table["modality"] != AVERAGE) & table["pattern"].isin(PATTERNS) & table["published_psnr"].notna()]
    found = []
    for (tested, method, pattern), part in single.groupby(["tested", "method", "pattern"], sort=False):
        difference = part["psnr_mean"] - part["published_psnr"]
        low, high = (part[part["sigma"] == edge(part["sigma"])] for edge in (min, max))
        found.append(
            {
                "tested": tested,
                "method": method,
                "pattern": pattern,
                "difference": difference.mean(),
                "distance": difference.abs().mean(),
                "fall": low["psnr_mean"].mean() - high["psnr_mean"].mean(),
                "published_fall": low["published_psnr"].mean() - high["published_psnr"].mean(),
            }
        )
    columns = ["tested", "method", "pattern", "difference", "distance", "fall", "published_fall"]
    return pd.DataFrame(found, columns=columns)


def protocol_study_markdown(tested: dict[str, pd.DataFrame], table: pd.DataFrame, levels: pd.DataFrame) -> str:
    """Format the study as Markdown.

    Args:
        tested: scores by the protocol of the test.
        table: the result of :func:`protocol_study_table`.
        levels: see :func:`noise_levels`.

    Returns:
        The text: the setup, the strength of each protocol's noise, the matrix for each noise pattern in PSNR and SSIM,
        and the comparison with the paper.
    """
    modalities = sorted(set(table["modality"]) - {AVERAGE})
    whole = AVERAGE if AVERAGE in set(table["modality"]) else modalities[0]
    part = table[table["modality"] == whole]
    setups = [line for rows in tested.values() for line in setup_lines(rows)]
    lines = [
        "# Noise protocols: trained under one, tested under another",
        "",
        *dict.fromkeys(setups),
        *(f"- `{name}`: {text}" for name, text in PROTOCOLS.items()),
        f"- Published: the paper's two-stage network, mean over {', '.join(modalities)}, computed from its tables. Its "
        "images, its training and perhaps its noise are different.",
        "",
        "## Measured strength of the nominal sigma",
        "",
        *_levels_part(levels),
        "",
    ]
    for score, title, digits in (("psnr", "PSNR (dB)", 2), ("ssim", "SSIM", 4)):
        lines += [f"## {title}, mean over {', '.join(modalities)}", "", *_matrix_part(part, score, digits), ""]
    fit = fit_to_published(table)
    if len(fit):
        lines += ["## Distance to the published figures", "", *_fit_part(fit), ""]
    return "\n".join(lines)


def _levels_part(levels: pd.DataFrame) -> list[str]:
    whole = AVERAGE if AVERAGE in set(levels["modality"]) else levels["modality"].iloc[0]
    lines = []
    for row in levels[levels["modality"] == whole].itertuples():
        figures = [cell(value, 1) for value in (row.rms, row.offset, row.spread, row.spread_averaged)]
        lines.append([row.protocol, row.pattern, f"{row.sigma:g}", *figures, cell(row.psnr)])
    header = ["protocol", "pattern", "nominal sigma", "RMS", "offset", "spread", "spread, copies averaged"]
    return [
        *markdown_table([*header, "noisy PSNR (dB)"], lines, 2),
        "",
        "Measured on the images, in gray levels of 0..255, before clipping. Spread is the RMS without the noise's "
        "known mean; averaging the copies of a gray image removes noise where each copy has its own draw.",
    ]


def _matrix_part(part: pd.DataFrame, score: str, digits: int) -> list[str]:
    protocols = [name for name in TRAINED if name in set(part["tested"])]
    methods = list(dict.fromkeys(["noisy", *part["method"]]))
    columns = [
        (protocol, method)
        for protocol, method in product(protocols, methods)
        if ((part["tested"] == protocol) & (part["method"] == method)).any()
    ]
    cells = part.set_index(["tested", "method", "pattern", "sigma"])[f"{score}_mean"]
    printed = part.drop_duplicates(["pattern", "sigma"]).set_index(["pattern", "sigma"])[f"published_{score}"]
    lines = []
    for pattern in (*PATTERNS, AVERAGE):
        for sigma in sorted(part.loc[part["pattern"] == pattern, "sigma"].unique()):
            figures = [cells.get((*column, pattern, sigma)) for column in columns]
            lines.append(
                [pattern, f"{sigma:g}", *(cell(value, digits) for value in figures)]
                + [cell(printed.get((pattern, sigma)), digits)]
            )
    header = [f"tested `{protocol}`: {_title(method)}" for protocol, method in columns]
    return markdown_table(["pattern", "sigma", *header, "published"], lines)


def _fit_part(fit: pd.DataFrame) -> list[str]:
    lines = [
        [row.tested, _title(row.method), row.pattern, cell(row.difference, signed=True), cell(row.distance)]
        + [cell(row.fall), cell(row.published_fall)]
        for row in fit[fit["tested"].isin(TRAINED)].itertuples()
    ]
    header = ["tested", "method", "pattern", "measured - published (dB)", "distance (dB)", "fall (dB)"]
    return [
        *markdown_table([*header, "published fall (dB)"], lines, 3),
        "",
        "PSNR, over single modalities and sigmas. The distance is the mean absolute difference; the fall is the PSNR "
        "at the lowest sigma minus that at the highest one. A reading of the noise that explains the paper agrees "
        "in both, and for both patterns.",
    ]


def _title(method: str) -> str:
    trained = method.removeprefix(PREFIX)
    return f"trained `{trained}`" if trained != method else method


def _noisy(rows: pd.DataFrame) -> pd.DataFrame:
    summary = summarize(rows[rows["method"] == "noisy"])
    return summary[["modality", "pattern", "sigma", "psnr_mean"]]


def _published(modalities: Sequence[str]) -> pd.DataFrame:
    printed = published_scores()
    chosen = printed["modality"].isin(modalities) & (printed["method"] == PUBLISHED_METHOD)
    printed = printed[chosen & printed["score"].isin(["psnr", "ssim"])]
    keys = ["modality", "pattern", "sigma"]
    wide = printed.pivot_table(index=keys, columns="score", values="published").reset_index()
    wide = wide.rename(columns={"psnr": "published_psnr", "ssim": "published_ssim"})
    wide.columns.name = None
    if len(modalities) > 1 and set(wide["modality"]) == set(modalities):
        averages = wide.groupby(keys[1:]).mean(numeric_only=True).reset_index().assign(modality=AVERAGE)
        wide = pd.concat([wide, averages], ignore_index=True)
    return wide.reindex(columns=[*keys, "published_psnr", "published_ssim"])
