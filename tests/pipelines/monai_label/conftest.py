# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

MODEL = "multimodal_denoising"
START_SECONDS = 150


class Server:
    """The real server, in its own process, on a free port of the loopback device."""

    def __init__(self, studies, work: Path, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url, self.work, self.log_path = f"http://127.0.0.1:{port}", work, work.with_suffix(".log")
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "noisewise.pipelines.monai_label.serve", str(studies)]
                + ["--port", str(port), "--work", str(work)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )
        self._wait()

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def get(self, path, **options):
        return self._request("GET", path, **options)

    def post(self, path, **options):
        return self._request("POST", path, **options)

    def put(self, path, **options):
        return self._request("PUT", path, **options)

    def infer(self, image=None, params=None, model=MODEL, output="image", session=None, **options):
        query = {"output": output, "image": image, "session_id": session}  # None is left out
        text = params if isinstance(params, str) else json.dumps(params or {})
        return self.post(f"/infer/{model}", params=query, data={"params": text}, **options)

    def denoise(self, image=None, params=None, **options) -> nib.Nifti1Image:
        """The result of an inference that must not fail."""
        answer = self.infer(image, params, **options)
        assert answer.status_code == 200, answer.text
        return nib.Nifti1Image.from_bytes(_unzipped(answer.content))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def _request(self, method, path, **options):
        import requests

        return requests.request(method, self.url + path, timeout=120, **options)

    def _wait(self) -> None:
        import requests

        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.get("/info/")
                return
            except requests.ConnectionError:
                time.sleep(0.3)
        self.stop()
        pytest.fail(f"the server did not start:\n{self.log[-3000:]}")


def _unzipped(content: bytes) -> bytes:
    import gzip

    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


@pytest.fixture(scope="session")
def write_series():
    """Writes a CT series of two small slices, 36 wide and 32 high, into a new folder."""

    def write(folder: Path, series: str = "1.2.3") -> None:
        folder.mkdir()
        header = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        pixels = header.pixel_array[40:72, 40:76]
        header.Rows, header.Columns = pixels.shape
        header.PatientName, header.SeriesInstanceUID = "Doe^Jane", series
        for number in (1, 2):
            header.PixelData = np.roll(pixels, number, axis=0).tobytes()
            header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
            header.InstanceNumber, header.ImagePositionPatient = number, [-10, -20, 4.0 * number]
            header.save_as(folder / f"{number}.dcm")

    return write


@pytest.fixture(scope="module")
def start_server(tmp_path_factory):
    """Starts servers, and stops them after the tests of the file."""
    servers = []

    def start(studies, **environment) -> Server:
        servers.append(Server(studies, tmp_path_factory.mktemp("server") / "work", **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
