# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The record of finished work in an output folder: a killed run resumes, and no other file is ever replaced.

``<output>/.noisewise/ledger.jsonl`` holds one JSON object per line, each written to disk before the run continues:

* ``{"settings": {...}, "digest": "..."}`` when a run starts with settings that no line has yet;
* ``{"state": "writing", "outputs": [...]}`` before the results of a source are put in place. If no "done" line follows,
  existing files of these names belong to a killed run, not to the user;
* ``{"state": "done", "inputs": {path: [bytes, mtime_ns]}, "outputs": {path: bytes}, "digest": "...", "record":
  {...}}`` when they are in place.

Inputs are named relative to the input folder, outputs relative to the output folder, both with ``/``. A later line
overrides an earlier one. A last line that a kill cut off is ignored.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ...data_manifest.digest import settings_digest
from ..formats.registry import suffix_of
from .sources import LEDGER_FOLDER, Source

__all__ = [
    "InputState",
    "Ledger",
    "LedgerError",
    "clear_torn_result",
    "finished_work",
    "input_states",
    "is_torn_result",
    "remove_leftovers",
]

InputState = tuple[int, int]


class LedgerError(ValueError):
    """This run must not write to an output folder; the message names it and the cause."""


class Ledger:
    """The finished work in an output folder. While it is open, no other run can write there.

    Args:
        input_folder: folder that names of inputs are relative to.
        output_folder: folder that names of outputs are relative to, created if missing.
        settings: settings of this run, see :func:`~noisewise.pipelines.denoising.run.recorded_settings`.
        overwrite: whether results of other settings, and files that no line names, may be replaced.

    Raises:
        LedgerError: if another run is writing there, or the results there were made with other settings.
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
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise LedgerError(f"{folder}: is not a folder; remove it, or choose another output.") from None
        self.path = folder / "ledger.jsonl"
        # The system releases the lock when the process dies, however that happens.
        self._lock = FileLock(folder / "lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise LedgerError(f"{output_folder}: another run is writing there.") from None
        except OSError as error:
            raise LedgerError(f"{folder / 'lock'}: cannot be written: {error.strerror or error}.") from error
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
        """The record of a source that is done: same settings, unchanged inputs, all outputs in place.

        Args:
            source: the source.

        Returns:
            The record that :meth:`finish` was given, or None.
        """
        names = self._output_names(source)
        line = self._done.get(names[0])
        try:
            inputs = self.name_inputs(input_states(source))
        except OSError:  # The file is gone, which reading it will report.
            return None
        if line is None or line["digest"] != self.digest or line["inputs"] != inputs:
            return None
        for name in names:
            if self._done.get(name) is not line or line["outputs"][name] != _size(self.output_folder / name):
                return None
        return line["record"]

    def foreign(self, source: Source) -> list[Path]:
        """Files at the place of a source's outputs that no run of noisewise has written.

        Args:
            source: the source.

        Returns:
            Their paths; empty if ``overwrite`` is set.
        """
        if self.overwrite:
            return []
        # Earlier versions did not record the data file of a header.
        known = self._outputs.union(
            self._names(source.data_outputs) if self._outputs.issuperset(self._names(source.outputs)) else ()
        )
        return [
            self.output_folder / name
            for name in self._output_names(source)
            if name not in known and os.path.lexists(self.output_folder / name)
        ]

    def begin(self, source: Source) -> None:
        """Record that the outputs of a source are about to be put in place.

        Args:
            source: the source.
        """
        line = {"state": "writing", "outputs": self._output_names(source)}
        self._append(line)
        self._take(line)
        clear_torn_result(source)

    def finish(self, source: Source, inputs: Mapping[Path, InputState], record: Mapping[str, Any]) -> None:
        """Record that all outputs of a source are in place.

        Args:
            source: the source.
            inputs: states of its files before they were read, see :func:`input_states`.
            record: kept for later runs.
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
        """The states of files, by their names in the ledger."""
        return {_relative(path, self.input_folder): list(state) for path, state in inputs.items()}

    def _read(self) -> dict[str, dict[str, Any]]:
        """Read the lines of earlier runs. Returns: their settings, by digest."""
        known: dict[str, dict[str, Any]] = {}
        try:
            content = self.path.read_bytes() if os.path.lexists(self.path) else b""
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be read: {error.strerror or error}.") from error
        whole, _, torn = content.rpartition(b"\n")
        if torn:
            with self.path.open("r+b") as file:
                file.truncate(len(whole) + 1 if whole else 0)
        for number, text in enumerate(whole.splitlines(), 1):
            try:
                line = json.loads(text)
                _check_line(line)
                if "settings" in line:
                    known[line["digest"]] = line["settings"]
                else:
                    self._take(line)
            except (ValueError, RecursionError) as error:
                raise LedgerError(f"{self.path}: line {number} is damaged; remove the file to start over.") from error
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
        return self._names(source.all_outputs)

    def _names(self, paths: Iterable[Path]) -> list[str]:
        return [_relative(path, self.output_folder) for path in paths]


def finished_work(output_folder: str | os.PathLike) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Read the ledger of a folder without locking or changing it.

    Args:
        output_folder: folder of results.

    Returns:
        For each finished source the settings of its run and its "done" line, whose outputs begin with one for each
        input, in their order.

    Raises:
        FileNotFoundError: if the folder has no ledger.
        LedgerError: if the ledger is damaged.
    """
    path = Path(output_folder) / LEDGER_FOLDER / "ledger.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"{output_folder}: holds no record of noisewise denoise.")
    known: dict[str, dict[str, Any]] = {}
    done: dict[str, dict[str, Any]] = {}
    for number, text in enumerate(path.read_bytes().rpartition(b"\n")[0].splitlines(), 1):
        try:
            line = json.loads(text)
            if "settings" in line:
                known[line["digest"]] = line["settings"]
                continue
            for name in line["outputs"]:
                done.pop(name, None)
                if line["state"] == "done":
                    done[name] = line
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(f"{path}: line {number} is damaged.") from error
    lines = {id(line): line for line in done.values()}
    return [(known[line["digest"]], line) for line in lines.values() if line["digest"] in known]


def input_states(source: Source) -> dict[Path, InputState]:
    """The states of a source's files, which differ if a file has changed.

    Args:
        source: the source.

    Returns:
        Size in bytes and time of the last change in nanoseconds, for each file.

    Raises:
        OSError: if a file is gone.
    """
    states = {path: path.stat() for path in source.files}
    return {path: (state.st_size, state.st_mtime_ns) for path, state in states.items()}


def remove_leftovers(outputs: Iterable[Path], keep_living: bool = False) -> None:
    """Remove the temporary files that a killed run left beside its outputs.

    Args:
        outputs: paths that the run was about to write, see :func:`~noisewise.atomic.atomic_path`.
        keep_living: whether to keep those of other processes that are alive, where no lock keeps other runs away.
    """
    by_folder: dict[Path, set[str]] = {}
    for path in outputs:
        by_folder.setdefault(path.parent, set()).add(path.name)
    for folder, names in by_folder.items():
        # The data file of a header, which the caller may not know, has the same stem.
        stems = tuple(f"{Path(name).stem}." for name in names if name.lower().endswith((".mhd", ".nhdr")))
        for entry in folder.iterdir() if folder.is_dir() else ():
            process, name = _temporary(entry.name)
            if name is None:
                _remove_old_folder(entry)
                continue
            own = name.removesuffix(".deep.png") in names or (name.startswith(stems) and suffix_of(Path(name)) is None)
            if own and not (keep_living and _is_alive(process)):
                entry.unlink(missing_ok=True)


def is_torn_result(source: Source) -> bool:
    """Whether a killed run has put the data file of a header in place, and left the header under its temporary name.

    Args:
        source: the source.
    """
    if not source.data_outputs or os.path.lexists(source.outputs[0]):
        return False
    header = source.outputs[0]
    return header.parent.is_dir() and any(_temporary(entry.name)[1] == header.name for entry in header.parent.iterdir())


def clear_torn_result(source: Source) -> None:
    """Remove a data file without its header; the caller knows that it is a result.

    Args:
        source: the source, which is about to be written.
    """
    for path in source.data_outputs if not os.path.lexists(source.outputs[0]) else ():
        path.unlink(missing_ok=True)


def _temporary(name: str) -> tuple[int, str | None]:
    """Process and final name of a temporary file; 0 and None for other names."""
    start, _, rest = name.partition(".tmp.")
    if start[:1] == "." and start[1:].isdecimal() and rest:
        return int(start[1:]), rest
    return 0, None


def _remove_old_folder(entry: Path) -> None:
    """Earlier versions encoded some PNG files in a folder of this name, which held nothing else."""
    named = entry.name.startswith(f"{LEDGER_FOLDER}.") and entry.is_dir() and not entry.is_symlink()
    if named and all(each.name == "deep.png" for each in entry.iterdir()):
        shutil.rmtree(entry, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _check_line(line: Any) -> None:
    """Refuse a line that no run has written.

    Raises:
        ValueError: if it is one.
    """
    if not isinstance(line, dict):
        raise ValueError("not an object")
    if "settings" in line:
        good = isinstance(line["settings"], dict) and isinstance(line.get("digest"), str)
    elif line.get("state") == "writing":
        good = isinstance(line.get("outputs"), list)
    elif line.get("state") == "done":
        fields = (("inputs", dict), ("outputs", dict), ("digest", str), ("record", dict))
        good = all(isinstance(line.get(name), kind) for name, kind in fields)
    else:
        good = False
    if not good or not all(isinstance(name, str) and _is_below(name) for name in line.get("outputs", ())):
        raise ValueError("not a line of a record")


def _is_below(name: str) -> bool:
    """Whether a name stays in the folder that it is relative to."""
    return not os.path.isabs(name) and ".." not in Path(name).parts and "\0" not in name


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
