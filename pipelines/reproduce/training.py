# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The training queue: all compared methods, one after another, at one budget, with resumption."""

from __future__ import annotations

import copy
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
import yaml
from monai.bundle import ConfigParser

from ...atomic import write_text_atomically
from ...data_manifest import Manifest, file_digest
from ..bundle.versions import code_version
from .budget import BudgetError, TrainingPlan, differences, plan_training
from .methods import Method
from .process import device_name, ended_by_sigterm, run_logged
from .progress import TrainingWatch, numbered

__all__ = ["RowResult", "read_marker", "row_folder", "train_methods"]

LAUNCHER = (sys.executable, "-m", "monai.bundle")
MARKER, RECORD, BUDGET, SETTINGS, LOG = "done.json", "row.json", "budget.json", "settings.yaml", "train.log"


@dataclass(frozen=True)
class RowResult:
    """The outcome of one method.

    Attributes:
        name: the method's name.
        outcome: ``"trained"``, ``"kept"`` (it was finished before), ``"busy"`` (another process is training it) or
            ``"failed"``.
        message: a message for the user.
    """

    name: str
    outcome: str
    message: str


def row_folder(output: str | os.PathLike, name: str) -> Path:
    """Return the folder of a method's training: ``<output>/training/<name>``."""
    return Path(output) / "training" / name


def read_marker(output: str | os.PathLike, name: str) -> dict[str, Any] | None:
    """Read the record of a finished training.

    Args:
        output: the queue's folder.
        name: the method's name.

    Returns:
        ``method``, ``budget``, ``settings``, ``config_digest``, ``manifest_digest``, ``weights`` (SHA-256 of
        ``model.pt``), ``wall_seconds`` and ``cpu_seconds`` (summed over all attempts, including work lost in
        interruptions), ``attempts``, ``images_seen``, ``epochs``, ``best`` (key metric and epoch of the weights),
        ``device``, ``threads`` and ``versions``; None when the training is not finished.

    Raises:
        ValueError: when the file is damaged.
    """
    return _read_json(row_folder(output, name) / MARKER)


def train_methods(
    methods: Sequence[Method],
    manifest: str | os.PathLike,
    output: str | os.PathLike,
    settings: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = print,
    launcher: Sequence[str] = LAUNCHER,
    beat_seconds: float = 10.0,
    bundle: str = "multimodal_denoising",
    overlays: Sequence[str] = (),
) -> list[RowResult]:
    """Train methods at the equal budget, each in a separate process.

    Every method sees the same crops of the same images with the same noise, which depend only on the seed and the
    epoch. A finished training is kept, an interrupted one resumes after its last epoch, and a failed one does not stop
    the queue. ``<output>/training/<name>`` holds ``model.pt``, ``checkpoint.pt``,
    ``validation.jsonl``, ``train.log``, and ``done.json`` once it is finished.

    Args:
        methods: in the order of training.
        manifest: the manifest of the images.
        output: the folder; it belongs to one budget and one manifest.
        settings: overrides of config keys, the same for all methods.
        report: receives each line of progress.
        launcher: the command that runs ``run training --config_file ...``.
        beat_seconds: the interval at which the elapsed time is recorded; an interruption loses no more than that.
        bundle: the bundle whose training configs are used.
        overlays: config files of that bundle that are merged right after ``train.yaml``.

    Returns:
        The outcome of each method.

    Raises:
        BudgetError: when the folder was started with another budget or manifest, or a setting is wrong.
        ManifestError: when the manifest cannot be read.
        FileNotFoundError: when the bundle lacks a config.
    """
    plans = [plan_training(method, settings, bundle, overlays) for method in methods]
    manifest = Path(os.path.abspath(manifest))
    digest = Manifest.read(manifest).digest()
    output = Path(os.path.abspath(output))
    for plan in plans:
        _check_budget(output / "training" / BUDGET, plan, digest)
    results = []
    with ended_by_sigterm():
        for plan, report_row in numbered(plans, report):
            result = _train_row(plan, manifest, digest, output, report_row, launcher, beat_seconds)
            report_row(f"{result.name}: {result.message}")
            results.append(result)
    return results


def _check_budget(path: Path, plan: TrainingPlan, manifest_digest: str) -> None:
    """Write the budget of a new folder, or compare with that of an existing one."""
    now = {**plan.budget, "manifest_digest": manifest_digest}
    before = _read_json(path)
    if before is None:
        write_text_atomically(path, _json(now))
        return
    changed = differences(before, now)
    if changed:
        raise BudgetError(
            f"{path.parent}: was started with another budget ({plan.method.name}: {'; '.join(changed)}). "
            "All rows need the same one: use that budget, or choose another output folder."
        )


def _train_row(
    plan: TrainingPlan,
    manifest: Path,
    manifest_digest: str,
    output: Path,
    report: Callable[[str], None],
    launcher: Sequence[str],
    beat_seconds: float,
) -> RowResult:
    name, folder = plan.method.name, row_folder(output, plan.method.name)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / ".lock") as lock:
        if lock is None:
            return RowResult(name, "busy", "another process is training it; skipped")
        try:
            marker, record = read_marker(output, name), _read_json(folder / RECORD)
        except ValueError as error:
            return RowResult(name, "failed", str(error))
        if marker is not None:
            return RowResult(name, "kept", _finished_words("finished before", marker, plan))
        changed = differences(record["config"], plan.relevant_config) if record else []
        if changed:
            return RowResult(
                name,
                "failed",
                f"its config has changed since the start ({'; '.join(changed)}); delete {folder} to train it again.",
            )
        record = record or {"method": name, "config": plan.relevant_config, "attempts": []}
        attempts = record["attempts"]
        if not _is_complete(folder, plan):
            attempts.append({"begun": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "wall_seconds": 0.0, "cpu_seconds": 0.0})

            begun = _checkpoint(folder).get("progress", {}).get("epoch", 0)
            history, epochs = folder / "validation.jsonl", plan.config["max_epochs"]
            watch = TrainingWatch(history, begun, epochs, lambda line: report(f"{name}: {line}"))

            def beat(wall: float, cpu: float) -> None:
                attempts[-1] |= {"wall_seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}
                write_text_atomically(folder / RECORD, _json(record))
                watch.look(wall)

            # Weights of an earlier, deleted checkpoint would be taken for this run's.
            if not (folder / "checkpoint.pt").exists():
                for stale in ("model.pt", "validation.jsonl"):
                    (folder / stale).unlink(missing_ok=True)
            beat(0.0, 0.0)
            report(f"{name}: training ({_begin_words(folder, plan)}); log: {folder / LOG}")
            status = run_logged(
                _command(plan, manifest, folder, launcher), folder / LOG, beat, beat_seconds, (lock.fileno(),)
            )
            if status or not _is_complete(folder, plan):
                cause = _last_line(folder / LOG) or "no output"
                return RowResult(name, "failed", f"failed with exit status {status}: {cause} (log: {folder / LOG})")
        marker = _marker(plan, record, folder, manifest_digest)
        write_text_atomically(folder / MARKER, _json(marker))
        return RowResult(name, "trained", _finished_words("trained", marker, plan))


def _command(plan: TrainingPlan, manifest: Path, folder: Path, launcher: Sequence[str]) -> list[str]:
    files = [str(path) for path in plan.files]
    if plan.settings:
        # In a file, because MONAI's command line drops settings that are None.
        text = yaml.safe_dump(dict(plan.settings), sort_keys=False)
        files.append(str(write_text_atomically(folder / SETTINGS, text)))
    return [
        *launcher,
        *("run", "training", "--config_file", str(files)),
        *("--manifest", str(manifest), "--output_dir", str(folder), "--resume", "True"),
    ]


def _is_complete(folder: Path, plan: TrainingPlan) -> bool:
    """Whether the checkpoint is that of the last epoch."""
    progress = _checkpoint(folder).get("progress", {})
    done = progress.get("epoch", 0) >= plan.config["max_epochs"] or progress.get("stopped_early", False)
    return done and (folder / "model.pt").exists()


def _checkpoint(folder: Path) -> dict[str, Any]:
    path = folder / "checkpoint.pt"
    # The trainer reports a damaged checkpoint.
    try:
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else {}
    except Exception:
        return {}


def _marker(plan: TrainingPlan, record: Mapping[str, Any], folder: Path, manifest_digest: str) -> dict[str, Any]:
    state = _checkpoint(folder)
    attempts = record["attempts"]
    return {
        "method": plan.method.name,
        "budget": plan.budget,
        "settings": plan.settings,
        "config_digest": plan.digest,
        "manifest_digest": manifest_digest,
        "weights": file_digest(folder / "model.pt"),
        "wall_seconds": round(sum(attempt["wall_seconds"] for attempt in attempts), 2),
        "cpu_seconds": round(sum(attempt["cpu_seconds"] for attempt in attempts), 2),
        "attempts": attempts,
        "images_seen": state["progress"]["iteration"] * plan.config["batch_size"],
        "epochs": state["progress"]["epoch"],
        "best": state.get("best"),
        "device": device_name(str(_parsed(plan, "device"))),
        "amp_dtype": _parsed(plan, "amp_dtype"),
        "threads": torch.get_num_threads(),
        "versions": code_version(),
    }


def _parsed(plan: TrainingPlan, key: str) -> Any:
    # A copy, because a parser modifies its config.
    return ConfigParser(copy.deepcopy(dict(plan.config))).get_parsed_content(key)


def _begin_words(folder: Path, plan: TrainingPlan) -> str:
    epoch = _checkpoint(folder).get("progress", {}).get("epoch")
    steps = f"{plan.config['max_epochs']} epochs of {plan.config['steps_per_epoch']} steps"
    return f"resuming after epoch {epoch} of {steps}" if epoch else steps


def _finished_words(word: str, marker: Mapping[str, Any], plan: TrainingPlan) -> str:
    words = f"{word}: {marker['images_seen']} patches in {marker['wall_seconds']:.0f} s"
    if marker.get("best"):
        words += f", validation PSNR {marker['best']['metric']:.2f} dB"
    if marker["config_digest"] != plan.digest:
        words += "; its config has changed since, the trained weights are kept"
    return words


def _last_line(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines)[-1][:500] if lines else ""


@contextmanager
def _lock(path: Path) -> Iterator[TextIO | None]:
    """Hold a file's lock, or yield None when another process does; the training inherits it, in case the queue dies."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield file


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is damaged ({error}); delete it or its folder.") from None


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, default=str) + "\n"
