# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The cost of networks: the counts equal the paper's to the printed digit."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import nn

from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.reproduce.budget import plan_training
from noisewise.pipelines.reproduce.cost import measure_costs, write_cost_table
from noisewise.pipelines.reproduce.counts import count_network
from noisewise.pipelines.reproduce.methods import read_methods
from noisewise.pipelines.reproduce.published import published_cost
from noisewise.pipelines.reproduce.speed import inference_speed, training_speed

IMAGE = (1, 3, 256, 256)
# part, shapes of its inputs
PARTS = [("nen", [IMAGE]), ("rn", [IMAGE, IMAGE]), ("two_stage", [IMAGE])]


@pytest.mark.parametrize(("part", "shapes"), PARTS)
def test_counts_are_the_paper_s_to_the_printed_digit(part, shapes):
    network = TwoStageDenoiser()
    counts = count_network(network if part == "two_stage" else getattr(network, part), *shapes)
    printed = published_cost().loc[part]
    assert counts.parameters == printed["parameters"]
    assert f"{counts.convolution_macs / 1e9:.2f}" == f"{printed['gmac']:.2f}"
    assert counts.other_macs == 0


def test_the_memory_estimate():
    network = TwoStageDenoiser()
    assert f"{count_network(network.nen, IMAGE).memory_mb:.2f}" == "835.33"
    # two single-channel outputs, 0.5 MiB each, are not modules here
    assert count_network(network.rn, IMAGE, IMAGE).memory_mb == pytest.approx(900.90 - 1.0, abs=0.01)


class Mixed(nn.Module):
    """One of each kind of layer that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.ConvTranspose2d(8, 4, 2, stride=2))
        self.head = nn.Linear(4, 5)
        self.frozen = nn.Parameter(torch.zeros(7), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


def test_counts_by_hand():
    counts = count_network(Mixed(), (1, 3, 10, 12))
    convolution = 10 * 12 * 8 * 3 * 9
    transposed = 10 * 12 * 8 * 4 * 4  # each input pixel meets each weight once
    assert counts.convolution_macs == convolution + transposed and counts.other_macs == 4 * 5
    assert counts.parameters == (3 * 9 * 8 + 8) + (8 * 4 * 4 + 4) + (4 * 5 + 5)
    outputs = 8 * 10 * 12 + 4 * 20 * 24 + 5
    assert counts.memory_mb * 2**20 == 4 * (3 * 10 * 12 + 2 * outputs + counts.parameters + 7)


def test_speed_of_a_tiny_method(methods_folder):
    plan = plan_training(read_methods(methods_folder)[0], {"batch_size": 3, "patch_size": 16, "learning_rate": 0.1})
    speed = inference_speed(nn.Conv2d(3, 3, 3), torch.rand(1, 3, 32, 32), repeats=4, warmup=1)
    assert (
        0 < speed["quartiles"][0] <= speed["milliseconds"] <= speed["quartiles"][1]
        and speed["repeats"] == 4
        and speed["cpu_milliseconds"] > 0
    )
    training = training_speed(plan.config, steps=2)
    assert training["images_per_second"] > 0 and training["images_per_cpu_second"] > 0
    assert (training["batch_size"], training["patch_size"]) == (3, 16)


def test_the_table_and_what_is_measured_again(methods_folder, tmp_path, monkeypatch):
    calls = []

    def measure(plan, size, repeats, steps):
        calls.append(plan.method.name)
        speed = {
            "milliseconds": 12.5,
            "quartiles": [12.0, 13.0],
            "repeats": repeats,
            "peak_mb": 40.0,
            "cpu_milliseconds": 11.0,
        }
        training = {"images_per_second": 7.25, "images_per_cpu_second": 8.5}
        return {
            "network": speed,
            "nen": speed | {"peak_mb": None},
            "rn": speed | {"peak_mb": None},
            "training": training,
        }

    monkeypatch.setattr("noisewise.pipelines.reproduce.cost.measure_in_process", measure)
    methods = read_methods(methods_folder)
    costs, failed = measure_costs(methods, tmp_path, {"batch_size": 3}, report=lambda line: None)
    assert not failed and list(costs["title"]) == [
        "Two-stage",
        "Two-stage: first stage (NEN)",
        "Two-stage: second stage (RN)",
        "Twn",
    ]
    network = methods[0].network()
    assert costs.loc[0, "parameters"] == sum(tensor.numel() for tensor in network.parameters())
    assert costs.loc[1, "parameters"] + costs.loc[2, "parameters"] == costs.loc[0, "parameters"]
    markdown, table = write_cost_table(costs, tmp_path / "report")
    text = markdown.read_text(encoding="utf-8")
    assert (
        "| 12 (12 to 13) | 11 | 7.2 | 8.5 |" in text
        and "| 586,242 |" in text
        and "| 25.73 |" in text
        and "batches of 3" in text
    )
    read = pd.read_csv(table)
    assert read.loc[0, "published_gmac"] == 38.34 and pd.isna(read.loc[3, "published_gmac"])
    measure_costs(methods, tmp_path, {"batch_size": 3}, report=lambda line: None)
    assert calls == ["two_stage", "twn"]  # kept
    measure_costs(methods, tmp_path, {"batch_size": 5}, report=lambda line: None)
    assert calls == ["two_stage", "twn"] * 2


def test_a_method_that_cannot_be_built_costs_no_other_its_row(methods_folder, method_writer, tmp_path, monkeypatch):
    speed = {"milliseconds": 1.0, "quartiles": [1.0, 1.0], "repeats": 1, "peak_mb": None, "cpu_milliseconds": 1.0}
    measured = {"network": speed, "nen": speed, "rn": speed, "training": {"images_per_second": 1.0}}
    monkeypatch.setattr("noisewise.pipelines.reproduce.cost.measure_in_process", lambda *arguments: measured)
    broken = method_writer(methods_folder, "broken", order=0)
    broken.write_text(broken.read_text().replace("TwoStageDenoiser", "NoSuchNetwork"))
    lines: list[str] = []
    costs, failed = measure_costs(read_methods(methods_folder), tmp_path, report=lines.append)
    assert failed == ["broken"] and set(costs["method"]) == {"two_stage", "twn"}
    assert any("broken: left out" in line and "NoSuchNetwork" in line for line in lines)
