# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import torch

from noisewise.pipelines.tracking import flatten_parameters, training_parameters
from noisewise.pipelines.tracking.parameters import names_a_file

# value, whether it may name a file
CASES = [
    ("/data/patient/1.png", True),
    ("~/images", True),
    ("images/train", True),
    (r"C:\images", True),
    (r"images\train", True),
    ("file:///data", True),
    ("DOE_JANE.dcm", True),
    ("scan.nii.gz", True),
    ("$@dataset_dir + '/x'", True),
    (Path("images"), True),
    (["a", "b/c"], True),
    ("model.pt", True),
    ("noisewise.networks.TwoStageDenoiser", False),
    ("torch.optim.Adam", False),
    ("torch.nn.functional.raw_loss", False),
    ("physical", False),
    ("1e-4", False),
    (0.001, False),
    ([0.5, 0.999], False),
    (None, False),
    ("mean / std", False),
]


@pytest.mark.parametrize("value, expected", CASES)
def test_what_may_name_a_file(value, expected):
    assert names_a_file(value) is expected


def test_nested_parameters_get_dotted_names_and_paths_are_left_out():
    params = {
        "optimizer": {"lr": 1e-4, "betas": [0.5, 0.999]},
        "data": {"dir": "/hospital/images", "workers": 2},
        "stages": [{"name": "nen"}, {"name": "rn"}],
        "loss (L_E)": "mse",
    }
    assert flatten_parameters(params) == {
        "optimizer.lr": "0.0001",
        "optimizer.betas": "[0.5, 0.999]",
        "data.workers": "2",
        "stages.0.name": "nen",
        "stages.1.name": "rn",
        "loss _L_E_": "mse",
    }


def test_values_longer_than_mlflow_takes_are_cut():
    assert len(flatten_parameters({"a": "x" * 10_000})["a"]) == 6000


# whether training is on pairs, the protocol of the config, the protocol that is logged
@pytest.mark.parametrize(
    ("paired", "protocol", "logged"), [(False, "published", "published"), (True, None, "none, pairs")]
)
def test_a_training_is_compared_by_its_settings(paired, protocol, logged):
    network = torch.nn.Linear(3, 2)
    settings = {"protocol": protocol, "std_range": [0, 75], "gradient_clip": None}
    params = training_parameters(network, torch.device("cpu"), "ab" * 32, paired, **settings)
    assert params == {
        "network": "Linear",
        "parameters": 8,
        "protocol": logged,
        "std_range": [0, 75],
        "gradient_clip": None,
        "initial_weights": "ab" * 8,
        "device": "cpu",
    }


def test_a_training_without_noise_simulation_gets_no_protocol():
    params = training_parameters(torch.nn.Linear(1, 1), torch.device("cpu"), paired=True, dose_range=None)
    assert "protocol" not in params and params["initial_weights"] == ""
