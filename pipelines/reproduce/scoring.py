# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of all compared methods on the same images, collected method by method."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ...atomic import write_text_atomically
from ...bundles import bundle_path
from ...data_manifest import Manifest, file_digest
from ...listing import check_known
from ..bundle.config import root_cause
from ..evaluation import REFERENCES, EvaluationSettings, reference_methods
from ..evaluation.run import ScoredNetwork, evaluate_into
from ..evaluation.settings import CENTER_CROPS
from .budget import differences
from .methods import Method, MethodError
from .progress import numbered
from .training import RowResult, read_marker, row_folder

__all__ = ["SHIPPED", "TABLE_REFERENCES", "score_methods", "scores_folder"]

SHIPPED = {
    "two_stage_shipped": ("two-stage, shipped weights", "model.pt"),
    "two_stage_commercial": ("two-stage, shipped weights without HAM10000", "model_commercial.pt"),
}
"""The bundle's own weights, which were trained with another budget: their titles in the tables, and their files."""
TABLE_REFERENCES = ("noisy", "bm3d", "bm3d_vst")
SETUP_FILE = "setup.json"
# All scores of a folder share these settings and the manifest.
SETUP = ("split", "protocol", "crop", "seed", "amp_dtype")


def scores_folder(output: str | os.PathLike, protocol: str = "physical") -> Path:
    """Return the folder of a protocol's scores: ``<output>/tables/<protocol>``."""
    return Path(output) / "tables" / protocol


def score_methods(
    methods: Sequence[Method],
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    settings: EvaluationSettings = CENTER_CROPS,
    only: Sequence[str] | None = None,
    report: Callable[[str], None] = print,
) -> list[RowResult]:
    """Score the references, the shipped weights and every method whose training is finished.

    All scores are written to ``<output>/tables/<protocol>/scores.csv``; existing ones are not computed again.

    Args:
        methods: the compared methods.
        manifest: the manifest of the images.
        output: the folder of the trainings and the tables.
        settings: which images, under which noise.
        only: names of methods, references or of :data:`SHIPPED`; all when None or empty.
        report: receives each line of progress.

    Returns:
        The outcome of each: ``"scored"``, ``"missing"`` (not trained yet, or a reference whose package is not
        installed) or ``"failed"``.

    Raises:
        MethodError: when a name in ``only`` is unknown.
        ManifestError: when the manifest cannot be read.
        ValueError: when the folder has scores of another setup or manifest.
    """
    references = list(dict.fromkeys([*TABLE_REFERENCES, *REFERENCES]))
    known = [*references, *(method.name for method in methods), *SHIPPED]
    check_known("method", only or (), known, MethodError)
    folder = scores_folder(output, settings.protocol)
    _check_setup(folder, settings, manifest)
    tasks: dict[str, Callable[[], ScoredNetwork | str]] = {
        name: partial(_reference, name) for name in references if name in (only or TABLE_REFERENCES)
    }
    tasks |= {method.name: partial(_trained, method, output) for method in methods if not only or method.name in only}
    tasks |= {name: partial(_shipped, name) for name in SHIPPED if not only or name in only}
    results = []
    for (name, prepare), report_row in numbered(list(tasks.items()), report):
        try:
            method = prepare()
        except _Missing as error:
            result = RowResult(name, "missing", str(error))
        except ValueError as error:
            result = RowResult(name, "failed", str(error))
        else:
            report_row(f"{name}: scoring")
            result = _score(method, manifest, folder, settings)
        report_row(f"{name}: {result.message}")
        results.append(result)
    return results


class _Missing(Exception):
    """There is nothing to score yet, which is not an error."""


def _reference(name: str) -> str:
    try:
        reference_methods([name])
    except (ValueError, ImportError) as error:
        raise _Missing(f"left out: {error}") from None
    return name


def _shipped(name: str) -> ScoredNetwork:
    weights = bundle_path("multimodal_denoising") / "models" / SHIPPED[name][1]
    if not weights.exists():
        raise _Missing(f"left out: {weights} does not exist")
    return ScoredNetwork(name, weights)


def _trained(method: Method, output: str | os.PathLike) -> ScoredNetwork:
    marker = read_marker(output, method.name)
    if marker is None:
        raise _Missing("left out: its training is not finished")
    weights = row_folder(output, method.name) / "model.pt"
    if not weights.exists() or file_digest(weights) != marker["weights"]:
        raise ValueError(f"{weights}: is not the file that the training ended with.")
    return ScoredNetwork(method.name, weights, method.network())


def _score(
    method: ScoredNetwork | str, manifest: str | os.PathLike, folder: Path, settings: EvaluationSettings
) -> RowResult:
    """Score a network, or a reference given by its name."""
    name = method if isinstance(method, str) else method.name
    try:
        if isinstance(method, str):
            rows = evaluate_into(folder, manifest, settings, references=[method])
        else:
            rows = evaluate_into(folder, manifest, settings, method)
    # No error of one method may prevent the scores of the others.
    except Exception as error:
        return RowResult(name, "failed", f"failed: {root_cause(error)}")
    own = rows[rows["method"] == name]
    images = own["image_id"].nunique()
    return RowResult(name, "scored", f"{images} images, {len(own)} scores in {folder / 'scores.csv'}")


def _check_setup(folder: Path, settings: EvaluationSettings, manifest: str | os.PathLike) -> None:
    """Refuse to mix settings that ``scores.csv`` does not store itself."""
    now = {key: getattr(settings, key) for key in SETUP}
    now["manifest_digest"] = Manifest.read(manifest).digest()
    path = folder / SETUP_FILE
    if not path.exists():
        write_text_atomically(path, json.dumps(now, indent=1) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is damaged ({error}); delete it.") from None
    changed = differences(before, now)
    if changed:
        raise ValueError(f"{folder}: has scores of another setup ({'; '.join(changed)}); choose another --output.")
