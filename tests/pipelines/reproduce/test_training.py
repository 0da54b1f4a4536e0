# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The training queue: it survives interruptions, keeps finished trainings, and refuses unequal budgets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from monai.bundle import ConfigParser

from noisewise.data_manifest import Manifest, file_digest
from noisewise.pipelines.bundle.preflight import ConfigTypoError
from noisewise.pipelines.reproduce.budget import BudgetError, parse_settings, plan_training
from noisewise.pipelines.reproduce.methods import read_methods
from noisewise.pipelines.reproduce.process import run_logged
from noisewise.pipelines.reproduce.training import read_marker, row_folder, train_methods
from noisewise.pipelines.training import EpochSeeding

BUDGET = {"max_epochs": 2, "steps_per_epoch": 3, "batch_size": 4}
# Stands for the training: what it does is told by a file; it "trains" by copying checkpoints.
STUB = """
import os, pathlib, shutil, signal, sys, time
here = pathlib.Path(__file__).parent
folder = pathlib.Path(sys.argv[sys.argv.index("--output_dir") + 1])
with (folder / "calls.txt").open("a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
behavior = (here / folder.name).read_text() if (here / folder.name).exists() else "finish"
if behavior == "fail":
    print("some warning")
    sys.exit("error: out of luck")
shutil.copy(here / "epoch1.pt", folder / "checkpoint.pt")
(folder / "model.pt").write_bytes(b"half")
if behavior == "die":
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)
while behavior == "wait" and (here / folder.name).exists():
    time.sleep(0.05)
if behavior != "wait":
    shutil.copy(here / "epoch2.pt", folder / "checkpoint.pt")
    (folder / "model.pt").write_bytes(b"whole")
"""


@pytest.fixture
def stub(tmp_path) -> SimpleNamespace:
    """``launcher``, the stand-in's command line, and ``behave(name, how)``."""
    folder = tmp_path / "stub"
    folder.mkdir()
    (folder / "stub.py").write_text(STUB)
    for epoch in (1, 2):
        progress = {"epoch": epoch, "iteration": 3 * epoch, "epoch_length": 3, "stopped_early": False}
        best = {"metric": 20.0 + epoch, "epoch": epoch}
        torch.save({"progress": progress, "best": best}, folder / f"epoch{epoch}.pt")

    def behave(name: str, how: str | None) -> None:
        (folder / name).unlink(missing_ok=True) if how is None else (folder / name).write_text(how)

    return SimpleNamespace(launcher=(sys.executable, str(folder / "stub.py")), behave=behave, folder=folder)


@pytest.fixture
def queue(methods_folder, manifest, tmp_path, stub):
    """A function that runs the queue and returns the outcomes by method."""

    def run(**settings: object) -> dict[str, str]:
        methods = read_methods(methods_folder)
        lines: list[str] = []
        results = train_methods(
            methods, manifest, tmp_path / "out", {**BUDGET, **settings}, lines.append, stub.launcher, 0.1
        )
        run.messages = {result.name: result.message for result in results}
        return {result.name: result.outcome for result in results}

    return run


def calls(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().splitlines()


def test_rows_run_in_order_and_finished_ones_are_kept(queue, tmp_path, manifest):
    assert queue() == {"two_stage": "trained", "twn": "trained"}
    marker = read_marker(tmp_path / "out", "two_stage")
    assert marker["images_seen"] == 6 * 4 and marker["epochs"] == 2 and marker["best"]["metric"] == 22.0
    assert marker["budget"]["max_epochs"] == 2 and marker["budget"]["patch_size"] == 64
    assert marker["manifest_digest"] == Manifest.read(manifest).digest()
    assert marker["weights"] == file_digest(row_folder(tmp_path / "out", "two_stage") / "model.pt")
    assert marker["wall_seconds"] >= 0 and marker["cpu_seconds"] > 0 and marker["device"]
    assert marker["versions"]["torch"] == torch.__version__ and len(marker["config_digest"]) == 64
    assert "config has changed" not in queue.messages["two_stage"]
    assert queue() == {"two_stage": "kept", "twn": "kept"}
    assert "config has changed" not in queue.messages["two_stage"]
    assert all(len(calls(row_folder(tmp_path / "out", name))) == 1 for name in ("two_stage", "twn"))


def test_the_command_line_merges_the_budget_last(queue, tmp_path):
    queue(gradient_clip=None)
    folder = row_folder(tmp_path / "out", "twn")
    (line,) = calls(folder)
    files = [Path(part.strip("[]',")).name for part in line.split() if part.strip("[]',").endswith(".yaml")]
    assert files == ["train.yaml", "twn.yaml", "equal_budget.yaml", "settings.yaml"]
    assert line.startswith("run training --config_file") and line.endswith(f"--output_dir {folder} --resume True")
    assert "gradient_clip: null" in (folder / "settings.yaml").read_text()  # MONAI's command line would drop it


def test_a_killed_row_goes_on_and_its_time_is_summed(queue, stub, tmp_path):
    stub.behave("two_stage", "die")
    assert queue() == {"two_stage": "failed", "twn": "trained"}
    assert "exit status -9" in queue.messages["two_stage"] and read_marker(tmp_path / "out", "two_stage") is None
    stub.behave("two_stage", None)
    assert queue() == {"two_stage": "trained", "twn": "kept"}
    folder = row_folder(tmp_path / "out", "two_stage")
    assert len(calls(folder)) == 2 and all(line.endswith("--resume True") for line in calls(folder))
    marker = read_marker(tmp_path / "out", "two_stage")
    assert len(marker["attempts"]) == 2 and marker["attempts"][0]["wall_seconds"] >= 0.3
    total = sum(attempt["wall_seconds"] for attempt in marker["attempts"])
    assert marker["wall_seconds"] == pytest.approx(total, abs=0.06)


def test_a_failing_row_is_told_and_the_next_one_trained(queue, stub, tmp_path):
    stub.behave("two_stage", "fail")
    assert queue() == {"two_stage": "failed", "twn": "trained"}
    assert "error: out of luck" in queue.messages["two_stage"]
    assert "some warning" in (row_folder(tmp_path / "out", "two_stage") / "train.log").read_text()


def test_another_budget_or_manifest_is_refused(queue, methods_folder, manifest, tmp_path, stub):
    queue()
    with pytest.raises(BudgetError, match=r"another budget \(two_stage: max_epochs was 2, is 5\)"):
        queue(max_epochs=5)
    with pytest.raises(BudgetError, match=r"learning_rate was not set, is 0\.1"):
        queue(learning_rate=0.1)
    fewer = Manifest(list(Manifest.read(manifest))[:-1])
    fewer.write(tmp_path / "fewer.csv", absolute=True)
    with pytest.raises(BudgetError, match="manifest_digest"):
        train_methods(
            read_methods(methods_folder), tmp_path / "fewer.csv", tmp_path / "out", BUDGET, print, stub.launcher
        )
    assert queue() == {"two_stage": "kept", "twn": "kept"}


def test_a_changed_config_stops_an_unfinished_row_but_keeps_a_finished_one(
    queue, stub, methods_folder, method_writer, tmp_path
):
    stub.behave("twn", "die")
    assert queue() == {"two_stage": "trained", "twn": "failed"}
    for name, order in (("two_stage", 1), ("twn", 2)):
        method_writer(methods_folder, name, order=order, features=8)
    stub.behave("twn", None)
    assert queue() == {"two_stage": "kept", "twn": "failed"}
    assert "config has changed since" in queue.messages["two_stage"]
    assert "network_def was" in queue.messages["twn"] and len(calls(row_folder(tmp_path / "out", "twn"))) == 1


def test_a_queue_killed_outright_is_gone_on_with(queue, stub, methods_folder, manifest, tmp_path):
    """A SIGKILL of the queue leaves its training alive: no other queue may train the row until it has ended."""
    arguments = f"{str(manifest)!r}, {str(tmp_path / 'out')!r}, {BUDGET!r}, print, {stub.launcher!r}, 0.05"
    code = (
        "from noisewise.pipelines.reproduce.methods import read_methods; "
        "from noisewise.pipelines.reproduce.training import train_methods; "
        f"train_methods(read_methods({str(methods_folder)!r}), {arguments})"
    )
    stub.behave("two_stage", "wait")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    folder, deadline = row_folder(tmp_path / "out", "two_stage"), time.monotonic() + 600
    while not (folder / "model.pt").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert queue() == {"two_stage": "busy", "twn": "trained"}
    stub.behave("two_stage", None)  # the orphan ends, after its first epoch
    while (outcome := queue()["two_stage"]) == "busy":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert outcome == "trained"
    marker = read_marker(tmp_path / "out", "two_stage")
    assert len(marker["attempts"]) == 2 and marker["attempts"][0]["wall_seconds"] > 0


def test_a_command_ends_with_its_caller(tmp_path):
    beats = []

    def interrupt(wall: float, cpu: float) -> None:
        beats.append(wall)
        if len(beats) == 1:
            raise KeyboardInterrupt

    pid, ended = tmp_path / "pid", tmp_path / "ended"
    code = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(120)\n"
        f"pathlib.Path({str(ended)!r}).touch()\n"
    )
    with pytest.raises(KeyboardInterrupt):
        run_logged([sys.executable, "-c", code], tmp_path / "log", interrupt, 1.0)
    assert len(beats) == 2 and not ended.exists()
    if pid.exists():  # it may have been ended before it began
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


# setting, what the message says
WRONG = {
    "typo": ({"max_epoch": 3}, ConfigTypoError, "Did you mean --max_epochs"),
    "own": ({"output_dir": "x"}, BudgetError, "sets this key itself"),
    "zero": ({"batch_size": 0}, BudgetError, "positive whole number"),
    "text": ({"steps_per_epoch": "many"}, BudgetError, "'many'"),
}


@pytest.mark.parametrize(("settings", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_refused(methods_folder, settings, error, message):
    with pytest.raises(error, match=message):
        plan_training(read_methods(methods_folder)[0], settings)


def test_settings_are_yaml():
    assert parse_settings(["a=1", "b#c=[1, x]", "d=null", "e=bfloat16"]) == {
        "a": 1,
        "b#c": [1, "x"],
        "d": None,
        "e": "bfloat16",
    }
    for text in ("a", "=1", "a=["):
        with pytest.raises(BudgetError, match="--set"):
            parse_settings([text])


def test_the_digest_knows_what_matters(methods_folder, method_writer):
    first = plan_training(read_methods(methods_folder)[0])
    assert plan_training(read_methods(methods_folder)[0]).digest == first.digest
    assert plan_training(read_methods(methods_folder)[0], {"track": True}).digest == first.digest
    assert plan_training(read_methods(methods_folder)[0], {"learning_rate": 0.1}).digest != first.digest
    method_writer(methods_folder, "two_stage", title="Renamed")
    assert plan_training(read_methods(methods_folder)[0]).digest == first.digest
    method_writer(methods_folder, "two_stage", features=12)
    assert plan_training(read_methods(methods_folder)[0]).digest != first.digest


def test_all_methods_see_the_same_batches(methods_folder, manifest):
    """Crops, images and noise must not depend on how many random numbers a network's initialization takes."""
    settings = {"batch_size": 6, "patch_size": 16, "num_workers": 0, "manifest": str(manifest)}
    batches = []
    for method in read_methods(methods_folder):
        plan = plan_training(method, {key: value for key, value in settings.items() if key != "manifest"})
        parser = ConfigParser({**plan.config, "manifest": str(manifest)})
        network = parser.get_parsed_content("network")
        dataset = parser.get_parsed_content("train#dataset")
        engine = SimpleNamespace(state=SimpleNamespace(epoch=1))
        EpochSeeding(parser.get_parsed_content("seed"), dataset).seed_epoch(engine)
        batch = next(iter(parser.get_parsed_content("train#dataloader")))
        batches.append((sum(tensor.numel() for tensor in network.parameters()), batch))
    (first_size, first), (second_size, second) = batches
    assert first_size != second_size
    for key in ("image", "label", "residual"):
        assert torch.as_tensor(first[key]).numpy().tobytes() == torch.as_tensor(second[key]).numpy().tobytes()
    assert float(first["residual"].abs().max()) > 0


def test_a_real_training_from_the_command_line(trained, command):
    assert trained.result.exit_code == 0, trained.result.output
    folder = row_folder(trained.output, "two_stage")
    marker = json.loads((folder / "done.json").read_text())
    assert marker["images_seen"] == 2 * 2 * 4 and marker["epochs"] == 2
    assert marker["budget"]["schedule"] == "cosine" and marker["budget"]["val_stds"] == [25]
    lines = [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4] and marker["best"]["metric"] == pytest.approx(
        max(line["psnr"] for line in lines), abs=1e-5
    )
    assert torch.load(folder / "model.pt", weights_only=True)["nen.head.weight"].shape[0] == 4
    assert not (folder / "mlruns").exists() and "Epoch[2]" in (folder / "train.log").read_text()
    again = command("train", *trained.arguments)
    assert again.exit_code == 0 and "finished before: 16 patches" in again.output
