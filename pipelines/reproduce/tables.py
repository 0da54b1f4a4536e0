# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables I to VI and their summary, as Markdown to read and as CSV to compute with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...atomic import write_text_atomically
from ...transforms.noise_models import PROTOCOLS
from ..evaluation import SCORES, crop_in_words, markdown_table
from ..evaluation.summary import AVERAGE, PATTERNS
from .comparison import (
    ALL,
    HIGH_SIGMAS,
    TableMethod,
    ablation_figures,
    average_figures,
    gaps,
    is_reinterpreted,
    modality_figures,
    over_high_sigmas,
    table_methods,
)
from .methods import Method
from .published import PAPER_SCORES, paper_tables
from .report import cell

__all__ = ["write_paper_tables"]

PATTERN_TITLES = {"gaussian": "Gaussian", "speckle": "speckle", AVERAGE: "average"}
MAIN, FURTHER = ("psnr", "ssim"), ("delta_e", "vifp", "mse")
BASELINES = {"two_stage": "two-stage", "bm3d": "BM3D", "bm3d_vst": "BM3D, var.-stab."}
SETUP = ("protocol", "split", "seed", "crop")
OVER_HIGH = ",".join(f"{sigma:g}" for sigma in HIGH_SIGMAS)
"""The column ``sigma`` of means over :data:`HIGH_SIGMAS`."""


def write_paper_tables(
    rows: pd.DataFrame,
    methods: Sequence[Method],
    folder: str | os.PathLike,
    markers: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Path]:
    """Write Tables I to VI and their summary.

    The files are ``table_1_mri.md`` and so on, one for each modality with scores; ``table_6_ablation.md`` (NEN alone,
    without attention, two-stage, over all modalities); and ``table_average.md`` (all methods over all modalities, with
    their distance to the two-stage network and to BM3D). Each has a ``.csv`` with every figure in long form.

    Args:
        rows: scores of one protocol; see :func:`~noisewise.pipelines.evaluation.read_scores`.
        methods: the compared methods.
        folder: the output folder, which is created if necessary.
        markers: the records of the trainings by method, for the description of their budget; see
            :func:`~noisewise.pipelines.reproduce.training.read_marker`.

    Returns:
        The files.

    Raises:
        ValueError: when there are no scores of the paper's modalities.
    """
    folder = Path(folder)
    lines = table_methods(methods, rows["method"].unique())
    figures = modality_figures(rows, lines)
    if figures.empty:
        raise ValueError(f"there are no scores of any of {', '.join(paper_tables())}, so there is no table to write.")
    facts = _facts(rows, lines, markers or {})
    setup = {key: rows.iloc[0][key] for key in SETUP}
    written = []
    for modality, (number, numeral) in paper_tables().items():
        part = figures[figures["modality"] == modality]
        if part.empty:
            continue
        title = f"Table {numeral}: {modality}"
        text = _document(title, [*facts, *_image_notes(rows, modality)], _blocks(part, lines), lines)
        written += _write(folder / f"table_{number}_{modality}", text, part, lines, setup)
    ablation = ablation_figures(figures, lines)
    if not ablation.empty:
        parts = [line for line in lines if line.name in set(ablation["method"])]
        text = _document(
            "Table VI: ablation, all modalities",
            [*facts, _modalities_note(figures)],
            _blocks(ablation, parts),
            parts,
        )
        written += _write(folder / "table_6_ablation", text, ablation, parts, setup)
    written += _write_average(folder / "table_average", figures, lines, facts, setup)
    return written


def _write_average(
    path: Path, figures: pd.DataFrame, lines: Sequence[TableMethod], facts: Sequence[str], setup: Mapping[str, Any]
) -> list[Path]:
    averaged = average_figures(figures)
    high = over_high_sigmas(averaged)
    words = ", ".join(f"{sigma:g}" for sigma in HIGH_SIGMAS)
    blocks = [f"## Mean over sigma {words}", "", *_gap_table(high, lines), ""]
    for sigma in sorted(averaged["sigma"].unique()):
        blocks += [f"## sigma {sigma:g}", "", *_gap_table(averaged[averaged["sigma"] == sigma], lines), ""]
    by_modality = over_high_sigmas(figures)
    for pattern in (*PATTERNS, AVERAGE):
        blocks += [f"## By modality, {PATTERN_TITLES[pattern]} noise, mean over sigma {words}", ""]
        chosen = by_modality[by_modality["pattern"] == pattern]
        modalities = [name for name in paper_tables() if name in set(chosen["modality"])]
        cells = {
            (line.name, modality): _pair(chosen[(chosen["method"] == line.name) & (chosen["modality"] == modality)])
            for line in lines
            for modality in modalities
        }
        shown = [line for line in lines if any(cells[line.name, modality] != "-" for modality in modalities)]
        table = [[line.title, *(cells[line.name, modality] for modality in modalities)] for line in shown]
        blocks += [*markdown_table(["method", *modalities], table), ""]
    text = _document("All modalities", [*facts, _modalities_note(figures)], blocks, lines)
    everything = pd.concat([high, averaged, by_modality])
    for name in BASELINES:
        everything[f"gap_to_{name}"] = gaps(everything, name)
    return _write(path, text, everything, lines, setup)


def _gap_table(figures: pd.DataFrame, lines: Sequence[TableMethod]) -> list[str]:
    """Tabulate PSNR / SSIM of each method, and the distance of its PSNR to the baselines."""
    psnr = figures[figures["score"] == "psnr"]
    distances = {
        name: psnr.assign(mean=gaps(psnr, name))
        for name in BASELINES
        if not psnr[(psnr["method"] == name) & psnr["mean"].notna()].empty
    }
    header = ["method", *(f"{PATTERN_TITLES[pattern]}" for pattern in (*PATTERNS, AVERAGE))]
    header += [f"dB above {BASELINES[name]}: Gaussian / speckle / average" for name in distances]
    header += ["published: average"]
    table = []
    for line in lines:
        own = figures[figures["method"] == line.name]
        cells = [_pair(own[own["pattern"] == pattern]) for pattern in (*PATTERNS, AVERAGE)]
        for distance in distances.values():
            values = distance[distance["method"] == line.name].set_index("pattern")["mean"]
            parts = [values.get(pattern, float("nan")) for pattern in (*PATTERNS, AVERAGE)]
            texts = [cell(part, signed=True) for part in parts]
            cells.append("-" if set(texts) == {"-"} else " / ".join(texts))
        cells.append(_pair(own[own["pattern"] == AVERAGE], "published"))
        if any(text != "-" for text in cells):
            table.append([line.title, *cells])
    return ["PSNR (dB) / SSIM.", "", *markdown_table(header, table)]


def _blocks(figures: pd.DataFrame, lines: Sequence[TableMethod]) -> list[str]:
    """Format a block for PSNR and SSIM, and one for each further score, with one table per sigma."""
    text = []
    for scores in (MAIN, *((name,) for name in FURTHER)):
        text += [f"## {' / '.join(SCORES[name].title for name in scores)}", ""]
        for sigma in sorted(figures["sigma"].unique()):
            part = figures[(figures["sigma"] == sigma) & figures["score"].isin(scores)]
            text += [f"sigma {sigma:g}", "", *_sigma_table(part, lines, scores), ""]
    return text


def _sigma_table(figures: pd.DataFrame, lines: Sequence[TableMethod], scores: Sequence[str]) -> list[str]:
    header, columns = ["method"], []
    for pattern in (*PATTERNS, AVERAGE):
        header += [PATTERN_TITLES[pattern], "published"]
        part = figures[figures["pattern"] == pattern].set_index(["method", "score"])
        columns += [_own_cells(part, lines, scores), _published_cells(part, lines, scores)]
    rows = [[line.title, *texts] for line, *texts in zip(lines, *columns)]
    return markdown_table(header, [row for row in rows if any(text != "-" for text in row[1:])])


def _own_cells(part: pd.DataFrame, lines: Sequence[TableMethod], scores: Sequence[str]) -> list[str]:
    texts = {line.name: [] for line in lines}
    for name in scores:
        score = SCORES[name]
        means = {
            line.name: round(part.loc[line.name, name]["mean"], score.digits)
            for line in lines
            if (line.name, name) in part.index
        }
        # The shipped weights had another budget, and the noisy input is not a method.
        ranked = [means[line.name] for line in lines if line.name in means and _is_ranked(line)]
        ranked = [value for value in ranked if not pd.isna(value)]
        best = (max if score.higher_is_better else min)(ranked) if ranked else None
        for line in lines:
            if line.name in means and part.loc[line.name, name]["n"] > 0:
                text = _number(part.loc[line.name, name], score.digits)
                marked = _is_ranked(line) and means[line.name] == best
                texts[line.name].append(f"**{text}**" if marked else text)
    return [" / ".join(texts[line.name]) or "-" for line in lines]


def _published_cells(part: pd.DataFrame, lines: Sequence[TableMethod], scores: Sequence[str]) -> list[str]:
    cells = []
    for line in lines:
        values = [
            part.loc[line.name, name]["published"] if (line.name, name) in part.index else float("nan")
            for name in scores
        ]
        texts = [f"{value:.{SCORES[name].digits}f}" for name, value in zip(scores, values) if not pd.isna(value)]
        cells.append(" / ".join(texts) or "-")
    return cells


def _is_ranked(line: TableMethod) -> bool:
    return line.standing != "other budget" and line.name != "noisy"


def _number(figure: pd.Series, digits: int) -> str:
    if pd.isna(figure["mean"]):
        return "no number"
    text = f"{figure['mean']:.{digits}f}"
    return text if pd.isna(figure["std"]) else f"{text} ± {figure['std']:.{digits}f}"


def _pair(figures: pd.DataFrame, column: str = "mean") -> str:
    """Format PSNR / SSIM of one method, pattern and sigma."""
    values = figures.set_index("score")[column]
    if any(name not in values.index or pd.isna(values[name]) for name in MAIN):
        return "-"
    return " / ".join(f"{values[name]:.{SCORES[name].digits}f}" for name in MAIN)


def _facts(rows: pd.DataFrame, lines: Sequence[TableMethod], markers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Describe how the figures were made."""
    first = rows.iloc[0]
    facts = [
        f"- Noise protocol `{first['protocol']}` ({PROTOCOLS[first['protocol']].rstrip('.')}); noise seed "
        f"{first['seed']}; split {first['split']}; {crop_in_words(first['crop'])}.",
        "- Ours: mean ± sample standard deviation over the images, each scored on 0..255 (PSNR at most 100 dB, SSIM "
        "with an 11 x 11 Gaussian window, Delta E 2000, pixel-domain VIF); average: the mean of both patterns of "
        "each image. Best in bold, without the noisy input and weights of another budget.",
        "- Published: as printed in the paper, averages computed from their two halves. The images differ, and "
        "the paper's text does not fully define its noise: do not compare the columns digit by digit.",
    ]
    trained = [line.name for line in lines if line.name in markers]
    budgets = {tuple(markers[name]["budget"].get(key) for key in _BUDGET) for name in trained}
    for epochs, steps, batch, patch, protocol in sorted(budgets, key=str):
        seen = {markers[name]["images_seen"] for name in trained}
        facts.append(
            f"- Training: {epochs} epochs of {steps} steps of {batch} patches of {patch} x {patch} pixels "
            f"({', '.join(map(str, sorted(seen)))} patches), protocol `{protocol}`, the same for every trained method."
        )
    untrained = [line.title for line in lines if line.equal_budget and line.name not in set(rows["method"])]
    if untrained:
        facts.append(f"- Not trained or not scored here: {', '.join(untrained)}.")
    return facts


_BUDGET = ("max_epochs", "steps_per_epoch", "batch_size", "patch_size", "protocol")


def _image_notes(rows: pd.DataFrame, modality: str) -> list[str]:
    own = rows[(rows["modality"] == modality) & rows["pattern"].isin(PATTERNS)]
    counts = own.groupby(["method", "pattern", "sigma"], sort=False)["image_id"].nunique()
    per_method = counts.groupby("method", sort=False).agg(["min", "max"])
    if per_method["min"].min() == per_method["max"].max():
        return [f"- Images: {counts.iloc[0]}."]
    listed = ", ".join(
        f"`{name}` {row['min']}" + (f" to {row['max']}" if row["max"] != row["min"] else "")
        for name, row in per_method.iterrows()
    )
    return [f"- **Not all methods were scored on the same number of images**: {listed}."]


def _modalities_note(figures: pd.DataFrame) -> str:
    found = [name for name in paper_tables() if name in set(figures["modality"])]
    missing = [name for name in paper_tables() if name not in found]
    note = f"- Mean over the modalities {', '.join(found)}, each counting the same"
    return f"{note}; no scores of {', '.join(missing)}." if missing else f"{note}."


def _document(title: str, facts: Sequence[str], blocks: Sequence[str], lines: Sequence[TableMethod]) -> str:
    notes = []
    if any(is_reinterpreted(line) for line in lines):
        notes.append("\N{DAGGER} re-interpreted: only the abstract was available; no conclusion rests on this row.")
    if any(line.standing == "other budget" for line in lines):
        notes.append("\N{DOUBLE DAGGER} weights of another training budget; not part of the equal-budget comparison.")
    text = [f"# {title}", "", *facts, "", *blocks]
    return "\n".join(text + [part for note in notes for part in (note, "")])


def _write(
    path: Path, text: str, figures: pd.DataFrame, lines: Sequence[TableMethod], setup: Mapping[str, Any]
) -> list[Path]:
    by_name = {line.name: line for line in lines}
    table = figures.assign(
        title=[by_name[name].title for name in figures["method"]],
        standing=[by_name[name].standing for name in figures["method"]],
        published_method=[by_name[name].published for name in figures["method"]],
        sigma=[OVER_HIGH if pd.isna(value) else f"{value:g}" for value in figures["sigma"]],
        **setup,
    )
    orders = {
        "modality": [ALL, *paper_tables()],
        "sigma": [OVER_HIGH, *sorted(set(table["sigma"]) - {OVER_HIGH}, key=float)],
        "pattern": [*PATTERNS, AVERAGE],
        "score": list(PAPER_SCORES),
        "method": list(by_name),
    }
    table = table.sort_values(list(orders), key=lambda column: column.map(orders[column.name].index))
    first = [*orders, "title", "standing", "n", "mean", "std", "published", "published_method"]
    columns = [*first, *(name for name in table.columns if name not in (*first, *SETUP)), *SETUP]
    for name in ("mean", "std", "published", *(name for name in columns if name.startswith("gap_"))):
        table[name] = table[name].round(6)
    return [
        write_text_atomically(path.with_suffix(".md"), text),
        write_text_atomically(path.with_suffix(".csv"), table[columns].to_csv(index=False)),
    ]
