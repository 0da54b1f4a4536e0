# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The record in an output folder of what is done there, so that a killed run goes on and no one's file is replaced.

``<output>/.noisewise/ledger.jsonl`` holds one JSON object a line, each written to disk before the run goes on:

* ``{"settings": {...}, "digest": "..."}`` when a run starts with settings that no line has yet;
* ``{"state": "writing", "outputs": [...]}`` before the results of a source are put in place, so that files which
  exist without a line below are known to be a killed run's, and not the user's;
* ``{"state": "done", "inputs": {path: [bytes, mtime_ns]}, "outputs": {path: bytes}, "digest": "...", "record":
  {...}}`` when they are.

Inputs are named relative to the input folder, outputs relative to the output folder, both with ``/``. A later line
goes before an earlier one; a last line that a kill cut off does not count.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .sources import LEDGER_FOLDER, Source

__all__ = ["InputState", "Ledger", "LedgerError", "input_states", "remove_leftovers", "settings_digest"]

InputState = tuple[int, int]


class LedgerError(ValueError):
    """An output folder that this run must not write to; the message names it and the cause."""


class Ledger:
    """What is done in an output folder. While it is open no other run can write there.

    Args:
        input_folder: the folder that inputs are named by.
        output_folder: the folder that outputs are named by; made when missing.
        settings: of this run, see :meth:`~noisewise.pipelines.denoising.settings.DenoisingOptions.settings`.
        overwrite: whether results of other settings, and files that no line names, may be replaced.

    Raises:
        LedgerError: when another run is writing there, or the results there are of other settings.
    """

    def __init__(
        self,
        input_folder: str | os.PathLike,
        output_folder: str | os.PathLike,
        settings: Mapping[str, Any],
        overwrite: bool = False,
    ) -> None:
        self.input_folder, self.output_folder = Path(input_folder), Path(output_folder)
        self.settings, self.overwrite = dict(settings), overwrite
        self.digest = settings_digest(settings)
        self._thread_lock = threading.Lock()
        folder = self.output_folder / LEDGER_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "ledger.jsonl"
        # The system opens it again when its process dies, however that is.
        self._lock = FileLock(folder / "lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise LedgerError(f"{output_folder}: another run is writing there.") from None
        self._done: dict[str, dict[str, Any]] = {}  # by the name of each output
        self._outputs: set[str] = set()
        try:
            known = self._read()
            others = {line["digest"] for line in self._done.values()} - {self.digest}
            if others and not overwrite:
                old = known.get(others.pop(), {})
                raise LedgerError(
                    f"{output_folder}: holds results of other settings ({_differences(old, self.settings)}); choose "
                    "another folder, or pass --overwrite to replace them."
                )
            if self.digest not in known:
                self._append({"settings": self.settings, "digest": self.digest})
            remove_leftovers(self.output_folder / name for name in self._outputs - set(self._done))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other runs write to the folder."""
        self._lock.release()

    def finished(self, source: Source) -> dict[str, Any] | None:
        """The record of a source that needs no work: same settings, unchanged inputs, all outputs in place.

        Args:
            source: what there is to denoise.

        Returns:
            What :meth:`finish` was told, or None.
        """
        names = self._output_names(source)
        line = self._done.get(names[0])
        try:
            inputs = self.name_inputs(input_states(source))
        except OSError:  # gone: reading it will say so
            return None
        if line is None or line["digest"] != self.digest or line["inputs"] != inputs:
            return None
        for name in names:
            if self._done.get(name) is not line or line["outputs"][name] != _size(self.output_folder / name):
                return None
        return line["record"]

    def foreign(self, source: Source) -> list[Path]:
        """Files in the place of a source's outputs that no run of ours has written.

        Args:
            source: what there is to denoise.

        Returns:
            Their paths; none when ``overwrite`` is set.
        """
        if self.overwrite:
            return []
        return [
            self.output_folder / name
            for name in self._output_names(source)
            if name not in self._outputs and os.path.lexists(self.output_folder / name)
        ]

    def begin(self, source: Source) -> None:
        """Note that the outputs of a source are about to be put in place.

        Args:
            source: what is being denoised.
        """
        line = {"state": "writing", "outputs": self._output_names(source)}
        self._append(line)
        self._take(line)

    def finish(self, source: Source, inputs: Mapping[Path, InputState], record: Mapping[str, Any]) -> None:
        """Note that all outputs of a source are in place.

        Args:
            source: what was denoised.
            inputs: its files as they were before they were read, see :func:`input_states`.
            record: what a later run wants to know of it.
        """
        line = {
            "state": "done",
            "inputs": self.name_inputs(inputs),
            "outputs": {name: _size(self.output_folder / name) for name in self._output_names(source)},
            "digest": self.digest,
            "record": dict(record),
        }
        self._append(line)
        self._take(line)

    def name_inputs(self, inputs: Mapping[Path, InputState]) -> dict[str, list[int]]:
        """The states of files by their names in the record."""
        return {_relative(path, self.input_folder): list(state) for path, state in inputs.items()}

    def _read(self) -> dict[str, dict[str, Any]]:
        """Take in the lines of earlier runs. Returns: their settings by digest."""
        known: dict[str, dict[str, Any]] = {}
        whole, _, torn = (self.path.read_bytes() if self.path.exists() else b"").rpartition(b"\n")
        if torn:
            with self.path.open("r+b") as file:
                file.truncate(len(whole) + 1 if whole else 0)
        for number, text in enumerate(whole.splitlines(), 1):
            try:
                line = json.loads(text)
                if "settings" in line:
                    known[line["digest"]] = line["settings"]
                else:
                    self._take(line)
            except (ValueError, KeyError, TypeError) as error:
                raise LedgerError(f"{self.path}: line {number} is damaged; remove the file.") from error
        return known

    def _take(self, line: dict[str, Any]) -> None:
        for name in line["outputs"]:
            self._outputs.add(name)
            if line["state"] == "done":
                self._done[name] = line
            else:
                self._done.pop(name, None)

    def _append(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        with self._thread_lock, self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise

    def _output_names(self, source: Source) -> list[str]:
        return [_relative(path, self.output_folder) for path in source.all_outputs]


def input_states(source: Source) -> dict[Path, InputState]:
    """By what a changed input is known.

    Args:
        source: what there is to denoise.

    Returns:
        Size in bytes and time of the last change in nanoseconds, for each of its files.

    Raises:
        OSError: when a file is gone.
    """
    states = {path: path.stat() for path in source.paths}
    return {path: (state.st_size, state.st_mtime_ns) for path, state in states.items()}


def remove_leftovers(outputs: Iterable[Path]) -> None:
    """Remove the temporary files that a killed run left beside its outputs.

    Args:
        outputs: paths that were about to be written, see :func:`~noisewise.atomic.atomic_path`.
    """
    by_folder: dict[Path, set[str]] = {}
    for path in outputs:
        by_folder.setdefault(path.parent, set()).add(path.name)
    for folder, names in by_folder.items():
        # The data of these lie in a second file of the same stem.
        stems = tuple(f"{Path(name).stem}." for name in names if name.lower().endswith((".mhd", ".nhdr")))
        for entry in folder.iterdir() if folder.is_dir() else ():
            start, _, rest = entry.name.partition(".tmp.")
            if start[:1] == "." and start[1:].isdigit() and (rest in names or rest.startswith(stems)):
                entry.unlink(missing_ok=True)
            elif entry.name.startswith(f"{LEDGER_FOLDER}.") and entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)


def settings_digest(settings: Mapping[str, Any]) -> str:
    """A name for settings, the same for equal ones.

    Args:
        settings: what JSON can hold.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changed = [key for key in new if old.get(key) != new[key]]
    return ", ".join(
        "another model" if key == "weights" else f"{key.replace('_', ' ')} {old.get(key)} instead of {new[key]}"
        for key in changed
    )


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
