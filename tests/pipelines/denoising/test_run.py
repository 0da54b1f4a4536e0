# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A run over many files: steps overlap, memory is bounded, and no file is ever incomplete."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from noisewise.pipelines.denoising import run as run_module
from noisewise.pipelines.denoising.run import (
    Observer,
    OutputExistsError,
    denoise_found,
    failures_of,
    fills_disk,
    run_sources,
)
from noisewise.pipelines.denoising.settings import DenoisingSettings
from noisewise.pipelines.denoising.sources import Source, find_sources
from noisewise.pipelines.engines.base import EngineError
from noisewise.pipelines.formats import FormatError

pytestmark = pytest.mark.usefixtures("halving")

PATIENCE = 120.0
NAMES = tuple(f"p{number // 2}/{number}.png" for number in range(6))


def run(tmp_path, overwrite=False, observer=None, **options):
    options = DenoisingSettings(**options)
    found = find_sources(tmp_path / "in", tmp_path / "out", options.noise_map)
    return denoise_found(found, options, overwrite, observer)


def states(outcomes):
    return {outcome.source.paths[0].name: outcome.state for outcome in outcomes}


def files(folder):
    """All files except the record."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found if ".noisewise" not in path.parts)


def check(tmp_path, pixels, names):
    for name in names:
        after = np.asarray(Image.open(tmp_path / "out" / name))
        np.testing.assert_array_equal(after, np.rint(pixels[name] - pixels[name] / 2), err_msg=name)


def test_a_folder_is_denoised_and_nothing_is_done_twice(tmp_path, pictures):
    pixels = pictures(*NAMES)
    assert set(states(run(tmp_path)).values()) == {"done"}
    check(tmp_path, pixels, NAMES)
    assert files(tmp_path / "out") == sorted(NAMES)
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in NAMES}
    outcomes = run(tmp_path)
    assert set(states(outcomes).values()) == {"skipped"} and all(each.record["slices"] == 1 for each in outcomes)
    assert times == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in NAMES}
    # One input changes, and only that one is done again.
    pixels |= pictures("p0/1.png", size=(8, 9))
    assert states(run(tmp_path)) == {f"{number}.png": "done" if number == 1 else "skipped" for number in range(6)}
    check(tmp_path, pixels, NAMES)


def test_the_users_files_are_never_replaced_without_overwrite(tmp_path, pictures):
    pixels = pictures("a.png", "b.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.png").write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"out/b\.png: exists already; pass --overwrite"):
        run(tmp_path)
    assert files(tmp_path / "out") == ["b.png"] and (tmp_path / "out" / "b.png").read_bytes() == b"precious"
    run(tmp_path, overwrite=True)
    check(tmp_path, pixels, pixels)


def test_a_single_file_keeps_no_record_and_replaces_nothing(tmp_path, pictures):
    pictures("a.png")
    found = find_sources(tmp_path / "in" / "a.png", tmp_path / "b.png")
    (outcome,) = denoise_found(found, DenoisingSettings())
    assert outcome.state == "done" and sorted(path.name for path in tmp_path.iterdir()) == ["b.png", "in"]
    with pytest.raises(OutputExistsError, match=r"b\.png: exists already"):
        denoise_found(found, DenoisingSettings())
    (tmp_path / ".999999999.tmp.b.png").write_bytes(b"a killed run's")
    denoise_found(found, DenoisingSettings(), overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.png", "in"]


def test_another_input_folder_is_not_taken_for_a_changed_one(tmp_path, pictures):
    pictures("a.png")
    run(tmp_path)
    pictures("a.png", folder="other", size=(8, 9))
    with pytest.raises(ValueError, match=r"other settings \(input .*in instead of .*other\)"):
        denoise_found(find_sources(tmp_path / "other", tmp_path / "out"), DenoisingSettings())


def test_one_failure_does_not_stop_the_others(tmp_path, pictures):
    pixels = pictures("a.png", "b.png", "c.png", "d.png")
    (tmp_path / "in" / "b.png").write_text("no picture")
    shutil.copy(tmp_path / "in" / "c.png", tmp_path / "in" / "d.tif")
    told = []
    observer = Observer()
    observer.finished = told.append
    outcomes = run(tmp_path, observer=observer)
    assert told == outcomes
    assert states(outcomes) == {"a.png": "done", "b.png": "failed", "c.png": "done", "d.png": "done", "d.tif": "failed"}
    for outcome in outcomes:
        if outcome.state == "failed":
            ((path, cause),) = outcome.failures
            assert path == str(outcome.source.paths[0]) and cause and "\n" not in cause
    check(tmp_path, pixels, ["a.png", "c.png", "d.png"])
    assert files(tmp_path / "out") == ["a.png", "c.png", "d.png"]
    # After its repair, it is the only one left.
    pixels |= pictures("b.png")
    (tmp_path / "in" / "d.tif").unlink()
    assert states(run(tmp_path)) == {"a.png": "skipped", "b.png": "done", "c.png": "skipped", "d.png": "skipped"}


def test_the_observer_sees_every_slice(tmp_path):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", np.arange(5 * 8 * 9, dtype=np.uint16).reshape(5, 8, 9))
    seen, advanced = [], []
    observer = Observer()
    observer.started = lambda *what: seen.append(what)
    observer.advanced = advanced.append
    run(tmp_path, observer=observer)
    ((source, slices, model),) = seen
    assert source.paths[0].name == "a.tif" and slices == 5 and sum(advanced) == pytest.approx(5)
    assert model.startswith("multimodal_denoising, weights ") and model.endswith("; halving, float32 on cpu")


# Overlap ----------------------------------------------------------------------------------------------------------


class Parts(SimpleNamespace):
    """A source in memory that can be counted."""


class Fakes:
    """Steps that record when they begin, and how many sources are in memory."""

    def __init__(self, monkeypatch, wait_for_overlap=False):
        self.begun = {(step, n): threading.Event() for step in ("read", "denoise", "write") for n in range(-1, 9)}
        self.alive, self.most, self.lock, self.count = 0, 0, threading.Lock(), 5
        self.wait_for_overlap = wait_for_overlap
        monkeypatch.setattr(run_module, "read_source", self.read)
        monkeypatch.setattr(run_module, "denoise_source", self.denoise)
        monkeypatch.setattr(run_module, "write_source", self.write)

    def sources(self):
        return [Source((Path(f"{n}.png"),), (Path(f"/nowhere/{n}.png"),), ".png") for n in range(self.count)]

    def overlap(self, step, number):
        if self.wait_for_overlap and 0 <= number < self.count:
            assert self.begun[step, number].wait(PATIENCE), f"{step} of {number} does not overlap"

    def changed(self, by):
        with self.lock:
            self.alive += by
            self.most = max(self.most, self.alive)

    def read(self, source, options):
        number = int(source.paths[0].stem)
        self.begun["read", number].set()
        self.changed(1)
        stack = SimpleNamespace(slices=np.zeros((1, 2, 2)), modality=None, eight_bit=True)
        loaded = Parts(source=source, stack=stack, number=number, guess=None)
        weakref.finalize(loaded, self.changed, -1)
        return loaded

    def denoise(self, loaded, options, on_progress):
        self.begun["denoise", loaded.number].set()
        self.overlap("read", loaded.number + 1)
        return Parts(loaded=loaded)

    def write(self, denoised, options):
        number = denoised.loaded.number
        self.begun["write", number].set()
        self.overlap("denoise", number + 1)
        time.sleep(0.02)
        return Parts(lost=[], summary=dict, notes=[])


def test_reading_and_writing_run_beside_the_denoising(monkeypatch):
    fakes = Fakes(monkeypatch, wait_for_overlap=True)
    assert [outcome.state for outcome in run_sources(fakes.sources(), DenoisingSettings())] == ["done"] * 5
    assert fakes.most <= 3 and fakes.alive == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_memory_is_bounded_when_writing_is_slow(monkeypatch, workers):
    fakes = Fakes(monkeypatch)
    fakes.count = 8
    run_sources(fakes.sources(), DenoisingSettings(), workers=workers)
    assert 2 <= fakes.most <= 1 + 2 * workers and fakes.alive == 0


def test_every_error_reaches_its_own_source(monkeypatch):
    fakes = Fakes(monkeypatch)

    def failing(step, number):
        before = getattr(run_module, step)

        def fail(what, *rest):
            source = what if step == "read_source" else what.source if hasattr(what, "source") else what.loaded.source
            if source.paths[0].stem == str(number):
                raise FormatError(source.paths[0], f"{step} went wrong.")
            return before(what, *rest)

        monkeypatch.setattr(run_module, step, fail)

    failing("read_source", 1)
    failing("denoise_source", 2)
    failing("write_source", 3)
    outcomes = {each.source.paths[0].stem: each for each in run_sources(fakes.sources(), DenoisingSettings())}
    assert [outcomes[str(n)].state for n in range(5)] == ["done", "failed", "failed", "failed", "done"]
    causes = [outcomes[str(n)].failures for n in (1, 2, 3)]
    steps = ("read_source", "denoise_source", "write_source")
    assert causes == [[(f"{n}.png", f"{step} went wrong.")] for n, step in enumerate(steps, 1)]


def test_an_engine_that_cannot_run_stops_the_run(monkeypatch):
    fakes = Fakes(monkeypatch)

    def fail(*_):
        raise EngineError("no such engine.")

    monkeypatch.setattr(run_module, "denoise_source", fail)
    with pytest.raises(EngineError, match="no such engine"):
        run_sources(fakes.sources(), DenoisingSettings())


# How runs end ----------------------------------------------------------------------------------------------------


def test_ctrl_c_keeps_finished_results_and_the_next_run_resumes(tmp_path, pictures, monkeypatch):
    pixels = pictures(*NAMES)
    before, calls = run_module.denoise_source, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return before(*arguments)

    monkeypatch.setattr(run_module, "denoise_source", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert files(tmp_path / "out") == sorted(NAMES[:3])
    check(tmp_path, pixels, NAMES[:3])
    monkeypatch.setattr(run_module, "denoise_source", before)
    assert list(states(run(tmp_path)).values()) == ["skipped"] * 3 + ["done"] * 3
    check(tmp_path, pixels, NAMES)


def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(tmp_path, pictures, monkeypatch):
    pixels = pictures(*NAMES)

    def full(file):
        if os.readlink(f"/proc/self/fd/{file}").endswith(("2.png", "3.png", "4.png", "5.png")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    outcomes = run(tmp_path)
    found = states(outcomes)
    assert [found[f"{n}.png"] for n in range(3)] == ["done", "done", "failed"] and found["5.png"] == "left"
    ((path, cause),) = next(each.failures for each in outcomes if each.state == "failed")
    assert path.endswith("2.png") and "No space left on device" in cause
    assert files(tmp_path / "out") == sorted(NAMES[:2])
    monkeypatch.undo()
    assert sorted(states(run(tmp_path)).values()) == ["done"] * 4 + ["skipped"] * 2
    check(tmp_path, pixels, NAMES)


def slow_run(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: time.sleep(0.03))
    run(tmp_path)


def killed(tmp_path, monkeypatch, moment):
    """Start a run, kill it with SIGKILL once ``moment()`` is true or it has ended."""
    process = multiprocessing.get_context("fork").Process(target=slow_run, args=(tmp_path, monkeypatch))
    process.start()
    end = time.monotonic() + PATIENCE
    while process.is_alive() and not moment() and time.monotonic() < end:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode


def test_a_kill_leaves_no_half_written_file_and_the_next_run_resumes(tmp_path, pictures, monkeypatch):
    pixels = pictures(*NAMES)
    out = tmp_path / "out"
    run_module.get_denoiser(DenoisingSettings())  # loaded once, not in each process

    def half_written():
        return len(list(out.rglob("?.png"))) >= 2 and any(out.rglob(".*.tmp.*"))

    assert killed(tmp_path, monkeypatch, half_written) == -signal.SIGKILL
    left = files(out)
    assert [name for name in left if ".tmp." in name], "killed too late to show anything"
    check(tmp_path, pixels, [name for name in left if ".tmp." not in name])
    for delay in (0.0, 0.11):
        begin = time.monotonic()
        killed(tmp_path, monkeypatch, lambda begin=begin, delay=delay: time.monotonic() > begin + delay)
        check(tmp_path, pixels, [name for name in files(out) if ".tmp." not in name])
    found = list(states(run(tmp_path)).values())
    assert found.count("skipped") >= 1 and found.count("done") >= 1 and len(found) == 6
    assert files(out) == sorted(NAMES)
    check(tmp_path, pixels, NAMES)


# A hundred bad files ----------------------------------------------------------------------------------------------


def good_files(folder):
    """One small good file of each format."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (16, 18), np.uint8)
    deep = rng.integers(0, 900, (3, 10, 12), np.int16)
    Image.fromarray(gray).save(folder / "good.png")
    Image.fromarray(gray).save(folder / "good.jpg")
    tifffile.imwrite(folder / "good.tif", deep.astype(np.float32), photometric="minisblack")
    nibabel.Nifti1Image(deep.T, np.eye(4)).to_filename(folder / "good.nii")
    nibabel.Nifti1Image(deep.T.astype(np.float32), np.eye(4)).to_filename(folder / "good.nii.gz")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(deep.astype(np.float32)), str(folder / "good.mha"))
    shutil.copy(get_testdata_file("MR_small.dcm"), folder / "good.dcm")
    return sorted(folder.iterdir())


def bad_files(good, folder):
    """Truncated, flipped, empty, misnamed and without numbers; each in its own folder, as DICOM files are grouped."""
    rng = np.random.default_rng(1)
    nan = {
        ".tif": lambda path, values: tifffile.imwrite(path, values, photometric="minisblack"),
        ".nii.gz": lambda path, values: nibabel.Nifti1Image(values, np.eye(4)).to_filename(path),
        ".mha": lambda path, values: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(path)),
    }
    for number, path in enumerate(good):
        data, suffix = path.read_bytes(), path.name.removeprefix("good")
        contents = {f"cut{share}": data[: int(len(data) * share / 100)] for share in (2, 5, 20, 50, 80, 97)}
        for n in range(4):
            flipped = np.frombuffer(data, np.uint8).copy()
            places = rng.integers(0, min(len(flipped), 400), 6)
            flipped[places] ^= (1 << rng.integers(0, 8, 6)).astype(np.uint8)
            contents[f"flip{n}"] = flipped.tobytes()
        contents |= {"empty": b"", "text": b"no image\n" * 40, "zeros": bytes(len(data))}
        contents["other"] = good[number - 1].read_bytes()
        for name, content in contents.items():
            target = folder / f"{name}{suffix}" / f"{name}{suffix}"
            target.parent.mkdir(parents=True)
            target.write_bytes(content)
        if suffix in nan:
            target = folder / f"nan{suffix}" / f"nan{suffix}"
            target.parent.mkdir()
            nan[suffix](target, np.full((3, 8, 9), np.nan, np.float32))


def test_bad_files_fail_one_by_one_with_a_line_each(tmp_path, capfd, caplog, recwarn):
    good = good_files(tmp_path / "in" / "good")
    bad_files(good, tmp_path / "in" / "bad")
    capfd.readouterr()
    outcomes = run(tmp_path)
    # Warnings of libraries quote values of the header. MetaIO prints lines that cannot be suppressed.
    out, err = capfd.readouterr()
    assert out == "" and not [line for line in err.splitlines() if "Meta" not in line and "ElementType" not in line]
    assert not [each for each in recwarn if "torch" not in each.filename] and not caplog.records
    assert len(outcomes) >= 100
    done = [outcome for outcome in outcomes if outcome.state == "done"]
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    assert len(done) + len(failed) == len(outcomes) and len(failed) >= 70
    for outcome in failed:
        ((path, cause),) = outcome.failures
        # Damage to a header may show only when it is written again.
        assert path in map(str, (outcome.source.paths[0], outcome.source.outputs[0]))
        assert len(cause) > 10 and "\n" not in cause
        assert "Traceback" not in cause
    names = {outcome.source.paths[0].relative_to(tmp_path / "in").as_posix() for outcome in done}
    assert names >= {f"good/{path.name}" for path in good}
    # Cut, empty and misnamed files must fail; a format may not notice a flipped bit.
    assert not [name for name in names if name.split("/")[1].startswith(("empty", "text", "zeros", "nan", "other"))]
    assert files(tmp_path / "out") == sorted(names)


# Messages of errors -----------------------------------------------------------------------------------------------


def test_every_failure_is_one_line_that_names_the_file():
    source = Source((Path("a.png"),), (Path("b.png"),), ".png")
    assert failures_of(FormatError("x.png", "is\nbad."), source) == [("x.png", "is bad.")]
    assert failures_of(ValueError("too large"), source) == [("a.png", "too large")]
    assert failures_of(RuntimeError("odd"), source) == [("a.png", "RuntimeError: odd")]
    assert failures_of(KeyError("k"), source) == [("a.png", "KeyError: 'k'")]
    assert failures_of(FileNotFoundError(2, "No such file", "c.png"), source) == [("c.png", "No such file")]
    assert failures_of(MemoryError(), source) == [("a.png", "does not fit the memory of this computer.")]
    group = ExceptionGroup("both", [FormatError("x.png", "one."), FormatError("y.png", "two.")])
    assert failures_of(group, source) == [("x.png", "one."), ("y.png", "two.")]


def test_a_full_disk_is_recognized_as_the_cause_of_other_errors():
    assert fills_disk(OSError(errno.ENOSPC, "full")) and fills_disk(OSError(errno.EDQUOT, "quota"))
    assert not fills_disk(OSError(errno.EACCES, "no")) and not fills_disk(ValueError("no"))
    error = FormatError("a.png", "cannot be written")
    error.__cause__ = OSError(errno.ENOSPC, "full")
    assert fills_disk(error)


def test_a_changed_data_file_is_denoised_again(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "v.mhd"
    for offset in (0, 100):
        array = np.arange(5 * 8 * 9, dtype=np.int16).reshape(5, 8, 9) + np.int16(offset)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
        os.utime(path, ns=(1, 1))  # the header is as it was
        assert states(run(tmp_path)) == {"v.mhd": "done"}
        result = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "out" / "v.mhd")))
        assert abs(int(result.max()) - int(array.max()) // 2) <= 1
    assert states(run(tmp_path)) == {"v.mhd": "skipped"}
    os.utime(tmp_path / "in" / "v.raw", ns=(2, 2))
    assert states(run(tmp_path)) == {"v.mhd": "done"}


def test_every_file_of_a_lost_series_is_named():
    source = Source((Path("a"), Path("b"), Path("c")), (Path("x"), Path("y"), Path("z")), "dicom")
    failures = failures_of(FormatError("b", "is damaged."), source)
    assert failures[0] == ("b", "is damaged.") and sorted(path for path, _ in failures) == ["a", "b", "c"]
    alone = source.only([Path("b")])
    assert failures_of(FormatError("b", "is damaged."), alone) == [("b", "is damaged.")]
