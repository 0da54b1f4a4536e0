# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The handler that makes an MLflow run of a training."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.utils import ensure_tuple, is_scalar

from ..bundle.versions import code_version
from ..training.processes import is_main_process, process_count
from .names import training_name
from .panels import denoising_panel
from .run import TrackedRun
from .view import PANEL_KEY, share_view

__all__ = ["RUN_ID_FILE", "ExperimentTracker"]

logger = logging.getLogger(__name__)

RUN_ID_FILE = "mlflow_run_id.txt"


class ExperimentTracker:
    """Handler that makes an MLflow run of a training; list it among the trainer's handlers.

    The run holds the parameters, the code version and the digest of the data; the config files under ``config/``;
    losses and learning rates (``train/nen_loss``, ``train/rn_loss``, ``train/lr``) as means over an interval; the
    validation's metrics (``val/psnr``, ...) and panels of images (``val/panel_0``, ...), all with the trainer's
    iteration as step; at the end the table of final metrics and the files of ``output_dir``: weights under
    ``weights/``, tables and pictures under ``results/``. Its status is FINISHED, FAILED after an exception, or KILLED
    after Ctrl-C. The run's id is kept in ``output_dir``, so that a killed run is continued when training resumes.

    A store that cannot be reached when the engine starts is an error, which names it. Later failures cause a warning,
    and training continues (see :class:`~noisewise.pipelines.tracking.TrackedRun`). In multi-process training the first
    process does the tracking.

    Paths and file names are not logged, nor is any other information about an image except its pixels in the panels.

    MONAI's ``StatsHandler`` re-raises exceptions before the handlers after it are called: list it after this one.

    Args:
        output_dir: the training's output folder.
        evaluator: the evaluator whose metrics and images are logged while the trainer runs; its images and
            predictions must be on the 0..255 scale.
        tracking_uri: a URI or the path of an SQLite file; the environment variable ``MLFLOW_TRACKING_URI`` overrides
            it. ``mlruns.db`` in the working directory when None.
        experiment_name: the experiment; runs can be compared within one.
        run_name: names the method, the noise, the seed and the time when None.
        params: the settings to compare runs by; nested parameters get dotted names.
        config_files: config files to store under ``config/``; paths in them are left out.
        seed: the training's seed.
        manifest_digest: checksum of the data (``Manifest.digest()``).
        manifest_counts: number of images of each split.
        artifacts: patterns of files in ``output_dir`` to store at the end. Tables that name files are not stored.
        panels: number of validation images that are drawn; 0 keeps all pixels out of the store.
        panel_interval: number of validations between two drawn ones; the last epoch's is always drawn.
        panel_size: largest width and height of a tile.
        loss_interval: number of iterations between two logged losses.
        resume: continue the run whose id is in ``output_dir``, if there is one and the store has it.

    Raises:
        ValueError: when an interval or a size is not positive.
        FileNotFoundError: when a config file does not exist.
        RuntimeError: as the engine starts, when the store cannot be used.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        evaluator: Evaluator | None = None,
        tracking_uri: str | os.PathLike | None = None,
        experiment_name: str = "noisewise",
        run_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        config_files: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
        seed: int | None = None,
        manifest_digest: str | None = None,
        manifest_counts: Mapping[str, int] | None = None,
        artifacts: str | Sequence[str] = ("model.pt", "*.csv", "*.md", "*.png"),
        panels: int = 4,
        panel_interval: int = 1,
        panel_size: int = 256,
        loss_interval: int = 20,
        resume: bool = False,
    ) -> None:
        for name, value in (
            ("panel_interval", panel_interval),
            ("panel_size", panel_size),
            ("loss_interval", loss_interval),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.output_dir = Path(output_dir)
        self.evaluator = evaluator
        self.tracking_uri = tracking_uri
        self.experiment_name = experiment_name
        self.run_name = run_name
        self.params = dict(params or {})
        self.config_files = [Path(path) for path in ensure_tuple(config_files or ())]
        self.seed = seed
        self.manifest_digest = manifest_digest
        self.manifest_counts = dict(manifest_counts or {})
        self.artifacts = ensure_tuple(artifacts)
        self.panels = int(panels)
        self.panel_interval = int(panel_interval)
        self.panel_size = int(panel_size)
        self._has_new_panels = False
        self.loss_interval = int(loss_interval)
        self.resume = resume
        missing = [str(path) for path in self.config_files if not path.is_file()]
        if missing:
            raise FileNotFoundError(f"config_files: {', '.join(missing)} not found.")
        self.run: TrackedRun | None = None
        self._trainer: Engine | None = None
        self._logged_until: dict[str, int] = {}
        self._loss_sums: dict[str, torch.Tensor] = {}
        self._loss_count = 0
        self._validations = 0
        self._drawn: list[np.ndarray] = []
        self._inputs: list[np.ndarray] = []
        self._last_drawn: list[np.ndarray] = []

    def attach(self, engine: Engine) -> None:
        """Track ``engine``, a trainer, and the evaluator while it runs."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)
        engine.add_event_handler(Events.COMPLETED, self.completed)
        engine.add_event_handler(Events.TERMINATE, self.terminated)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.exception_raised)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self.draw_panels)
            self.evaluator.add_event_handler(Events.COMPLETED, self.validation_completed)

    def start(self, engine: Engine) -> None:
        """Open the run and log parameters, data, code version and config files."""
        self._trainer = engine
        self._loss_sums, self._loss_count, self._validations = {}, 0, 0
        if not is_main_process():
            return
        id_file = self.output_dir / RUN_ID_FILE
        earlier = id_file.read_text().strip() if self.resume and id_file.is_file() else None
        name = self.run_name or training_name(self.params, self.seed, self.config_files)
        run = TrackedRun(self.tracking_uri, self.experiment_name, name, continue_run=earlier)
        try:
            with run.must_succeed():
                self._describe(run, engine)
            # A continued run repeats the steps since its last checkpoint, which are already in the store.
            self._logged_until = run.last_steps() if run.continued else {}
        except BaseException:
            run.finish("FAILED")
            raise
        run.attempt("sharing the view", share_view, run.client, run.experiment, self.panels)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        id_file.write_text(run.run_id + "\n")
        self.run = run

    def iteration_completed(self, engine: Engine) -> None:
        """Add up the losses, and log their means at the end of an interval."""
        if self.run is None:
            return
        output = engine.state.output
        names = {"nen_loss": "train/nen_loss", "loss": "train/rn_loss" if "nen_loss" in output else "train/loss"}
        for key, name in names.items():
            if key in output:
                # The sum stays on the device: reading it at each iteration would make the host wait.
                loss = torch.as_tensor(output[key]).detach().float().mean()
                self._loss_sums[name] = self._loss_sums[name] + loss if name in self._loss_sums else loss
        self._loss_count += 1
        if engine.state.iteration % self.loss_interval == 0:
            self._log_losses(engine)

    def epoch_completed(self, engine: Engine) -> None:
        """Log the trainer's own metrics, if it has any."""
        if self.run is not None:
            self._log(_scalars(engine.state.metrics, "train"), engine.state.iteration)

    def draw_panels(self, engine: Engine) -> None:
        """Draw the first images that the evaluator has denoised."""
        if self.run is None or not self._is_drawing():
            return
        for item in ensure_tuple(engine.state.output):
            if len(self._drawn) >= self.panels:
                return
            self.run.attempt("drawing a panel", self._draw, item)

    def validation_completed(self, engine: Engine) -> None:
        """Log the validation that just ended."""
        if self.run is None:
            return
        step = self._trainer.state.iteration
        metrics = _scalars(engine.state.metrics, "val")
        if engine.state.key_metric_name is not None and is_scalar(engine.state.best_metric):
            metrics[f"val/best_{_bare(engine.state.key_metric_name)}"] = float(engine.state.best_metric)
        # Pictures before numbers: a step with numbers is complete when the run is continued.
        if any(self._logged_until.get(name, -1) < step for name in metrics):
            if not self._logged_until and self._validations == 0:
                # MLflow's pages open a series of images at step 0, and show nothing if that is missing.
                self._log_panels(self._inputs, 0)
            self._log_panels(self._drawn, step)
            self._has_new_panels = bool(self._drawn)
        if self._drawn:
            self._last_drawn = self._drawn
        self._drawn, self._inputs = [], []
        self._validations += 1
        self._log(metrics, step)

    def completed(self, engine: Engine) -> None:
        """Store tables, pictures and weights, and end the run."""
        if self.run is None:
            return
        self.run.try_again()
        if self._loss_count:
            self._log_losses(engine)
        self.run.attempt("storing the final metrics", self._store_final_metrics)
        if self._last_drawn:
            self.run.attempt("storing the last panels", self._store_last_panels)
        if self._has_new_panels:
            # Step 0 is the one that MLflow's pages open: it shows the input first, and the result at the end.
            self._log_panels(self._last_drawn, 0)
        for pattern in self.artifacts:
            for path in sorted(self.output_dir.glob(pattern)):
                if path.is_file():
                    self.run.log_file(path, "weights" if path.suffix == ".pt" else "results")
        self._finish("FINISHED")

    def terminated(self, engine: Engine) -> None:
        """End the run of an engine that was told to stop without completing.

        ``engine.terminate`` as a handler does that: it takes the engine for its argument ``skip_completed``.
        """
        if engine.should_terminate == "skip_completed":
            self.completed(engine)

    def exception_raised(self, engine: Engine, exception: BaseException) -> None:
        """Record the exception in the store, and raise it again, which Ignite leaves to the handlers."""
        if self.run is not None:
            # Only the type: messages name files.
            self.run.attempt("setting a tag", self.run.set_tags, {"exception": type(exception).__name__})
            self._finish("KILLED" if isinstance(exception, KeyboardInterrupt) else "FAILED")
        raise exception

    def _describe(self, run: TrackedRun, engine: Engine) -> None:
        params: dict[str, Any] = {
            "device": engine.state.device.type if isinstance(engine.state.device, torch.device) else None,
            "world_size": process_count(),
            "max_epochs": engine.state.max_epochs,
            "epoch_length": engine.state.epoch_length,
            **self.params,
        }
        if self.seed is not None:
            params["seed"] = self.seed
        run.log_parameters({key: value for key, value in params.items() if value is not None})
        if self.manifest_digest is not None:
            run.log_data_digest(self.manifest_digest, self.manifest_counts, "training")
        run.set_version(code_version())
        for path in self.config_files:
            run.log_config(path)

    def _draw(self, item: Mapping[str, Any]) -> None:
        self._drawn.append(denoising_panel(item, self.panel_size))
        if self._validations == 0:
            self._inputs.append(denoising_panel({**item, "pred": None}, self.panel_size))

    def _log_panels(self, panels: Sequence[np.ndarray], step: int) -> None:
        for index, panel in enumerate(panels):
            self.run.attempt(
                "logging images", self.run.client.log_image,
                self.run.run_id, panel, key=PANEL_KEY.format(index), step=step,
            )  # fmt: skip

    def _store_last_panels(self) -> None:
        width = max(panel.shape[1] for panel in self._last_drawn)
        padded = [
            np.pad(panel, ((0, 12), (0, width - panel.shape[1]), (0, 0)), constant_values=255)
            for panel in self._last_drawn
        ]
        self.run.client.log_image(self.run.run_id, np.concatenate(padded), artifact_file="results/last_validation.png")

    def _is_drawing(self) -> bool:
        last = self._trainer.state.epoch == self._trainer.state.max_epochs
        return last or self._validations % self.panel_interval == 0

    def _log_losses(self, engine: Engine) -> None:
        values = {name: float(total) / self._loss_count for name, total in self._loss_sums.items()}
        self._loss_sums, self._loss_count = {}, 0
        rates = {
            name: float(getattr(engine, attribute).param_groups[0]["lr"])
            for attribute, name in (
                ("optimizer", "train/lr"), ("rn_optimizer", "train/lr"), ("nen_optimizer", "train/nen_lr"),
            )
            if hasattr(engine, attribute)
        }  # fmt: skip
        if rates.get("train/nen_lr") == rates.get("train/lr"):
            rates.pop("train/nen_lr", None)
        self._log({**values, **rates}, engine.state.iteration)

    def _log(self, values: Mapping[str, float], step: int) -> None:
        fresh = {name: value for name, value in values.items() if self._logged_until.get(name, -1) < step}
        if fresh:
            self.run.log_metrics(fresh, step)

    def _store_final_metrics(self) -> None:
        client, run_id = self.run.client, self.run.run_id
        names = sorted(n for n in client.get_run(run_id).data.metrics if n.startswith("val/"))
        histories = {n: {m.step: m.value for m in client.get_metric_history(run_id, n)} for n in names}
        if not histories:
            return
        state = self.evaluator.state
        key = f"val/{_bare(state.key_metric_name)}" if state.key_metric_name else None
        best = next((s for s, v in histories.get(key, {}).items() if np.isclose(v, float(state.best_metric))), None)
        rows = [("metric", "last", "best")]
        for name in (n for n in names if not n.startswith("val/best_")):
            values = histories[name]
            rows.append((name.removeprefix("val/"), f"{values[max(values)]:.6g}", f"{values.get(best, np.nan):.6g}"))
        table = "\n".join(",".join(row) for row in rows) + "\n"
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|:--|--:|--:|")
        steps = {name: max(values) for name, values in histories.items()}
        note = f"Last validation: step {max(steps.values())}."
        note += f" Best {key.removeprefix('val/')}: step {best}." if best is not None else ""
        client.log_text(run_id, table, "results/final_metrics.csv")
        self.run.log_table([dict(zip(rows[0], row)) for row in rows[1:]], "results/final_metrics.json")
        client.log_text(run_id, "\n".join([*lines, "", note, ""]), "results/final_metrics.md")

    def _finish(self, status: str) -> None:
        run, self.run = self.run, None
        run.finish(status)


def _bare(name: str) -> str:
    return name.removeprefix("val_").removeprefix("val/")


def _scalars(metrics: Mapping[str, Any], stage: str) -> dict[str, float]:
    return {f"{stage}/{_bare(name)}": float(value) for name, value in metrics.items() if is_scalar(value)}
