# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""References to the package in configs and documents."""

from __future__ import annotations

import pytest
import yaml

from noisewise.pipelines.zoo.modules import ZooError
from noisewise.pipelines.zoo.references import (
    config_references,
    document_references,
    rewrite_config,
    rewrite_references,
)

CONFIG = """# noisewise.comments.do.not.count
imports:
  - $import os
  - $from noisewise.bundles import bundle_path
  - $from noisewise.pipelines.weights import load_weights, save as keep
bundle_root: $str(bundle_path('one'))
network:
  _target_: noisewise.networks.Net
nen_loss#weight: '$noisewise.losses.weight(@network)'
experiment_name: noisewise  # pip install noisewise[all]
"""


def test_references_of_a_config():
    own = {"pipelines.weights.load_weights", "pipelines.weights.save", "networks.Net", "losses.weight"}
    assert config_references(CONFIG) == {*own, "bundles.bundle_path"}


def test_a_rewritten_config_refers_to_scripts():
    config = yaml.safe_load(rewrite_config(CONFIG, "a.yaml", "one"))
    assert config["imports"] == ["$import os", "$from scripts.pipelines.weights import load_weights, save as keep"]
    assert config["bundle_root"] == "." and config["experiment_name"] == "one"
    assert config["network"]["_target_"] == "scripts.networks.Net"
    assert config["nen_loss#weight"] == "$scripts.losses.weight(@network)"


@pytest.mark.parametrize("line", ["  - $import noisewise", "weights: $bundle_path('other') / 'models'"])
def test_what_has_no_counterpart_is_refused(line):
    with pytest.raises(ZooError, match=r"a\.yaml: refers to the package"):
        rewrite_config(f"imports:\n{line}\n" if line.startswith(" ") else f"{line}\n", "a.yaml", "one")


def test_names_in_prose_and_paths_stay():
    text = "noisewise removes noise. See /opt/noisewise.d and pip install noisewise[bm3d]; :class:`~noisewise.a.B`"
    assert rewrite_references(text) == text.replace("noisewise.a.B", "scripts.a.B")


def test_references_of_a_document():
    text = "from scripts.data_manifest import Manifest, build_manifest\nfrom noisewise.x import y\n"
    assert document_references(text) == {"data_manifest.Manifest", "data_manifest.build_manifest"}
