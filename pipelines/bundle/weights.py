# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights files: reading them safely, and one clear error when a file is wrong."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from ...listing import first_names
from .torchscript import is_torchscript, torchscript_tensors

__all__ = ["WeightsError", "load_weights"]

CHECKPOINT_KEYS = ("network", "model")
SHOWN = 3


class WeightsError(ValueError):
    """A weights file that cannot be used; the message names the file and the cause."""

    def __init__(self, path: str | os.PathLike, cause: str) -> None:
        super().__init__(f"{os.fspath(path)}: {cause}")
        self.path = os.fspath(path)
        self.cause = cause


def load_weights(network: nn.Module, path: str | os.PathLike) -> str:
    """Load trained weights into a network.

    Only tensors and plain containers are unpickled (``weights_only=True``), and the program of a TorchScript export is
    neither run nor read, so a file from elsewhere cannot run code. The network is changed only when the whole file
    fits.

    Args:
        network: gets the weights; its device and dtype stay as they are.
        path: a ``state_dict``, or a checkpoint that holds one under ``"network"`` or ``"model"``; or a TorchScript
            export, of which only the weights are used. The prefix ``"module."`` that parallel training adds is
            dropped.

    Returns:
        SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        WeightsError: when the file is missing, compressed or not a PyTorch checkpoint, when its parameters or shapes
            are not the network's (the first few are named), or when values are not finite.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(path, f"cannot read the weights: {error.strerror or error}.") from error
    state = _state_dict(_unpickle(content, path), path)
    _check(state, network.state_dict(), path)
    network.load_state_dict(state)
    return hashlib.sha256(content).hexdigest()


def _unpickle(content: bytes, path: str | os.PathLike) -> Any:
    file = io.BytesIO(content)
    try:
        if is_zipfile(file):
            archive = ZipFile(file)
            # PyTorch compresses programs only, which are not read. A few kilobytes of others could inflate to more
            # than the memory holds.
            if sum(each.file_size for each in archive.infolist() if "/code/" not in each.filename) > len(content):
                raise WeightsError(path, "is compressed, as no file that torch.save writes is.")
            if is_torchscript(archive):
                return torchscript_tensors(archive)
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            path, "holds more than weights (or is not a PyTorch file); save the state_dict alone."
        ) from error
    except Exception as error:  # torch raises many types of errors on damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(path, f"is not a PyTorch checkpoint: {reason}") from error


def _state_dict(loaded: Any, path: str | os.PathLike) -> dict[str, torch.Tensor]:
    if isinstance(loaded, Mapping):
        for key in CHECKPOINT_KEYS:
            if isinstance(loaded.get(key), Mapping):
                loaded = loaded[key]
                break
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        holds = (
            f"the keys {first_names(loaded, SHOWN)}" if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"
        )
        raise WeightsError(
            path,
            f"holds {holds}, not a state_dict; expected one, alone or under {' or '.join(map(repr, CHECKPOINT_KEYS))}.",
        )
    state = dict(loaded)
    consume_prefix_in_state_dict_if_present(state, "module.")
    return state


def _check(state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], path: str | os.PathLike) -> None:
    faults = []
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    for what, names in (("missing", missing), ("unknown", unknown), ("wrong shape", shapes)):
        if names:
            faults.append(f"{what}: {first_names(names, SHOWN)}")
    if faults:
        raise WeightsError(path, f"the weights do not fit the network; {'; '.join(faults)}.")
    broken = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise WeightsError(path, f"the weights hold NaN or infinite values: {first_names(broken, SHOWN)}.")
