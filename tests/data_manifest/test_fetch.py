# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Images behind URLs."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from noisewise.data_manifest import Manifest, ManifestError, fetch_manifest, file_digest, verify_manifest


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """Serves ``tmp_path / "remote"``; gives its URL."""
    (tmp_path / "remote").mkdir()
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "remote"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_fetched_images_are_read_from_disk(tmp_path, server, write_png, make_record):
    digests = [
        file_digest(write_png(tmp_path / "remote" / name / "a.png", seed=i)) for i, name in enumerate(("one", "two"))
    ]
    records = [
        make_record(f"{server}/{name}/a.png", subject=name, sha256=digest)
        for name, digest in zip(("one", "two"), digests)
    ]
    path = Manifest(records).write(tmp_path / "remote.csv")
    fetched = fetch_manifest(path, tmp_path / "local", tmp_path / "local.csv")
    assert [file_digest(r.path) for r in fetched] == digests
    assert Manifest.read(tmp_path / "local.csv").records == fetched.records
    assert verify_manifest(fetched) == []


def test_a_wrong_checksum_or_a_missing_file_names_the_url(tmp_path, server, write_png, make_record):
    write_png(tmp_path / "remote" / "a.png")
    with pytest.raises(ManifestError, match=r"/a\.png: cannot be fetched"):
        fetch_manifest(Manifest([make_record(f"{server}/a.png", sha256="ab" * 32)]), tmp_path / "local")
    with pytest.raises(ManifestError, match=r"/b\.png: cannot be fetched"):
        fetch_manifest(Manifest([make_record(f"{server}/b.png")]), tmp_path / "local")
