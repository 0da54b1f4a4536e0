# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks of one bundle's copy, run by the interpreter of an environment without the package.

This is a separate script: it does not import the package, and fails if the package can be imported. It follows the
rules that MONAI's model zoo publishes with its CI (``ci/verify_bundle.py`` of Project-MONAI/model-zoo), and also
requires that results equal the package's. A duplicate of the copy is checked, under ``models/<bundle>`` as in the zoo,
so that the copy itself does not change.
"""

import argparse
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser, ckpt_export, verify_metadata, verify_net_in_out
from PIL import Image

PACKAGE = "noisewise"
SIZE_LIMIT = 25 * 1024**2  # bytes
TOLERANCE = 1e-5  # relative to the range of a result
NECESSARY = ("configs/metadata.json", "LICENSE", "models/model.pt", "models/model.ts", "docs/README.md")
TINY = {
    "batch_size": 1,
    "patch_size": 16,
    "val_size": 48,
    "steps_per_epoch": 2,
    "max_epochs": 1,
    "warmup_steps": 1,
    "num_workers": 0,
}
# The parts of the zoo's own ci/unit_tests/utils.py that our unit tests use.
ZOO_UTILS = """
def check_workflow(workflow, check_properties=False):
    workflow.initialize()
    missing = workflow.check_properties() if check_properties else None
    if missing:
        raise ValueError(f"the workflow lacks {missing}")
    workflow.run()
    workflow.finalize()
"""


class Failure(Exception):
    """A failed check."""


class Checks:
    """All checks of one copy; each is a method that raises :class:`Failure` or one of MONAI's errors."""

    def __init__(self, options: argparse.Namespace, root: Path) -> None:
        self.options, self.root = options, root
        self.name = options.bundle.name
        self.bundle = root / "models" / self.name
        shutil.copytree(options.bundle, self.bundle)
        self.given = {path.relative_to(self.bundle) for path in self.bundle.rglob("*") if path.is_file()}
        if options.large_files.is_dir():  # in the zoo they are downloaded
            shutil.copytree(options.large_files, self.bundle, dirs_exist_ok=True)
        self.configs = {path.stem: path for path in (self.bundle / "configs").iterdir() if path.suffix != ".conf"}
        self.metadata = json.loads(self.configs["metadata"].read_text(encoding="utf-8"))
        sys.path.insert(0, str(self.bundle))

    def all(self) -> list[tuple[str, Callable[[], None]]]:
        checks = [
            (f"{PACKAGE} is not installed", self.no_package),
            ("files", self.files),
            ("version and changelog", self.version),
            ("metadata against the schema", self.schema),
            ("the scripts import", self.scripts),
            ("network's input and output", self.network),
            ("TorchScript", self.torchscript),
            ("inference run, equal to the package's", self.inference),
        ]
        if "train" in self.configs:
            checks.append(("training run of two steps", self.training))
        if "multi_gpu_train" in self.configs:
            checks.append(("the same in two processes", self.two_processes))
        if (self.options.unit_tests / f"test_{self.name}.py").is_file():
            checks.append(("unit test of the zoo", self.unit_test))
        return checks

    def no_package(self) -> None:
        for folder in (None, self.bundle):
            found = subprocess.run(
                [sys.executable, "-c", f"import {PACKAGE}"], cwd=folder, capture_output=True, text=True
            )
            _require(f"No module named '{PACKAGE}'" in found.stderr, f"{PACKAGE} can be imported in {folder}")
        _require(importlib.util.find_spec(PACKAGE) is None, f"{PACKAGE} can be imported")

    def files(self) -> None:
        missing = [name for name in NECESSARY if not (self.bundle / name).is_file()]
        _require(not missing, f"missing: {missing}")
        _require("inference" in self.configs, "there is no inference config")
        large = [str(path) for path in self.given if (self.options.bundle / path).stat().st_size > SIZE_LIMIT]
        _require(not large, f"above 25 MB: {large}")
        odd = [str(path) for path in self.given if path.suffix == ".pyc" or path.name.startswith(".")]
        _require(not odd, f"does not belong in a bundle: {odd}")
        _require(PACKAGE not in self.metadata["required_packages_version"], f"the metadata asks for {PACKAGE}")

    def version(self) -> None:
        _require(self.metadata["version"] in self.metadata["changelog"], "the version is not in the changelog")

    def schema(self) -> None:
        path = self.root / "schema.json"
        if self.options.schema:
            shutil.copy(self.options.schema, path)
        verify_metadata(meta_file=str(self.configs["metadata"]), filepath=str(path))

    def scripts(self) -> None:
        for path in sorted((self.bundle / "scripts").rglob("*.py")):
            module = ".".join(path.relative_to(self.bundle).with_suffix("").parts).removesuffix(".__init__")
            importlib.import_module(module)

    def network(self) -> None:
        verify_net_in_out(**self.network_files(), device="cpu", n=2, bundle_root=str(self.bundle))

    def torchscript(self) -> None:
        path = self.bundle / "models" / "verify_model.ts"
        weights = self.bundle / "models" / "model.pt"
        ckpt_export(**self.network_files(), filepath=str(path), ckpt_file=str(weights), bundle_root=str(self.bundle))
        parser = ConfigParser()
        parser.read_config(str(self.configs["inference"]))
        parser.read_meta(str(self.configs["metadata"]))
        network = parser.get_parsed_content("network_def").eval()
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        inputs = next(iter(self.metadata["network_data_format"]["inputs"].values()))
        sizes = [24 + 8 * axis for axis, _ in enumerate(inputs["spatial_shape"])]
        image = torch.rand(1, inputs["num_channels"], *sizes, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = network(image)
            for exported in (path, self.bundle / "models" / "model.ts"):
                _compare(torch.jit.load(exported, map_location="cpu")(image).numpy(), expected.numpy(), exported.name)

    def inference(self) -> None:
        options = {"dataset_dir": self.options.images, "output_dir": self.root / "results"}
        self.run_bundle("inferring", ["inference"], options)
        expected = sorted(path.relative_to(self.options.expected) for path in self.options.expected.rglob("*.*"))
        got = sorted(path.relative_to(self.root / "results") for path in (self.root / "results").rglob("*.*"))
        _require(bool(expected) and got == expected, f"results {got} instead of {expected}")
        for path in expected:
            _compare(_pixels(self.root / "results" / path), _pixels(self.options.expected / path), str(path))
            source = _pixels(self.options.images / path)
            _require(not np.array_equal(_pixels(self.root / "results" / path), source), f"{path}: unchanged")

    def training(self) -> None:
        self.run_bundle("training", self.training_configs(), self.training_options("trained"))
        _require((self.root / "trained" / "model.pt").is_file(), "training wrote no weights")

    def two_processes(self) -> None:
        options = {**self.training_options("trained_by_two"), "track": False}
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        self.run_bundle("training", [*self.training_configs(), "multi_gpu_train"], options, launcher)
        _require((self.root / "trained_by_two" / "model.pt").is_file(), "training wrote no weights")

    def unit_test(self) -> None:
        tests = self.root / "ci" / "unit_tests"
        tests.mkdir(parents=True)
        shutil.copy(self.options.unit_tests / f"test_{self.name}.py", tests)
        (tests / "utils.py").write_text(ZOO_UTILS, encoding="utf-8")
        _run([sys.executable, "-m", "unittest", f"test_{self.name}"], self.root, PYTHONPATH=str(tests))

    def network_files(self) -> dict[str, str]:
        files = {"meta_file": str(self.configs["metadata"]), "config_file": str(self.configs["inference"])}
        return {"net_id": "network_def", **files}

    def training_configs(self) -> list[str]:
        """The configs of a training that does not need another bundle's weights."""
        return ["train", "scratch"] if "scratch" in self.configs else ["train"]

    def training_options(self, output: str) -> dict[str, object]:
        """Overrides for a short run, if the config has their keys."""
        manifest = importlib.import_module("scripts.data_manifest")
        known = ConfigParser.load_config_file(str(self.configs["train"]))
        # CT: air and a body of noise, stored as Hounsfield units + 1024.
        ct = known.get("modalities") == ["ct"]
        kind = {"modality": "ct", "offset": 1024} if ct else {"modality": "mri"}
        records = []
        for index, split in enumerate(("train", "train", "val")):
            folder = self.root / "images" / f"subject{index}"
            folder.mkdir(parents=True, exist_ok=True)
            image = np.random.RandomState(index).randint(0, 256, (56, 50), np.uint8)
            if ct:
                image = np.pad(image[8:48, 8:42].astype(np.uint16) + 1000, ((8, 8), (8, 8)), constant_values=24)
            Image.fromarray(image).save(folder / f"image{index}.png")
            records += manifest.build_manifest(folder, source="random", license="none", split=split, **kind)
        manifest.Manifest(records).write(self.root / "images.csv", absolute=True)
        options = {**TINY, "manifest": self.root / "images.csv", "output_dir": self.root / output}
        options["tracking_uri"] = f"sqlite:///{self.root / 'mlflow.db'}"
        return {key: value for key, value in options.items() if key in known}

    def run_bundle(
        self, run_id: str, configs: list[str], options: dict[str, object], launcher: list[str] | None = None
    ) -> None:
        """Run configs from the bundle's folder, as the bundle's documentation says."""
        files = str([f"configs/{self.configs[name].name}" for name in configs])
        command = [sys.executable, *(launcher or []), "-m", "monai.bundle", "run", run_id, "--config_file", files]
        _run([*command, *(part for key, value in options.items() for part in (f"--{key}", str(value)))], self.bundle)


def _run(command: list[str], folder: Path, **environment: str) -> None:
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env={**variables, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def _pixels(path: Path) -> np.ndarray:
    if path.name.endswith((".nii", ".nii.gz")):
        return nib.load(path).get_fdata()
    with Image.open(path) as image:
        return np.asarray(image).astype(np.float64)


def _compare(got: np.ndarray, expected: np.ndarray, name: str) -> None:
    _require(got.shape == expected.shape, f"{name}: {got.shape} instead of {expected.shape}")
    difference = np.abs(got - expected).max() / np.ptp(expected)
    _require(difference <= TOLERANCE, f"{name}: differs by {difference:.1e} of the range")


def _require(condition: bool, cause: str) -> None:
    if not condition:
        raise Failure(cause)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="folder of the copy")
    parser.add_argument("--images", type=Path, required=True, help="images to denoise")
    parser.add_argument("--expected", type=Path, required=True, help="the package's results for them")
    parser.add_argument("--unit-tests", type=Path, required=True, help="folder of unit tests in the zoo's form")
    parser.add_argument("--large-files", type=Path, required=True, help="folder of files that the zoo downloads")
    parser.add_argument("--schema", type=Path, help="schema of the metadata; downloaded by default")
    options = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    logging.disable(logging.INFO)  # MONAI prints the arguments of every call
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        for name, check in (checks := Checks(options, Path(folder).resolve())).all():
            start = time.perf_counter()
            try:
                check()
            except Exception as error:
                print(f"{checks.name}: {name}: FAILED: {error}", file=sys.stderr)
                return 1
            print(f"{checks.name}: {name}: ok, {time.perf_counter() - start:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
