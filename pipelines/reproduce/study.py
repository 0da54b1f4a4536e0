# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What the studies of given weights share: one evaluation into a folder, and figures in Markdown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from ...atomic import write_text_atomically
from ...bundles import bundle_path
from ..bundle.config import network_from_config, root_cause
from ..bundle.weights import load_weights
from ..evaluation import crop_in_words, read_scores
from ..evaluation.run import run_evaluation

__all__ = ["cell", "evaluate_into", "load_network", "setup_lines", "write_report"]


def evaluate_into(
    folder: str | os.PathLike, manifest: str | os.PathLike, config: str | os.PathLike | None = None, **overrides: Any
) -> pd.DataFrame:
    """Run the bundle's evaluation; what the folder holds already is not computed again.

    Args:
        folder: the folder of the scores.
        manifest: manifest of the images.
        config: file with the ``network_def`` of the network; the bundle's own network when None.
        overrides: further keys of the bundle's ``evaluate.yaml``.

    Returns:
        All rows of the folder; see :func:`~noisewise.pipelines.evaluation.read_scores`.

    Raises:
        ValueError: when the manifest, the weights, the config or a condition is not valid, or the folder holds scores
            of another setup.
        ImportError: when a reference's package is not installed.
    """
    overrides = {key: value for key, value in overrides.items() if key != "device" or value is not None}
    if config is not None:
        overrides["network_def"] = network_from_config(config)
    overrides |= {"bundle_root": str(bundle_path("multimodal_denoising")), "picture": None, "track": False}
    try:
        table = run_evaluation({"manifest": str(manifest), "output_dir": str(folder), **overrides})
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, (ValueError, OSError, ImportError)):
            raise cause from error
        raise
    return read_scores(table.scores_path)


def load_network(weights: str | os.PathLike, config: str | os.PathLike | None = None) -> tuple[nn.Module, str]:
    """Build a network and load its weights.

    Args:
        weights: the file.
        config: file with the ``network_def``; the bundle's own network when None.

    Returns:
        The network and the weights' SHA-256.

    Raises:
        ValueError: when one of the files cannot be used; the message names it.
    """
    bundle = bundle_path("multimodal_denoising")
    network = network_from_config(bundle / "configs" / "evaluate.yaml" if config is None else config)
    return network, load_weights(network, weights)


def cell(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """A figure in a table, or a dash where there is none.

    Args:
        value: the figure; None and NaN are none.
        digits: decimals.
        signed: whether a plus is written.
    """
    if value is None or pd.isna(value):
        return "-"
    return f"{value:{'+' if signed else ''}.{digits}f}"


def setup_lines(rows: pd.DataFrame) -> list[str]:
    """How figures were made: split, crop, images, seed, weights.

    Args:
        rows: see :func:`~noisewise.pipelines.evaluation.read_scores`.

    Returns:
        Lines of a Markdown list.
    """
    first = rows.iloc[0]
    images = rows.drop_duplicates("image_id").groupby("modality").size()
    weights = rows[rows["weights"].fillna("") != ""].drop_duplicates(["method", "weights"])
    return [
        f"- Images: {images.sum()} of the split {first['split']} "
        f"({', '.join(f'{name} {count}' for name, count in images.items())}); {crop_in_words(first['crop'])}; "
        f"seed {first['seed']}.",
        *(f"- `{row.method}`: weights SHA-256 `{row.weights}`." for row in weights.itertuples()),
    ]


def write_report(folder: Path, name: str, markdown: str, table: pd.DataFrame) -> list[Path]:
    """Write ``<name>.md`` and ``<name>.csv``.

    Args:
        folder: where to.
        name: the files' name without its suffix.
        markdown: the text.
        table: the figures.

    Returns:
        The two paths.
    """
    return [
        write_text_atomically(folder / f"{name}.md", markdown),
        write_text_atomically(folder / f"{name}.csv", table.to_csv(index=False)),
    ]
