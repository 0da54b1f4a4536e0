# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of the study: means and standard deviations over the slices of each kernel and patient."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...atomic import write_text_atomically
from ..evaluation.markdown import markdown_table
from .rows import write_csv

__all__ = ["ALL_PATIENTS", "summarize_slices", "summary_metrics", "write_lesion_tables", "write_score_tables"]

ALL_PATIENTS = "all"
COLUMNS = {
    "rmse_ratio": ("RMSE ratio", 3),
    "rmse_hu": ("RMSE, HU", 1),
    "noise_std_hu": ("noise left, HU", 1),
    "psnr_db": ("PSNR, dB", 2),
    "ssim": ("SSIM", 3),
    "vif": ("VIF", 3),
    "edge_ratio": ("edges against full dose", 2),
    "edge_ratio_to_quarter": ("edges against quarter dose", 2),
    "bias_lung_hu": ("bias lung, HU", 1),
    "bias_fat_hu": ("fat", 1),
    "bias_soft_tissue_hu": ("soft tissue", 1),
    "bias_bone_hu": ("bone", 1),
}


def summarize_slices(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compute means and standard deviations over slices.

    Args:
        rows: lines of ``scores.csv`` (:func:`~noisewise.pipelines.low_dose_ct.rows.read_rows`).

    Returns:
        One dictionary for each method, kernel and patient, and for all patients together (``"all"``): ``method``,
        ``kernel``, ``subject``, ``slices``, and for each score its mean and ``<score>_sd``. Slices without a
        suitable region do not count; a score that no slice has is NaN.
    """
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        for subject in (ALL_PATIENTS, row["subject"]):
            groups.setdefault((row["kernel"], subject, row["method"]), []).append(row)
    summary = []
    for (kernel, subject, method), members in sorted(groups.items()):
        line: dict[str, Any] = {"kernel": kernel, "subject": subject, "method": method, "slices": len(members)}
        for name in COLUMNS:
            values = np.array([member[name] for member in members])
            values = values[np.isfinite(values)]
            line[name] = float(values.mean()) if values.size else float("nan")
            line[f"{name}_sd"] = float(values.std(ddof=1)) if values.size > 1 else float("nan")
        full = [member["noise_std_full_hu"] for member in members if np.isfinite(member["noise_std_full_hu"])]
        line["noise_std_full_hu"] = float(np.mean(full)) if full else float("nan")
        summary.append(line)
    return summary


def summary_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the means over all patients as nested dictionaries, for experiment tracking.

    Args:
        rows: lines of ``scores.csv``.

    Returns:
        ``{method: {kernel: {"rmse_hu": ..., ...}}}``, without scores that no slice has; spaces in names become ``_``.
    """
    result: dict[str, dict[str, dict[str, float]]] = {}
    for line in summarize_slices(rows):
        if line["subject"] == ALL_PATIENTS:
            scores = {name: line[name] for name in COLUMNS if np.isfinite(line[name])}
            method, kernel = (line[name].replace(" ", "_") or "unknown" for name in ("method", "kernel"))
            result.setdefault(method, {})[kernel] = scores
    return result


def write_score_tables(
    rows: Sequence[Mapping[str, Any]], output: str | os.PathLike, titles: Mapping[str, str] | None = None
) -> list[Path]:
    """Write the summary as CSV, and as Markdown with one table per kernel and patient.

    Args:
        rows: lines of ``scores.csv``.
        output: the output folder, which is created if necessary.
        titles: titles of the methods, in the order of the tables; other methods follow under their names.

    Returns:
        ``summary.csv`` and ``summary.md``.

    Raises:
        ValueError: when there are no rows.
    """
    if not rows:
        raise ValueError("nothing has been scored.")
    summary, titles = summarize_slices(rows), dict(titles or {})
    output = Path(output)
    order = [*titles, *sorted({line["method"] for line in summary} - set(titles))]
    table = write_csv(output / "summary.csv", summary)
    text = []
    for kernel in sorted({line["kernel"] for line in summary}):
        for subject in sorted({line["subject"] for line in summary if line["kernel"] == kernel}, key=_all_first):
            lines = [line for line in summary if line["kernel"] == kernel and line["subject"] == subject]
            lines.sort(key=lambda line: order.index(line["method"]))
            words = "all patients" if subject == ALL_PATIENTS else f"patient {subject}"
            full = next((line["noise_std_full_hu"] for line in lines), float("nan"))
            text += [f"### {kernel}, {words}: {lines[0]['slices']} slices, noise of the full dose {full:.1f} HU", ""]
            text += markdown_table(
                ["method", *(title for title, _ in COLUMNS.values())],
                [[titles.get(line["method"], line["method"]), *_cells(line)] for line in lines],
            )
            text.append("")
    return [table, write_text_atomically(output / "summary.md", "\n".join(text))]


def write_lesion_tables(
    rows: Sequence[Mapping[str, Any]], output: str | os.PathLike, titles: Mapping[str, str] | None = None
) -> list[Path]:
    """Write the results of :func:`~noisewise.pipelines.low_dose_ct.lesion_study.lesion_study`.

    Args:
        rows: its rows.
        output: the output folder, which is created if necessary.
        titles: titles of the methods.

    Returns:
        ``lesions.csv`` and ``lesions.md``.
    """
    output, titles = Path(output), dict(titles or {})
    table = write_csv(output / "lesions.csv", rows)
    header = ["kernel", "method", "lesions", "contrast, HU", "diameter, mm", "d'", "AUC"]
    cells = [
        [
            row["kernel"],
            titles.get(row["method"], row["method"]),
            str(row["regions"]),
            f"{row['contrast_hu']:g}",
            f"{row['diameter_mm']:g}",
            f"{row['d_prime']:.2f} \N{PLUS-MINUS SIGN} {row['d_prime_sd']:.2f}",
            f"{row['auc']:.3f} \N{PLUS-MINUS SIGN} {row['auc_sd']:.3f}",
        ]
        for row in rows
    ]
    text = "\n".join(markdown_table(header, cells, text_columns=2)) + "\n"
    return [table, write_text_atomically(output / "lesions.md", text)]


def _all_first(subject: str) -> tuple[bool, str]:
    return subject != ALL_PATIENTS, subject


def _cells(line: Mapping[str, Any]) -> list[str]:
    cells = []
    for name, (_, digits) in COLUMNS.items():
        mean, spread = line[name], line[f"{name}_sd"]
        text = "-" if np.isnan(mean) else f"{mean:.{digits}f}"
        cells.append(text if np.isnan(spread) else f"{text} \N{PLUS-MINUS SIGN} {spread:.{digits}f}")
    return cells


def __getattr__(name: str) -> Any:
    if name == "summarise":
        warnings.warn("summarize is now summarize_slices; the old name will be removed.", DeprecationWarning, 2)
        return summarize_slices
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
