# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""One run in an MLflow store; writing to it never stops the work that is being tracked."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from monai.handlers import MLFlowHandler
from monai.utils import path_to_uri

from .configs import config_text
from .parameters import flatten_parameters, names_a_file

__all__ = ["TrackedRun", "store_errors", "store_uri"]

logger = logging.getLogger(__name__)

_LARGEST_BATCH = 100  # parameters or tags that MLflow takes in one call
_LARGEST_METRIC_BATCH = 1000
_MOST_PENDING = 100_000
_REST_FACTOR = 20.0  # the store is left alone for this many times the duration of a failed call
_ORIGIN_COLUMNS = {"source", "subject"}  # by default a manifest names a collection after its folder
_FILE_COLUMNS = {"path", "paths", "file", "filename", "file_name", "filepath", "target", "uri", "url"}


def store_uri(tracking_uri: str | os.PathLike | None = None) -> str:
    """The URI of the MLflow store to use.

    Args:
        tracking_uri: a URI, or the path of an SQLite file. The environment variable ``MLFLOW_TRACKING_URI`` overrides
            it. Without either, the store is ``mlruns.db`` in the working directory.

    Returns:
        Its URI.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or str(tracking_uri or "mlruns.db")
    if "://" in uri or os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    # MLflow takes the path literally, spaces included; only the characters that would end it are escaped.
    path = Path(uri).expanduser().absolute().as_posix()
    for character, code in (("%", "%25"), ("?", "%3F"), ("#", "%23")):
        path = path.replace(character, code)
    return f"sqlite:///{path}"


@contextlib.contextmanager
def _short_patience() -> Iterator[None]:
    # By default MLflow retries for minutes, and training would wait that long at every call.
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
    ours = [name for name in limits if name not in os.environ]
    os.environ.update({name: limits[name] for name in ours})
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextlib.contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn any error of a store into one error that names the store.

    Args:
        uri: the URI of the store; a password in it is not shown.

    Raises:
        RuntimeError: on any error within the context.
    """
    password = urlsplit(uri).password
    try:
        with _short_patience():
            yield
    except Exception as error:
        message = (
            f"the MLflow store {uri} cannot be used: {error}\n"
            "Set 'tracking_uri' or the environment variable MLFLOW_TRACKING_URI to one that can."
        )
        raise RuntimeError(_masked(message, password)) from (None if password else error)


def _masked(text: str, password: str | None) -> str:
    return text.replace(password, "***") if password else text


class TrackedRun(MLFlowHandler):
    """A run in an MLflow store that raises errors when it is opened, and none when it is written to.

    Opening raises an error when the store cannot be reached. After that, a call that fails only warns, once for each
    kind of call; metrics are kept and sent with the next ones; and a store that answers slowly or not at all is left
    alone for a while, so that it cannot slow down the work that is being tracked.

    Store, experiment and client come from MONAI's ``MLFlowHandler``, but the run is not attached to an engine itself
    (see :class:`~noisewise.pipelines.tracking.ExperimentTracker`).

    Args:
        tracking_uri: see :func:`store_uri`.
        experiment_name: the experiment, which is made if it does not exist.
        run_name: name of a new run; the current time when None.
        continue_run: id of a run to continue, if the store has it.
        parent_run: id of the run that a new one is shown below, if the store has it.

    Raises:
        RuntimeError: when the store cannot be reached or used; the message names it.
    """

    def __init__(
        self,
        tracking_uri: str | os.PathLike | None = None,
        experiment_name: str = "noisewise",
        run_name: str | None = None,
        continue_run: str | None = None,
        parent_run: str | None = None,
    ) -> None:
        self.uri = store_uri(tracking_uri)
        self.password = urlsplit(self.uri).password
        self.continued = False
        self._pending: list[Metric] = []
        self._warned: set[str] = set()
        self._rest_until = 0.0
        with self.must_succeed():
            location = self._prepare_sqlite()
            super().__init__(tracking_uri=self.uri, experiment_name=experiment_name, artifact_location=location)
            # MONAI leaves the environment variable to MLflow, where a call of mlflow.set_tracking_uri would override
            # it.
            self.client = mlflow.MlflowClient(tracking_uri=self.uri)
            self._set_experiment()
            self.cur_run = self._existing_run(continue_run)
            self.continued = self.cur_run is not None
            if self.continued:
                self.client.update_run(self.run_id, status="RUNNING")
            else:
                parent = self._existing_run(parent_run)
                self.cur_run = self.client.create_run(
                    self.experiment.experiment_id,
                    run_name=run_name or time.strftime("%Y-%m-%d_%H-%M-%S"),
                    tags={"mlflow.parentRunId": parent.info.run_id} if parent else None,
                )

    @property
    def run_id(self) -> str:
        """The run's id in the store."""
        return self.cur_run.info.run_id

    @contextlib.contextmanager
    def must_succeed(self) -> Iterator[None]:
        """Turn any error within the context into one error that names the store."""
        with store_errors(self.uri):
            yield

    def attempt(self, kind: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Make a call, and warn once if it fails.

        Args:
            kind: a description of the call for the warning; each kind warns once.
            call: the function to call.
            args: passed to ``call``.
            kwargs: passed to ``call``.

        Returns:
            Whether the call succeeded.
        """
        start = time.monotonic()
        if start < self._rest_until:
            return False
        try:
            with _short_patience():
                call(*args, **kwargs)
        except Exception as error:
            now = time.monotonic()
            # A store that is gone costs a timeout at each call: keep that to about 5 % of the training time.
            self._rest_until = now + min(_REST_FACTOR * (now - start), 900.0)
            if kind not in self._warned:
                self._warned.add(kind)
                text = f"MLflow store {self.uri}: {kind} failed, the run continues without it: {error!r}"
                logger.warning(_masked(text, self.password))
            return False
        return True

    def try_again(self) -> None:
        """Let the next call try the store, even if the last ones failed."""
        self._rest_until = 0.0

    def log_parameters(self, params: Mapping[str, Any]) -> None:
        """Log parameters; MLflow's errors are raised.

        MLflow's parameters cannot change, so a value that differs in a continued run is stored as the tag
        ``resumed.NAME``.

        Args:
            params: nested or not; see :func:`~noisewise.pipelines.tracking.flatten_parameters`.
        """
        flat = flatten_parameters(params)
        known = self.client.get_run(self.run_id).data.params
        fresh = [Param(name, value) for name, value in flat.items() if name not in known]
        changed = {f"resumed.{name}": v for name, v in flat.items() if name in known and known[name] != v}
        for start in range(0, len(fresh), _LARGEST_BATCH):
            self.client.log_batch(self.run_id, params=fresh[start : start + _LARGEST_BATCH])
        self.set_tags(changed)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; MLflow's errors are raised.

        Args:
            tags: text by name.
        """
        entries = [RunTag(name, str(value)) for name, value in tags.items()]
        for start in range(0, len(entries), _LARGEST_BATCH):
            self.client.log_batch(self.run_id, tags=entries[start : start + _LARGEST_BATCH])

    def set_version(self, version: Mapping[str, Any]) -> None:
        """Record the code version of the run, as tags ``version.NAME``; MLflow's errors are raised.

        They are not parameters, since MLflow's charts write all parameters over every image.

        Args:
            version: from :func:`~noisewise.pipelines.tracking.code_version`.
        """
        tags = {f"version.{name}": value for name, value in version.items() if value is not None}
        tags |= {"mlflow.source.name": "noisewise", "mlflow.source.type": "LOCAL"}
        if version.get("commit"):
            tags["mlflow.source.git.commit"] = version["commit"]
        self.set_tags(tags)

    def log_data_digest(self, digest: str, counts: Mapping[str, int], context: str) -> None:
        """Record the data of the run, as parameters and as MLflow's data set input; MLflow's errors are raised.

        Args:
            digest: checksum of the data, which must not name a file.
            counts: number of images of each split.
            context: the use of the data, such as ``"training"``.
        """
        counts = {name: int(count) for name, count in counts.items()}
        # MLflow's image charts write parameters over the picture, and a long word would push the picture out of sight.
        self.log_parameters({"data": {"digest": digest[:16], **counts}})
        self.set_tags({"data.digest": digest})
        if self.continued:
            return
        dataset = Dataset(
            name="manifest",
            digest=digest[:16],
            source_type="manifest",
            source="{}",
            profile=json.dumps(counts),
        )
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers; never raises. Numbers that cannot be sent now are sent with the next call.

        Args:
            values: numbers by name.
            step: the training step they belong to.
        """
        now = int(time.time() * 1000)
        self._pending += [
            Metric(re.sub(r"[^\w\-. :/]", "_", name), float(value), now, int(step)) for name, value in values.items()
        ]
        del self._pending[:-_MOST_PENDING]
        while self._pending:
            batch = self._pending[:_LARGEST_METRIC_BATCH]
            if not self.attempt("logging metrics", self.client.log_batch, self.run_id, metrics=batch):
                return
            del self._pending[: len(batch)]

    def log_file(self, path: str | os.PathLike, folder: str) -> None:
        """Store a file; never raises. A table that names files is not stored, and a warning says so.

        A CSV is stored without its columns ``source`` and ``subject``.

        Args:
            path: the file.
            folder: a folder among the run's artifacts.
        """
        path = Path(path)
        if path.suffix.lower() in (".csv", ".md", ".txt", ".tsv") and _table_names_files(path):
            logger.warning("%s names files, so it is not stored in MLflow", path.name)
            return
        kind = f"storing {path.suffix or 'a file'}"
        table = _without_origin(path) if path.suffix.lower() == ".csv" else None
        if table is not None:
            self.attempt(kind, self.client.log_text, self.run_id, table, f"{folder}/{path.name}")
        else:
            self.attempt(kind, self.client.log_artifact, self.run_id, str(path), folder)

    def log_config(self, path: str | os.PathLike) -> None:
        """Store a config file under ``config/``; MLflow's errors are raised.

        Paths in it are left out, see :func:`~noisewise.pipelines.tracking.configs.config_text`. A file that is neither
        YAML nor JSON is not stored, and a warning says so.

        Args:
            path: the file.
        """
        path = Path(path)
        try:
            text = config_text(path)
        except ValueError as error:
            logger.warning("%s is not stored in MLflow: %s", path.name, error)
            return
        self.client.log_text(self.run_id, text, f"config/{path.name}")

    def log_table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """Store a table so that MLflow's table view compares it between runs; MLflow's errors are raised.

        Args:
            rows: values by column.
            path: the ``.json`` file among the artifacts; an existing one is replaced.
        """
        columns = list(rows[0])
        # client.log_table would append to the existing table of a continued run.
        self.client.log_dict(self.run_id, {"columns": columns, "data": [[r[c] for c in columns] for r in rows]}, path)
        tables = json.loads(self.client.get_run(self.run_id).data.tags.get("mlflow.loggedArtifacts", "[]"))
        entry = {"path": path, "type": "table"}
        if entry not in tables:
            self.set_tags({"mlflow.loggedArtifacts": json.dumps([*tables, entry])})

    def last_steps(self) -> dict[str, int]:
        """The last step at which each metric of the run was logged; MLflow's errors are raised."""
        names = self.client.get_run(self.run_id).data.metrics
        return {name: max(m.step for m in self.client.get_metric_history(self.run_id, name)) for name in names}

    def finish(self, status: str = "FINISHED") -> None:
        """End the run; never raises.

        Args:
            status: one of MLflow's: ``"FINISHED"``, ``"FAILED"`` or ``"KILLED"``.
        """
        self.try_again()
        self.log_metrics({}, 0)
        self.attempt("ending the run", self.client.set_terminated, self.run_id, status)
        self.attempt("closing the store", self._dispose_sqlite_store)
        self.cur_run = None

    def _prepare_sqlite(self) -> str | None:
        # Artifacts are stored next to the database, whatever the working directory.
        prefix = "sqlite:///"
        if not self.uri.startswith(prefix):
            return None
        path = Path(unquote(self.uri[len(prefix) :])).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        # MLflow would retry for minutes to open a file that is not a database or cannot be written.
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
        return path_to_uri(path.parent / "mlruns")

    def _existing_run(self, run_id: str | None) -> Any:
        if not run_id:
            return None
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != mlflow.exceptions.ErrorCode.Name(mlflow.exceptions.RESOURCE_DOES_NOT_EXIST):
                raise
            run = None
        if run is None or run.info.lifecycle_stage != LifecycleStage.ACTIVE:
            logger.warning(_masked(f"the MLflow store {self.uri} has no run {run_id}", self.password))
            return None
        return run


def _table_names_files(path: Path) -> bool:
    neighbors = {file.name for file in path.parent.iterdir()}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            if path.suffix.lower() == ".csv":
                rows = list(csv.reader(file))
                columns = {cell.strip().lower() for cell in rows[0]} if rows else set()
                return bool(columns & _FILE_COLUMNS) or any(_is_file_name(c, neighbors) for r in rows for c in r)
            return any(_is_file_name(word, neighbors) for word in re.split(r"[\s|()\[\]<>\"'`]+", file.read()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return True


def _without_origin(path: Path) -> str | None:
    """The table without the columns that tell where images come from; None when it has no such column."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    header = rows[0] if rows else []
    kept = [index for index, name in enumerate(header) if name.strip().lower() not in _ORIGIN_COLUMNS]
    if len(kept) == len(header):
        return None
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([row[i] for i in kept if i < len(row)] for row in rows)
    return text.getvalue()


def _is_file_name(cell: str, neighbors: set[str]) -> bool:
    # Tables may contain units such as "dB/px" and the names of pictures in the same folder.
    is_unit = cell.count("/") == 1 and "." not in cell and not cell.startswith(("/", "~"))
    return cell not in neighbors and not is_unit and names_a_file(cell)
