# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""From scores of single images to tables: means, standard deviations, averages, Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ...transforms.noise_models import PROTOCOLS
from ..metrics import PSNR_CAP, SCORES
from .markdown import crop_in_words, markdown_table

__all__ = ["AVERAGE", "GROUP", "PATTERNS", "summarize", "summary_markdown", "summary_metrics"]

AVERAGE = "average"
"""The pattern or modality of a row that averages over several."""
PATTERNS = ("gaussian", "speckle")
"""The patterns that averages are taken over, those of the paper."""
GROUP = ["modality", "pattern", "sigma", "method"]
"""The columns that identify a row of a summary."""


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Reduce the scores of single images to one row for each modality, pattern, sigma and method.

    Rows with the pattern ``"average"`` have the mean of the Gaussian and the speckle mean. Rows with the modality
    ``"average"`` have the mean of the modalities' means, so that each modality counts the same regardless of its number
    of images. An average exists only when all of its parts do, and has no standard deviation.

    Args:
        rows: see :func:`~noisewise.pipelines.evaluation.read_scores`.

    Returns:
        The columns ``modality``, ``pattern``, ``sigma``, ``method``, ``n`` (the number of images, or of images
        and patterns), ``capped`` (how many reached the PSNR cap because they are identical), and for each score
        ``<score>_mean`` and ``<score>_std`` (sample standard deviation over the images; empty for a single image). If
        the score of one image is NaN, the mean is NaN.
    """
    methods = list(rows["method"].unique())
    rows = rows.assign(capped=rows["psnr"] >= PSNR_CAP - 1e-6)
    groups = rows.groupby(GROUP, sort=True)
    summary = groups.agg(n=("psnr", "size"), capped=("capped", "sum"))
    for name in SCORES:
        # By default pandas skips NaN, which would hide a network that diverged.
        summary[f"{name}_mean"] = groups[name].agg(lambda values: values.mean(skipna=False))
        summary[f"{name}_std"] = groups[name].agg(lambda values: values.std(skipna=False))
    summary = summary.reset_index()

    patterns = summary[summary["pattern"].isin(PATTERNS)]
    summary = pd.concat([summary, _average(patterns, "pattern", PATTERNS)])
    modalities = list(rows["modality"].unique())
    if len(modalities) > 1:
        summary = pd.concat([summary, _average(summary, "modality", modalities)])
    order = {
        "modality": [*sorted(modalities), AVERAGE],
        "pattern": [*sorted(rows["pattern"].unique()), AVERAGE],
        "method": methods,
    }
    return summary.sort_values(
        GROUP, key=lambda column: column.map(order[column.name].index) if column.name in order else column
    ).reset_index(drop=True)


def summary_markdown(rows: pd.DataFrame) -> str:
    """Format the summary as Markdown in the paper's layout: one table per modality, with the patterns side by side.

    Args:
        rows: see :func:`~noisewise.pipelines.evaluation.read_scores`.

    Returns:
        The text: the setup, the tables, and notes on unequal numbers of images, identical images and missing scores.
    """
    if rows.empty:
        return "# Evaluation\n\nNothing evaluated yet.\n"
    summary = summarize(rows)
    lines = ["# Evaluation", "", *_setup_lines(rows), ""]
    for modality in summary["modality"].unique():
        lines += [f"## {_modality_title(modality, rows)}", "", *_modality_table(summary, modality), ""]
    notes = _notes(summary)
    if notes:
        lines += ["## Notes", "", *notes, ""]
    return "\n".join(lines)


def summary_metrics(rows: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return the means of the summary as nested dictionaries, for experiment tracking.

    Args:
        rows: see :func:`~noisewise.pipelines.evaluation.read_scores`.

    Returns:
        ``{method: {"gaussian_25": {"psnr": ..., ...}, ...}}``, averaged over the modalities.
    """
    summary = summarize(rows)
    modalities = list(rows["modality"].unique())
    chosen = summary[summary["modality"] == (AVERAGE if len(modalities) > 1 else modalities[0])]
    result: dict[str, dict[str, dict[str, float]]] = {}
    for row in chosen.to_dict("records"):
        scores = {name: row[f"{name}_mean"] for name in SCORES if pd.notna(row[f"{name}_mean"])}
        result.setdefault(row["method"], {})[f"{row['pattern']}_{row['sigma']:g}"] = scores
    return result


def _average(summary: pd.DataFrame, over: str, parts: Sequence[str]) -> pd.DataFrame:
    """Average the means over one column, where all of its ``parts`` exist."""
    rest = [column for column in GROUP if column != over]
    complete = summary.groupby(rest).filter(lambda group: set(group[over]) >= set(parts))
    if complete.empty:
        return complete
    means = {f"{name}_mean": lambda values: values.mean(skipna=False) for name in SCORES}
    averaged = complete.groupby(rest).agg({"n": "sum", "capped": "sum", **means}).reset_index()
    return averaged.assign(**{over: AVERAGE}).reindex(columns=summary.columns)


def _setup_lines(rows: pd.DataFrame) -> list[str]:
    first = rows.iloc[0]
    options = [text for text, on in (("clipped to [0, 1]", first["clip"]), ("8-bit", first["quantize"])) if on]
    images = rows.drop_duplicates("image_id").groupby("modality").size()
    lines = [
        f"- Noise protocol: `{first['protocol']}` ({PROTOCOLS[first['protocol']].rstrip('.')}); noisy images "
        f"{' and '.join(options) or 'neither clipped nor rounded'}; seed {first['seed']}.",
        f"- Split: {first['split']}; {crop_in_words(first['crop'])}.",
        f"- Images: {images.sum()} ({', '.join(f'{name} {count}' for name, count in images.items())}).",
    ]
    for method, group in rows.groupby("method", sort=False):
        digest = group["weights"].iloc[0]
        lines.append(f"- `{method}`: {f'weights SHA-256 `{digest}`' if digest else 'no weights'}.")
    return [
        *lines,
        "- Scores on 0..255 per image, mean ± sample standard deviation over the images: PSNR at most "
        f"{PSNR_CAP:g} dB; SSIM with an 11 x 11 Gaussian window (sigma 1.5); Delta E is CIEDE2000; VIFP in the pixel "
        "domain. Averages are means of the means beside them. Best in bold.",
    ]


def _modality_title(modality: str, rows: pd.DataFrame) -> str:
    if modality == AVERAGE:
        return "Average over the modalities"
    count = rows.loc[rows["modality"] == modality, "image_id"].nunique()
    return f"{modality} ({count} image{'' if count == 1 else 's'})"


def _modality_table(summary: pd.DataFrame, modality: str) -> list[str]:
    part = summary[summary["modality"] == modality]
    methods = [name for name in summary["method"].unique() if name in set(part["method"])]
    patterns = list(part["pattern"].unique())
    cells = part.set_index(["pattern", "sigma", "method"])
    titles = [f"{pattern.capitalize()}: {method}" for pattern in patterns for method in methods]
    rows = []
    for name, score in SCORES.items():
        for sigma in sorted(part["sigma"].unique()):
            texts = [score.title, f"{sigma:g}"]
            for pattern in patterns:
                values = [_cell(cells, (pattern, sigma, method), name) for method in methods]
                best = _best([mean for mean, _ in values], score.higher_is_better, score.digits)
                texts += [
                    f"**{text}**" if index in best and len(methods) > 1 else text
                    for index, (_, text) in enumerate(values)
                ]
            rows.append(texts)
    return markdown_table(["", "sigma", *titles], rows)


def _cell(cells: pd.DataFrame, key: tuple[str, float, str], name: str) -> tuple[float, str]:
    if key not in cells.index:
        return float("nan"), "-"
    digits = SCORES[name].digits
    mean, std = cells.loc[key, f"{name}_mean"], cells.loc[key, f"{name}_std"]
    return mean, f"{mean:.{digits}f}" + ("" if pd.isna(std) else f" ± {std:.{digits}f}")


def _best(means: Sequence[float], higher: bool, digits: int) -> set[int]:
    """Find the best values as a reader sees them: values that are equal after rounding are equal."""
    rounded = [round(mean, digits) for mean in means]
    numbers = [mean for mean in rounded if not pd.isna(mean)]
    if not numbers:
        return set()
    target = max(numbers) if higher else min(numbers)
    return {index for index, mean in enumerate(rounded) if mean == target}


def _notes(summary: pd.DataFrame) -> list[str]:
    notes = []
    for (modality, pattern, sigma), group in summary.groupby(["modality", "pattern", "sigma"], sort=False):
        counts = dict(zip(group["method"], group["n"]))
        if len(set(counts.values())) > 1 and AVERAGE not in (modality, pattern):
            listed = ", ".join(f"{method} {count}" for method, count in counts.items())
            notes.append(f"- {modality}, {pattern}, sigma {sigma:g}: the numbers of images differ ({listed}).")
    for row in summary[summary["psnr_mean"].isna()].itertuples():
        notes.append(f"- {row.modality}, {row.pattern}, sigma {row.sigma:g}, {row.method}: images without a score.")
    single = summary[(summary["capped"] > 0) & (summary["modality"] != AVERAGE) & (summary["pattern"] != AVERAGE)]
    for row in single.itertuples():
        notes.append(
            f"- {row.modality}, {row.pattern}, sigma {row.sigma:g}, {row.method}: {row.capped} of {row.n} images "
            f"identical to the clean one, counted as {PSNR_CAP:g} dB."
        )
    return notes
