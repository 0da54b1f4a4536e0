# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The tensors of a TorchScript export, read without its program."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from zipfile import ZipFile

import torch
from torch.jit import _pickle as typed

__all__ = ["is_torchscript", "torchscript_tensors"]

# TorchScript's functions for typed lists and dictionaries. They hand on what they are given.
TYPED = ("build_boollist", "build_doublelist", "build_intlist", "build_tensorlist", "restore_type_tag")
# The records that hold no code, below the archive's folder.
PLAIN_RECORDS = ("data.pkl", "version", "byteorder", ".format_version", ".storage_alignment")


class _Module:
    """Takes the place of each class of the program: it has attributes and does nothing."""


def is_torchscript(archive: ZipFile) -> bool:
    """Whether a file is a TorchScript program, as ``monai.bundle ckpt_export`` writes it.

    Args:
        archive: the file.
    """
    # Only programs have constants.
    return any(name.endswith("/constants.pkl") for name in archive.namelist())


def torchscript_tensors(archive: ZipFile) -> dict[str, torch.Tensor]:
    """Read the parameters and buffers of a TorchScript export.

    ``torch.jit.load`` runs the export's own code while it loads, and code can write files. Here, the records with code
    are left out, and PyTorch's restricted unpickler (``weights_only=True``) reads the others. Classes of the program
    become objects without methods.

    Args:
        archive: the file, which is not compressed.

    Returns:
        Tensors by the names of a ``state_dict``.

    Raises:
        pickle.UnpicklingError: if the file holds anything but tensors, numbers, text and containers.
        Exception: of other types, if it is damaged.
    """
    data, classes = io.BytesIO(), {}
    with ZipFile(data, "w") as kept:
        for name in archive.namelist():
            record = name.partition("/")[2]
            if record in PLAIN_RECORDS or record.startswith("data/"):
                content = archive.read(name)
                kept.writestr(name, content)
                if record == "data.pkl":
                    classes = {each: _Module for each in _global_names(content) if each.startswith("__torch__.")}
    data.seek(0)
    allowed = {f"torch.jit._pickle.{name}": getattr(typed, name) for name in TYPED} | classes
    with torch.serialization.safe_globals([(value, name) for name, value in allowed.items()]):
        return dict(_tensors(torch.load(data, map_location="cpu", weights_only=True)))


def _global_names(content: bytes) -> Iterator[str]:
    """The names that a pickle refers to; nothing is unpickled."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")


def _tensors(module: object, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, torch.Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
