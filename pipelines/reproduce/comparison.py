# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The figures of the paper's tables, computed from the scores of single images, with the published ones beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from ..evaluation.summary import AVERAGE, PATTERNS
from .methods import REINTERPRETED, Method
from .published import ABLATION, PAPER_SCORES, paper_tables, published_scores
from .scoring import SHIPPED

__all__ = [
    "ALL",
    "HIGH_SIGMAS",
    "TableMethod",
    "ablation_figures",
    "average_figures",
    "gaps",
    "is_reinterpreted",
    "modality_figures",
    "over_high_sigmas",
    "table_methods",
]

ALL = "all"
"""The modality of rows that average over all modalities."""
HIGH_SIGMAS = (25.0, 50.0, 75.0)
"""The standard deviations that the summary averages over; at 10 the clean images' own noise matters."""
TITLES = {
    "noisy": "noisy input",
    "bm3d": "BM3D (true noise level)",
    "bm3d_vst": "BM3D, variance-stabilized (true noise level)",
    "nlm": "non-local means (true noise level)",
}
KEYS = ["modality", "method", "pattern", "sigma", "score"]


@dataclass(frozen=True)
class TableMethod:
    """One row of the tables.

    Attributes:
        name: its name in the scores.
        title: its title in tables, marked with a dagger (re-interpreted) or a double dagger (another budget).
        published: its name in the paper's tables, or None.
        standing: ``"reference"`` (no training), one of the standings of methods, or ``"other budget"``.
    """

    name: str
    title: str
    published: str | None
    standing: str

    @property
    def equal_budget(self) -> bool:
        """Whether it was trained at the common budget."""
        return self.standing not in ("reference", "other budget")


def table_methods(methods: Sequence[Method], scored: Iterable[str] = ()) -> list[TableMethod]:
    """Return the rows of the tables in order: references, compared methods, the shipped weights.

    Args:
        methods: the compared methods.
        scored: names of methods that have scores. References need scores to be included, compared methods need scores
            or published figures; further scored names follow at the end.

    Returns:
        The rows.
    """
    scored = list(dict.fromkeys(scored))
    own = [method.name for method in methods]
    references = [name for name in dict.fromkeys([*TITLES, *scored]) if name in scored and name not in (*own, *SHIPPED)]
    first = [name for name in references if name in TITLES]
    rows = [TableMethod(name, TITLES[name], None, "reference") for name in first]
    rows += [
        TableMethod(method.name, method.marked_title, method.published, method.standing)
        for method in methods
        if method.name in scored or method.published is not None
    ]
    rows += [
        TableMethod(name, f"{title}\N{DOUBLE DAGGER}", None, "other budget")
        for name, (title, _) in SHIPPED.items()
        if name in scored
    ]
    return rows + [TableMethod(name, name, None, "reference") for name in references if name not in first]


def modality_figures(rows: pd.DataFrame, methods: Sequence[TableMethod]) -> pd.DataFrame:
    """Compute the figures of Tables I to V.

    Args:
        rows: see :func:`~noisewise.pipelines.evaluation.read_scores`. Modalities and noise patterns that the paper
            does not have are left out.
        methods: the rows of the tables.

    Returns:
        One row per figure: ``modality``, ``method``, ``pattern`` (``"average"``: the mean of both patterns of each
        image, where every image has both), ``sigma``, ``score``, ``n`` (images), ``mean`` and ``std`` (sample standard
        deviation over the images; NaN for a single one), ``published`` (NaN where the paper has none). If the score of
        one image is NaN, the mean is NaN.
    """
    known = rows[
        rows["modality"].isin(list(paper_tables()))
        & rows["pattern"].isin(PATTERNS)
        & rows["method"].isin([method.name for method in methods])
    ]
    identity = ["modality", "method", "image_id", "sigma"]
    long = known.melt([*identity, "pattern"], list(PAPER_SCORES), var_name="score")
    groups = pd.concat([long, _both_patterns(long)]).groupby(KEYS, sort=False)["value"]
    figures = groups.agg(
        n="size",
        # By default pandas skips NaN, which would hide a network that diverged.
        mean=lambda values: values.mean(skipna=False),
        std=lambda values: values.std(skipna=False),
    ).reset_index()
    printed = published_scores()
    published = _published_by_method(printed[printed["table"] != ABLATION], methods)
    published = published[published["modality"].isin(known["modality"].unique())]
    return figures.merge(published, on=KEYS, how="outer").fillna({"n": 0}).astype({"n": int})


def average_figures(figures: pd.DataFrame) -> pd.DataFrame:
    """Average the figures over the modalities, which count the same regardless of their number of images.

    Args:
        figures: the result of :func:`modality_figures`.

    Returns:
        The same columns with ``modality`` ``"all"``; ``n`` is the sum, there is no ``std``, and a mean is there only
        where every modality has one.
    """
    modalities = figures["modality"].nunique()
    keys = [key for key in KEYS if key != "modality"]
    groups = figures.groupby(keys, sort=False)

    def complete(values: pd.Series) -> float:
        return values.mean() if values.notna().sum() == modalities else float("nan")

    averaged = groups.agg(n=("n", "sum"), mean=("mean", complete), published=("published", complete)).reset_index()
    return averaged.assign(modality=ALL, std=float("nan"))[figures.columns]


def ablation_figures(figures: pd.DataFrame, methods: Sequence[TableMethod]) -> pd.DataFrame:
    """Compute the figures of Table VI: the paper's network and its parts, over all modalities.

    Args:
        figures: the result of :func:`modality_figures`.
        methods: the rows of the tables.

    Returns:
        The result of :func:`average_figures` for the methods of the ablation, with that table's published figures.
    """
    printed = published_scores()
    printed = printed[printed["table"] == ABLATION]
    parts = [method for method in methods if method.published in set(printed["method"])]
    own = average_figures(figures).drop(columns="published")
    own = own[own["method"].isin([method.name for method in parts])]
    merged = own.merge(_published_by_method(printed, parts), on=KEYS, how="outer")
    return merged.fillna({"n": 0}).astype({"n": int})[figures.columns]


def gaps(figures: pd.DataFrame, baseline: str) -> pd.Series:
    """Compute how far each mean is above a baseline's.

    Args:
        figures: figures with the columns of :func:`modality_figures`.
        baseline: a method.

    Returns:
        Differences of the means, in the order of ``figures``; NaN where the baseline has no figure.
    """
    keys = [key for key in KEYS if key != "method"]
    base = figures[figures["method"] == baseline].set_index(keys)["mean"]
    return figures["mean"] - figures.set_index(keys).index.map(base).to_numpy()


def over_high_sigmas(figures: pd.DataFrame) -> pd.DataFrame:
    """Average over sigma 25, 50 and 75 where all three exist; ``sigma`` becomes NaN.

    Args:
        figures: figures with the columns of :func:`modality_figures`.

    Returns:
        The same columns; ``n`` is the smallest number of images.
    """
    chosen = figures[figures["sigma"].isin(HIGH_SIGMAS)]
    keys = [key for key in KEYS if key != "sigma"]

    def complete(values: pd.Series) -> float:
        return values.mean() if values.notna().sum() == len(HIGH_SIGMAS) else float("nan")

    groups = chosen.groupby(keys, sort=False)
    averaged = groups.agg(n=("n", "min"), mean=("mean", complete), published=("published", complete)).reset_index()
    return averaged.assign(sigma=float("nan"), std=float("nan"))[figures.columns]


def is_reinterpreted(method: TableMethod) -> bool:
    """Whether the method's network was rebuilt from an abstract."""
    return method.standing == REINTERPRETED


def _both_patterns(long: pd.DataFrame) -> pd.DataFrame:
    """Average the Gaussian and the speckle score of each image, in groups where every image has both."""
    keys = ["modality", "method", "sigma", "score"]
    groups = long.groupby([*keys, "image_id"], sort=False)["value"]
    averaged = groups.agg(count="size", value=lambda values: values.mean(skipna=False)).reset_index()
    whole = averaged.groupby(keys)["count"].transform("min") == len(PATTERNS)
    return averaged[whole].drop(columns="count").assign(pattern=AVERAGE)


def _published_by_method(printed: pd.DataFrame, methods: Sequence[TableMethod]) -> pd.DataFrame:
    """Repeat the published figures for each of our methods that has a published name."""
    names = pd.DataFrame(
        [(method.name, method.published) for method in methods if method.published is not None],
        columns=["own", "method"],
    )
    merged = printed.merge(names, on="method")
    return merged.drop(columns=["method", "table"]).rename(columns={"own": "method"})[[*KEYS, "published"]]
