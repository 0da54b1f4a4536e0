# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Files above the zoo's limit."""

from __future__ import annotations

import hashlib

from monai.bundle import ConfigParser

from noisewise.pipelines.zoo.large_files import move_large_files


def test_large_files_are_moved_and_listed(tmp_path):
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    (tmp_path / "bundle" / "models" / "model.pt").write_bytes(b"12345")
    (tmp_path / "bundle" / "LICENSE").write_bytes(b"1234")
    moved = move_large_files(tmp_path / "bundle", tmp_path / "large", limit=4)
    assert moved == [tmp_path / "large" / "models" / "model.pt"] and moved[0].read_bytes() == b"12345"
    assert sorted(path.name for path in (tmp_path / "bundle").rglob("*")) == ["LICENSE", "large_files.yml", "models"]
    parser = ConfigParser()  # the zoo's CI reads it with this
    parser.read_config(str(tmp_path / "bundle" / "large_files.yml"))
    (entry,) = parser.get()["large_files"]
    assert entry.pop("url").startswith("FILL IN")
    digest = hashlib.sha256(b"12345").hexdigest()
    assert entry == {"path": "models/model.pt", "hash_val": digest, "hash_type": "sha256"}


def test_without_large_files_nothing_is_written(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"1")
    assert move_large_files(tmp_path, tmp_path / "large") == []
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
