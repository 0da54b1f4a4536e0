# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The leave-one-patient-out study: every method is trained on all other patients and scored on the one left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...bundles import bundle_path
from ...data_manifest import Manifest, leave_one_subject_out
from ...transforms.intensity import CT_RANGE
from ..denoising import Denoiser
from ..reproduce.methods import Method, read_methods
from ..reproduce.progress import numbered
from ..reproduce.training import RowResult, read_marker, row_folder, train_methods
from .references import fit_reference
from .rows import read_rows, write_rows
from .scores import score_slice
from .slices import read_slice

__all__ = [
    "BUNDLE",
    "ComparedDenoisers",
    "Pair",
    "PairDenoiser",
    "fold_denoisers",
    "fold_folder",
    "read_pair",
    "score_folds",
    "study_methods",
    "train_folds",
]

BUNDLE = "low_dose_ct_denoising"
# Every fifth slice of a training patient is used for validation; the patient left out is only in the test split.
VALIDATION_EVERY = 5


@dataclass(frozen=True)
class Pair:
    """A low-dose slice and its full-dose partner, ``(H, W)`` float64 in HU."""

    low: np.ndarray
    full: np.ndarray
    kernel: str
    subject: str
    image_id: str


PairDenoiser = Callable[[Pair], np.ndarray]


@dataclass(frozen=True)
class ComparedDenoisers:
    """The denoisers that a study compares.

    Attributes:
        methods: methods that were trained on every fold; see :func:`train_folds`.
        references: names in :data:`~noisewise.pipelines.low_dose_ct.references.FOLD_REFERENCES`.
        ready: networks by name, the same for every fold, such as the shipped weights.
    """

    methods: Sequence[Method] = ()
    references: Sequence[str] = ()
    ready: Mapping[str, Denoiser] = field(default_factory=dict)


def study_methods() -> list[Method]:
    """Read the methods of the bundle's ``configs/methods``, in the order of training."""
    return read_methods(bundle_path(BUNDLE) / "configs" / "methods")


def fold_folder(output: str | os.PathLike, subject: str) -> Path:
    """Return the folder of a fold: ``<output>/folds/<subject>``."""
    return Path(output) / "folds" / subject


def train_folds(
    methods: Sequence[Method],
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    settings: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = print,
    **options: Any,
) -> list[RowResult]:
    """Train each method once per patient, on the pairs of all other patients; finished trainings are kept.

    Args:
        methods: in the order of training: all folds of the first one, then the next.
        manifest: manifest of pairs of several patients; its splits are ignored.
        output: the folder; see :func:`fold_folder`.
        settings: overrides of config keys, the same for all methods.
        report: receives each line of progress.
        options: passed to :func:`~noisewise.pipelines.reproduce.training.train_methods`.

    Returns:
        The outcome of each training.

    Raises:
        ManifestError: when the manifest cannot be read or has fewer than two patients.
        BudgetError: when the folder was started with another budget or manifest.
    """
    folds = []
    for subject, fold in leave_one_subject_out(Manifest.read(manifest), val_every=VALIDATION_EVERY):
        folds.append((subject, fold.write(fold_folder(output, subject) / "pairs.csv", absolute=True)))
    results = []
    trainings = [(method, subject, path) for method in methods for subject, path in folds]
    for (method, subject, path), report_row in numbered(trainings, report):
        results += train_methods(
            [method],
            path,
            fold_folder(output, subject),
            settings,
            lambda line, report_row=report_row, subject=subject: report_row(f"without {subject}: {line}"),
            bundle=BUNDLE,
            overlays=("pairs.yaml",),
            **options,
        )
    return results


def score_folds(
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    compared: ComparedDenoisers,
    spacing_mm: float = 0.7,
    window: tuple[float, float] = (40.0, 400.0),
    report: Callable[[str], None] = print,
) -> Path:
    """Score denoisers on the patients that they were not trained on.

    Args:
        manifest: the manifest that the folds were made from.
        output: the folder of :func:`train_folds`; existing rows of its ``scores.csv`` are not computed again.
        compared: the denoisers; a method whose training of a fold is not finished is left out there, and reported.
        spacing_mm: side of a pixel.
        window: center and width of the clinical window in HU.
        report: receives each line of progress.

    Returns:
        ``<output>/scores.csv``: one line per method and slice, with the keys of
        :func:`~noisewise.pipelines.low_dose_ct.score_slice`.

    Raises:
        ManifestError: when the manifest cannot be read or has fewer than two patients.
    """
    table = Path(output) / "scores.csv"
    rows = {(row["method"], row["image_id"]): row for row in read_rows(table)}
    for subject, fold in leave_one_subject_out(Manifest.read(manifest), val_every=VALIDATION_EVERY):
        tested = fold.select("test").records
        for name, weights, denoise in _denoisers_of_fold(fold, subject, output, compared, report):
            missing = [each for each in tested if rows.get((name, each.image_id), {}).get("weights") != weights]
            if not missing:
                continue
            report(f"{name}: {len(missing)} slices of {subject}")
            for record in missing:
                pair = read_pair(record)
                scores = score_slice(denoise(pair), pair.low, pair.full, window, spacing_mm)
                rows[name, record.image_id] = {
                    "method": name,
                    "subject": subject,
                    "kernel": record.kernel,
                    "image_id": record.image_id,
                    "weights": weights,
                    **scores,
                }
            write_rows(table, rows.values())  # after each denoiser, so that an interrupted run loses only one
    return table


def fold_denoisers(
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    compared: ComparedDenoisers,
    report: Callable[[str], None] = print,
) -> dict[str, PairDenoiser]:
    """Make functions that denoise each pair with the weights or filter of its fold, which never saw its patient.

    Args:
        manifest: the manifest that the folds were made from.
        output: the folder of :func:`train_folds`.
        compared: the denoisers; a method that is not trained on every fold is left out, and reported.
        report: receives a line for each one left out.

    Returns:
        Functions by method that return the denoised low dose of a pair, ``(H, W)`` in HU.
    """
    by_method: dict[str, dict[str, PairDenoiser]] = {}
    folds = dict(leave_one_subject_out(Manifest.read(manifest), val_every=VALIDATION_EVERY))
    for subject, fold in folds.items():
        for name, _, denoise in _denoisers_of_fold(fold, subject, output, compared, report):
            by_method.setdefault(name, {})[subject] = denoise

    def by_subject(made: Mapping[str, PairDenoiser]) -> PairDenoiser:
        return lambda pair: made[pair.subject](pair)

    return {name: by_subject(made) for name, made in by_method.items() if len(made) == len(folds)}


def _denoisers_of_fold(
    fold: Manifest,
    subject: str,
    output: str | os.PathLike,
    compared: ComparedDenoisers,
    report: Callable[[str], None],
) -> list[tuple[str, str, PairDenoiser]]:
    """Return name, digest and denoiser of each method of a fold."""
    train = fold.select("train").records
    return [
        *((name, name, _reference(name, train)) for name in compared.references),
        *((name, each.model.digest, _network(each)) for name, each in compared.ready.items()),
        *_trained(compared.methods, fold_folder(output, subject), subject, report),
    ]


def read_pair(record: Any) -> Pair:
    """Read a manifest's pair in HU.

    Args:
        record: a line of the manifest, with a target.

    Returns:
        The pair.

    Raises:
        ImageReadError: when a file cannot be read.
    """
    return Pair(read_slice(record), read_slice(record, target=True), record.kernel, record.subject, record.image_id)


def _reference(name: str, train: Sequence[Any]) -> PairDenoiser:
    fitted: dict[str, Callable[[np.ndarray], np.ndarray]] = {}

    def denoise(pair: Pair) -> np.ndarray:
        # Fitted for each kernel when it is first needed, because reading all pairs takes a while.
        if pair.kernel not in fitted:
            pairs = [read_pair(record) for record in train if record.kernel == pair.kernel]
            fitted[pair.kernel] = fit_reference(name, [(each.low, each.full) for each in pairs])
        return fitted[pair.kernel](pair.low)

    return denoise


def _network(denoiser: Denoiser) -> PairDenoiser:
    """Denoise as users do: values outside -1000..1000 HU pass through, any engine."""

    def denoise(pair: Pair) -> np.ndarray:
        return np.asarray(denoiser.denoise_slices(pair.low[None].astype(np.float32), CT_RANGE)[0], np.float64)

    return denoise


def _trained(
    methods: Sequence[Method], folder: Path, subject: str, report: Callable[[str], None]
) -> Iterator[tuple[str, str, PairDenoiser]]:
    for method in methods:
        marker = read_marker(folder, method.name)
        if marker is None:
            report(f"{method.name}: not trained without {subject}; left out")
            continue
        denoiser = Denoiser(row_folder(folder, method.name) / "model.pt", precision="float32", config=method.config)
        yield method.name, denoiser.model.digest, _network(denoiser)
