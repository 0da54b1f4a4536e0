# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The evaluation on pairs: every method on every pair, a table and pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ...atomic import write_text_atomically
from ..denoising.mapping import stack_range
from ..evaluation.markdown import markdown_table
from ..evaluation.picture import PictureRow, picture_grid
from ..formats.any_image import read_any_image
from ..formats.stack import FormatError
from .gain_and_offset import fit_gain_and_offset
from .methods import NOISY, Method
from .pairs import ImagePair
from .scores import PAIR_SCORES, score_pair

__all__ = ["LoadedPair", "evaluate_pairs", "load_pair", "summary_lines"]


@dataclass(frozen=True)
class LoadedPair:
    """A pair in memory.

    Attributes:
        noisy: slices ``(N, H, W)`` or ``(N, H, W, 3)`` with an intensity range of [0, 1].
        clean: the reference on the same scale.
        real_range: the values that are 0 and 1.
    """

    noisy: np.ndarray
    clean: np.ndarray
    real_range: tuple[float, float]


def load_pair(pair: ImagePair, intensity_range: tuple[float, float] | None = None) -> LoadedPair:
    """Read both images of a pair.

    Args:
        pair: of the table.
        intensity_range: the values that stand for black and white; None finds them in the noisy image as
            ``noisewise denoise`` does.

    Returns:
        The pair.

    Raises:
        FormatError: if an image cannot be read, is constant, or the shapes differ.
    """
    noisy, clean = (read_any_image(path) for path in (pair.noisy, pair.clean))
    limits = stack_range(noisy, pair.modality or None, intensity_range)
    if limits is None:
        raise FormatError(pair.noisy, "has no contrast.")
    low, high = limits
    images = [_gray_if_equal((stack.real().astype(np.float64) - low) / (high - low)) for stack in (noisy, clean)]
    if images[0].shape != images[1].shape:
        raise FormatError(pair.clean, f"has the shape {images[1].shape}, its noisy image {images[0].shape}.")
    return LoadedPair(images[0], images[1], (float(low), float(high)))


def evaluate_pairs(
    pairs: Sequence[ImagePair],
    methods: Mapping[str, Method],
    output: str | os.PathLike,
    fit: bool = False,
    intensity_range: tuple[float, float] | None = None,
    made_elsewhere: Mapping[str, str | os.PathLike] | None = None,
    picture: bool = True,
    on_score: Callable[[str, int, float], None] | None = None,
) -> pd.DataFrame:
    """Score methods on pairs.

    Scores that ``scores.csv`` has already are kept, so that an interrupted run continues and methods can be added one
    by one; delete the folder after changing a method or the images.

    Args:
        pairs: from :func:`~noisewise.pipelines.pair_evaluation.read_pairs`.
        methods: by name, see :mod:`~noisewise.pipelines.pair_evaluation.methods`; the noisy image is always scored.
        output: folder of ``scores.csv``, ``summary.md`` and ``picture.png``. None of them holds a file name.
        fit: whether to fit gain and offset of every result to the reference before it is scored.
        intensity_range: see :func:`load_pair`.
        made_elsewhere: by name, folders with results of other programs, on the scale of the noisy images and under
            their file names.
        picture: whether to draw the first pair of each source.
        on_score: called with method, number of the pair and PSNR after each score.

    Returns:
        One row per pair and method: ``pair``, ``modality``, ``source``, ``method``, the scores, ``seconds`` and
        ``fitted``.

    Raises:
        ValueError: if an image cannot be read, or the folder has scores made with another setting of ``fit``.
    """
    output = Path(output)
    rows = _read_rows(output / "scores.csv", fit)
    done = {(row["pair"], row["method"]) for row in rows}
    drawn: dict[str, PictureRow] = {}
    for pair in pairs:
        loaded = load_pair(pair, intensity_range)
        runs: dict[str, Method] = {NOISY: lambda slices: slices, **methods}
        runs |= {name: _from_folder(folder, pair, loaded) for name, folder in (made_elsewhere or {}).items()}
        shown: dict[str, np.ndarray] = {}
        draw = picture and pair.source not in drawn
        for name, run in runs.items():
            if (pair.number, name) in done and not draw:
                continue
            begin = time.perf_counter()
            result = _fitted(run(loaded.noisy), loaded.clean, fit)
            seconds = time.perf_counter() - begin
            shown[name] = result
            if (pair.number, name) not in done:
                scores = _mean_scores(result, loaded.clean)
                about = {"pair": pair.number, "modality": pair.modality, "source": pair.source, "method": name}
                rows.append({**about, **scores, "seconds": round(seconds, 2), "fitted": fit})
                write_text_atomically(output / "scores.csv", pd.DataFrame(rows).to_csv(index=False))
                if on_score is not None:
                    on_score(name, pair.number, scores["psnr"])
        if draw:
            drawn[pair.source] = _picture_row(pair.source, shown, loaded.clean)
    table = pd.DataFrame(rows)
    write_text_atomically(output / "summary.md", "\n".join(summary_lines(table)) + "\n")
    if drawn:
        picture_grid(list(drawn.values()), output / "picture.png")
    return table


def summary_lines(table: pd.DataFrame) -> list[str]:
    """The means over the pairs of each source, as Markdown.

    Args:
        table: from :func:`evaluate_pairs`.
    """
    names = list(PAIR_SCORES)
    means = table.groupby(["source", "method"], sort=False)[names].mean()
    counts = table.groupby(["source", "method"], sort=False).size()
    digits = {"ssim": 3, "psnr": 2, "edges": 2}
    cells = [
        [source, method, str(counts[source, method]), *(f"{row[name]:.{digits.get(name, 1)}f}" for name in names)]
        for (source, method), row in means.iterrows()
    ]
    fitted = "fitted to the reference" if bool(table["fitted"].any()) else "not fitted"
    return [
        f"Gain and offset of every result: {fitted}. Residual noise and bias in gray levels of 255.",
        "",
        *markdown_table(["source", "method", "pairs", *PAIR_SCORES.values()], cells, text_columns=2),
    ]


def _gray_if_equal(slices: np.ndarray) -> np.ndarray:
    """A gray image that was saved in color, as gray."""
    if slices.ndim == 4 and (slices[..., 1:] == slices[..., :1]).all():
        return slices[..., 0]
    return slices


def _read_rows(path: Path, fit: bool) -> list[dict]:
    if not path.exists():
        return []
    table = pd.read_csv(path, keep_default_na=False)
    expected = {"pair", "modality", "source", "method", *PAIR_SCORES, "seconds", "fitted"}
    if set(table.columns) != expected:
        raise ValueError(f"{path}: is not a table of these scores; choose another output folder.")
    if len(table) and (table["fitted"].astype(str) != str(fit)).any():
        raise ValueError(f"{path}: has scores {'without' if fit else 'with'} --fit; choose another output folder.")
    return table.to_dict("records")


def _from_folder(folder: str | os.PathLike, pair: ImagePair, loaded: LoadedPair) -> Method:
    def run(slices: np.ndarray) -> np.ndarray:
        path = Path(folder) / pair.noisy.name
        low, high = loaded.real_range
        result = _gray_if_equal((read_any_image(path).real().astype(np.float64) - low) / (high - low))
        if result.shape != slices.shape:
            raise FormatError(path, f"has the shape {result.shape}, the noisy image {slices.shape}.")
        return result

    return run


def _fitted(result: np.ndarray, clean: np.ndarray, fit: bool) -> np.ndarray:
    if not fit:
        return np.asarray(result, np.float64)
    gain, offset = fit_gain_and_offset(result, clean)
    return gain * np.asarray(result, np.float64) + offset


def _mean_scores(result: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    scores = [score_pair(*images) for images in zip(result, clean)]
    return {name: round(float(np.mean([each[name] for each in scores])), 6) for name in PAIR_SCORES}


def _picture_row(label: str, shown: Mapping[str, np.ndarray], clean: np.ndarray) -> PictureRow:
    middle = len(clean) // 2

    def image(slices: np.ndarray) -> torch.Tensor:
        values = slices[middle] if slices.ndim == 4 else slices[middle, ..., None]
        return torch.from_numpy(255 * values).permute(2, 1, 0).float()

    return PictureRow(
        label, image(shown[NOISY]), image(clean), {name: image(each) for name, each in shown.items() if name != NOISY}
    )
