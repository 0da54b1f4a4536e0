# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The requirements of MONAI and its model zoo for a bundle, checked with MONAI's own tools.

meta_schema_20240725.json is MONAI's schema, from the address that metadata.json names (Apache-2.0): with it the
metadata is verified offline.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, onnx_export, verify_metadata, verify_net_in_out
from monai.metrics import PSNRMetric
from PIL import Image
from pydicom.data import get_testdata_file

import noisewise
from noisewise.data_manifest import build_manifest
from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.bundle.inferer import DenoisingInferer
from noisewise.pipelines.bundle.weights import load_weights
from noisewise.transforms import LoadMedicalImaged, ScaleToUnitRanged

SCHEMA = Path(__file__).with_name("meta_schema_20240725.json")


def properties_missing(config, workflow_type: str, **options) -> list[str]:
    workflow = ConfigWorkflow(
        config_file=str(config), logging_file=False, workflow_type=workflow_type, device=torch.device("cpu"), **options
    )
    workflow.initialize()
    return workflow.check_properties()


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.RandomState(seed).randint(0, 255, (48, 48), np.uint8)).save(path)


def test_inference_has_the_required_properties(bundle, tmp_path, overrides, tiny, save_weights):
    picture(tmp_path / "in" / "a.png")
    options = {"dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out"), "weights": save_weights(tiny)}
    assert properties_missing(bundle / "configs" / "inference.yaml", "infer", **options, **overrides) == []


def test_training_has_the_required_properties(bundle, tmp_path, overrides):
    for index, split in enumerate(("train", "val")):
        picture(tmp_path / split / f"subject{index}" / "a.png", seed=index)
    parts = [
        build_manifest(
            tmp_path / split, tmp_path / f"{split}.csv", modality="mri", source="made up", license="none", split=split
        )
        for split in ("train", "val")
    ]
    type(parts[0])([*parts[0], *parts[1]]).write(tmp_path / "manifest.csv")
    options = {"manifest": str(tmp_path / "manifest.csv"), "output_dir": str(tmp_path), "track": False}
    options |= {"batch_size": 1, "patch_size": 16, "val_size": 48, "num_workers": 0}
    assert properties_missing(bundle / "configs" / "train.yaml", "train", **options, **overrides) == []


def test_metadata_fits_the_schema(bundle, tmp_path):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["schema"].endswith(f"/{SCHEMA.name}")
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=SCHEMA)
    del metadata["network_data_format"]["outputs"]
    (tmp_path / "broken.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="'outputs' is a required property"):
        verify_metadata(meta_file=str(tmp_path / "broken.json"), filepath=SCHEMA)


def test_metadata_names_this_version(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    assert metadata["required_packages_version"]["noisewise"] == noisewise.__version__


@pytest.mark.parametrize("config", ["inference.yaml", "train.yaml", "evaluate.yaml"])
def test_the_network_takes_and_gives_what_the_metadata_says(bundle, config):
    files = {"meta_file": str(bundle / "configs" / "metadata.json"), "config_file": str(bundle / "configs" / config)}
    verify_net_in_out(net_id="network_def", **files, device="cpu", n=2)


def export_files(bundle) -> dict[str, str]:
    return {
        "net_id": "network_def",
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.yaml"),
    }


@pytest.mark.parametrize("use_trace", [False, True])
def test_torchscript_export_equals_the_network(bundle, tmp_path, overrides, tiny, save_weights, use_trace):
    path = str(tmp_path / "model.ts")
    ckpt_export(**export_files(bundle), filepath=path, ckpt_file=save_weights(tiny), use_trace=use_trace, **overrides)
    extra = {"metadata.json": "", "inference.json": ""}
    exported = torch.jit.load(path, _extra_files=extra)
    x = torch.rand(2, 3, 17, 30)
    torch.testing.assert_close(exported(x), tiny(x))
    assert json.loads(extra["metadata.json"])["version"] and "inferring" in json.loads(extra["inference.json"])


def test_onnx_export_takes_any_size(bundle, tmp_path, overrides, tiny, save_weights):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    axes = {0: "batch", 2: "height", 3: "width"}
    onnx_export(
        **export_files(bundle),
        filepath=str(tmp_path / "model.onnx"),
        ckpt_file=save_weights(tiny),
        converter_kwargs={
            "input_names": ["image"],
            "output_names": ["pred"],
            "dynamic_axes": {"image": axes, "pred": axes},
        },
        **overrides,
    )
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    for shape in ((1, 3, 16, 16), (2, 3, 17, 30)):
        x = torch.rand(shape)
        (result,) = session.run(["pred"], {"image": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(result), tiny(x), rtol=1e-4, atol=1e-5)


def test_the_documentation_has_the_zoo_s_headings_and_names_what_exists(bundle):
    text = (bundle / "docs" / "README.md").read_text()
    headings = ["Overview", "Data", "Training configuration", "Performance", "MONAI Bundle commands"]
    assert re.findall(r"^# (.+)$", text, re.M) == [*headings, "Disclaimer", "References", "License"]
    named = set(re.findall(r"configs/[\w.]+\.(?:yaml|json)", text))
    assert named and all((bundle / name).is_file() for name in named)
    for command in re.findall(r"^.*monai\.bundle run .*$", text, re.M):
        files = [bundle / name for name in re.findall(r"configs/[\w.]+\.yaml", command)]
        config = ConfigParser.load_config_files(files)
        assert re.search(r"bundle run (\w+)", command)[1] in config
        assert set(re.findall(r"--(\w+)", command)) <= {*config, "config_file", "standalone", "nproc_per_node"}
    assert (bundle / "LICENSE").read_text() == (Path(noisewise.__file__).parent / "LICENSE").read_text()
    assert "CC BY-NC-SA 4.0" in (bundle / "docs" / "data_license.txt").read_text()


def test_the_configs_stand_alone(bundle, tmp_path):
    """A copy of the bundle elsewhere resolves its network: nothing depends on where the configs lie."""
    shutil.copytree(bundle / "configs", tmp_path / "configs")
    parser = ConfigParser()
    parser.read_config(str(tmp_path / "configs" / "inference.yaml"))
    assert isinstance(parser.get_parsed_content("network_def"), TwoStageDenoiser)


def test_the_shipped_weights_remove_noise(bundle):
    path = bundle / "models" / "model.pt"
    if not path.is_file():
        pytest.skip("models/model.pt is not there yet")
    network = TwoStageDenoiser().eval()
    load_weights(network, path)
    item = {"image": get_testdata_file("CT_small.dcm"), "modality": "ct"}
    clean = ScaleToUnitRanged("image")(LoadMedicalImaged("image")(item))["image"].as_tensor()[None].clip(0, 1)
    noisy = clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 50 / 255
    with torch.no_grad():
        denoised = DenoisingInferer()(noisy, network)
    psnr = PSNRMetric(max_val=1.0)
    assert float(psnr(denoised, clean)) >= float(psnr(noisy, clean)) + 3
