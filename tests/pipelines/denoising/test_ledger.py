# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever happens to a run, the next one knows which results are done and which files are not its own."""

from __future__ import annotations

import os

import pytest

from noisewise.data_manifest.digest import settings_digest
from noisewise.pipelines.denoising import ledger as ledger_module
from noisewise.pipelines.denoising.ledger import (
    Ledger,
    LedgerError,
    clear_torn_result,
    input_states,
    is_torn_result,
    remove_leftovers,
)
from noisewise.pipelines.denoising.sources import Source

SETTINGS = {"strength": 1.0, "weights": {"net": "abc"}}
RECORD = {"seconds": 1.5}


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"input")
    return Source((tmp_path / "in" / "a.png",), (tmp_path / "out" / "a.png",), ".png")


def opened(tmp_path, settings=SETTINGS, overwrite=False):
    return Ledger(tmp_path / "in", tmp_path / "out", settings, overwrite)


def write(ledger, source, content=b"output"):
    ledger.begin(source)
    inputs = input_states(source)
    for path in source.all_outputs:
        path.write_bytes(content)
    ledger.finish(source, inputs, RECORD)


def test_finished_sources_are_recognized(tmp_path, source):
    with opened(tmp_path) as ledger:
        assert ledger.finished(source) is None
        write(ledger, source)
        assert ledger.finished(source) == RECORD
    with opened(tmp_path) as ledger:
        assert ledger.finished(source) == RECORD and ledger.foreign(source) == []


def test_a_changed_input_is_not_done(tmp_path, source):
    with opened(tmp_path) as ledger:
        write(ledger, source)
    os.utime(source.paths[0], ns=(1, 1))  # of the same size
    with opened(tmp_path) as ledger:
        assert ledger.finished(source) is None and ledger.foreign(source) == []
    source.paths[0].unlink()
    with opened(tmp_path) as ledger:
        assert ledger.finished(source) is None


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_result_that_is_not_as_it_was_written_is_not_done(tmp_path, source, damage):
    with opened(tmp_path) as ledger:
        write(ledger, source)
    if damage == "missing":
        source.outputs[0].unlink()
    else:
        source.outputs[0].write_bytes(b"out")
    with opened(tmp_path) as ledger:
        assert ledger.finished(source) is None and ledger.foreign(source) == []


def test_additional_results_are_not_done(tmp_path, source):
    with opened(tmp_path) as ledger:
        write(ledger, source)
        more = Source(source.paths, source.outputs, ".png", noise_map=tmp_path / "out" / "a_removed.tif")
        assert ledger.finished(more) is None
        write(ledger, more)
        assert ledger.finished(more) == RECORD and ledger.finished(source) == RECORD


def test_results_of_other_settings_are_refused_and_can_be_replaced(tmp_path, source):
    with opened(tmp_path) as ledger:
        write(ledger, source)
    other = {"strength": 0.5, "weights": {"net": "def"}}
    with pytest.raises(LedgerError, match=r"out: holds results of other settings \(strength 1.0 instead of 0.5, anot"):
        opened(tmp_path, other)
    with opened(tmp_path, other, overwrite=True) as ledger:
        assert ledger.finished(source) is None
        write(ledger, source)
        assert ledger.finished(source) == RECORD
    # The results of the first settings are gone, although their line is still there and the sizes are equal.
    with pytest.raises(LedgerError, match="other settings"):
        opened(tmp_path)
    with opened(tmp_path, overwrite=True) as ledger:
        assert ledger.finished(source) is None


def test_a_replacement_that_was_stopped_is_not_taken_for_the_old_result(tmp_path, source):
    with opened(tmp_path) as ledger:
        write(ledger, source)
    with opened(tmp_path, {**SETTINGS, "strength": 0.5}, overwrite=True) as ledger:
        ledger.begin(source)
        source.outputs[0].write_bytes(b"OUTPUT")  # of the same size
    with opened(tmp_path) as ledger:
        assert ledger.finished(source) is None and ledger.foreign(source) == []


def test_the_users_own_file_is_foreign(tmp_path, source):
    with opened(tmp_path) as ledger:
        source.outputs[0].write_bytes(b"precious")
        assert ledger.foreign(source) == [source.outputs[0]]
    with opened(tmp_path, overwrite=True) as ledger:
        assert ledger.foreign(source) == []


def test_a_result_whose_run_was_killed_before_the_last_line_is_not_foreign(tmp_path, source):
    with opened(tmp_path) as ledger:
        ledger.begin(source)
        source.outputs[0].write_bytes(b"output")
    with opened(tmp_path) as ledger:
        assert ledger.foreign(source) == [] and ledger.finished(source) is None


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path, source):
    out = tmp_path / "out"
    with opened(tmp_path) as ledger:
        ledger.begin(source)
        for name in (".123.tmp.a.png", ".123.tmp.b.png", ".x.tmp.a.png", "123.tmp.a.png", ".keep.png"):
            (out / name).write_bytes(b"half")
        (out / ".noisewise.abc").mkdir()
        (out / ".noisewise.abc" / "deep.png").write_bytes(b"half")
    with opened(tmp_path):
        pass
    left = sorted(path.name for path in out.iterdir())
    assert left == [".123.tmp.b.png", ".keep.png", ".noisewise", ".x.tmp.a.png", "123.tmp.a.png"]


def test_leftovers_of_a_pair_of_files(tmp_path):
    for name in (".12.tmp.v.mhd", ".12.tmp.v.raw", ".12.tmp.w.raw", "v.raw"):
        (tmp_path / name).write_bytes(b"half")
    remove_leftovers([tmp_path / "v.mhd", tmp_path / "w.png", tmp_path / "nowhere" / "x.png"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".12.tmp.w.raw", "v.raw"]


def test_a_line_that_a_kill_cut_off_is_ignored(tmp_path, source):
    with opened(tmp_path) as ledger:
        write(ledger, source)
    whole = ledger.path.read_bytes()
    for cut in (1, 20, len(whole.splitlines()[-1])):
        ledger.path.write_bytes(whole[:-cut])
        with opened(tmp_path) as again:
            assert again.finished(source) is None and again.foreign(source) == []
            write(again, source)
        with opened(tmp_path) as again:
            assert again.finished(source) == RECORD


def test_a_damaged_line_within_is_named(tmp_path, source):
    with opened(tmp_path) as ledger:
        write(ledger, source)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(lines[0] + b"{nonsense\n" + lines[1])
    with pytest.raises(LedgerError, match=r"ledger\.jsonl: line 2 is damaged"):
        opened(tmp_path)
    with pytest.raises(LedgerError, match="line 2"):  # not: another run is writing there
        opened(tmp_path)


def test_two_runs_cannot_write_to_one_folder(tmp_path, source):
    with opened(tmp_path), pytest.raises(LedgerError, match="out: another run is writing there"):
        opened(tmp_path)
    opened(tmp_path).close()


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path, source, monkeypatch):
    with opened(tmp_path) as ledger:
        before = ledger.path.read_bytes()

        def fail(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(ledger_module.os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            ledger.begin(source)
        assert ledger.path.read_bytes() == before


def test_equal_settings_have_one_digest():
    assert settings_digest({"a": 1, "b": None}) == settings_digest({"b": None, "a": 1})
    assert settings_digest({"a": 1}) != settings_digest({"a": 2})


@pytest.fixture
def pair(tmp_path):
    """A header with a data file."""
    (tmp_path / "in").mkdir()
    for name in ("v.mhd", "v.raw"):
        (tmp_path / "in" / name).write_bytes(b"input")
    return Source(
        (tmp_path / "in" / "v.mhd",),
        (tmp_path / "out" / "v.mhd",),
        ".mhd",
        data=(tmp_path / "in" / "v.raw",),
        data_outputs=(tmp_path / "out" / "v.raw",),
    )


@pytest.mark.parametrize("changed", ["in/v.raw", "in/v.mhd", "out/v.raw", "out/v.mhd"])
def test_a_data_file_is_input_and_output(tmp_path, pair, changed):
    with opened(tmp_path) as ledger:
        write(ledger, pair)
    with opened(tmp_path) as ledger:
        assert ledger.finished(pair) == RECORD
    (tmp_path / changed).write_bytes(b"another length")
    with opened(tmp_path) as ledger:
        assert ledger.finished(pair) is None and ledger.foreign(pair) == []


def test_a_data_file_of_the_user_is_foreign(tmp_path, pair):
    with opened(tmp_path) as ledger:
        pair.data_outputs[0].write_bytes(b"precious")
        assert ledger.foreign(pair) == [pair.data_outputs[0]]


def test_records_of_earlier_versions_name_no_data_file(tmp_path, pair):
    with opened(tmp_path) as ledger:
        write(ledger, Source(pair.paths, pair.outputs, ".mhd"))
        pair.data_outputs[0].write_bytes(b"written too")
    with opened(tmp_path) as ledger:
        assert ledger.finished(pair) is None and ledger.foreign(pair) == []


def test_a_kill_between_the_names_of_a_pair(tmp_path, pair):
    with opened(tmp_path) as ledger:
        ledger.begin(pair)
        pair.data_outputs[0].write_bytes(b"voxels")
    with opened(tmp_path) as ledger:
        assert ledger.foreign(pair) == []
        ledger.begin(pair)
        assert not pair.data_outputs[0].exists()


def test_a_kill_between_the_names_of_a_single_pair(tmp_path, pair):
    (tmp_path / "out").mkdir()
    pair.data_outputs[0].write_bytes(b"voxels")
    assert not is_torn_result(pair)  # it may be the user's
    (tmp_path / "out" / ".12.tmp.v.mhd").write_bytes(b"header")
    assert is_torn_result(pair)
    clear_torn_result(pair)
    assert not pair.data_outputs[0].exists()
    for path in pair.all_outputs:
        path.write_bytes(b"whole")
    assert not is_torn_result(pair)
    clear_torn_result(pair)
    assert pair.data_outputs[0].exists()


DONE = '{"state": "done", "inputs": {}, "outputs": {"a.png": 3}, "digest": "d", "record": {}}'


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"3",
        b"null",
        b'"text"',
        b"\xff\xfe\x00",
        b"{}",
        b"[" * 100_000,
        b'{"settings": 1, "digest": "d"}',
        b'{"settings": {}}',
        b'{"settings": {}, "digest": []}',
        b'{"state": "writing", "outputs": "a.png"}',
        b'{"state": "writing", "outputs": [3]}',
        b'{"state": "writing"}',
        b'{"state": "lost", "outputs": []}',
        *(
            DONE.replace(*change).encode()
            for change in (
                ('"inputs": {}, ', ""),
                ('"digest": "d", ', ""),
                (', "record": {}', ""),
                ('{"a.png": 3}', '["a.png"]'),
                ("a.png", "../a.png"),
                ("a.png", "/a.png"),
            )
        ),
    ],
)
def test_damage_of_any_form_is_one_line(tmp_path, line):
    opened(tmp_path).close()
    path = tmp_path / "out" / ".noisewise" / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(LedgerError, match=r"ledger\.jsonl: line 2 is damaged; remove the file to start over"):
        opened(tmp_path)


@pytest.mark.parametrize("name", [".noisewise", ".noisewise/ledger.jsonl", ".noisewise/lock"])
def test_a_record_of_another_kind_is_one_line(tmp_path, name):
    place = tmp_path / "out" / name
    place.parent.mkdir(parents=True)
    if name == ".noisewise":
        place.write_bytes(b"file")
    else:
        place.mkdir()
    with pytest.raises(LedgerError) as caught:
        opened(tmp_path)
    assert str(place) in str(caught.value) and "\n" not in str(caught.value)


def test_files_of_others_are_no_leftovers(tmp_path, source):
    """Folders of a similar name, other images of the stem, and, without a lock, files of living processes."""
    out = tmp_path / "out"
    keep = (".noisewise.backup/notes.txt", f".{os.getppid()}.tmp.a.png", ".12.tmp.v.png")
    for name in keep:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"precious")
    for name in (f".{os.getpid()}.tmp.a.png", ".999999999.tmp.a.png", ".999999999.tmp.a.png.deep.png"):
        (out / name).write_bytes(b"half")
    remove_leftovers([out / "a.png", out / "v.mhd"], keep_living=True)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == sorted(keep)
    remove_leftovers([out / "a.png"])
    assert not (out / keep[1]).exists()
