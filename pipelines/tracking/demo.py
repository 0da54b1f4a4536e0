# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A demonstration store: several short trainings on the embedded images, their evaluations and registered weights.

It shows MLflow's pages with real runs in them. A few tens of steps do not train a useful network.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from mlflow import MlflowClient
from monai.bundle import ConfigParser, ConfigWorkflow

from ...atomic import write_text_atomically
from ...bundles import bundle_path
from ...data_manifest import build_embedded
from .. import low_dose_ct
from ..bundle.config import network_from_config
from ..evaluation import summary_metrics
from ..evaluation.run import run_evaluation, run_evaluation_config
from .registry import register_weights
from .run import store_errors, store_uri
from .tracker import RUN_ID_FILE

__all__ = ["DEMO_RUNS", "DemoRun", "build_demo", "demo_is_complete", "server_command"]

EXPERIMENT = "noisewise demo"
STORE = "mlflow.db"
COMPLETE = "complete.txt"
# One name for all networks, so that MLflow's pages show their scores in the same columns.
SCORED_AS = "denoised"
TRAINING: dict[str, Any] = {
    "batch_size": 2,
    "patch_size": 64,
    "steps_per_epoch": 8,
    "max_epochs": 4,
    "schedule": "cosine",
    "ema_decay": 0.9,
    "val_limit": 1,
    "val_stds": [50],
    "panels": 3,
    "num_workers": 0,
}
EVALUATION: dict[str, Any] = {"limit": 1, "crop": 128, "stds": [50], "progress": False}


@dataclass(frozen=True)
class DemoRun:
    """One training of the demo.

    Attributes:
        name: names the method, the noise and the start; the run's name and, with spaces replaced, that of its folder
            are made of it.
        overlays: config files on top of ``train.yaml``: paths, or names in the bundle's ``configs``. The last file
            with a ``network_def`` defines the network that is evaluated.
        settings: config keys in which this training differs from the others.
        bundle: the bundle whose configs are run and whose evaluation scores the weights; the registered model has
            its name.
    """

    name: str
    overlays: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    bundle: str = "multimodal_denoising"

    @property
    def config_files(self) -> list[Path]:
        """The config files of the training."""
        folder = bundle_path(self.bundle) / "configs"
        return [folder / name for name in ("train.yaml", *self.overlays)]


# One entry per run; trainings of other bundles are added here.
DEMO_RUNS = (
    DemoRun("two_stage physical", ("methods/two_stage.yaml",), {"protocol": "physical"}),
    DemoRun("two_stage author_code", ("methods/two_stage.yaml",), {"protocol": "author_code"}),
    DemoRun("nen physical", ("single_stage.yaml", "methods/nen.yaml")),
    DemoRun("dncnn physical", ("single_stage.yaml", "methods/dncnn.yaml")),
    DemoRun("cae physical", ("single_stage.yaml", "methods/cae.yaml")),
    DemoRun(
        "two_stage physical tuned",
        ("methods/two_stage.yaml",),
        {"initial_weights": str(bundle_path("multimodal_denoising") / "models" / "model.pt"), "learning_rate": 5e-5},
    ),
    DemoRun("two_stage low_dose_ct tuned", (), {"val_size": 128, "learning_rate": 5e-5}, "low_dose_ct_denoising"),
)


def build_demo(
    output: str | os.PathLike,
    runs: Sequence[DemoRun] = DEMO_RUNS,
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = print,
) -> str:
    """Fill an MLflow store: train and evaluate each run, and register its weights.

    Every training becomes a run with its evaluation below it, all in the experiment ``noisewise demo``; all
    evaluations of a bundle score the same noisy images. Each training's best weights become a version of a registered
    model with the bundle's name; the version with the highest mean PSNR gets the alias ``champion``, the second best
    ``challenger``.

    Args:
        output: a new or empty folder for the store (``mlflow.db`` with ``mlruns``), the images and the trainings.
            ``MLFLOW_TRACKING_URI`` sends the runs to another store.
        runs: the trainings.
        training: keys for all training configs; by default a few tens of steps.
        evaluation: keys for the evaluation configs.
        report: called with a line of text after each run.

    Returns:
        The store's URI.

    Raises:
        FileExistsError: when the folder is not empty.
        RuntimeError: when a training or an evaluation fails, or the store cannot be used.
    """
    output = Path(output).absolute()
    if output.exists() and any(output.iterdir()):
        raise FileExistsError(f"{output} is not empty; name a new folder, or delete it to build the demo again.")
    uri = store_uri(output / STORE)
    manifest = build_embedded(output / "embedded")
    scores: dict[str, list[tuple[float, int]]] = {}
    for index, run in enumerate(runs, 1):
        folder = output / run.name.replace(" ", "_")
        started = time.monotonic()
        common = {"manifest": str(manifest), "tracking_uri": uri, "experiment_name": EXPERIMENT}
        _train(run, folder, {**(TRAINING if training is None else training), **common})
        run_id = (folder / RUN_ID_FILE).read_text().strip()
        psnr = _evaluate(run, folder, {**(EVALUATION if evaluation is None else evaluation), **common})
        tags = {"test.psnr": f"{psnr:.2f}"}
        weights = folder / "model.pt"
        version = register_weights(weights, run.bundle, run_id, uri, bundle=run.bundle, tags=tags, description=run.name)
        scores.setdefault(run.bundle, []).append((psnr, version))
        seconds = time.monotonic() - started
        report(f"[{index}/{len(runs)}] {run.name}: {psnr:.2f} dB, version {version} of {run.bundle}, {seconds:.0f} s")
    for bundle, versions in scores.items():
        _set_aliases(uri, bundle, versions)
    write_text_atomically(output / COMPLETE, f"{len(runs)} runs\n")
    return uri


def demo_is_complete(output: str | os.PathLike) -> bool:
    """Whether a folder holds a complete demo, not an interrupted one."""
    return (Path(output) / COMPLETE).is_file()


def server_command(uri: str, port: int = 5000) -> list[str]:
    """The command that serves a store's pages to this machine only.

    Args:
        uri: the URI of a database.
        port: a port of the loopback interface.

    Returns:
        Arguments for ``subprocess.run``.
    """
    server = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    return [*server, "--host", "127.0.0.1", "--port", str(port)]


def _train(run: DemoRun, folder: Path, settings: Mapping[str, Any]) -> None:
    files = [str(path) for path in run.config_files]
    # MONAI would warn that the bundle's logging.conf is not used.
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    overrides = {**_known(settings, files), **run.settings}
    overrides |= {"output_dir": str(folder), "run_name": f"train {run.name} seed 0"}
    workflow = ConfigWorkflow(files, logging_file=False, run_id="training", workflow_type="train", **overrides)
    handlers = workflow.parser["train"]["handlers"]
    tracker = next(i for i, entry in enumerate(handlers) if entry["_target_"].endswith(".ExperimentTracker"))
    # With so few steps, losses are logged at every second one. The config finds its files on the command line only.
    workflow.parser[f"train::handlers::{tracker}::loss_interval"] = 2
    workflow.parser[f"train::handlers::{tracker}::config_files"] = files
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def _known(settings: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """The settings whose keys the config files have: bundles differ."""
    known = ConfigParser.load_config_files(list(files))
    return {key: value for key, value in settings.items() if re.split("#|::", key)[0] in known}


def _evaluate(run: DemoRun, folder: Path, settings: Mapping[str, Any]) -> float:
    """Score the trained network, and return its mean PSNR in dB."""
    definition = next(path for path in reversed(run.config_files) if "network_def:" in path.read_text("utf-8"))
    overrides = {
        **_known(settings, [str(bundle_path(run.bundle) / "configs" / "evaluate.yaml")]),
        "network_def": network_from_config(definition),
        "weights": str(folder / "model.pt"),
        "output_dir": str(folder / "evaluation"),
        "run_name": f"evaluate {run.name}",
    }
    if run.bundle == "low_dose_ct_denoising":
        run_evaluation_config(run.bundle, overrides)
        rows = low_dose_ct.read_rows(folder / "evaluation" / "scores.csv")
        return fmean(scores["psnr_db"] for scores in low_dose_ct.summary_metrics(rows)[SCORED_AS].values())
    scores = summary_metrics(run_evaluation({**overrides, "method": SCORED_AS}).rows())[SCORED_AS]
    return fmean(condition["psnr"] for condition in scores.values())


def _set_aliases(uri: str, model_name: str, versions: Sequence[tuple[float, int]]) -> None:
    best_first = sorted(versions, reverse=True)
    with store_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        for alias, (_psnr, version) in zip(("champion", "challenger"), best_first):
            client.set_registered_model_alias(model_name, alias, str(version))
