# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Splitting images into train, val and test so that no subject is in two of them."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .manifest import SPLITS, ManifestError, ManifestRecord, spread

__all__ = ["SubjectGroup", "choose_by_subject", "group_by_subject", "split_by_subject"]


@dataclass(frozen=True)
class SubjectGroup:
    """Images that must stay in one split.

    Args:
        indices: their places in the list they come from.
        modality: the modality that most of them have.
    """

    indices: tuple[int, ...]
    modality: str

    def __len__(self) -> int:
        return len(self.indices)


def group_by_subject(records: Sequence[ManifestRecord]) -> list[SubjectGroup]:
    """Put together what must stay together: images of one subject, equal files, noisy images and their partners.

    Args:
        records: images.

    Returns:
        Groups that share no subject, no checksum and no file, in the order of their first image.
    """
    parent = list(range(len(records)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    owner: dict[tuple, int] = {}
    for index, record in enumerate(records):
        keys = [("subject", *record.subject_key), ("path", record.path)]
        keys += [("sha256", record.sha256)] if record.sha256 else []
        keys += [("path", record.target)] if record.target else []
        for key in keys:
            parent[root(index)] = root(owner.setdefault(key, index))
    members: dict[int, list[int]] = {}
    for index in range(len(records)):
        members.setdefault(root(index), []).append(index)
    groups = []
    for indices in members.values():
        modalities = Counter(records[index].modality for index in indices)
        groups.append(SubjectGroup(tuple(indices), min(modalities, key=lambda name: (-modalities[name], name))))
    return sorted(groups, key=lambda group: group.indices[0])


def split_by_subject(
    records: Iterable[ManifestRecord],
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    counts: Sequence[int] | None = None,
    seed: int = 0,
) -> list[ManifestRecord]:
    """Give every image a split; no subject and no file is in two splits. The same input gives the same splits.

    Each modality is split by itself. A modality of fewer subjects than splits fills train first, then test, then val.

    Args:
        records: images; the splits that they have are forgotten.
        fractions: shares of train, val and test, of the images of each modality; their sum is 1.
        counts: in place of ``fractions``, how many images of **each modality** train, val and test get. Images
            beyond them get no split.
        seed: another seed gives another choice of subjects.

    Returns:
        The images in their order, with their splits.

    Raises:
        ManifestError: when fractions or counts are invalid, or when a modality has too few images for the
            counts.
    """
    records = list(records)
    if counts is None:
        if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
            raise ManifestError(f"fractions are {tuple(fractions)}; three numbers that sum to 1 are needed.")
    elif len(counts) != 3 or any(count != int(count) or count < 0 for count in counts):
        raise ManifestError(f"counts are {tuple(counts)}; three whole numbers, 0 or more, are needed.")
    by_modality: dict[str, list[SubjectGroup]] = {}
    for group in group_by_subject(records):
        by_modality.setdefault(group.modality, []).append(group)
    chosen: dict[int, str] = {}
    for modality, groups in by_modality.items():
        if counts is None:
            chosen.update(_by_fractions(groups, fractions, f"{seed}:{modality}"))
            continue
        picked = choose_by_subject(groups, counts, f"{seed}:{modality}")
        short = [f"{split}: {len(picked[split])} of {count}" for split, count in zip(SPLITS, counts)]
        if any(len(picked[split]) < count for split, count in zip(SPLITS, counts)):
            raise ManifestError(
                f"modality '{modality}' has {sum(map(len, groups))} images of {len(groups)} subjects, too few for the "
                f"counts asked for ({', '.join(short)})."
            )
        chosen.update({index: split for split, indices in picked.items() for index in indices})
    return [dataclasses.replace(record, split=chosen.get(index, "")) for index, record in enumerate(records)]


def choose_by_subject(groups: Sequence[SubjectGroup], counts: Sequence[int], seed: str) -> dict[str, list[int]]:
    """Choose given numbers of images for train, val and test so that no group is in two of them.

    Test and val are filled first, by whole subjects drawn at random; the rest is for train. A subject with more
    images than half of what test or val need goes there only when nothing else is left: one subject would dominate
    the figures. Where a split has too many images, an evenly spread choice is kept.

    Args:
        groups: images of one modality.
        counts: the numbers of images that train, val and test should get.
        seed: seed of the draw.

    Returns:
        For each split the places of its images, fewer than asked for where there are not enough.
    """
    order = _shuffled(groups, seed)
    picked: dict[str, list[int]] = {}
    wanted = dict(zip(SPLITS, counts))
    for split in ("test", "val"):
        taken: dict[int, SubjectGroup] = {}
        count = 0
        for limit in (max(wanted[split] / 2, 1), float("inf")):
            for position, group in enumerate(order):
                if count < wanted[split] and position not in taken and len(group) <= limit:
                    taken[position] = group
                    count += len(group)
        order = [group for position, group in enumerate(order) if position not in taken]
        picked[split] = _trim(taken.values(), wanted[split])
    picked["train"] = _trim(order, wanted["train"])
    return picked


def _trim(groups: Iterable[SubjectGroup], count: int) -> list[int]:
    return spread(sorted(index for group in groups for index in group.indices), count) if count > 0 else []


def _shuffled(groups: Sequence[SubjectGroup], seed: str) -> list[SubjectGroup]:
    # Seeding with a string gives the same order on every platform and in every Python version.
    return random.Random(seed).sample(list(groups), len(groups))


def _by_fractions(groups: Sequence[SubjectGroup], fractions: Sequence[float], seed: str) -> dict[int, str]:
    """Each group goes where most images are still missing, the large groups first."""
    total = sum(map(len, groups))
    missing = {split: fraction * total for split, fraction in zip(SPLITS, fractions) if fraction > 0}
    smallest = min(missing.values())
    order = sorted(_shuffled(groups, seed), key=lambda group: -len(group) if len(group) > smallest else 0)
    chosen: dict[int, str] = {}
    empty = [split for split in ("train", "test", "val") if split in missing]
    for position, group in enumerate(order):
        left = len(order) - position
        # When only as many groups are left as splits are empty, each of these gets one.
        split = empty[0] if left <= len(empty) else max(missing, key=lambda name: missing[name])
        if split in empty:
            empty.remove(split)
        missing[split] -= len(group)
        chosen.update(dict.fromkeys(group.indices, split))
    return chosen
