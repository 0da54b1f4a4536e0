# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of all compared methods on the same images, gathered method by method."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...atomic import write_text_atomically
from ...bundles import bundle_path
from ...data_manifest import Manifest, file_digest
from ..bundle.config import root_cause
from ..evaluation import REFERENCES, reference_methods
from .budget import differences
from .methods import Method, MethodError
from .study import evaluate_into
from .training import RowResult, read_marker, row_folder

__all__ = ["SHIPPED", "TABLE_REFERENCES", "ScoringSetup", "score_methods", "scores_folder"]

SHIPPED = {
    "two_stage_shipped": ("two-stage, shipped weights", "model.pt"),
    "two_stage_commercial": ("two-stage, shipped weights without HAM10000", "model_commercial.pt"),
}
"""The bundle's own weights, whose training had another budget: what the tables call them, and their file."""
TABLE_REFERENCES = ("noisy", "bm3d", "bm3d_vst")
SETUP_FILE = "setup.json"


@dataclass(frozen=True)
class ScoringSetup:
    """What is scored, and how.

    Attributes:
        split: ``"train"``, ``"val"`` or ``"test"``.
        protocol: noise protocol.
        crop: side of the scored centre crop in pixels; None scores whole images.
        limit: at most so many images of each modality; None scores all.
        seed: base seed of the noise.
        amp_dtype: ``"bfloat16"`` or ``"float16"`` runs the networks in it; None in float32.
        device: ``"cpu"``, ``"cuda"``, ...; a GPU where there is one when None.
    """

    split: str = "test"
    protocol: str = "physical"
    crop: int | None = 256
    limit: int | None = None
    seed: int = 0
    amp_dtype: str | None = None
    device: str | None = None


def scores_folder(output: str | os.PathLike, protocol: str = "physical") -> Path:
    """Where a protocol's scores are kept: ``<output>/tables/<protocol>``."""
    return Path(output) / "tables" / protocol


def score_methods(
    methods: Sequence[Method],
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    setup: ScoringSetup | None = None,
    only: Sequence[str] | None = None,
    report: Callable[[str], None] = print,
) -> list[RowResult]:
    """Score the references, the shipped weights and every method whose training is finished.

    All go into ``<output>/tables/<protocol>/scores.csv``; what that holds already is not computed again.

    Args:
        methods: the compared methods.
        manifest: the manifest of the images.
        output: the folder of the trainings and the tables.
        setup: what is scored; the defaults when None.
        only: names of methods, references or of :data:`SHIPPED`; all when None or empty.
        report: told what happens, line by line.

    Returns:
        What became of each: ``"scored"``, ``"missing"`` (not trained yet, or a reference whose package is not
        installed) or ``"failed"``.

    Raises:
        MethodError: when a name in ``only`` is unknown.
        ManifestError: when the manifest cannot be read.
        ValueError: when the folder holds scores of another setup or manifest.
    """
    setup = setup or ScoringSetup()
    references = list(dict.fromkeys([*TABLE_REFERENCES, *REFERENCES]))
    known = [*references, *(method.name for method in methods), *SHIPPED]
    unknown = [name for name in only or () if name not in known]
    if unknown:
        raise MethodError(f"no method {', '.join(map(repr, unknown))}; there are {', '.join(known)}.")
    folder = scores_folder(output, setup.protocol)
    _check_setup(folder, setup, manifest)
    tasks: dict[str, Callable[[], dict[str, Any]]] = {
        name: partial(_reference, name) for name in references if name in (only or TABLE_REFERENCES)
    }
    tasks |= {method.name: partial(_trained, method, output) for method in methods if not only or method.name in only}
    tasks |= {name: partial(_shipped, name) for name in SHIPPED if not only or name in only}
    results = []
    for name, arguments in tasks.items():
        try:
            chosen = arguments()
        except _Missing as error:
            result = RowResult(name, "missing", str(error))
        except ValueError as error:
            result = RowResult(name, "failed", str(error))
        else:
            report(f"{name}: scoring")
            result = _score(name, chosen, manifest, folder, setup)
        report(f"{name}: {result.message}")
        results.append(result)
    return results


class _Missing(Exception):
    """Nothing to score yet; not a fault."""


def _reference(name: str) -> dict[str, Any]:
    try:
        reference_methods([name])
    except (ValueError, ImportError) as error:
        raise _Missing(f"left out: {error}") from None
    return {"method": None, "references": [name]}


def _shipped(name: str) -> dict[str, Any]:
    weights = bundle_path("multimodal_denoising") / "models" / SHIPPED[name][1]
    if not weights.exists():
        raise _Missing(f"left out: {weights} does not exist")
    return {"method": name, "references": [], "weights": str(weights)}


def _trained(method: Method, output: str | os.PathLike) -> dict[str, Any]:
    marker = read_marker(output, method.name)
    if marker is None:
        raise _Missing("left out: its training is not finished")
    weights = row_folder(output, method.name) / "model.pt"
    if not weights.exists() or file_digest(weights) != marker["weights"]:
        raise ValueError(f"{weights}: is not the file that the training ended with.")
    return {
        "method": method.name,
        "references": [],
        "network_def": method.network(),
        "weights": str(weights),
    }


def _score(
    name: str, chosen: dict[str, Any], manifest: str | os.PathLike, folder: Path, setup: ScoringSetup
) -> RowResult:
    try:
        rows = evaluate_into(folder, manifest, **chosen, **asdict(setup))
    # One method's fault, whatever it is, must not keep the others from their scores.
    except Exception as error:
        return RowResult(name, "failed", f"failed: {root_cause(error)}")
    own = rows[rows["method"] == name]
    images = own["image_id"].nunique()
    return RowResult(name, "scored", f"{images} images, {len(own)} scores in {folder / 'scores.csv'}")


def _check_setup(folder: Path, setup: ScoringSetup, manifest: str | os.PathLike) -> None:
    """What ``scores.csv`` itself does not hold must not change either."""
    now = {key: value for key, value in asdict(setup).items() if key not in ("limit", "device")}
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
        raise ValueError(f"{folder}: holds scores of another setup ({'; '.join(changed)}); choose another --output.")
