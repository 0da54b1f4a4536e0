# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Presets: how many images of each modality and split a published training used."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

from ..listing import check_known
from .manifest import SPLITS, Manifest, ManifestError, ManifestRecord, spread
from .split import SubjectGroup, choose_by_subject, group_by_subject

__all__ = ["PRESETS", "Preset", "build_preset"]


@dataclass(frozen=True)
class Preset:
    """How many images a training uses.

    Args:
        modalities: the modalities, each of which must be there.
        train: training images, of all modalities together.
        val: validation images, of all modalities together, the same number of each.
        test_per_modality: test images of each modality.
    """

    modalities: tuple[str, ...]
    train: int
    val: int
    test_per_modality: int


PRESETS = {"paper": Preset(("mri", "xray", "ct", "skin", "microscopy"), train=24000, val=1000, test_per_modality=1000)}


def build_preset(
    manifests: Sequence[Manifest | str | os.PathLike],
    out: str | os.PathLike | None = None,
    preset: str | Preset = "paper",
    allow_fewer: bool = False,
    seed: int = 0,
) -> Manifest:
    """Choose the images of a preset from manifests of whole collections, by subject, the same ones each time.

    Test and validation images come first, the same number of each modality. Training images are shared out as
    equally as the modalities allow: where one has fewer than its share, the others give more, so that the total is
    reached (of the paper's own sources, the MRI ones hold fewer images than a fifth of it). Splits that the manifests
    had are forgotten.

    Args:
        manifests: manifests, or their paths, that together hold all modalities of the preset.
        out: the CSV to write; None to write nothing.
        preset: its name, or a :class:`Preset`.
        allow_fewer: where there are too few images, shrink: a modality's test and validation sets in proportion to
            the images that it has, and the training set to what is there.
        seed: another seed gives another choice of subjects.

    Returns:
        The manifest, in the order of the input.

    Raises:
        ManifestError: saying how many images are missing of which modality, or which modality is missing altogether.
    """
    if isinstance(preset, str):
        check_known("preset", preset, PRESETS, ManifestError)
        preset = PRESETS[preset]
    read = [m if isinstance(m, Manifest) else Manifest.read(m) for m in manifests]
    records = [record for manifest in read for record in manifest if record.modality in preset.modalities]
    groups: dict[str, list[SubjectGroup]] = {modality: [] for modality in preset.modalities}
    for group in group_by_subject(records):
        groups[group.modality].append(group)
    absent = [modality for modality in preset.modalities if not groups[modality]]
    if absent:
        names = ", ".join(manifest.name for manifest in read)
        raise ManifestError(f"no image of modality {', '.join(absent)} in {names}: the preset needs all of them.")

    picked, short = _pick(preset, groups, scale=False, seed=seed)
    if short and not allow_fewer:
        have = ", ".join(f"{m} {sum(map(len, groups[m]))} of {len(groups[m])} subjects" for m in preset.modalities)
        raise ManifestError(
            f"images are missing: {'; '.join(short)}. There are: {have}. Add manifests, or allow fewer (--allow-fewer)."
        )
    if short:
        picked, _ = _pick(preset, groups, scale=True, seed=seed)
    splits: dict[int, str] = {}
    for indices in picked.values():
        splits.update({index: split for split in SPLITS for index in indices[split]})
    chosen: list[ManifestRecord] = [dataclasses.replace(records[i], split=splits[i]) for i in sorted(splits)]
    manifest = Manifest(chosen, out)
    empty = [f"{m} {s}" for m in preset.modalities for s in SPLITS if not manifest.counts().get((m, s))]
    if empty:
        raise ManifestError(f"no image is left for {', '.join(empty)}: too few subjects. Add manifests.")
    if out is not None:
        manifest.write(out)
    return manifest


def _pick(
    preset: Preset, groups: dict[str, list[SubjectGroup]], scale: bool, seed: int
) -> tuple[dict[str, dict[str, list[int]]], list[str]]:
    """For each modality the images of each split, and what is missing, in words."""
    share = preset.train / len(preset.modalities)
    val = preset.val // len(preset.modalities)
    picked: dict[str, dict[str, list[int]]] = {}
    short: list[str] = []
    for modality in preset.modalities:
        have = sum(map(len, groups[modality]))
        part = min(1.0, have / (share + val + preset.test_per_modality)) if scale else 1.0
        wanted = {"val": max(1, round(part * val)), "test": max(1, round(part * preset.test_per_modality))}
        picked[modality] = choose_by_subject(
            groups[modality], (have, wanted["val"], wanted["test"]), f"{seed}:{modality}"
        )
        for split, count in wanted.items():
            if len(picked[modality][split]) < count:
                short.append(f"{modality} {split}: {count - len(picked[modality][split])} of {count}")
    quotas = _share_out(preset.train, {modality: len(picked[modality]["train"]) for modality in preset.modalities})
    for modality, count in quotas.items():
        picked[modality]["train"] = spread(picked[modality]["train"], count) if count else []
    if sum(quotas.values()) < preset.train:
        short.append(f"train, of any modality: {preset.train - sum(quotas.values())} of {preset.train}")
    return picked, short


def _share_out(total: int, available: dict[str, int]) -> dict[str, int]:
    """Share ``total`` out as equally as what is available allows; the smallest first, so that others make up for it."""
    shares: dict[str, int] = {}
    left = total
    for position, name in enumerate(sorted(available, key=lambda key: (available[key], key))):
        shares[name] = min(available[name], left // (len(available) - position))
        left -= shares[name]
    return shares
