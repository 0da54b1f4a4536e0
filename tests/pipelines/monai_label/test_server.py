# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The real MONAI Label server with this app, over HTTP; needs the environment of ``make label-env``."""

from __future__ import annotations

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
        (server.infer("photo", output="dicom_seg"), 400, "no segmentation"),
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
