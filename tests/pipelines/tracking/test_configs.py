# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import pytest
import yaml

from noisewise.bundles import bundle_path
from noisewise.pipelines.tracking.configs import config_text

YAML = r"""# images of Jane Doe: /data/doe
# three epochs
max_epochs: 3  # enough
dataset_dir: /data/Jane Q Doe/x
manifest: $os.path.join(@dataset_dir, 'doe list.csv')
double: "$read(@dataset_dir, 'doe.csv', b=\"/doe/x\")"
single: '$read(@dataset_dir, ''doe.csv'')'
"windows": "C:\\doe"
files: [doe.png, 'jane doe.dcm', 3, torch.optim.Adam, "@train#dataset"]
note: |
  see /data/doe
network_def:
  _target_: noisewise.networks.TwoStageDenoiser
  weights: &anchor ~/doe
"""
EXPECTED = {
    "max_epochs": 3,
    "dataset_dir": "left-out",
    "manifest": "$os.path.join(@dataset_dir, 'left-out')",
    "double": "$read(@dataset_dir, 'left-out', b=\"left-out\")",
    "single": "$read(@dataset_dir, 'left-out')",
    "windows": "left-out",
    "files": ["left-out", "left-out", 3, "torch.optim.Adam", "@train#dataset"],
    "note": "left-out",
    "network_def": {"_target_": "noisewise.networks.TwoStageDenoiser", "weights": "left-out"},
}


def test_paths_are_left_out_and_all_else_stands(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(YAML)
    text = config_text(path)
    assert yaml.safe_load(text) == EXPECTED
    assert "doe" not in text.lower()
    assert "# three epochs\nmax_epochs: 3  # enough\n" in text


def test_json_stays_json(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(
        '{\n\t"dir": "/data/doe",\n\t"command": "$open(\'doe.csv\')",\n\t"steps": [1, 2.5, true, null]\n}\n'
    )
    text = config_text(path)
    assert yaml.safe_load(text) == {"dir": "left-out", "command": "$open('left-out')", "steps": [1, 2.5, True, None]}


@pytest.mark.parametrize("name", ["train.yaml", "evaluate.yaml", "methods/dncnn.yaml"])
def test_bundle_configs_keep_their_keys_and_numbers(name):
    path = bundle_path("multimodal_denoising") / "configs" / name
    stored, config = yaml.safe_load(config_text(path)), yaml.safe_load(path.read_text())
    assert stored.keys() == config.keys()
    differing = [key for key in config if stored[key] != config[key]]
    assert not set(differing) & {"learning_rate", "betas", "network_def", "protocol", "std_range", "imports"}


@pytest.mark.parametrize("content", [b"a: 'b\n", b"a: \xff\n", b"a: @b\n"], ids=["quote", "no UTF-8", "at sign"])
def test_what_is_no_config_is_refused_without_a_quotation(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"dir: /data/doe\n" + content)
    with pytest.raises(ValueError) as caught:
        config_text(path)
    assert "doe" not in str(caught.value)
