# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Misspelled overrides and leaking training data are refused, legitimate ones pass."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from noisewise.bundles import bundle_path
from noisewise.data_manifest import Manifest, ManifestRecord
from noisewise.pipelines.bundle.preflight import ConfigTypoError, check_overrides, check_training_data, config_files

TRAIN = str(bundle_path("multimodal_denoising") / "configs" / "train.yaml")
MULTI = str(bundle_path("multimodal_denoising") / "configs" / "multi_gpu_train.yaml")
RUN = ["monai.bundle", "run", "training"]


@pytest.mark.parametrize(
    "override",
    [
        ["--batch_size", "3"],
        ["--batch_size=3"],
        ["--batch-size", "3"],
        ["--train#trainer#max_epochs", "5"],
        ["--train::trainer::max_epochs", "5"],
        ["--network_def#features", "8"],  # an argument that the config leaves at its default
        ["--validate#handlers#0#path", "x"],
        ["--bundle_root", "/x"],
        ["--meta_file", "x"],
        ["--device", "$torch.device('cpu')"],
    ],
)
def test_known_keys_pass(override):
    check_overrides([*RUN, "--config_file", TRAIN, *override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (["--bach_size", "3"], "--bach_size: no such key.*Did you mean --batch_size"),
        (["--train#trainr#max_epochs", "5"], "Did you mean --train::trainer::max_epochs"),
        (["--networkdef#features", "8"], "no such key"),
        (["--validate#handlers#99#path", "x"], "no such key"),
    ],
)
def test_misspelled_keys_are_refused(override, message):
    with pytest.raises(ConfigTypoError, match=message):
        check_overrides([*RUN, "--config_file", TRAIN, *override])


@pytest.mark.parametrize("value", ["True", "False", "0", "1", "$not True", "@resume"])
def test_booleans_pass(value):
    check_overrides([*RUN, "--config_file", TRAIN, "--track", value])
    check_overrides([*RUN, "--config_file", TRAIN, f"--track={value}", "--resume"])


@pytest.mark.parametrize("key", ["track", "resume", "commercial_use", "train#dataset#copy_cache"])
@pytest.mark.parametrize("value", ["false", "true", "no", "None", "2"])
def test_texts_that_would_count_as_true_are_refused(key, value):
    for override in (["--" + key, value], [f"--{key}={value}"]):
        with pytest.raises(ValueError, match=f"--{key} is either True or False, got '{value}'"):
            check_overrides([*RUN, "--config_file", TRAIN, *override])


def test_booleans_of_an_args_file(tmp_path):
    arguments = tmp_path / "args.yaml"
    for value, message in (("false", None), ("'false'", "--track is either True or False, got 'false'")):
        arguments.write_text(f"config_file: {TRAIN}\ntrack: {value}\n")
        if message is None:
            check_overrides([*RUN, "--args_file", str(arguments)])
        else:
            with pytest.raises(ValueError, match=message):
                check_overrides([*RUN, "--args_file", str(arguments)])


def test_several_config_files_count_together():
    both = str([TRAIN, MULTI])
    check_overrides([*RUN, "--config_file", both, "--world_size", "2"])
    with pytest.raises(ConfigTypoError):
        check_overrides([*RUN, "--config_file", TRAIN, "--world_size", "2"])
    assert config_files([*RUN, f"--config_file={both}"]) == [TRAIN, MULTI]


def test_an_args_file_counts_too(tmp_path):
    arguments = tmp_path / "args.yaml"
    arguments.write_text(f"config_file: {TRAIN}\nbatch_size: 3\n")
    check_overrides([*RUN, "--args_file", str(arguments), "--max_epochs", "2"])
    assert config_files([*RUN, "--args_file", str(arguments)]) == [TRAIN]
    arguments.write_text(f"config_file: {TRAIN}\nbach_size: 3\n")
    with pytest.raises(ConfigTypoError, match="bach_size"):
        check_overrides([*RUN, "--args_file", str(arguments)])


def test_other_command_lines_are_left_alone():
    check_overrides(["pytest", "--anything", "1"])
    assert config_files(["pytest", "run"]) == []


# the source of the error, whether one line is enough
@pytest.mark.parametrize(
    ("code", "concise"),
    [
        ("from noisewise.networks import TwoStageDenoiser; TwoStageDenoiser(channels=0)", True),
        ("import json; json.loads('{')", False),
        ("raise RuntimeError('a bug')", False),
    ],
)
def test_only_deliberate_errors_are_shortened(tmp_path, code, concise):
    wrapped = (
        "from noisewise.pipelines.bundle.preflight import concise_errors\nconcise_errors()\n"
        f"try:\n    exec({code!r})\n"
        "except Exception as error:\n    raise RuntimeError('Failed to evaluate') from error\n"
    )
    done = subprocess.run([sys.executable, "-c", wrapped], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) is not concise
    if concise:
        assert done.stderr.strip() == "error: channels must be a positive integer, got 0."


@pytest.fixture
def shared_subject(tmp_path) -> Manifest:
    """Two pairs of one subject, one of them for validation."""
    records = []
    for name, split in (("a", "train"), ("b", "val")):
        for kind in ("low", "full"):
            (tmp_path / f"{name}_{kind}.png").write_bytes(name.encode() + kind.encode())
        records.append(
            ManifestRecord(
                path=str(tmp_path / f"{name}_low.png"),
                slice=None,
                modality="ct",
                source="here",
                license="",
                subject="one",
                split=split,
                sha256="",
                stored_dtype="uint16",
                intensity_min=24.0,
                intensity_max=2024.0,
                channels=1,
                height=64,
                width=64,
                target=str(tmp_path / f"{name}_full.png"),
            )
        )
    return Manifest(records)


def check(manifest: Manifest, **options) -> None:
    train, val = (manifest.datalist(split) for split in ("train", "val"))
    check_training_data(train, val, manifest, 32, 64, paired=True, **options)


def test_validation_on_training_subjects_must_be_asked_for(shared_subject):
    with pytest.raises(ValueError, match="leak: subject 'one'"):
        check(shared_subject)
    check(shared_subject, within_subjects=True)


@pytest.mark.parametrize(("val_size", "refused"), [(32, True), (40, True), (41, False)])
def test_a_validation_crop_that_the_metrics_cannot_take_is_refused(shared_subject, val_size, refused):
    train, val = (shared_subject.datalist(split) for split in ("train", "val"))
    options = {"paired": True, "within_subjects": True}
    if refused:
        with pytest.raises(ValueError, match=rf"val_size is {val_size}.*41 x 41.*--val_size 41"):
            check_training_data(train, val, shared_subject, 32, val_size, **options)
        check_training_data(train, [], shared_subject, 32, val_size, **options)
        check_training_data(train, val, shared_subject, 32, val_size, smallest_val_size=11, **options)
    else:
        check_training_data(train, val, shared_subject, 32, val_size, **options)


def test_an_image_in_two_splits_is_never_allowed(shared_subject):
    train, val = shared_subject.records
    same = Manifest([train, replace(val, path=train.path, target=train.target)])
    with pytest.raises(ValueError, match="leak"):
        check(same, within_subjects=True)
