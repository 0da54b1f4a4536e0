# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Figure 13: validation curves, drawn from the records of the trainings."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...atomic import write_text_atomically
from ..evaluation import SCORES
from ..evaluation.picture import save_figure
from .published import PAPER_SCORES

__all__ = ["draw_curves", "read_history"]

STYLES = ("-", "--", "-.", ":")
COLORS = 10


def read_history(path: str | os.PathLike) -> pd.DataFrame:
    """Read a training's ``validation.jsonl``.

    Args:
        path: the file; see :class:`~noisewise.pipelines.training.ValidationHistory`.

    Returns:
        One row per epoch, in order: ``epoch``, ``step``, and the metrics. If an epoch was run twice (after an
        interruption), the last line counts.

    Raises:
        ValueError: when the file is missing, empty or damaged.
    """
    path = Path(path)
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        history = pd.DataFrame(lines).drop_duplicates("epoch", keep="last").sort_values("epoch")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: is not a record of validations: {error}") from None
    missing = [name for name in ("step", *PAPER_SCORES) if name not in history]
    if missing:
        raise ValueError(f"{path}: is not a record of validations: it lacks {', '.join(missing)}.")
    return history.reset_index(drop=True)


def draw_curves(
    histories: Mapping[str, pd.DataFrame],
    path: str | os.PathLike,
    scores: Sequence[str] = PAPER_SCORES,
    dots_per_inch: int = 120,
) -> list[Path]:
    """Draw validation scores over training steps: one panel per score, one curve per method.

    Args:
        histories: results of :func:`read_history`, by the title of the curve.
        path: the PNG to write; a CSV of the same name beside it holds the points.
        scores: names in ``noisewise.pipelines.evaluation.SCORES``.
        dots_per_inch: resolution; a panel is 4 x 3.2 inches.

    Returns:
        The PNG and the CSV.

    Raises:
        ValueError: when there is no curve.
    """
    if not histories:
        raise ValueError("no curve to draw: no training has left a record.")
    path = Path(path)
    # Without a tight layout the picture has exactly this size.
    figure = Figure(figsize=(4.0 * len(scores), 3.2 + 0.25 * -(-len(histories) // 4)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(scores), squeeze=False)[0]
    for axis, name in zip(axes, scores):
        for index, (title, history) in enumerate(histories.items()):
            style = STYLES[index // COLORS % len(STYLES)]
            axis.plot(history["step"], history[name], style, color=f"C{index % COLORS}", marker=".", label=title)
        axis.set_xlabel("training steps")
        axis.set_ylabel(f"validation {SCORES[name].title}")
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    save_figure(figure, path, dots_per_inch)
    points = pd.concat(
        [history[["epoch", "step", *scores]].assign(method=title) for title, history in histories.items()]
    )
    table = points[["method", "epoch", "step", *scores]].to_csv(index=False)
    return [path, write_text_atomically(path.with_suffix(".csv"), table)]
