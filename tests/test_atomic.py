# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Files are whole or not there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from noisewise.atomic import atomic_path, write_text_atomically


def test_text_is_written_as_it_is(tmp_path):
    path = write_text_atomically(tmp_path / "new" / "table.csv", "a,b\n1,µ\n")
    assert path.read_bytes() == "a,b\n1,µ\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["table.csv"]


def test_an_error_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = write_text_atomically(tmp_path / "table.csv", "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        assert temporary.suffix == ".csv" and temporary.parent == tmp_path
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_kill_in_mid_write_keeps_the_old_file(tmp_path):
    path = write_text_atomically(tmp_path / "table.csv", "old")
    code = (
        "import os, signal, sys; from noisewise.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], cwd=tmp_path).returncode == -9
    assert path.read_text() == "old"


@pytest.mark.parametrize("file_name", ["table.csv", "weights.pt"])
def test_the_content_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch, file_name):
    path, synced = tmp_path / file_name, []

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"x" * 5000)
    assert synced == [(5000, False)] and path.exists()
