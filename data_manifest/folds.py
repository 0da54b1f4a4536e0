# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Leave-one-subject-out folds: each subject is the test set once, for collections of a few patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from .manifest import Manifest, ManifestError, ManifestRecord
from .split import SubjectGroup, group_by_subject

__all__ = ["leave_one_subject_out"]


def leave_one_subject_out(
    manifest: Manifest, val_every: int = 0, val_subjects: int = 0
) -> Iterator[tuple[str, Manifest]]:
    """The folds of a cross-validation by subject.

    The subject that is tested on is in no other split. Subjects that share a file stay together, as one of the
    folds.

    Args:
        manifest: images; the splits that they have are forgotten.
        val_every: every n-th image of each training subject is for validation; 0 for none. Neighboring slices are
            much alike, so such a validation set follows training and not generalization, and the check that runs
            before a training names it as a leak between train and val.
        val_subjects: so many whole subjects, those after the tested one, are for validation; 0 for none. They leak
            nothing.

    Returns:
        An iterator over the subject's name (several joined by ``+``) and the manifest, its splits set.

    Raises:
        ManifestError: when the manifest has too few subjects, or when both kinds of validation are asked for.
    """
    if val_every < 0 or val_every == 1 or val_subjects < 0 or (val_every and val_subjects):
        raise ManifestError("give val_every of 2 or more, or val_subjects of 1 or more, or neither.")
    groups = group_by_subject(manifest.records)
    if len(groups) < 2 + val_subjects:
        raise ManifestError(f"{manifest.name} has {len(groups)} subject(s); {2 + val_subjects} are needed.")
    return _folds(manifest, groups, val_every, val_subjects)


def _folds(
    manifest: Manifest, groups: list[SubjectGroup], val_every: int, val_subjects: int
) -> Iterator[tuple[str, Manifest]]:
    for fold, tested in enumerate(groups):
        splits = dict.fromkeys(range(len(manifest)), "train")
        for position in range(1, len(groups)):
            indices = groups[(fold + position) % len(groups)].indices
            if position <= val_subjects:
                splits.update(dict.fromkeys(indices, "val"))
            elif val_every:
                splits.update(dict.fromkeys(indices[val_every // 2 :: val_every], "val"))
        splits.update(dict.fromkeys(tested.indices, "test"))
        records = [dataclasses.replace(record, split=splits[i]) for i, record in enumerate(manifest)]
        yield _name(records, tested.indices), Manifest(records, manifest.path, manifest.skipped)


def _name(records: list[ManifestRecord], indices: tuple[int, ...]) -> str:
    return "+".join(sorted({records[index].subject for index in indices}))
