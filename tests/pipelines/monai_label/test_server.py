# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The real MONAI Label server with this app, over HTTP; needs the environment of ``make label-env``."""

from __future__ import annotations

import http.client
import io
import json
import re
import zipfile
from urllib.parse import quote

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

import noisewise
from noisewise.bundles import bundle_path

pytest.importorskip("monailabel")
psutil = pytest.importorskip("psutil")

MODEL = "multimodal_denoising"
# Oblique, sheared, flipped, anisotropic.
AFFINE = np.array([[-0.7, 0.1, 0, 11], [0.1, 0.8, 0.2, -7], [0, -0.2, 2.5, 3.5], [0, 0, 0, 1]])
NOISE = {"quiet": 4, "louder": 16, "loudest": 48}
SIZE = 32
# The log must not name any image of the studies, since file names may name patients.
PATIENT = "Doe_Jane_19700101"


def smooth(*shape: int) -> np.ndarray:
    """A clean image in [0, 1] without fine detail."""
    grids = np.meshgrid(*(np.linspace(0, 2, size) for size in shape), indexing="ij")
    return 0.5 + 0.35 * np.sin(sum(grids))


def noisy(sigma: float, *shape: int) -> np.ndarray:
    return np.clip(255 * smooth(*shape) + np.random.default_rng(0).normal(0, sigma, shape), 0, 255)


@pytest.fixture(scope="module")
def studies(tmp_path_factory, write_series):
    folder = tmp_path_factory.mktemp("studies")
    volume = (3 * noisy(20, 24, 20, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(volume, AFFINE), folder / f"{PATIENT}.nii.gz")
    nib.save(nib.Nifti1Image(noisy(20, 24, 20).astype(np.float32), np.diag([0.5, 0.6, 1, 1])), folder / "flat.nii")
    nib.save(nib.Nifti1Image((volume - 600).astype(np.int16), AFFINE), folder / "hounsfield.nii.gz")
    Image.fromarray(noisy(20, 20, 24).astype(np.uint8)).save(folder / "photo.png")
    Image.fromarray(noisy(20, 20, 24, 3).astype(np.uint8)).save(folder / "color.png")
    Image.fromarray(np.full((16, 16), 7, np.uint8)).save(folder / "constant.png")
    for name, sigma in NOISE.items():
        Image.fromarray(noisy(sigma, SIZE, SIZE).astype(np.uint8)).save(folder / f"{name}.png")
    # Its name has dots that do not begin a suffix.
    write_series(folder / "1.2.840.1")
    write_series(folder / "mixed")
    (folder / "mixed" / "notes.bin").write_bytes(b"no DICOM")
    (folder / "broken.png").write_bytes(b"no PNG")
    nib.save(nib.Nifti1Image(np.full((9, 9), np.nan, np.float32), np.eye(4)), folder / "nan.nii.gz")
    (folder.parent / "secret.nii.gz").write_bytes((folder / f"{PATIENT}.nii.gz").read_bytes())
    (folder / "leads_out").symlink_to(folder.parent)
    return folder


@pytest.fixture(scope="module")
def server(start_server, studies):
    return start_server(studies)


def expected(slices: np.ndarray, limits: tuple[float, float], **options) -> np.ndarray:
    """The function's result for ``(N, H, W)``."""
    return noisewise.denoise(slices.astype(np.float32), intensity_range=limits, precision="float32", **options)


def as_slices(volume: np.ndarray) -> np.ndarray:
    """(X, Y, Z) to (Z, Y, X)."""
    return volume.T


def stored(path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_the_model_and_the_strategy_are_listed(server):
    info = server.get("/info/").json()
    bundles = bundle_path(MODEL).parent
    assert MODEL in info["models"]
    assert set(info["models"]) == {path.name for path in bundles.iterdir() if (path / "models" / "model.pt").exists()}
    assert info["models"][MODEL]["type"] == "others" and info["models"][MODEL]["config"]["strength"] == 1.0
    assert "noisiest_first" in info["strategies"]


def test_a_volume_keeps_its_geometry_and_equals_the_function(server, studies):
    before = nib.load(studies / f"{PATIENT}.nii.gz")
    values = np.asarray(before.dataobj)
    result = server.denoise(PATIENT)
    assert result.get_data_dtype() == np.float32 and result.shape == before.shape
    np.testing.assert_allclose(result.affine, before.affine, atol=1e-6)
    np.testing.assert_allclose(result.header.get_zooms(), before.header.get_zooms(), rtol=1e-6)
    wanted = expected(as_slices(values), (0, np.percentile(values, 99.9)))
    np.testing.assert_allclose(as_slices(result.get_fdata()), wanted, atol=0.01)
    assert np.abs(result.get_fdata() - values).mean() > 5


def test_a_flat_nifti_keeps_shape_and_spacing(server, studies):
    before = nib.load(studies / "flat.nii")
    result = server.denoise("flat", {"result_extension": ".nii"})
    assert result.shape == before.shape == (24, 20)
    np.testing.assert_allclose(result.affine, before.affine, atol=1e-6)
    np.testing.assert_allclose(result.header.get_zooms(), (0.5, 0.6), rtol=1e-6)
    values = stored(studies / "flat.nii")
    wanted = expected(values.T[None], (0, np.percentile(values, 99.9)))[0].T
    np.testing.assert_allclose(result.get_fdata(), wanted, atol=0.01)


@pytest.mark.parametrize("name", ["photo", "color"])
def test_a_picture_equals_the_function_to_rounding(server, studies, name):
    pixels = np.asarray(Image.open(studies / f"{name}.png"))
    result = server.denoise(name).get_fdata()
    assert result.shape[:3] == (24, 20, 1)  # x, y and an axis for the spacing
    rows_first = np.swapaxes(result[:, :, 0], 0, 1)
    np.testing.assert_allclose(rows_first, noisewise.denoise(pixels, precision="float32"), atol=0.51)


def test_a_dicom_series_is_denoised_in_hounsfield_units(server, studies):
    # ITK's reading of the folder, in NIfTI's axes.
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(studies / "1.2.840.1")))
    image = reader.Execute()
    hounsfield = SimpleITK.GetArrayFromImage(image)
    result = server.denoise("1.2.840.1")
    assert result.shape == image.GetSize() == (36, 32, 2)
    flip = np.diag([-1, -1, 1])
    np.testing.assert_allclose(result.affine[:3, :3], flip @ np.diag(image.GetSpacing()), atol=1e-5)
    np.testing.assert_allclose(result.affine[:3, 3], flip @ image.GetOrigin(), atol=1e-5)
    wanted = expected(hounsfield, (-1000, 1000))
    np.testing.assert_allclose(as_slices(result.get_fdata()), wanted, atol=0.05)
    assert np.abs(wanted - hounsfield).mean() > 1
    assert server.infer("1.2.840.1", output="json").json()["intensity_range"] == [-1000, 1000]


def test_the_low_dose_ct_bundle_is_offered_too(server, studies):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(studies / "1.2.840.1")))
    hounsfield = SimpleITK.GetArrayFromImage(reader.Execute())
    result = as_slices(server.denoise("1.2.840.1", model="low_dose_ct_denoising").get_fdata())
    np.testing.assert_allclose(result, expected(hounsfield, (-1000, 1000), model="low_dose_ct_denoising"), atol=0.05)
    assert np.abs(result - expected(hounsfield, (-1000, 1000))).max() > 1


def test_strength_blends(server, studies):
    values = stored(studies / f"{PATIENT}.nii.gz").astype(np.float64)
    np.testing.assert_array_equal(server.denoise(PATIENT, {"strength": 0}).get_fdata(), values)
    whole, half = (server.denoise(PATIENT, {"strength": strength}).get_fdata() for strength in (1, "0.5"))
    np.testing.assert_allclose(half, (whole + values) / 2, atol=1e-3)


def test_a_stated_range_is_used(server, studies):
    values = as_slices(stored(studies / f"{PATIENT}.nii.gz"))
    result = server.denoise(PATIENT, {"intensity_range": [100, 500]}).get_fdata()
    np.testing.assert_allclose(as_slices(result), expected(values, (100, 500)), atol=0.01)


def test_hounsfield_units_in_nifti_must_be_stated(server, studies):
    refused = server.infer("hounsfield")
    assert refused.status_code == 422 and '"modality": "ct"' in refused.json()["detail"]
    result = server.denoise("hounsfield", {"modality": "ct"}).get_fdata()
    values = as_slices(stored(studies / "hounsfield.nii.gz"))
    np.testing.assert_allclose(as_slices(result), expected(values, (-1000, 1000)), atol=0.05)


def test_an_image_without_contrast_comes_back(server):
    np.testing.assert_array_equal(server.denoise("constant").get_fdata(), 7)


def test_an_upload_is_denoised_and_not_kept(server, studies):
    content = (studies / f"{PATIENT}.nii.gz").read_bytes()
    uploaded = server.denoise(files={"file": ("scan.nii.gz", content)}).get_fdata()
    np.testing.assert_array_equal(uploaded, server.denoise(PATIENT).get_fdata())
    refused = server.infer(files={"file": ("scan.png", b"no PNG")})
    assert refused.status_code == 422
    assert server.put("/datastore/image?image=../out", files={"file": ("a.png", b"x")}).status_code == 400
    assert list((server.work / "tmp").iterdir()) == []
    assert (server.work / "tmp").stat().st_mode & 0o077 == 0


def test_the_files_of_a_session_are_one_series(server, studies):
    files = [("files", (path.name, path.read_bytes())) for path in (studies / "1.2.840.1").iterdir()]
    session = server.put("/session/", files=files).json()["session_id"]
    sent = server.denoise(params={"strength": 0.7}, session=session)
    np.testing.assert_array_equal(sent.get_fdata(), server.denoise("1.2.840.1", {"strength": 0.7}).get_fdata())
    ended = server.infer(session="nobody")
    assert ended.status_code == 400 and "no such session" in ended.json()["detail"]


def test_a_result_can_be_kept_beside_its_image(server, studies):
    answer = server.infer("photo", {"save_label": True, "label_tag": "denoised"})
    assert answer.status_code == 200
    kept = nib.load(studies / "labels" / "denoised" / "photo.nii.gz")
    np.testing.assert_array_equal(kept.get_fdata(), server.denoise("photo").get_fdata())


def test_a_batch_continues_after_an_unreadable_image(server, studies):
    params = {"images": ["broken", "photo", "/etc/hostname"], "label_tag": "batch", "strength": 0}
    answers = server.post(f"/batch/infer/{MODEL}?run_sync=true", json=params).json()
    assert "cannot be read" in answers["broken"]["error"] and "leads out" in answers["/etc/hostname"]["error"]
    assert answers["photo"]["params"]["strength"] == 0
    kept = nib.load(studies / "labels" / "batch" / "photo.nii.gz").get_fdata()[..., 0]
    np.testing.assert_array_equal(kept.T, np.asarray(Image.open(studies / "photo.png")))
    assert server.post("/batch/infer/nobody?run_sync=true", json={}).status_code == 404
    assert list((server.work / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("image", "params", "status", "reason"),
    [
        ("nowhere", None, 404, "no image 'nowhere'"),
        ("..", None, 404, "no image"),
        ("labels", None, 404, "no image"),
        ("../secret.nii.gz", None, 400, "leads out of the studies"),
        ("leads_out/secret.nii.gz", None, 400, "leads out of the studies"),
        ("{outside}/secret.nii.gz", None, 400, "leads out of the studies"),
        ("{outside}/nothing.nii.gz", None, 400, "leads out of the studies"),
        ("/etc/hostname", None, 400, "leads out of the studies"),
        ("photo\0", None, 400, "id is missing"),
        ("", None, 400, "name the image"),
        ("broken", None, 422, "cannot be read"),
        ("nan", None, 422, "NaN"),
        ("mixed", None, 422, "notes.bin"),
        ("photo", {"strength": 1.5}, 422, "strength must be"),
        ("photo", {"strength": True}, 422, "strength must be"),
        ("photo", {"modality": "sonar"}, 422, "modality must be one of auto, ct, other"),
        ("photo", {"intensity_range": [5, 5]}, 422, "intensity_range must be"),
        ("photo", {"intensity_range": "wide"}, 422, "intensity_range must be"),
        ("photo", {"device": "abacus"}, 422, "device must be one of"),
        ("photo", {"result_extension": ".nrrd"}, 422, "result_extension must be one of .nii.gz, .nii"),
        ("photo", {"image": "/etc/hostname"}, 400, "may not hold image"),
        ("photo", {"model": "other"}, 400, "may not hold model"),
        ("photo", {"save_label": True, "label_tag": "../../out"}, 400, "label_tag must be a plain name"),
        ("photo", {"save_label": True, "label_tag": 5}, 400, "label_tag must be a plain name"),
        ("photo", "[1]", 400, "JSON object"),
        ("photo", "{strength", 400, "not JSON"),
    ],
)
def test_impossible_requests_are_refused_with_a_reason(server, studies, image, params, status, reason):
    answer = server.infer(image.format(outside=studies.parent), params)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert reason in detail and "\n" not in detail
    # Neither a trace nor a path on the server, unless the client named it.
    assert "Traceback" not in answer.text and str(studies) not in answer.text


def test_other_unknown_names_are_refused_with_a_reason(server, studies):
    out = {"label": ("a.nii.gz", b"x")}
    for answer, status, reason in (
        (server.infer("photo", model="nobody"), 404, "unknown model 'nobody'; choose from low_dose_ct_denoising"),
        (server.post("/activelearning/nobody"), 404, "unknown strategy 'nobody'"),
        (server.put("/datastore/image/info?image=nobody", data={"info": "{}"}), 404, "nobody"),
        (server.put("/datastore/image/info?image=photo", data={"info": "{"}), 400, "not JSON"),
        (server.infer("photo", output="dicom_seg"), 400, "not a segmentation"),
        (server.put("/session/?uncompress=true", files={"files": ("a.tar", b"x")}), 400, "only .zip"),
        (server.post(f"/infer/wsi/{MODEL}?image={studies.parent}/secret.nii.gz", json={}), 404, "whole slides"),
        (server.put("/datastore/label?image=photo&tag=../../out", files=out), 400, "tag must be a plain name"),
    ):
        assert answer.status_code == status and reason in answer.json()["detail"]
    assert not (studies.parent / "out").exists() and not (studies.parent.parent / "out").exists()


def test_images_come_from_the_noisiest_to_the_cleanest(server):
    first = server.post("/activelearning/noisiest_first", json={}).json()
    # broken, mixed, nan, and hounsfield, which is not marked as CT
    assert first["unreadable"] == 4 and first["rank"] == 1
    rest = [server.post("/activelearning/noisiest_first", json={}).json() for _ in range(first["ranked"])]
    shown = [first, *rest[:-1]]
    assert [each["rank"] for each in shown] == list(range(1, first["ranked"] + 1))
    assert len({each["id"] for each in shown}) == len(shown)
    assert rest[-1]["id"] == first["id"]  # All were shown, so it starts again.
    levels = {each["id"]: each["noise"] for each in shown}
    assert list(levels.values()) == sorted(levels.values(), reverse=True)
    assert [name for name in levels if name in NOISE] == ["loudest", "louder", "quiet"]
    for name, sigma in NOISE.items():
        assert levels[name] == pytest.approx(sigma, rel=0.25)
    assert levels["constant"] == 0 and levels["1.2.840.1"] > 0


def test_only_this_machine_and_the_servers_own_pages_can_reach_it(server):
    family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    listening = {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    answer = server.get("/info/", headers={"Origin": "http://elsewhere.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert server.work.stat().st_mode & 0o077 == 0


def test_the_log_names_no_patient_and_holds_no_trace(server):
    server.denoise(PATIENT)
    server.infer(f"{PATIENT}_elsewhere")
    server.infer("mixed")
    for log in (server.log, (server.work / "logs" / "app.log").read_text()):
        assert "Uvicorn running" in server.log
        for word in (PATIENT, "Doe", "notes.bin", "photo", "Traceback"):
            assert word not in log


def raw(server, method, path, headers=None, body=b""):
    """A request whose address is sent as it is written: client libraries resolve ``..`` themselves."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=120)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def everything(folder):
    """All files below a folder, but for the server's index."""
    return sorted(str(path) for path in folder.rglob("*") if path.name not in ("datastore_v2.json", ".lock"))


def upload(server, name, content=b"x", **query):
    return server.put("/datastore/image", params=query, files={"file": (name, content)})


@pytest.mark.parametrize("name", ["..", "../", "a/..", ".hidden", "x\\..", "../..", "."])
def test_an_upload_is_named_by_no_path(server, studies, name):
    before = everything(studies.parent)
    assert upload(server, name).status_code == 400
    assert upload(server, "a.png", image=name).status_code == 400
    session = server.put("/session/", files=[("files", (name, b"x")), ("files", ("b.dcm", b"x"))])
    assert session.status_code == 400
    assert server.infer(files={"file": (name, b"x")}).status_code == 400
    assert server.put("/datastore/label", params={"image": "photo"}, files={"label": (name, b"x")}).status_code == 400
    assert everything(studies.parent) == before


@pytest.mark.parametrize("name", ["..", "../secret", "/etc/passwd", ".", ".lock", "a/../..", "..\\secret"])
def test_no_request_leaves_the_studies(server, studies, name):
    before = everything(studies.parent)
    quoted = quote(name, safe="")
    for method, path in (
        ("DELETE", f"/datastore/image?id={quoted}"),
        ("DELETE", f"/datastore/?id={quoted}"),
        ("GET", f"/datastore/image?image={quoted}"),
        ("HEAD", f"/datastore/image?image={quoted}"),
        ("GET", f"/datastore/image/info?image={quoted}"),
        ("PUT", f"/datastore/image/info?image={quoted}"),
        ("GET", f"/datastore/label?label=photo&tag={quoted}"),
        ("GET", f"/datastore/label?label={quoted}&tag=final"),
        ("HEAD", f"/datastore/label?image={quoted}&tag=final"),
        ("DELETE", f"/datastore/label?id={quoted}&tag=final"),
        ("DELETE", f"/datastore/label?id=photo&tag={quoted}"),
        ("PUT", f"/datastore/label/info?label={quoted}&tag=final"),
        ("PUT", f"/datastore/updatelabelinfo?label=photo&tag={quoted}"),
        ("POST", f"/infer/{MODEL}?session_id={quoted}"),
    ):
        status, text = raw(server, method, path)
        assert (method, path, status) == (method, path, 400), text
    for method in ("GET", "DELETE"):
        assert raw(server, method, f"/session/{quoted}")[0] in (400, 404, 405)
    assert everything(studies.parent) == before


def test_an_upload_cannot_replace_the_index_or_what_a_link_leads_to(server, studies):
    outside = studies.parent / "outside.png"
    Image.fromarray(np.full((8, 8), 5, np.uint8)).save(outside)
    content = outside.read_bytes()
    (studies / "linked.png").symlink_to(outside)
    assert upload(server, "datastore_v2.json", b"{}").status_code == 400
    assert upload(server, "x.json", b"{}", image="datastore_v2").status_code == 400
    # Not its whole content: the server may be writing it.
    assert (studies / "datastore_v2.json").read_text() != "{}"
    assert upload(server, "labels").status_code == 400
    assert upload(server, "linked.png").status_code == 400
    assert server.denoise("linked").shape[:2] == (8, 8)
    assert server._request("DELETE", "/datastore/image?id=linked").status_code == 200
    assert outside.read_bytes() == content and not (studies / "linked.png").is_symlink()


def test_an_image_is_added_and_removed(server, studies):
    content = (studies / "photo.png").read_bytes()
    assert upload(server, "scans\\new.png", content).status_code == 400  # an id with a path
    assert upload(server, "/home/somebody/new.png", content).json() == {"image": "new"}
    assert (studies / "new.png").read_bytes() == content
    assert server.get("/datastore/image?image=new").content == content
    assert server._request("DELETE", "/datastore/image?id=new").status_code == 200
    assert not (studies / "new.png").exists()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example", ""])
def test_only_the_servers_own_names_reach_it(server, host):
    assert raw(server, "GET", "/info/", {"Host": host})[0] == 400
    assert raw(server, "GET", "/info/", {"Host": f"localhost:{server.url.rpartition(':')[2]}"})[0] == 200


def test_another_website_changes_nothing(server, studies):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        status, text = raw(server, "DELETE", "/datastore/image?id=photo", {"Origin": origin})
        assert status == 403 and "other origins" in text
    assert (studies / "photo.png").exists()
    own = raw(server, "POST", "/activelearning/random", {"Origin": server.url, "Content-Type": "application/json"})
    assert own[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/train/"),
        ("POST", f"/train/{MODEL}"),
        ("GET", "/train/"),
        ("POST", "/scoring/"),
        ("POST", "/scoring/dice"),
        ("PUT", f"/model/{MODEL}"),
        ("DELETE", f"/model/{MODEL}"),
        ("GET", f"/model/{MODEL}"),
        ("POST", "/reload"),
        ("GET", "/logs/"),
        ("GET", "/logs/gpu"),
        ("GET", "/proxy/dicom/wado/studies"),
        ("POST", "/proxy/dicom/x"),
        ("GET", "/datastore/dataset"),
    ],
)
def test_endpoints_without_a_use_are_closed(server, method, path):
    status, text = raw(server, method, path)
    assert status == 404 and json.loads(text)["detail"]


def test_a_misspelt_parameter_is_refused_with_the_right_name(server):
    for answer in (
        server.infer("photo", {"strenght": 0.5}),
        server.post(f"/batch/infer/{MODEL}?run_sync=true", json={"images": ["photo"], "strenght": 0.5}),
    ):
        detail = answer.json()["detail"]
        assert answer.status_code == 400 and "'strenght'" in detail and "Is strength meant?" in detail
    # The viewers of MONAI Label send this one.
    assert server.infer("photo", {"result_compress": False}).status_code == 200


def test_no_answer_names_a_folder_of_the_server(server, studies):
    files = [("files", ("a.png", (studies / "photo.png").read_bytes()))]
    answers = [
        server.put("/session/", files=files),
        server.get("/datastore/?output=all"),
        server.get("/datastore/?output=train"),
        server.get("/datastore/image/info?image=photo"),
        server.post("/activelearning/noisiest_first", json={}),
        server.post(f"/batch/infer/{MODEL}?run_sync=true", json={"images": ["photo", "broken"], "save_label": True}),
        server.get("/info/"),
        server.infer("photo", output="json"),
        server.infer("broken"),
    ]
    session = answers[0].json()["session_id"]
    answers += [server.get(f"/session/{session}"), server._request("DELETE", f"/session/{session}")]
    for answer in answers:
        for folder in (studies, studies.resolve(), server.work, server.work.resolve()):
            assert str(folder) not in answer.text, answer.url


def test_the_pages_need_no_other_server(server):
    for page in ("/", "/docs"):
        answer = server.get(page)
        assert answer.status_code == 200
        addresses = re.findall(r"""(?:src|href|url)["']?[=:]\s*["']([^"']+)""", answer.text)
        assert addresses and not [each for each in addresses if "//" in each]
        for address in addresses:
            assert server.get(address).status_code == 200, address
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    described = server.get("/openapi.json").json()["paths"]
    assert "/infer/{model}" in described
    assert not [path for path in described if path.startswith(("/train", "/model", "/scoring", "/logs"))]


def test_an_archive_is_not_unpacked_without_bound(server):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(2**24))
    for content in (packed.getvalue(), b"no archive"):
        answer = server.put("/session/?uncompress=true", files=[("files", ("a.zip", content))])
        assert answer.status_code == 400
