# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The copies of the package's bundles, without the check in a separate environment (``make zoo``)."""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

import noisewise
from noisewise.bundles import bundle_path
from noisewise.pipelines.zoo import ZooError, bundle_copy, copy_bundle
from noisewise.pipelines.zoo.check_copy import NECESSARY
from noisewise.pipelines.zoo.metadata import requirements

ROOT = Path(noisewise.__file__).parent
NAMES = sorted(path.parent.parent.name for path in ROOT.glob("bundles/*/configs/metadata.json"))


@pytest.fixture(scope="module", params=NAMES)
def copy(request, tmp_path_factory) -> Path:
    return copy_bundle(request.param, tmp_path_factory.mktemp("zoo"), torchscript=False)


def modules(copy: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in (copy / "scripts").rglob("*.py")}


def test_the_folder_is_what_the_zoo_expects(copy):
    files = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert {*NECESSARY, "docs/data_license.txt", "configs/logging.conf"} - files == {"models/model.ts"}
    assert {path.partition("/")[0] for path in files} == {"LICENSE", "configs", "docs", "models", "scripts"}
    assert not any(Path(name).suffix == ".pyc" for name in files)
    configs = {path.stem for path in (copy / "configs").iterdir()}
    assert {"train", "inference", "evaluate", "multi_gpu_train", "metadata", "logging"} <= configs


def test_no_module_and_no_config_refers_to_the_package(copy):
    for path in (copy / "configs").glob("*.yaml"):
        config = yaml.safe_load(path.read_text())
        assert "noisewise" not in json.dumps(config), path
    for path, tree in modules(copy).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("noisewise"), path
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("noisewise") for alias in node.names), path
        assert not re.search(r"(?<![\w./-])noisewise\.[a-z]", path.read_text()), path


def test_every_relative_import_finds_its_module_and_every_module_is_imported(copy):
    """Exactly the modules that are needed: none is missing, and each one is imported."""
    imported = set()
    for path, tree in modules(copy).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                for target in (folder, *(folder / alias.name for alias in node.names)):
                    imported |= {target.with_suffix(".py"), target / "__init__.py"}
                assert folder.is_dir() or folder.with_suffix(".py").is_file(), (path, node.module)
    configs = "".join(path.read_text() for path in (copy / "configs").glob("*.yaml"))
    for path in modules(copy):
        dotted = ".".join(path.relative_to(copy).with_suffix("").parts)
        assert path.name == "__init__.py" or path in imported or dotted in configs, path


def test_the_metadata_names_all_that_the_scripts_import(copy):
    metadata = json.loads((copy / "configs" / "metadata.json").read_text())
    required = metadata["required_packages_version"]
    assert "noisewise" not in required and metadata["version"] in metadata["changelog"]
    named = {re.split("[<>=]", line)[0] for line in requirements(metadata)}
    for tree in modules(copy).values():
        for node in ast.walk(tree):
            top = []
            if isinstance(node, ast.Import):
                top = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                top = [node.module.partition(".")[0]]
            for name in set(top) - sys.stdlib_module_names:
                assert {"PIL": "pillow", "ignite": "pytorch-ignite", "yaml": "pyyaml"}.get(name, name) in named


def test_the_network_is_the_copy_s_own(copy, monkeypatch):
    monkeypatch.syspath_prepend(copy)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    parser = ConfigParser()
    parser.read_config(str(copy / "configs" / "inference.yaml"))
    try:
        network = parser.get_parsed_content("network_def")
        assert Path(sys.modules[type(network).__module__].__file__).is_relative_to(copy / "scripts")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
            del sys.modules[name]
    network.load_state_dict(torch.load(copy / "models" / "model.pt", weights_only=True))


def test_the_documentation_is_the_copy_s_own(copy):
    text = (copy / "docs" / "README.md").read_text()
    assert "<!--" not in text and "-->" not in text and "bundles/" not in text
    for name in re.findall(r"configs/\w+\.(?:yaml|json)", text):
        assert (copy / name).is_file(), name
    assert "The package itself is not needed." in text and "must be installed; this folder" not in text
    assert text.count("```") % 2 == 0


def test_another_run_replaces_the_copy_and_a_failed_one_leaves_it(copy, monkeypatch):
    stray = copy / "scripts" / "stray.py"
    stray.write_text("")
    monkeypatch.setattr(bundle_copy, "_write_metadata", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        copy_bundle(copy.name, copy.parent, torchscript=False)
    assert stray.is_file() and not list(copy.parent.glob(".*"))
    monkeypatch.undo()
    copy_bundle(copy.name, copy.parent, torchscript=False)
    assert not stray.exists() and (copy / "LICENSE").is_file()


def test_the_unit_test_lies_beside_and_runs_configs_that_are_there(copy):
    path = copy.parent / "ci" / "unit_tests" / f"test_{copy.name}.py"
    text = path.read_text()
    for name in re.findall(r'get_workflow\("(\w+)"', text):
        assert (copy / "configs" / f"{name}.yaml").is_file()
    assert f'"bundle_root": "models/{copy.name}"' in text and "noisewise." not in text


def test_a_bundle_that_lacks_a_file_is_refused(tmp_path, monkeypatch):
    shutil.copytree(bundle_path("multimodal_denoising") / "configs", tmp_path / "poor" / "configs")
    monkeypatch.setattr(bundle_copy, "bundle_path", lambda name: tmp_path / name)
    with pytest.raises(ZooError, match=r"poor: has no LICENSE, docs/README\.md, models/model\.pt\."):
        copy_bundle("poor", tmp_path / "out")
    assert not (tmp_path / "out" / "poor").exists()
