# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Splits by subject."""

from __future__ import annotations

from collections import Counter

import pytest

from noisewise.data_manifest import ManifestError, split_by_subject


@pytest.fixture
def records(make_record):
    """Two modalities, 40 subjects each, of 1 to 6 images."""
    return [
        make_record(
            f"/{m}/{s}/{i}.png", modality=m, subject=f"{m}{s}", split="", sha256=f"{hash((m, s, i)) % 16**8:064x}"
        )
        for m in ("mri", "ct")
        for s in range(40)
        for i in range(s % 6 + 1)
    ]


def assert_no_leak(records):
    homes: dict[tuple, set[str]] = {}
    for record in records:
        if record.split:
            homes.setdefault(record.subject_key, set()).add(record.split)
            homes.setdefault(("sha256", record.sha256), set()).add(record.split)
    assert all(len(splits) == 1 for splits in homes.values())


def test_shares_are_met_by_modality_without_leaks(records):
    done = split_by_subject(records, (0.6, 0.2, 0.2))
    assert_no_leak(done)
    assert [r.path for r in done] == [r.path for r in records]
    for modality in ("mri", "ct"):
        counts = Counter(r.split for r in done if r.modality == modality)
        total = sum(counts.values())
        assert counts["train"] / total == pytest.approx(0.6, abs=0.04)
        assert counts["val"] / total == pytest.approx(0.2, abs=0.04)
        assert counts["test"] / total == pytest.approx(0.2, abs=0.04)


def test_same_seed_same_split_and_another_seed_another(records):
    assert split_by_subject(records, seed=1) == split_by_subject(records, seed=1)
    assert split_by_subject(records, seed=1) != split_by_subject(records, seed=2)


def test_the_draw_is_the_same_on_every_machine(make_record):
    # Frozen: a change would silently move images between splits of users' manifests.
    records = [make_record(f"/{i}.png", subject=str(i)) for i in range(10)]
    assert "".join(r.split[:2] for r in split_by_subject(records, (0.6, 0.2, 0.2), seed=3)) == "tetrtrtevatrtrvatrtr"


def test_counts_are_exact_and_the_rest_gets_no_split(records):
    done = split_by_subject(records, counts=(50, 10, 20), seed=5)
    assert_no_leak(done)
    for modality in ("mri", "ct"):
        counts = Counter(r.split for r in done if r.modality == modality)
        assert (counts["train"], counts["val"], counts["test"]) == (50, 10, 20)
        assert counts[""] > 0


def test_too_few_images_for_the_counts(records):
    with pytest.raises(ManifestError, match=r"modality 'mri' has 136 images of 40 subjects.*train: \d+ of 500"):
        split_by_subject(records, counts=(500, 10, 20))


def test_equal_files_stay_together_whatever_their_subject(make_record):
    records = [make_record(f"/{i}.png", subject=f"s{i}", sha256=f"{i // 2:064x}") for i in range(60)]
    for seed in range(5):
        assert_no_leak(split_by_subject(records, (0.4, 0.3, 0.3), seed=seed))


def test_a_chain_of_shared_files_and_subjects_is_one_group(make_record):
    chain = [make_record(f"/{i}.png", subject=f"s{(i + 1) // 2}", sha256=f"{i // 2:064x}") for i in range(9)]
    others = [make_record(f"/o{i}.png", subject=f"o{i}", sha256=f"{100 + i:064x}") for i in range(30)]
    for seed in range(5):
        done = split_by_subject(chain + others, (0.4, 0.3, 0.3), seed=seed)
        assert len({r.split for r in done[:9]}) == 1


def test_noisy_images_of_one_clean_partner_stay_together(make_record):
    records = [make_record(f"/n{i}.png", subject=f"s{i}", target=f"/c{i // 3}.png") for i in range(60)]
    for seed in range(5):
        done = split_by_subject(records, (0.4, 0.3, 0.3), seed=seed)
        assert all(len({r.split for r in done[i : i + 3]}) == 1 for i in range(0, 60, 3))


def test_equal_subject_names_of_two_sources_are_two_subjects(make_record):
    records = [make_record(f"/{c}{i}.png", source=c, subject="1") for c in "abcdefghij" for i in range(2)]
    assert {r.split for r in split_by_subject(records)} == {"train", "val", "test"}


# number of subjects, the splits they fill
@pytest.mark.parametrize(
    ("subjects", "filled"), [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "val", "test"})]
)
def test_few_subjects_fill_train_then_test_then_val(make_record, subjects, filled):
    records = [make_record(f"/{s}{i}.png", subject=str(s)) for s in range(subjects) for i in range(5)]
    assert {r.split for r in split_by_subject(records)} == filled


def test_a_dominant_subject_is_kept_out_of_the_small_splits(make_record):
    records = [make_record(f"/g{i}.png", subject="giant") for i in range(100)]
    records += [make_record(f"/{i}.png", subject=str(i)) for i in range(40)]
    for seed in range(5):
        assert {r.split for r in split_by_subject(records, (0.8, 0.1, 0.1), seed=seed)[:100]} == {"train"}
        done = split_by_subject(records, counts=(60, 10, 10), seed=seed)
        assert {r.split for r in done[:100]} <= {"train", ""}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": (0.8, 0.1)}, "three numbers"),
        ({"fractions": (0.8, 0.1, 0.2)}, "sum to 1"),
        ({"fractions": (1.1, -0.1, 0)}, "fractions are"),
        ({"counts": (1, 2)}, "three whole numbers"),
        ({"counts": (1, -2, 3)}, "three whole numbers"),
    ],
)
def test_wrong_shares_are_refused(records, options, message):
    with pytest.raises(ManifestError, match=message):
        split_by_subject(records, **options)
