# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The paper's numbers of images."""

from __future__ import annotations

import pytest

from noisewise.data_manifest import PRESETS, Manifest, ManifestError, Preset, build_preset

SMALL = Preset(("mri", "ct"), train=100, val=20, test_per_modality=15)


@pytest.fixture
def collection(make_record):
    """A function: so many subjects of three images of a modality."""

    def make(modality: str, subjects: int, source: str = "here") -> Manifest:
        return Manifest(
            [
                make_record(
                    f"/{source}/{modality}/{s}/{i}.png", modality=modality, source=source, subject=f"{modality}{s}"
                )
                for s in range(subjects)
                for i in range(3)
            ],
            f"{modality}.csv",
        )

    return make


def test_the_papers_numbers():
    paper = PRESETS["paper"]
    assert paper.modalities == ("mri", "xray", "ct", "skin", "microscopy")
    assert (paper.train, paper.val, paper.test_per_modality) == (24000, 1000, 1000)


def test_the_paper_preset_has_exactly_the_papers_numbers(collection):
    manifests = [collection(modality, 2300) for modality in PRESETS["paper"].modalities]
    chosen = build_preset(manifests)
    counts = chosen.counts()
    assert len(chosen) == 30000
    for modality in PRESETS["paper"].modalities:
        assert [counts[modality, split] for split in ("train", "val", "test")] == [4800, 200, 1000]


def test_chosen_by_subject_and_the_same_each_time(tmp_path, collection):
    manifests = [collection("mri", 60), collection("ct", 60)]
    chosen = build_preset(manifests, tmp_path / "p.csv", SMALL)
    assert Manifest.read(tmp_path / "p.csv").records == chosen.records
    assert build_preset(manifests, preset=SMALL).records == chosen.records
    assert build_preset(manifests, preset=SMALL, seed=1).records != chosen.records
    homes: dict[tuple, set[str]] = {}
    for record in chosen:
        homes.setdefault(record.subject_key, set()).add(record.split)
    assert all(len(splits) == 1 for splits in homes.values())


def test_other_modalities_give_more_training_images_where_one_has_few(collection):
    counts = build_preset([collection("mri", 20), collection("ct", 60)], preset=SMALL).counts()
    assert counts["mri", "test"] == counts["ct", "test"] == 15
    assert counts["mri", "val"] == counts["ct", "val"] == 10
    assert counts["mri", "train"] < 50 < counts["ct", "train"]
    assert counts["mri", "train"] + counts["ct", "train"] == 100


def test_what_is_missing_is_said(collection):
    with pytest.raises(ManifestError, match=r"mri val: \d+ of 10.*mri 18 of 6 subjects, ct 180 of 60") as caught:
        build_preset([collection("mri", 6), collection("ct", 60)], preset=SMALL)
    assert "--allow-fewer" in str(caught.value)
    with pytest.raises(ManifestError, match=r"train, of any modality: \d+ of 100"):
        build_preset([collection("mri", 15), collection("ct", 15)], preset=SMALL)
    with pytest.raises(ManifestError, match=r"no image of modality ct in mri\.csv"):
        build_preset([collection("mri", 60)], preset=SMALL)
    with pytest.raises(ManifestError, match="unknown preset 'papre'"):
        build_preset([collection("mri", 60)], preset="papre")


def test_allowing_fewer_shrinks_in_proportion(collection):
    manifests = [collection("mri", 10), collection("ct", 60)]
    counts = build_preset(manifests, preset=Preset(("mri", "ct"), 200, 20, 30), allow_fewer=True).counts()
    # mri has 30 of the 140 images that would be its part: 10 * 30 / 140 for val, 30 * 30 / 140 for test.
    assert counts["mri", "val"] == 2 and counts["mri", "test"] == 6
    assert counts["mri", "train"] > 0
    assert counts["ct", "val"] == 10 and counts["ct", "test"] == 30


def test_allowing_fewer_changes_nothing_when_there_is_enough(collection):
    manifests = [collection("mri", 60), collection("ct", 60)]
    strict = build_preset(manifests, preset=SMALL)
    assert build_preset(manifests, preset=SMALL, allow_fewer=True).records == strict.records


def test_one_subject_cannot_fill_three_splits(collection):
    with pytest.raises(ManifestError, match="no image is left for mri"):
        build_preset([collection("mri", 1), collection("ct", 60)], preset=SMALL, allow_fewer=True)
