# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise reproduce`` on a tiny trained method: scores, tables, figures, and one clear error for bad input."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
import torch
from PIL import Image

from noisewise.pipelines.evaluation import read_scores
from noisewise.pipelines.reproduce.training import row_folder

SCORED = ["--crop", 48, "--limit", 1]


@pytest.fixture
def output(trained, tmp_path):
    """A copy of the trained folder, to write to."""
    shutil.copytree(trained.output, tmp_path / "output")
    return tmp_path / "output"


def common(trained, output):
    return ["--output", output, "--methods", trained.methods]


def test_tables_from_the_weights_with_one_command(trained, output, manifest, command):
    wanted = [part for name in ("noisy", "two_stage") for part in ("--only", name)]
    result = command("tables", *common(trained, output), "--manifest", manifest, *wanted, *SCORED)
    assert result.exit_code == 0, result.output
    rows = read_scores(output / "tables" / "physical" / "scores.csv")
    assert set(rows["method"]) == {"noisy", "two_stage"} and len(rows) == 2 * 2 * 2 * 4
    report = {path.name for path in (output / "report").iterdir()}
    assert {"table_1_mri.md", "table_3_ct.csv", "table_6_ablation.md", "table_average.md"} <= report
    table = pd.read_csv(output / "report" / "table_3_ct.csv")
    own = table.query("method == 'two_stage' and sigma == 50 and pattern == 'speckle' and score == 'psnr'")
    mean = rows.query("method == 'two_stage' and modality == 'ct' and sigma == 50 and pattern == 'speckle'")["psnr"]
    assert own["mean"].item() == pytest.approx(mean.mean(), abs=1e-6)
    assert (
        "2 epochs of 2 steps of 4 patches of 16 x 16 pixels (16 patches)"
        in (output / "report" / "table_1_mri.md").read_text()
    )

    # Without images nothing is scored; other folders may be named.
    again = command("tables", *common(trained, output), "--docs", output / "docs")
    assert (
        again.exit_code == 0
        and (output / "docs" / "table_1_mri.md").read_text() == (output / "report" / "table_1_mri.md").read_text()
    )
    # Scores of another setup do not mix with these.
    other = command("evaluate", *common(trained, output), "--manifest", manifest, "--crop", 41)
    assert other.exit_code == 1 and "crop was 48, is 41" in other.output


def test_untrained_methods_are_left_out_and_changed_weights_refused(trained, output, manifest, command):
    marker = row_folder(output, "two_stage") / "done.json"
    kept = marker.read_text()
    marker.unlink()
    arguments = [*common(trained, output), "--manifest", manifest, "--only", "two_stage", *SCORED]
    result = command("evaluate", *arguments)
    assert result.exit_code == 0 and "two_stage: left out: its training is not finished" in result.output
    marker.write_text(json.dumps({**json.loads(kept), "weights": "0" * 64}))
    result = command("evaluate", *arguments)
    assert result.exit_code == 1 and "is not the file that the training ended with" in result.output


def test_figures_from_the_weights(trained, output, manifest, command):
    result = command("figures", *common(trained, output), "--manifest", manifest, "--crop", 48, "--sigma", 25)
    assert result.exit_code == 0, result.output
    report = output / "report"
    for name in ("figure_6_mri.png", "figure_8_ct.png"):
        assert Image.open(report / name).size[1] == round((2 * 3.7 + 0.3) * 120)
    assert not (report / "figure_12_ablation.png").exists()  # there is nothing to compare the one method with
    table = pd.read_csv(report / "figures.csv")
    assert (
        list(table["figure"]) == [6, 8]
        and set(table["sigma"]) == {25.0}
        and (report / "figure_13_validation.csv").exists()
    )
    chosen = table.loc[0, "image_id"]
    assert (
        command("figures", *common(trained, output), "--manifest", manifest, "--crop", 48, "--image", chosen).exit_code
        == 0
    )
    assert list(pd.read_csv(report / "figures.csv")["image_id"]) == [chosen]


def test_the_network_of_a_checkpoint_is_the_one_that_is_scored(trained, output, manifest, command):
    """The scores are those of the trained weights, not of fresh ones."""
    arguments = [*common(trained, output), "--manifest", manifest, "--only", "two_stage", *SCORED]
    command("evaluate", *arguments)
    rows = read_scores(output / "tables" / "physical" / "scores.csv")
    marker = json.loads((row_folder(output, "two_stage") / "done.json").read_text())
    assert set(rows["weights"]) == {marker["weights"]}
    state = torch.load(row_folder(output, "two_stage") / "model.pt", weights_only=True)
    assert all(bool(value.isfinite().all()) for value in state.values())


def test_all_goes_through_everything_and_keeps_what_is_done(trained, output, manifest, command, monkeypatch):
    speed = {"milliseconds": 1.0, "quartiles": [1.0, 1.0], "cpu_milliseconds": 1.0, "repeats": 1, "peak_mb": None}
    measured = {"network": speed, "nen": speed, "rn": speed, "training": {}}
    monkeypatch.setattr("noisewise.pipelines.reproduce.cost.measure_in_process", lambda *arguments: measured)
    settings = trained.arguments[trained.arguments.index("--set") :]
    arguments = [*common(trained, output), "--manifest", manifest, "--pictures", manifest, *settings]
    result = command("all", *arguments, "--docs", output / "docs", "--crop", 48, "--only", "two_stage")
    assert result.exit_code == 0, result.output
    assert "two_stage: finished before" in result.output
    steps = [line.removeprefix("--- ") for line in result.output.splitlines() if line.startswith("--- ")]
    names = ["train", "evaluate", "tables", "cost", "figures"]
    assert steps == [f"{name} ({number} of 5)" for number, name in enumerate(names, 1)]
    assert result.output.rstrip().splitlines()[-1] == f"results: {output / 'docs'}"
    assert "[2/4] bm3d: left out: " in result.output or "[2/6] bm3d: " in result.output
    made = {path.name for path in (output / "docs").iterdir()}
    assert {"table_1_mri.md", "table_7_cost.md", "figure_6_mri.png", "figure_13_validation.png"} <= made
    assert "shipped weights" in (output / "docs" / "table_1_mri.md").read_text()
    wrong = command("all", *arguments, "--only", "nobody")
    assert wrong.exit_code == 1 and "some tasks failed" in wrong.output


# arguments, what the message says
MISTAKES = {
    "manifest": (["train", "--manifest", "none.csv"], "none.csv"),
    "method": (["train", "--only", "dncn"], "unknown method 'dncn'; choose from two_stage"),
    "setting": (["train", "--set", "max_epoch=3"], "Did you mean --max_epochs"),
    "no value": (["train", "--set", "max_epochs"], "expected key=value"),
    "budget": (["train", "--set", "max_epochs=7"], "another budget"),
    "scored": (["evaluate", "--only", "bm4d"], "unknown method 'bm4d'"),
    "protocol": (["evaluate", "--protocol", "phisical", "--only", "noisy"], "'phisical'"),
    "split": (["evaluate", "--split", "tests", "--only", "noisy"], "'tests'"),
    "no scores": (["tables", "--protocol", "published"], "there are no scores yet"),
    "no image": (["figures", "--image", "0123"], "has no test image 0123"),
    "cost": (["cost", "--only", "nobody"], "unknown method 'nobody'"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_clear_line(trained, output, manifest, command, arguments, message):
    name, *rest = arguments
    images = [] if "--manifest" in rest or name in ("cost", "tables") else ["--manifest", manifest]
    result = command(name, *common(trained, output), *images, *rest)
    assert result.exit_code == 1, result.output
    errors = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in result.output
    assert message in result.output


def test_the_group_is_part_of_the_command():
    from typer.testing import CliRunner

    from noisewise.pipelines.cli.app import app

    result = CliRunner().invoke(app, ["reproduce", "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    for name in ("train", "evaluate", "tables", "cost", "figures", "all"):
        assert f" {name} " in result.output
