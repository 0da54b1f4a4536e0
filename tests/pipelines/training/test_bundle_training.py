# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training through the bundle's command line: resume after a kill, several processes, overlays, bad input."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisewise.data_manifest import Manifest, build_manifest


def weights(folder: Path, name: str = "checkpoint.pt") -> dict[str, torch.Tensor]:
    state = torch.load(folder / name, weights_only=True)
    return state.get("network", state)


def assert_equal_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


# DataLoader workers
@pytest.mark.parametrize("workers", [0, 1])
def test_resume_after_kill_9_is_bit_equal_to_an_unbroken_run(tiny, manifest, tmp_path, workers):
    options = {"num_workers": workers, "max_epochs": 5, "schedule": "cosine"}
    tiny.train(manifest, tmp_path / "unbroken", **options)
    broken = tmp_path / "broken"
    process = subprocess.Popen(
        [sys.executable, *tiny.command(manifest, broken, **options)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    history = broken / "validation.jsonl"
    deadline = time.monotonic() + 600
    while not (history.exists() and len(history.read_text().splitlines()) >= 3):
        assert process.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    progress = torch.load(broken / "checkpoint.pt", weights_only=True)["progress"]
    assert 2 <= progress["epoch"] < 5
    tiny.train(manifest, broken, resume=True, **options)

    one, other = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("unbroken", "broken"))
    assert one["progress"] == other["progress"] and one["progress"]["epoch"] == 5
    assert one["best"] == other["best"]
    assert_equal_bits(one["network"], other["network"])
    assert_equal_bits(one["ema"], other["ema"])
    assert_equal_bits(weights(tmp_path / "unbroken", "model.pt"), weights(broken, "model.pt"))
    assert isinstance(one["seeding"]["seed"], torch.Tensor)


def test_early_stop_is_kept_by_a_resume(tiny, manifest, tmp_path):
    options = {"learning_rate": 0.0, "ema_decay": 0.0, "early_stop_patience": 3}  # nothing ever improves
    tiny.train(manifest, tmp_path / "unbroken", max_epochs=9, **options)
    tiny.train(manifest, tmp_path / "resumed", max_epochs=2, **options)
    for _ in range(2):  # the second resume finds nothing left to do
        tiny.train(manifest, tmp_path / "resumed", max_epochs=9, resume=True, **options)
    for name in ("unbroken", "resumed"):
        progress = torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["progress"]
        assert (progress["epoch"], progress["stopped_early"]) == (4, True), name


def test_an_existing_checkpoint_is_never_overwritten_by_accident(tiny, manifest, tmp_path):
    tiny.train(manifest, tmp_path / "run", max_epochs=1)
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    refused = tiny.train(manifest, tmp_path / "run", max_epochs=1, check=False)
    assert refused.returncode != 0
    assert refused.stderr.strip().splitlines()[-1].startswith("error: ") and "resume" in refused.stderr
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_training_improves_and_writes_what_it_promises(tiny, manifest, tmp_path):
    tiny.train(manifest, tmp_path / "run", max_epochs=4, steps_per_epoch=40, ema_decay=0.9, learning_rate=0.005)
    lines = [json.loads(line) for line in (tmp_path / "run" / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [40, 80, 120, 160]
    assert lines[-1]["psnr"] > lines[0]["psnr"] + 0.5 and lines[-1]["nen_psnr"] > lines[0]["nen_psnr"]
    metrics = {"psnr", "ssim", "delta_e", "vifp", "mse"}
    assert metrics | {f"nen_{name}" for name in metrics} <= lines[-1].keys()
    assert not list((tmp_path / "run").glob("*.tmp"))


def test_two_processes_train_one_network(tiny, manifest, tmp_path):
    line = tiny.command(manifest, tmp_path / "run", "multi_gpu_train.yaml", steps_per_epoch=3, max_epochs=2)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *line],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    progress = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["progress"]
    assert progress["epoch"] == 2 and progress["iteration"] == 6
    lines = (tmp_path / "run" / "validation.jsonl").read_text().splitlines()
    assert len(lines) == 2  # one process writes
    # Each process scored its share: together they give the result of one process with the same weights.
    best = max(json.loads(line)["psnr"] for line in lines)
    same = {"initial_weights": tmp_path / "run" / "model.pt", "learning_rate": 0.0, "max_epochs": 1}
    tiny.train(manifest, tmp_path / "check", **same)
    alone = json.loads((tmp_path / "check" / "validation.jsonl").read_text())
    assert alone["psnr"] == pytest.approx(best, abs=1e-3)
    # The two processes drew different patches: one process with the same seed gives other weights.
    tiny.train(manifest, tmp_path / "single", steps_per_epoch=3, max_epochs=2)
    single = weights(tmp_path / "single")
    assert any(not torch.equal(value, single[name]) for name, value in weights(tmp_path / "run").items())


def test_fine_tuning_starts_from_the_given_weights(tiny, manifest, tmp_path):
    tiny.train(manifest, tmp_path / "first", max_epochs=1)
    start = tmp_path / "first" / "model.pt"
    tiny.train(manifest, tmp_path / "tuned", "finetune.yaml", initial_weights=start, max_epochs=1, learning_rate=0.0)
    assert_equal_bits(weights(start.parent, "model.pt"), weights(tmp_path / "tuned"))


def test_the_paper_overlay_reads_images_anew(tiny, manifest, tmp_path):
    options = {"max_epochs": 1, "num_workers": 1, "batch_size": 2}
    done = tiny.train(manifest, tmp_path / "run", "paper.yaml", **options)
    assert (tmp_path / "run" / "model.pt").exists() and "Traceback" not in done.stderr


def test_pairs_of_noisy_and_clean_images(tiny, tmp_path):
    for split in ("train", "val"):
        for index in range(4):
            folder = tmp_path / split / f"{split}{index}"
            folder.mkdir(parents=True)
            clean = tiny.texture(index + 50 * (split == "val"))
            noise = np.random.RandomState(index).normal(0, 20, clean.shape)
            Image.fromarray((clean + noise).clip(0, 255).astype(np.uint8)).save(folder / "noisy.png")
            (tmp_path / "clean" / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(clean).save(tmp_path / "clean" / split / f"{split}{index}.png")
    records = []
    for split in ("train", "val"):
        part = build_manifest(
            tmp_path / split, tmp_path / f"{split}.csv", modality="mri", source="s", license="none", split=split
        )
        records += [
            dataclasses.replace(r, target=str(tmp_path / "clean" / split / f"{Path(r.path).parent.name}.png"))
            for r in part
        ]
    manifest = Manifest(records).write(tmp_path / "pairs.csv")
    refused = tiny.train(manifest, tmp_path / "clean_run", check=False)
    assert refused.returncode != 0 and "add the overlay pairs.yaml" in refused.stderr.splitlines()[-1]
    budget = {"max_epochs": 3, "steps_per_epoch": 20, "learning_rate": 0.003, "ema_decay": 0.9}
    tiny.train(manifest, tmp_path / "run", "finetune.yaml", "pairs.yaml", initial_weights="", **budget)
    lines = [json.loads(line) for line in (tmp_path / "run" / "validation.jsonl").read_text().splitlines()]
    assert lines[-1]["psnr"] > lines[0]["psnr"]


# the fault, overrides, the text that the one-line error must contain
BAD = [
    ("typo", {"max_epoch": 5}, "--max_epoch: no such key.*Did you mean --max_epochs"),
    ("protocol", {"protocol": "fog"}, "protocol must be one of.*'fog'"),
    ("schedule", {"schedule": "linear"}, "schedule must be .*'linear'"),
    ("patch", {"patch_size": 80}, "64 x 64 pixels, but 80 x 80 are needed"),
    ("weights", {"initial_weights": "/nowhere/model.pt"}, "/nowhere/model.pt.*"),
    ("modality", {"modalities": "['ct']"}, "holds no image.*ct"),
    ("amp", {"amp_dtype": "int8"}, "amp_dtype"),
]


@pytest.mark.parametrize(("name", "overrides", "message"), BAD, ids=[case[0] for case in BAD])
def test_bad_input_ends_in_one_clear_line(tiny, manifest, tmp_path, name, overrides, message):
    done = tiny.train(manifest, tmp_path / "run", check=False, **overrides)
    assert done.returncode != 0
    last = done.stderr.strip().split("error: ")[-1]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert re.search(message, last, re.DOTALL), last
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_pairs_without_targets_are_refused(tiny, manifest, tmp_path):
    done = tiny.train(manifest, tmp_path / "run", "finetune.yaml", "pairs.yaml", initial_weights="", check=False)
    assert done.returncode != 0 and "has no target (8 in all)" in done.stderr.splitlines()[-1]


def test_a_missing_manifest_is_named(tiny, tmp_path):
    done = tiny.train(Path("/nowhere/manifest.csv"), tmp_path / "run", check=False)
    assert done.returncode != 0
    assert "error: /nowhere/manifest.csv" in done.stderr and "Traceback" not in done.stderr


def test_a_broken_image_is_named_before_training(tiny, manifest, tmp_path):
    for record in Manifest.read(manifest):
        target = tmp_path / "data" / Path(record.path).relative_to(manifest.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(record.path).read_bytes())
    broken = tmp_path / "data" / "train" / "train3" / "image.png"
    broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "data" / "manifest.csv").write_text(manifest.read_text())
    done = tiny.train(tmp_path / "data" / "manifest.csv", tmp_path / "run", check=False)
    assert done.returncode != 0 and str(broken) in done.stderr and "Traceback" not in done.stderr
