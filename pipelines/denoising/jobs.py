# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Denoising one source in three steps, so that reading and writing can run beside the denoising of another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..audit.residual import audit_residual, summarize_audits
from ..formats.dicom import read_dicom
from ..formats.registry import read_stack
from ..formats.stack import FormatError, ImageStack
from .denoiser import Removed
from .ledger import InputState, input_states
from .mapping import stack_range, stored_limits
from .models import is_ct_model
from .noise_map import write_noise_map
from .settings import DenoisingOptions
from .sources import Source

__all__ = ["DenoisedSource", "JobRecord", "LoadedSource", "denoise_source", "read_source", "run_job", "write_source"]


@dataclass
class JobRecord:
    """What is known of a source once it is denoised; it can be sent to another process.

    Attributes:
        model: the name of the model.
        model_digest: SHA-256 of its weights.
        slices: how many there are.
        seconds: of reading, denoising and writing, without waiting.
        removed: standard deviation of what was removed, in the unit of the values.
        removed_share: the same as a share of the intensity range.
        unit: of the values, ``""`` when unknown.
        audit: what the audit found, None without one.
        lost: files of a series that could not be read, and why.
        inputs: the files before they were read, see :func:`~noisewise.pipelines.denoising.ledger.input_states`.
        source: what was denoised: without the lost files.
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

    def summary(self) -> dict[str, Any]:
        """What the ledger keeps, as JSON knows it."""
        kept = ("model", "model_digest", "slices", "seconds", "removed", "removed_share", "unit", "audit")
        return {name: getattr(self, name) for name in kept}


@dataclass
class LoadedSource:
    """A source in memory.

    Attributes:
        source: without the files that could not be read.
        stack: what the files hold.
        real_range: the values that stand for black and white, None for an image without contrast.
        lost: the files that could not be read, and why.
        inputs: the files before they were read.
        seconds: that it took.
    """

    source: Source
    stack: ImageStack
    real_range: tuple[float, float] | None
    lost: list[tuple[str, str]]
    inputs: dict[Path, InputState]
    seconds: float


@dataclass
class DenoisedSource:
    """A source ready to be written.

    Attributes:
        loaded: what was read.
        slices: the denoised ones.
        removed: what was removed, ``(N, H, W[, 3])`` float32 in the unit of the values; None when nobody asked.
        record: what is known so far.
    """

    loaded: LoadedSource
    slices: np.ndarray
    removed: np.ndarray | None
    record: JobRecord


@dataclass
class Removal:
    """Sums up what is removed, part by part, and keeps it where that is asked for.

    Attributes:
        slope: real values for one stored value, ``(N,)``.
        values: ``(N, H, W[, 3])`` float32, to be filled; None keeps nothing.
    """

    slope: np.ndarray
    values: np.ndarray | None = None
    count: int = field(default=0, init=False)
    total: float = field(default=0.0, init=False)
    squares: float = field(default=0.0, init=False)

    def __call__(self, removed: Removed) -> None:
        """Take in one part."""
        scale = self.slope[removed.index].reshape(-1, *(1,) * (removed.values.ndim - 1))
        values = removed.values * scale.astype(np.float32)
        if self.values is not None:
            self.values[(removed.index, *removed.core)] = values
        self.count += values.size
        self.total += float(values.sum(dtype=np.float64))
        self.squares += float(np.square(values, dtype=np.float64).sum())

    def std(self) -> float:
        """Standard deviation of all that was taken in."""
        if not self.count:
            return 0.0
        mean = self.total / self.count
        return max(0.0, self.squares / self.count - mean * mean) ** 0.5


def read_source(source: Source, options: DenoisingOptions) -> LoadedSource:
    """Read a source and find its intensity range.

    Of a series, files that cannot be read are left out and named; the others are denoised.

    Args:
        source: what there is to denoise.
        options: how.

    Returns:
        What is in memory then.

    Raises:
        FormatError: when the file cannot be read or denoised.
        ExceptionGroup: of these, when a series has no file that can be read.
    """
    begin = time.perf_counter()
    inputs = input_states(source)
    stack, lost = _read(source, options)
    kept = source.only(stack.paths)
    real_range = stack_range(stack, options.modality, options.intensity_range)
    inputs = {path: inputs[path] for path in kept.paths}
    return LoadedSource(kept, stack, real_range, lost, inputs, time.perf_counter() - begin)


def denoise_source(
    loaded: LoadedSource, options: DenoisingOptions, on_progress: Callable[[float], None] | None = None
) -> DenoisedSource:
    """Denoise what was read.

    Args:
        loaded: what :func:`read_source` gave.
        options: how.
        on_progress: called with the number of slices (fractions for tiles) that each step completes.

    Returns:
        What there is to write.

    Raises:
        ValueError: when it cannot be denoised.
        EngineError: when no image can be.
    """
    begin = time.perf_counter()
    stack = loaded.stack
    denoiser = options.denoiser(stack.modality)
    keep = options.audit or options.noise_map
    slope = np.broadcast_to(np.asarray(stack.slope, np.float64), (len(stack.slices),))
    removal = Removal(slope, np.zeros(stack.slices.shape, np.float32) if keep else None)
    if loaded.real_range is None:
        slices = stack.slices.copy()
    else:
        slices = denoiser.denoise_slices(
            stack.slices,
            stored_limits(stack, loaded.real_range),
            options.strength,
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
    )
    stack.details["settings"] = {
        "model": record.model,
        "weights": record.model_digest,
        "strength": options.strength,
        "intensity_range": list(loaded.real_range or ()),
        "precision": denoiser.engine(stack.eight_bit).precision,
    }
    record.seconds += time.perf_counter() - begin
    return DenoisedSource(loaded, slices, removal.values, record)


def write_source(denoised: DenoisedSource, options: DenoisingOptions) -> JobRecord:
    """Write the results of a source; each file appears under its name when it is whole.

    Args:
        denoised: what :func:`denoise_source` gave.
        options: how.

    Returns:
        The record, with the audit where one was asked for.

    Raises:
        FormatError: when a file cannot be written. New files of this source are removed then.
        OSError: when the disk is full, likewise.
    """
    begin = time.perf_counter()
    source, stack, record = denoised.loaded.source, denoised.loaded.stack, denoised.record
    new = [path for path in source.all_outputs if not path.exists()]
    try:
        stack.write(stack, denoised.slices, list(source.outputs))
        if source.noise_map is not None:
            write_noise_map(stack, denoised.removed, source.noise_map)
        if options.audit:
            by_kernel = (options.modality or stack.modality) == "ct" or is_ct_model(record.model)
            record.audit = _audit(denoised, correlated_noise=by_kernel)
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise
    record.seconds += time.perf_counter() - begin
    return record


def run_job(source: Source, options: DenoisingOptions) -> JobRecord:
    """All three steps, one after the other.

    Args:
        source: what there is to denoise.
        options: how.

    Returns:
        What is known then.

    Raises:
        FormatError: and what else the steps raise.
    """
    return write_source(denoise_source(read_source(source, options), options), options)


def _audit(denoised: DenoisedSource, correlated_noise: bool) -> dict[str, Any]:
    """The audit of all slices, summed up, and the picture of the one with the most to look at."""
    stack, source = denoised.loaded.stack, denoised.loaded.source
    frozen = [None] * len(denoised.slices) if stack.frozen is None else stack.frozen
    audits = [
        audit_residual(stack.real(index), denoised.removed[index], stack.unit, frozen[index], correlated_noise)
        for index in range(len(denoised.slices))
    ]
    summary = summarize_audits(audits)
    if len(audits) == 1:
        summary["warnings"] = list(audits[0].warnings)
    worst = summary["worst_slice"]
    shown = max(range(len(audits)), key=lambda index: audits[index].std) if worst is None else worst
    if source.picture is not None:
        # Drawing needs matplotlib, which takes long to import.
        from ..audit.picture import audit_picture

        noisy, removed = stack.real(shown), denoised.removed[shown]
        title = source.paths[0].name if len(audits) == 1 else f"{source.paths[0].name}, slice {shown}"
        audit_picture(source.picture, noisy, noisy - removed, removed, audits[shown], title, frozen[shown])
    return {**summary, "shown_slice": shown, "shown": audits[shown].to_dict()}


def _read(source: Source, options: DenoisingOptions) -> tuple[ImageStack, list[tuple[str, str]]]:
    try:
        return _read_together(source.paths, source.kind, options), []
    except FormatError:
        if len(source.paths) == 1:
            raise
        good, lost = _try_each(source, options)
        if not lost:
            raise
        if not good:
            raise ExceptionGroup(f"{source.name}: no file of the series can be read", lost) from None
        # Slice by slice, a gap where they were is none.
        stack = _read_together(good, source.kind, options, allow_gaps=True)
        # Not the errors themselves, which would keep in memory what had been read of the files.
        return stack, [(error.path, error.cause) for error in lost]


def _try_each(source: Source, options: DenoisingOptions) -> tuple[list[Path], list[FormatError]]:
    good, lost = [], []
    for path in source.paths:
        try:
            _read_together([path], source.kind, options)
            good.append(path)
        except FormatError as error:
            lost.append(error)
    return good, lost


def _read_together(
    paths: Sequence[Path], kind: str, options: DenoisingOptions, allow_gaps: bool = False
) -> ImageStack:
    if kind == "dicom":
        return read_dicom(paths, allow_gaps)
    return read_stack(paths[0], options.slice_axis)
