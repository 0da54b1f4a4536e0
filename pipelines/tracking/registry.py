# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights as numbered versions of a model in MLflow's registry."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from monai.bundle import ConfigParser

from ...atomic import atomic_path
from ...bundles import bundle_path
from ..bundle.weights import WeightsError
from .run import store_errors, store_uri

__all__ = ["fetch_weights", "register_weights"]

WEIGHTS_FILE = "model.pt"


def register_weights(
    weights: str | os.PathLike,
    model_name: str,
    run_id: str,
    tracking_uri: str | os.PathLike | None = None,
    bundle: str | None = None,
    aliases: Sequence[str] = (),
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
) -> int:
    """Make a weights file a version of a registered model.

    A copy of the file becomes an artifact of the run, in a folder named after its digest, so that a training that
    continues never changes a version. It stays a ``state_dict`` that ``torch.load(weights_only=True)`` reads:
    no network is pickled. The version's tags describe it: ``sha256`` of the file; ``network`` and ``data.digest``
    of the run; ``bundle`` and ``bundle.version``. Everything else is in the run, to which the version links.

    A file that is already a version of the model is not registered again, but its aliases and tags are set.

    Args:
        weights: a ``state_dict``, such as the ``model.pt`` of a training. Neither its folder nor its name is stored,
            but ``torch.save`` writes the name into the file, so it should not contain a patient's name.
        model_name: the registered model; made when it does not exist.
        run_id: the run that made the weights (in a training's folder: ``mlflow_run_id.txt``).
        tracking_uri: the store of the run; the environment variable ``MLFLOW_TRACKING_URI`` overrides it.
        bundle: name of the bundle whose configs made the weights.
        aliases: names for this version, such as ``"champion"``. An alias of another version moves to this one.
        tags: further tags.
        description: text that the pages show for a new version.

    Returns:
        The version's number.

    Raises:
        WeightsError: when the file cannot be read or is not a ``state_dict``.
        FileNotFoundError: when there is no such bundle.
        RuntimeError: when the store cannot be used or has no such run; the message names the store.
    """
    content = _read_state_dict(weights)
    digest = hashlib.sha256(content).hexdigest()
    described = {"sha256": digest, **_bundle_tags(bundle), **(tags or {})}
    uri = store_uri(tracking_uri)
    with store_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        run = client.get_run(run_id)
        known = {**run.data.params, **run.data.tags}
        described |= {name: known[name] for name in ("network", "data.digest") if name in known}
        _ensure_model(client, model_name)
        version = _find_version(client, model_name, digest)
        if version is None:
            folder = _folder(digest)
            _log_content(client, run_id, content, folder)
            source = f"{run.info.artifact_uri.rstrip('/')}/{folder}"
            version = client.create_model_version(model_name, source, run_id, tags=described, description=description)
        else:
            for name, value in described.items():
                client.set_model_version_tag(model_name, version.version, name, value)
        for alias in aliases:
            client.set_registered_model_alias(model_name, alias, version.version)
    return int(version.version)


def fetch_weights(
    model_name: str,
    version: int | str,
    path: str | os.PathLike,
    tracking_uri: str | os.PathLike | None = None,
) -> Path:
    """Write a registered version's weights to a file, unchanged.

    Args:
        model_name: the registered model.
        version: a version's number, or an alias such as ``"champion"``.
        path: the file to write; missing folders are made, an existing file is replaced.
        tracking_uri: the store; the environment variable ``MLFLOW_TRACKING_URI`` overrides it.

    Returns:
        ``path``, for :func:`noisewise.pipelines.bundle.weights.load_weights` or ``noisewise denoise --model``.

    Raises:
        WeightsError: when the stored file differs from the registered one, or when :func:`register_weights` did not
            make the version.
        RuntimeError: when the store cannot be used or has no such version; the message names both.
    """
    uri = store_uri(tracking_uri)
    with store_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        find = client.get_model_version if str(version).isdecimal() else client.get_model_version_by_alias
        found = find(model_name, str(version))
    name, digest = f"{model_name} version {found.version}", found.tags.get("sha256")
    if digest is None:
        raise WeightsError(name, "has no tag sha256; register_weights did not make it.")
    with tempfile.TemporaryDirectory() as folder:
        with store_errors(uri):
            file = client.download_artifacts(found.run_id, f"{_folder(digest)}/{WEIGHTS_FILE}", folder)
        if hashlib.sha256(Path(file).read_bytes()).hexdigest() != digest:
            raise WeightsError(name, "the stored file is not the registered one.")
        with atomic_path(path) as temporary:
            shutil.copyfile(file, temporary)
    return Path(path)


def _folder(digest: str) -> str:
    return f"weights/{digest[:16]}"


def _read_state_dict(path: str | os.PathLike) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(path, f"cannot read the weights: {error.strerror or error}.") from error
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types of errors on damaged files
        raise WeightsError(path, "is not a state_dict that PyTorch reads with weights_only=True.") from error
    # A checkpoint also holds optimizers and settings; a registered file should hold the weights only.
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(path, "is not a state_dict; register the model.pt of the training.")
    return content


def _bundle_tags(bundle: str | None) -> dict[str, str]:
    if bundle is None:
        return {}
    metadata = ConfigParser.load_config_file(bundle_path(bundle) / "configs" / "metadata.json")
    return {"bundle": bundle, "bundle.version": metadata["version"]}


def _ensure_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _find_version(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    versions = client.search_model_versions(f"name = '{name}'")
    return next((version for version in versions if version.tags.get("sha256") == digest), None)


def _log_content(client: MlflowClient, run_id: str, content: bytes, folder: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / WEIGHTS_FILE
        path.write_bytes(content)
        client.log_artifact(run_id, str(path), folder)
