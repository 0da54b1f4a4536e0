# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Train, evaluate and draw on the embedded images, as ``make train`` does.

All steps run by the bundle's own command line, so that each printed command can be repeated and changed.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import typer

from ...bundles import bundle_path
from ...data_manifest import Manifest, build_embedded
from ..tracking.view import experiment_page
from .console import user_errors

__all__ = ["bundle_command", "quickstart"]

TRAINING = {"batch_size": 12, "steps_per_epoch": 50, "max_epochs": 5, "schedule": "cosine", "ema_decay": 0.98}
EVALUATION = {"crop": 192, "stds": "[25, 50]"}


def bundle_command(run_id: str, config: str, **overrides: Any) -> list[str]:
    """The command line that runs a config of the multimodal bundle.

    Args:
        run_id: ``"training"``, ``"evaluating"`` or ``"inferring"``.
        config: name of the config file, such as ``"train.yaml"``.
        overrides: config keys and their values.

    Returns:
        Arguments for ``subprocess.run``.
    """
    path = bundle_path("multimodal_denoising") / "configs" / config
    command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", str(path)]
    for key, value in overrides.items():
        command += [f"--{key}", str(value)]
    return command


def quickstart(root: Path, training: dict[str, Any] | None = None, evaluation: dict[str, Any] | None = None) -> Path:
    """Train briefly on the embedded images, evaluate on their test split, and draw noisy, denoised and clean.

    Args:
        root: folder of all runs; each call creates a new one in it, and nothing else is written.
        training: overrides of the training config.
        evaluation: overrides of the evaluation config.

    Returns:
        The folder of this run.

    Raises:
        RuntimeError: if a step fails, after its own message.
    """
    root = root.resolve()
    run = root / time.strftime("quickstart-%Y%m%d-%H%M%S")
    store = f"sqlite:///{root / 'mlflow.db'}"
    manifest = build_embedded(root / "embedded")
    print(f"embedded images: {_describe(manifest)}", flush=True)
    train = {"manifest": manifest, "output_dir": run, "tracking_uri": store}
    _run(bundle_command("training", "train.yaml", **train, **(TRAINING if training is None else training)))
    score = {"manifest": manifest, "output_dir": run / "evaluation", "weights": run / "model.pt"}
    score |= {"tracking_uri": store}
    _run(bundle_command("evaluating", "evaluate.yaml", **score, **(EVALUATION if evaluation is None else evaluation)))
    results = {
        "weights": run / "model.pt",
        "table": run / "evaluation" / "summary.md",
        "picture": run / "evaluation" / "picture.png",
        "MLflow store": root / "mlflow.db",
    }
    missing = [str(path) for path in results.values() if not path.exists()]
    if missing:
        raise RuntimeError(f"not written: {', '.join(missing)}")
    print((run / "evaluation" / "summary.md").read_text(encoding="utf-8"))
    for name, path in results.items():
        print(f"{name + ':':14}{path}")
    mlflow = Path(sys.executable).parent / "mlflow"
    print(f"\nReview the run in MLflow: {shlex.quote(str(mlflow))} ui --backend-store-uri {shlex.quote(store)}")
    print(f"and open http://127.0.0.1:5000{experiment_page()}")
    return run


def _run(command: list[str]) -> None:
    print("\n$ " + shlex.join(command), flush=True)
    if subprocess.run(command).returncode:
        raise RuntimeError("the command above failed.")


def _describe(manifest: Path) -> str:
    counts: dict[str, int] = {}
    for (modality, _split), count in Manifest.read(manifest).counts().items():
        counts[modality] = counts.get(modality, 0) + count
    return ", ".join(f"{count} {modality}" for modality, count in counts.items())


def main() -> None:
    """Train, evaluate and draw on the embedded images."""
    with user_errors(RuntimeError):
        quickstart(Path("runs"))


if __name__ == "__main__":
    typer.run(main)
