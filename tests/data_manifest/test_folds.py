# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Leave-one-subject-out folds."""

from __future__ import annotations

import pytest

from noisewise.data_manifest import Manifest, ManifestError, leave_one_subject_out, verify_manifest

SUBJECTS = ("L067", "L096", "L109", "L143")


@pytest.fixture
def manifest(make_record):
    # Subjects in turn, so that their images do not lie together.
    return Manifest(
        [make_record(f"/{i}_{s}.dcm", subject=s, target=f"/t{i}_{s}.dcm") for i in range(6) for s in SUBJECTS]
    )


def subjects_of(fold: Manifest, split: str) -> set[str]:
    return {record.subject for record in fold if record.split == split}


@pytest.mark.parametrize("options", [{}, {"val_every": 3}, {"val_subjects": 1}, {"val_subjects": 2}])
def test_each_subject_is_tested_on_once_and_leaks_nowhere(manifest, options):
    folds = list(leave_one_subject_out(manifest, **options))
    assert [subject for subject, _ in folds] == list(SUBJECTS)
    for subject, fold in folds:
        assert [r.path for r in fold] == [r.path for r in manifest]
        assert subjects_of(fold, "test") == {subject}
        assert subject not in subjects_of(fold, "train") | subjects_of(fold, "val")
        assert len([r for r in fold if r.split == "test"]) == 6 and subjects_of(fold, "train")


def test_validation_on_every_nth_slice_or_on_whole_subjects(manifest):
    for subject, fold in leave_one_subject_out(manifest, val_every=3):
        assert {r.path for r in fold if r.split == "val"} == {
            f"/{i}_{s}.dcm" for i in (1, 4) for s in SUBJECTS if s != subject
        }
    for _, fold in leave_one_subject_out(manifest, val_subjects=2):
        assert len(subjects_of(fold, "val")) == 2
        assert not subjects_of(fold, "val") & subjects_of(fold, "train")
        assert not [p for p in verify_manifest(fold, decode=False) if p.kind == "leak"]
    assert not subjects_of(next(leave_one_subject_out(manifest))[1], "val")


def test_subjects_that_share_a_file_are_one_fold(manifest, make_record):
    shared = make_record("/0_L067.dcm", subject="L109")
    folds = list(leave_one_subject_out(Manifest([*manifest, shared])))
    assert [subject for subject, _ in folds] == ["L067+L109", "L096", "L143"]
    assert subjects_of(folds[0][1], "test") == {"L067", "L109"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_every": 1}, "val_every of 2"),
        ({"val_every": 2, "val_subjects": 1}, "or neither"),
        ({"val_subjects": -1}, "val_subjects of 1"),
        ({"val_subjects": 3}, "has 4 subject.* 5 are needed"),
    ],
)
def test_wrong_wishes_are_refused_at_once(manifest, options, message):
    with pytest.raises(ManifestError, match=message):
        leave_one_subject_out(manifest, **options)
