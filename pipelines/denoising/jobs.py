# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoise one source in three steps, so that one source is read or written while another is denoised."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...transforms.intensity import FoundRange
from ..formats.memory import MemoryLimitError
from ..formats.registry import read_stack
from ..formats.stack import Derivation, FormatError, ImageStack
from .denoiser import RemovedPart, get_denoiser
from .ledger import InputState, input_states
from .mapping import find_stack_range, stored_limits
from .models import is_ct_model
from .notes import notes_on
from .settings import DenoisingSettings
from .sources import Source

__all__ = [
    "DenoisedSource",
    "JobRecord",
    "LoadedSource",
    "denoise_source",
    "read_source",
    "read_together",
    "run_job",
    "write_source",
]


@dataclass
class JobRecord:
    """The record of a denoised source; it can be sent to another process.

    Attributes:
        model: name of the model.
        model_digest: SHA-256 of its weights.
        slices: number of slices.
        seconds: time of reading, denoising and writing, without waiting.
        removed: standard deviation of the removed noise, in the unit of the values.
        removed_share: the same as a share of the intensity range.
        unit: unit of the values, ``""`` if unknown.
        audit: the audit's findings; None without an audit.
        lost: files of a series that could not be read, and why.
        inputs: states of the files before they were read, see
            :func:`~noisewise.pipelines.denoising.ledger.input_states`.
        source: the source, without the lost files.
        notes: what a reader of the result should know, one line each.
    """

    model: str
    model_digest: str
    slices: int
    seconds: float
    removed: float
    removed_share: float
    unit: str
    audit: dict[str, Any] | None
    lost: list[tuple[str, str]]
    inputs: dict[Path, InputState]
    source: Source
    notes: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """The part that the ledger keeps, as values that JSON can hold."""
        kept = ("model", "model_digest", "slices", "seconds", "removed", "removed_share", "unit", "audit")
        return {name: getattr(self, name) for name in kept}


@dataclass
class LoadedSource:
    """A source in memory.

    Attributes:
        source: without the files that could not be read.
        stack: the slices of the files.
        real_range: the values that stand for black and white; None for an image without contrast.
        lost: the files that could not be read, and why.
        inputs: states of the files before they were read.
        seconds: time of reading.
        guess: the range, if nothing but the values decided it; else None.
    """

    source: Source
    stack: ImageStack
    real_range: tuple[float, float] | None
    lost: list[tuple[str, str]]
    inputs: dict[Path, InputState]
    seconds: float
    guess: FoundRange | None = None


@dataclass
class DenoisedSource:
    """A source ready to be written.

    Attributes:
        loaded: the source as it was read.
        slices: the denoised slices.
        removed: the removed noise, ``(N, H, W[, 3])`` float32 in the unit of the values; None if not requested.
        record: the record so far.
    """

    loaded: LoadedSource
    slices: np.ndarray
    removed: np.ndarray | None
    record: JobRecord


@dataclass
class RemovedNoise:
    """Statistics of the removed noise, part by part; keeps the values too where a caller wants them.

    Attributes:
        slope: real values for one stored value, ``(N,)``.
        values: ``(N, H, W[, 3])`` float32, filled part by part; None keeps the statistics only.
    """

    slope: np.ndarray
    values: np.ndarray | None = None
    count: int = field(default=0, init=False)
    total: float = field(default=0.0, init=False)
    squares: float = field(default=0.0, init=False)

    def __call__(self, removed: RemovedPart) -> None:
        """Add one part."""
        scale = self.slope[removed.index].reshape(-1, *(1,) * (removed.values.ndim - 1))
        values = removed.values * scale.astype(np.float32)
        if self.values is not None:
            self.values[(removed.index, *removed.core)] = values
        self.count += values.size
        self.total += float(values.sum(dtype=np.float64))
        self.squares += float(np.square(values, dtype=np.float64).sum())

    def std(self) -> float:
        """Standard deviation of all parts."""
        if not self.count:
            return 0.0
        mean = self.total / self.count
        return max(0.0, self.squares / self.count - mean * mean) ** 0.5


def read_source(source: Source, settings: DenoisingSettings) -> LoadedSource:
    """Read a source and find its intensity range.

    Files of a series that cannot be read are left out and named; the others are denoised.

    Args:
        source: the source.
        settings: how to denoise.

    Returns:
        The source in memory.

    Raises:
        FormatError: if the file cannot be read or denoised.
        ExceptionGroup: of such errors, if no file of a series can be read.
    """
    begin = time.perf_counter()
    inputs = input_states(source)
    stack, lost = _read(source, settings)
    kept = source.only(stack.paths)
    found = find_stack_range(stack, settings.modality, settings.intensity_range, Path(settings.model).name)
    real_range, guess = (None, None) if found is None else (found[:2], found if found.guess else None)
    inputs = {path: inputs[path] for path in kept.files}
    return LoadedSource(kept, stack, real_range, lost, inputs, time.perf_counter() - begin, guess)


def denoise_source(
    loaded: LoadedSource, settings: DenoisingSettings, on_progress: Callable[[float], None] | None = None
) -> DenoisedSource:
    """Denoise a source that was read.

    Args:
        loaded: the source, from :func:`read_source`.
        settings: how to denoise.
        on_progress: called with the number of slices (fractions for tiles) that each step completes.

    Returns:
        The source, ready to be written.

    Raises:
        ValueError: if it cannot be denoised.
        EngineError: if the engine cannot denoise any image.
    """
    begin = time.perf_counter()
    stack = loaded.stack
    denoiser = get_denoiser(settings, stack.modality)
    keep = settings.audit or settings.noise_map
    slope = np.broadcast_to(np.asarray(stack.slope, np.float64), (len(stack.slices),))
    removal = RemovedNoise(slope, np.zeros(stack.slices.shape, np.float32) if keep else None)
    if loaded.real_range is None:
        slices = stack.slices.copy()
    else:
        slices = denoiser.denoise_slices(
            stack.slices,
            stored_limits(stack, loaded.real_range),
            settings.strength,
            stack.stored_range,
            stack.frozen,
            on_removed=removal,
            on_progress=on_progress,
        )
    low, high = loaded.real_range or (0.0, 1.0)
    record = JobRecord(
        model=denoiser.model.name,
        model_digest=denoiser.model.digest,
        slices=len(slices),
        seconds=loaded.seconds,
        removed=removal.std(),
        removed_share=removal.std() / (high - low),
        unit=stack.unit,
        audit=None,
        lost=loaded.lost,
        inputs=loaded.inputs,
        source=loaded.source,
        notes=notes_on(stack, loaded.real_range),
    )
    stack.derivation = Derivation(
        model=record.model,
        weights=record.model_digest,
        strength=settings.strength,
        intensity_range=tuple(loaded.real_range or ()),
        precision=denoiser.engine(stack.eight_bit).precision,
    )
    record.seconds += time.perf_counter() - begin
    return DenoisedSource(loaded, slices, removal.values, record)


def write_source(denoised: DenoisedSource, settings: DenoisingSettings) -> JobRecord:
    """Write the results of a source; each file appears under its name once it is complete.

    Args:
        denoised: the source, from :func:`denoise_source`.
        settings: how it was denoised.

    Returns:
        The record, with the audit if one was requested.

    Raises:
        FormatError: if a file cannot be written. New files of this source are removed.
        OSError: if the disk is full, likewise.
    """
    begin = time.perf_counter()
    source, stack, record = denoised.loaded.source, denoised.loaded.stack, denoised.record
    new = [path for path in source.all_outputs if not path.exists()]
    try:
        stack.write(stack, denoised.slices, list(source.outputs))
        if source.noise_map is not None:
            from .noise_map import write_noise_map

            write_noise_map(stack, denoised.removed, source.noise_map)
        if settings.audit:
            by_kernel = (settings.modality or stack.modality) == "ct" or is_ct_model(record.model)
            record.audit = _audit(denoised, settings.strength, correlated_noise=by_kernel)
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise
    record.seconds += time.perf_counter() - begin
    return record


def run_job(source: Source, settings: DenoisingSettings) -> JobRecord:
    """All three steps, one after the other.

    Args:
        source: the source.
        settings: how to denoise.

    Returns:
        The record.

    Raises:
        FormatError: see the three steps, which raise other errors too.
    """
    return write_source(denoise_source(read_source(source, settings), settings), settings)


def _audit(denoised: DenoisedSource, strength: float, correlated_noise: bool) -> dict[str, Any]:
    """Summarize the audits of all slices, and draw the slice that needs the most attention."""
    # The libraries of the audit, as those of each format, take long to import.
    from ..audit.residual import at_full_strength
    from .stack_audit import audit_stack

    stack, source = denoised.loaded.stack, denoised.loaded.source
    summary, audit = audit_stack(stack, denoised.removed, strength, correlated_noise)
    if source.picture is not None:
        from ..audit.picture import audit_picture

        shown = summary["shown_slice"]
        noisy, removed = stack.real(shown), denoised.removed[shown]
        title = source.paths[0].name if len(stack.slices) == 1 else f"{source.paths[0].name}, slice {shown}"
        full = at_full_strength(removed, strength)
        frozen = None if stack.frozen is None else stack.frozen[shown]
        audit_picture(source.picture, noisy, noisy - removed, full, audit, title, frozen)
    return summary


def _read(source: Source, settings: DenoisingSettings) -> tuple[ImageStack, list[tuple[str, str]]]:
    try:
        return read_together(source.paths, source.kind, settings), []
    except MemoryLimitError:
        raise
    except FormatError as error:
        if len(source.paths) == 1:
            raise
        whole = error
    good, lost = _try_each(source, settings)
    if not good:
        raise ExceptionGroup(f"{source.name}: no file of the series can be read", lost)
    # Slices are denoised one by one, so gaps do no harm.
    try:
        if not lost:
            raise whole
        stack = read_together(good, source.kind, settings, allow_gaps=True)
    except FormatError as error:
        from ..formats.dicom.odd import odd_files

        odd = odd_files(good)
        if not odd:
            if not lost:
                raise
            raise ExceptionGroup(f"{source.name}: the series cannot be read", [error, *lost]) from None
        lost += [FormatError(path, cause) for path, cause in odd.items()]
        stack = read_together([path for path in good if path not in odd], source.kind, settings, allow_gaps=True)
    # Not the errors themselves, which would keep the contents of the files in memory.
    return stack, [(error.path, error.cause) for error in lost]


def _try_each(source: Source, settings: DenoisingSettings) -> tuple[list[Path], list[FormatError]]:
    good, lost = [], []
    for path in source.paths:
        try:
            read_together([path], source.kind, settings)
            good.append(path)
        except FormatError as error:
            lost.append(error)
    return good, lost


def read_together(
    paths: Sequence[Path], kind: str, settings: DenoisingSettings, allow_gaps: bool = False
) -> ImageStack:
    """Read the files of one source.

    Args:
        paths: its files.
        kind: of the source, see :class:`~noisewise.pipelines.denoising.sources.Source`.
        settings: name the axis along which volumes are cut.
        allow_gaps: whether slices of a series may be missing.

    Returns:
        The slices of all files.

    Raises:
        FormatError: if a file cannot be read.
    """
    if kind == "dicom":
        from ..formats.dicom import read_dicom

        return read_dicom(paths, allow_gaps)
    return read_stack(paths[0], settings.slice_axis)
