# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Studies on a DICOMweb server: a real Orthanc (Debian's packages orthanc and orthanc-dicomweb)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import noisewise

pytest.importorskip("monailabel")
requests = pytest.importorskip("requests")

ORTHANC = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
pytestmark = pytest.mark.skipif(
    ORTHANC is None or not PLUGIN.exists(), reason="could not import 'Orthanc': apt-get install orthanc-dicomweb"
)
SERIES = "1.2.826.0.1.3680043.8.498.7"


class Orthanc:
    """A server of images that only this machine can reach."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        config = {
            "StorageDirectory": str(folder / "database"),
            "IndexDirectory": str(folder / "database"),
            "HttpPort": port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (folder / "orthanc.json").write_text(json.dumps(config))
        with (folder / "orthanc.log").open("w") as log:
            command = [ORTHANC, str(folder / "orthanc.json")]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(150):
            try:
                requests.get(f"{self.url}/system", timeout=5).raise_for_status()
                return
            except requests.ConnectionError:
                time.sleep(0.2)
        self.stop()
        pytest.fail(f"Orthanc did not start:\n{(folder / 'orthanc.log').read_text()[-2000:]}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    running = Orthanc(tmp_path_factory.mktemp("orthanc"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def series(tmp_path_factory, write_series):
    folder = tmp_path_factory.mktemp("series") / "ct"
    write_series(folder, SERIES)
    return folder


@pytest.fixture(scope="module")
def server(start_server, orthanc, series):
    for path in series.iterdir():
        requests.post(f"{orthanc.url}/instances", data=path.read_bytes(), timeout=30).raise_for_status()
    return start_server(f"{orthanc.url}/dicom-web")


# A single test, because its last part stops Orthanc.
def test_a_series_is_fetched_denoised_and_ranked(server, orthanc, series):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
    image = reader.Execute()
    hounsfield = SimpleITK.GetArrayFromImage(image).astype(np.float32)
    result = server.denoise(SERIES)
    assert result.shape == image.GetSize()
    np.testing.assert_allclose(result.header.get_zooms(), image.GetSpacing(), rtol=1e-5)
    wanted = noisewise.denoise(hounsfield, intensity_range=(-1000, 1000), precision="float32")
    np.testing.assert_allclose(result.get_fdata().T, wanted, atol=0.05)

    chosen = server.post("/activelearning/noisiest_first", json={}).json()
    assert chosen["id"] == SERIES and chosen["noise"] > 0

    for image, status in (("1.2.3.4", 404), ("somebody", 404), ("..", 404), ("../../main.py", 400)):
        answer = server.infer(image)
        assert answer.status_code == status and "Traceback" not in answer.text and answer.json()["detail"]

    assert server.infer(SERIES, {"save_label": True}).status_code == 400
    assert server.put("/datastore/image?image=../out", files={"file": ("a.nii", b"x")}).status_code == 400
    assert list((server.work / "tmp").iterdir()) == []

    orthanc.stop()
    unreachable = server.infer("1.2.3.5")
    assert unreachable.status_code == 502 and "does not answer" in unreachable.json()["detail"]
    for word in ("Doe", SERIES, "Traceback"):
        assert word not in server.log
