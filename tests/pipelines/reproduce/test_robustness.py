# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The robustness study: its figures against independent ones, resuming, the command."""

from __future__ import annotations

import statistics
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from noisewise.data_manifest import Manifest
from noisewise.pipelines.bundle.config import network_from_config
from noisewise.pipelines.evaluation import read_scores
from noisewise.pipelines.reproduce import robustness
from noisewise.pipelines.reproduce.robustness import CONDITIONS, clean_changes, robustness_study, robustness_table


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Config and weights of a small network."""
    folder = tmp_path_factory.mktemp("network")
    config = folder / "small.yaml"
    config.write_text(
        "network_def:\n  _target_: noisewise.networks.TwoStageDenoiser\n  features: 4\n  growth: 2\n  num_blocks: 1\n"
    )
    torch.manual_seed(0)
    torch.save(network_from_config(config).state_dict(), folder / "small.pt")
    return SimpleNamespace(config=config, weights=folder / "small.pt")


@pytest.fixture(scope="module")
def study(tmp_path_factory, manifest, network):
    """The study of the small network, through its command's function."""
    output = tmp_path_factory.mktemp("study")
    said = []
    paths = robustness_study(manifest, output, network.weights, network.config, 48, device="cpu", report=said.append)
    return SimpleNamespace(output=output, paths=paths, table=pd.read_csv(output / "robustness.csv"), said=said)


def arguments(manifest, network, output):
    return ["--manifest", manifest, "--output", output, "--weights", network.weights, "--config", network.config]


def test_every_condition_is_scored_for_network_and_input(study):
    wanted = {
        ("none" if std == 0 else pattern, float(std))
        for patterns, stds in CONDITIONS
        for pattern in patterns
        for std in stds
    }
    assert len(wanted) == 10 + 8 + 1
    for method in ("network", "noisy"):
        for modality, count in (("mri", 2), ("ct", 2), ("average", 4)):
            rows = study.table[(study.table["method"] == method) & (study.table["modality"] == modality)]
            assert set(zip(rows["pattern"], rows["sigma"])) == wanted and len(rows) == len(wanted)
            assert (rows["n"] == count).all()


def test_settings_name_what_training_saw(study):
    settings = {(row.pattern, row.sigma): row.setting for row in study.table.itertuples()}
    assert settings["speckle", 75.0] == settings["gaussian", 5.0] == "as in training"
    assert settings["gaussian", 100.0] == "beyond training: level"
    assert settings["correlated", 25.0] == settings["rician", 50.0] == "beyond training: pattern"
    assert settings["none", 0.0] == "clean image"


def test_means_and_paired_gains_equal_an_independent_computation(study):
    scores = read_scores(study.output / "scores.csv").to_dict("records")
    psnr = {(r["method"], r["image_id"], r["pattern"], r["sigma"]): r["psnr"] for r in scores}
    modality_of = {r["image_id"]: r["modality"] for r in scores}
    of = study.table.set_index(["modality", "pattern", "sigma", "method"])
    means = []
    for modality in ("ct", "mri"):
        images = [name for name, found in modality_of.items() if found == modality]
        values = [psnr["network", name, "poisson", 25.0] for name in images]
        gains = [psnr["network", name, "poisson", 25.0] - psnr["noisy", name, "poisson", 25.0] for name in images]
        row = of.loc[modality, "poisson", 25.0, "network"]
        assert row["psnr_mean"] == pytest.approx(statistics.mean(values))
        assert row["psnr_std"] == pytest.approx(statistics.stdev(values))
        assert row["gain_mean"] == pytest.approx(statistics.mean(gains))
        assert row["gain_std"] == pytest.approx(statistics.stdev(gains))
        means.append(statistics.mean(gains))
    average = of.loc["average", "poisson", 25.0, "network"]
    assert average["gain_mean"] == pytest.approx(statistics.mean(means)) and np.isnan(average["gain_std"])


def test_a_clean_image_is_compared_with_itself(study, manifest, network):
    """Through the network alone, without any of the evaluation's parts."""
    module = network_from_config(network.config).eval()
    module.load_state_dict(torch.load(network.weights, weights_only=True))
    changes = {}
    for record in Manifest.read(manifest).select("test"):
        image = np.asarray(Image.open(record.path)).T[8:56, 8:56].astype(np.float32)
        with torch.no_grad():
            output = module(torch.from_numpy(image / 255)[None, None].repeat(1, 3, 1, 1))[0].mean(0)
        output = np.round(np.clip(output.numpy() * 255, 0, 255))
        changes.setdefault(record.modality, []).append(np.abs(output - image).max())
    clean = study.table[study.table["sigma"] == 0].set_index(["modality", "method"])
    for modality, values in changes.items():
        row = clean.loc[modality, "network"]
        assert row["largest_change_mean"] == pytest.approx(np.mean(values), abs=1)  # rounding may tip either way
        assert row["largest_change_max"] == pytest.approx(max(values), abs=1)
        assert 5 < row["psnr_mean"] < 100 and row["capped"] == 0
        assert clean.loc[modality, "noisy"]["psnr_mean"] == 100 and clean.loc[modality, "noisy"]["capped"] == 2
    assert study.table.loc[study.table["sigma"] == 0, "gain_mean"].isna().all()
    assert study.table.loc[study.table["sigma"] > 0, "largest_change_max"].isna().all()


def test_the_text_shows_the_figures(study):
    text = (study.output / "robustness.md").read_text(encoding="utf-8")
    of = study.table.set_index(["modality", "pattern", "sigma", "method"])
    start = "| beyond training: pattern | correlated | 50 |"
    line = next(line for line in text.splitlines() if line.startswith(start))
    noisy, net = (of.loc["average", "correlated", 50.0, name] for name in ("noisy", "network"))
    assert f"{noisy.psnr_mean:.2f} / {noisy.ssim_mean:.4f}" in line
    assert f"{net.psnr_mean:.2f} / {net.ssim_mean:.4f}" in line and f"{net.gain_mean:+.2f}" in line
    assert text.index("as in training") < text.index("beyond training: level") < text.index("beyond training: pattern")
    clean = text[text.index("## What a clean image loses") :]
    assert f"{of.loc['ct', 'none', 0.0, 'network'].psnr_mean:.2f}" in clean
    assert "nan" not in text


def test_the_command_goes_on_where_it_was(study, manifest, network, command, monkeypatch):
    before = {name: (study.output / name).read_bytes() for name in ("scores.csv", "clean.csv", "robustness.csv")}

    def refuse(*arguments, **options):
        raise AssertionError("computed again")

    monkeypatch.setattr(robustness, "DenoisingInferer", lambda: refuse)
    result = command("robustness", *arguments(manifest, network, study.output), "--crop", 48, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert str(study.output / "robustness.md") in result.output.replace("\n", "")
    assert before == {name: (study.output / name).read_bytes() for name in before}


def test_other_weights_replace_what_the_folder_holds(tmp_path, manifest, network):
    short = [(("gaussian",), (0,))]
    options = {"crop": 48, "limit": 1, "device": "cpu", "conditions": short, "report": lambda line: None}
    robustness_study(manifest, tmp_path, network.weights, network.config, **options)
    first = pd.read_csv(tmp_path / "robustness.csv").set_index(["method", "modality"]).sort_index()
    other = torch.load(network.weights, weights_only=True)
    torch.save({key: value * 1.5 for key, value in other.items()}, tmp_path / "other.pt")
    robustness_study(manifest, tmp_path, tmp_path / "other.pt", network.config, **options)
    second = pd.read_csv(tmp_path / "robustness.csv").set_index(["method", "modality"]).sort_index()
    assert len(pd.read_csv(tmp_path / "clean.csv")) == 2
    assert first.index.equals(second.index)
    assert (first.loc["network", "largest_change_max"] != second.loc["network", "largest_change_max"]).all()
    pd.testing.assert_frame_equal(first.loc["noisy"], second.loc["noisy"])


def test_one_modality_has_no_average(study):
    rows = read_scores(study.output / "scores.csv")
    table = robustness_table(
        rows[rows["modality"] == "ct"],
        pd.DataFrame({"modality": ["ct"], "image_id": ["x"], "largest_change": [3.0]}),
    )
    assert set(table["modality"]) == {"ct"} and table["largest_change_max"].max() == 3.0


def test_a_damaged_file_is_named(tmp_path, network):
    (tmp_path / "clean.csv").write_text("what,else\n1,2\n")
    with pytest.raises(ValueError, match=r"clean\.csv: is no table of changes"):
        clean_changes(network_from_config(network.config), "", [], tmp_path / "clean.csv", device="cpu")


# what is wrong, arguments, what the message says
MISTAKES = {
    "weights": (["--weights", "none.pt"], "none.pt: cannot read the weights"),
    "config": (["--config", "none.yaml"], "none.yaml: cannot be read"),
    "crop": (["--crop", 20], "at least 41"),
    "split": (["--split", "vall"], "vall"),
}


@pytest.mark.parametrize(("wrong", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_one_clear_line(tmp_path, manifest, network, command, monkeypatch, wrong, message):
    monkeypatch.chdir(tmp_path)
    result = command("robustness", *arguments(manifest, network, tmp_path / "out"), *wrong)
    assert result.exit_code == 1 and message in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
