# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The leave-one-patient-out study: every method trained on the others' pairs, scored on the patient left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...bundles import bundle_path
from ...data_manifest import Manifest, leave_one_subject_out
from ...transforms import LoadMedicalImage, ScaleToUnitRanged
from ...transforms.intensity import CT_RANGE
from ..denoising.models import DenoisingModel
from ..inferer import DenoisingInferer
from ..reproduce.methods import Method, read_methods
from ..reproduce.training import RowResult, read_marker, row_folder, train_methods
from ..weights import load_weights
from .references import REFERENCES, fit_reference
from .rows import read_rows, write_rows
from .scores import score_slice

__all__ = ["BUNDLE", "Pair", "fold_folder", "read_pair", "score_folds", "study_methods", "train_folds"]

BUNDLE = "low_dose_ct_denoising"
# Every so many-th slice of a training patient follows the training; the patient left out is in no other split.
VALIDATION_EVERY = 5

Denoiser = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pair:
    """A low-dose slice and its full-dose partner, ``(H, W)`` float64 in HU."""

    low: np.ndarray
    full: np.ndarray
    kernel: str
    subject: str
    image_id: str


def study_methods() -> list[Method]:
    """The methods of the bundle's ``configs/methods``, in the order of training."""
    return read_methods(bundle_path(BUNDLE) / "configs" / "methods")


def fold_folder(output: str | os.PathLike, subject: str) -> Path:
    """Where a fold lies: ``<output>/folds/<subject>``."""
    return Path(output) / "folds" / subject


def train_folds(
    methods: Sequence[Method],
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    settings: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = print,
    **options: Any,
) -> list[RowResult]:
    """Train each method once a patient, on the pairs of all others; what is finished is kept.

    Args:
        methods: in the order of training: all folds of the first one, then the next.
        manifest: pairs of several patients; its own splits do not count.
        output: the folder; see :func:`fold_folder`.
        settings: overrides of config keys, for all methods alike.
        report: told what happens, line by line.
        options: passed to :func:`~noisewise.pipelines.reproduce.training.train_methods`.

    Returns:
        What became of each training.

    Raises:
        ManifestError: when the manifest cannot be read or has fewer than two patients.
        BudgetError: when the folder was begun with another budget or manifest.
    """
    folds = []
    for subject, fold in leave_one_subject_out(Manifest.read(manifest), val_every=VALIDATION_EVERY):
        folds.append((subject, fold.write(fold_folder(output, subject) / "pairs.csv", absolute=True)))
    results = []
    for method in methods:
        for subject, path in folds:
            results += train_methods(
                [method],
                path,
                fold_folder(output, subject),
                settings,
                lambda line, subject=subject: report(f"without {subject}: {line}"),
                bundle=BUNDLE,
                overlays=("pairs.yaml",),
                **options,
            )
    return results


def score_folds(
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    methods: Sequence[Method],
    references: Sequence[str] = tuple(REFERENCES),
    models: Mapping[str, DenoisingModel] | None = None,
    spacing_mm: float = 0.7,
    window: tuple[float, float] = (40.0, 400.0),
    report: Callable[[str], None] = print,
) -> Path:
    """Score references, ready networks and the trained methods on the patients that each was not trained on.

    Args:
        manifest: the manifest that the folds were made of.
        output: the folder of :func:`train_folds`; rows that ``scores.csv`` there holds already are not computed again.
        methods: methods to score; one whose training of a fold is not finished is left out there, and named.
        references: names in :data:`~noisewise.pipelines.low_dose_ct.references.REFERENCES`.
        models: further networks by name, the same for every fold, such as the shipped weights.
        spacing_mm: side of a pixel.
        window: centre and width of the clinical window in HU.
        report: told what happens, line by line.

    Returns:
        ``<output>/scores.csv``: one line a method and slice, with the keys of
        :func:`~noisewise.pipelines.low_dose_ct.score_slice`.

    Raises:
        ManifestError: when the manifest cannot be read or has fewer than two patients.
    """
    table = Path(output) / "scores.csv"
    rows = {(row["method"], row["image_id"]): row for row in read_rows(table)}
    for subject, fold in leave_one_subject_out(Manifest.read(manifest), val_every=VALIDATION_EVERY):
        train = fold.select("train").records
        tested = fold.select("test").records
        denoisers = [
            *((name, name, _reference(name, train)) for name in references),
            *((name, model.digest, _network(model.network)) for name, model in (models or {}).items()),
            *_trained(methods, fold_folder(output, subject), subject, report),
        ]
        for name, weights, make in denoisers:
            missing = [each for each in tested if rows.get((name, each.image_id), {}).get("weights") != weights]
            if not missing:
                continue
            report(f"{name}: {len(missing)} slices of {subject}")
            for record in missing:
                pair = read_pair(record)
                denoised = make(pair)
                scores = score_slice(denoised, pair.low, pair.full, window, spacing_mm)
                rows[name, record.image_id] = {
                    "method": name,
                    "subject": subject,
                    "kernel": record.kernel,
                    "image_id": record.image_id,
                    "weights": weights,
                    **scores,
                }
            write_rows(table, rows.values())
    return table


def read_pair(record: Any) -> Pair:
    """Read a manifest's pair in HU.

    Args:
        record: a line of the manifest, with a target.

    Returns:
        The pair.

    Raises:
        ImageReadError: when a file cannot be read.
    """
    item = record.datum()
    load = LoadMedicalImage()
    low, high = CT_RANGE
    scaled = ScaleToUnitRanged(["image", "target"])(
        item | {"image": load(item["image"]), "target": load(item["target"])}
    )
    slices = (np.asarray(scaled[key][0], np.float64) * (high - low) + low for key in ("image", "target"))
    return Pair(*slices, record.kernel, record.subject, record.image_id)


def _reference(name: str, train: Sequence[Any]) -> Callable[[Pair], np.ndarray]:
    fitted: dict[str, Denoiser] = {}

    def denoise(pair: Pair) -> np.ndarray:
        # Fitted when first needed, and for each kernel apart: reading all pairs takes a while.
        if pair.kernel not in fitted:
            pairs = [read_pair(record) for record in train if record.kernel == pair.kernel]
            fitted[pair.kernel] = fit_reference(name, [(each.low, each.full) for each in pairs])
        return fitted[pair.kernel](pair.low)

    return denoise


def _network(network: torch.nn.Module) -> Callable[[Pair], np.ndarray]:
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    inferer = DenoisingInferer(pass_through=True)
    low, high = CT_RANGE

    def denoise(pair: Pair) -> np.ndarray:
        unit = torch.from_numpy((pair.low - low) / (high - low)).float()[None, None]
        with torch.inference_mode():
            return inferer(unit, network)[0, 0].double().numpy() * (high - low) + low

    return denoise


def _trained(
    methods: Sequence[Method], folder: Path, subject: str, report: Callable[[str], None]
) -> Iterator[tuple[str, str, Callable[[Pair], np.ndarray]]]:
    for method in methods:
        marker = read_marker(folder, method.name)
        if marker is None:
            report(f"{method.name}: not trained without {subject}; left out")
            continue
        network = method.network()
        load_weights(network, row_folder(folder, method.name) / "model.pt")
        yield method.name, marker["weights"], _network(network)
