# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The review page of results: of a run that has just ended, or of files that are there already."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..audit.page import LARGEST_PAGE, ImagePair, PageImage, write_page
from ..formats.registry import suffix_of
from ..formats.stack import FormatError, ImageStack
from .jobs import read_together
from .ledger import finished_work
from .models import is_ct_model
from .run import Outcome
from .settings import DenoisingSettings
from .sources import AUDIT_FOLDER, LEDGER_FOLDER, find_sources
from .stack_audit import audit_stack

__all__ = [
    "PAGE",
    "Result",
    "audit_result",
    "default_page",
    "has_record",
    "results_by_name",
    "results_in_folder",
    "results_of_run",
    "write_review",
]

PAGE = "report.html"


@dataclass(frozen=True)
class Result:
    """A denoised image, volume or series.

    Attributes:
        name: relative to the folder of the inputs.
        inputs: its files.
        outputs: the denoised files, in the same order.
        strength: of the denoising.
        modality: the modality that the user stated; None takes the file's own.
        slice_axis: the axis along which a volume was cut; None is the default.
        model: name of the model; ``""`` if unknown.
        audit: its audit; None without one.
        sizes: bytes of the inputs when they were denoised; None if unknown.
    """

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    strength: float = 1.0
    modality: str | None = None
    slice_axis: int | None = None
    model: str = ""
    audit: dict[str, Any] | None = None
    sizes: tuple[int, ...] | None = None


def results_of_run(
    outcomes: Iterable[Outcome], settings: DenoisingSettings, root: str | os.PathLike
) -> list[Result]:
    """The audited results of a run, those of earlier runs included.

    Args:
        outcomes: outcomes of the run.
        settings: how it denoised.
        root: folder that names are relative to.
    """
    results = []
    for outcome in outcomes:
        record = outcome.record or {}
        if record.get("audit") is None:
            continue
        lost = {path for path, _ in outcome.failures}
        source = outcome.source.only(path for path in outcome.source.paths if str(path) not in lost)
        results.append(
            Result(
                name=Path(os.path.relpath(outcome.source.paths[0], root)).as_posix(),
                inputs=source.paths,
                outputs=source.outputs,
                strength=settings.strength,
                modality=settings.modality,
                slice_axis=settings.slice_axis,
                model=record["model"],
                audit=record["audit"],
            )
        )
    return results


def has_record(folder: str | os.PathLike) -> bool:
    """Whether a folder has a ledger of results."""
    return Path(folder, LEDGER_FOLDER, "ledger.jsonl").is_file()


def results_in_folder(folder: str | os.PathLike, inputs: str | os.PathLike | None = None) -> list[Result]:
    """The results that the ledger of an output folder lists.

    Args:
        folder: folder of results of ``noisewise denoise``.
        inputs: folder of the inputs; None takes the one that the ledger names.

    Returns:
        The results, by name.

    Raises:
        FileNotFoundError: if the folder has no ledger.
        LedgerError: if the ledger is damaged.
    """
    results = []
    for settings, line in finished_work(folder):
        root = Path(inputs if inputs is not None else settings["input"])
        names, outputs = list(line["inputs"]), list(line["outputs"])
        record = line["record"]
        results.append(
            Result(
                name=names[0],
                inputs=tuple(root / name for name in names),
                outputs=tuple(Path(folder) / name for name in outputs[: len(names)]),
                strength=settings["strength"],
                modality=settings["modality"],
                slice_axis=settings["slice_axis"],
                model=record["model"],
                audit=record["audit"],
                sizes=tuple(size for size, _ in line["inputs"].values()),
            )
        )
    return sorted(results, key=lambda result: result.name)


def results_by_name(inputs: str | os.PathLike, outputs: str | os.PathLike) -> tuple[list[Result], Path]:
    """The results that have the names of inputs, where there is no ledger. They are taken for results of strength 1.

    Args:
        inputs: a file, or a folder.
        outputs: its result, or the folder of results.

    Returns:
        The results that exist, and the folder of their audit.

    Raises:
        SourceError: if an input or output cannot be used.
        FileNotFoundError: if no result exists.
    """
    found = find_sources(inputs, outputs, audit=True)
    results = [
        Result(Path(os.path.relpath(source.paths[0], found.root)).as_posix(), source.paths, source.outputs)
        for source in found.sources
        if all(path.is_file() for path in source.outputs)
    ]
    if not results:
        raise FileNotFoundError(f"{outputs}: holds no result of the images in {inputs}.")
    return results, found.audit_folder


def audit_result(result: Result) -> Result:
    """Audit a result from its files, unless it has an audit. Integers hold the removed part to half a step only.

    Args:
        result: the result.

    Returns:
        The result with its audit.

    Raises:
        FormatError: if the files cannot be read, or do not fit each other.
        OSError: likewise.
    """
    if result.audit is not None:
        return result
    before, after = _read_pair(result)
    removed = np.stack([before.real(index) - after.real(index) for index in range(len(before.slices))])
    by_kernel = (result.modality or before.modality) == "ct" or is_ct_model(result.model)
    return replace(result, audit=audit_stack(before, removed, result.strength, by_kernel)[0])


def write_review(path: str | os.PathLike, results: Iterable[Result], limit: int = LARGEST_PAGE) -> Path:
    """Write the review page, see :func:`~noisewise.pipelines.audit.page.write_page`.

    Args:
        path: the file.
        results: audited results.
        limit: bytes of the page's pictures.

    Returns:
        ``path``.
    """
    images = [
        PageImage(each.name, each.audit, partial(_image_pair, each), len(each.inputs), each.strength)
        for each in results
    ]
    return write_page(path, images, limit)


def default_page(folder: str | os.PathLike) -> Path:
    """The place of the page of an output folder."""
    return Path(folder) / AUDIT_FOLDER / PAGE


def _image_pair(result: Result) -> ImagePair:
    before, after = _read_pair(result)
    spacing = before.spacing or (None, None, None)
    return ImagePair(
        count=len(before.slices),
        slices=lambda index: (before.real(index), after.real(index)),
        hounsfield=before.unit == "HU",
        eight_bit=before.eight_bit and before.unit == "" and np.all(np.equal(before.slope, 1)),
        inverted=before.inverted,
        aspect=spacing[2] / spacing[1] if spacing[1] and spacing[2] else 1.0,
    )


def _read_pair(result: Result) -> tuple[ImageStack, ImageStack]:
    settings = DenoisingSettings(slice_axis=result.slice_axis)
    for path, size in zip(result.inputs, result.sizes or ()):
        if path.stat().st_size != size:
            raise FormatError(path, "has changed since it was denoised.")
    kind = suffix_of(result.inputs[0]) or "dicom"
    before, after = (read_together(paths, kind, settings, True) for paths in (result.inputs, result.outputs))
    if before.slices.shape != after.slices.shape:
        raise FormatError(result.outputs[0], f"has other dimensions than the input {result.inputs[0]}.")
    return before, after
