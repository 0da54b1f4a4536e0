# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from noisewise.bundles import bundle_path
from noisewise.pipelines.bundle.weights import WeightsError
from noisewise.pipelines.tracking import TrackedRun, fetch_weights, register_weights

MODEL = "multimodal_denoising"
PATIENT = "DOE-JANE-19600101"


def aliases(client):
    # Numbers from a database, text from a server.
    return {alias: int(version) for alias, version in client.get_registered_model(MODEL).aliases.items()}


def write_weights(path, value=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"layer.weight": torch.full((2, 2), value)}, path)
    return path


@pytest.fixture
def run_id(store):
    run = TrackedRun(store, run_name="training")
    run.log_parameters({"network": "TwoStageDenoiser"})
    run.log_data_digest("ab" * 32, {"train": 4}, "training")
    run_id = run.run_id
    run.finish()
    return run_id


def test_a_version_says_where_its_weights_come_from(store, client, run_id, tmp_path):
    weights = write_weights(tmp_path / PATIENT / "model.pt")
    number = register_weights(
        weights,
        MODEL,
        run_id,
        store,
        bundle=MODEL,
        aliases=["champion"],
        tags={"test.psnr": "30.1"},
        description="first",
    )
    version = client.get_model_version(MODEL, str(number))
    metadata = json.loads((bundle_path(MODEL) / "configs" / "metadata.json").read_text())
    assert number == 1 and version.run_id == run_id and version.status == "READY"
    assert version.aliases == ["champion"] and version.description == "first"
    assert version.tags == {
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "network": "TwoStageDenoiser",
        "data.digest": "ab" * 32,
        "bundle": MODEL,
        "bundle.version": metadata["version"],
        "test.psnr": "30.1",
    }
    # The run keeps the status and end time of its training.
    assert client.get_run(run_id).info.status == "FINISHED"
    # The version points to the file itself, in a folder whose name does not reveal where it was.
    (stored,) = Path(store).parent.rglob("*.pt")
    assert stored.read_bytes() == weights.read_bytes()
    assert version.source.endswith(str(stored.parent.relative_to(Path(store).parent)))
    for path in Path(store).parent.rglob("*"):
        assert PATIENT not in path.name
        assert path.is_dir() or PATIENT.encode() not in path.read_bytes()


def test_a_training_that_goes_on_does_not_change_a_version(store, client, run_id, tmp_path):
    weights = write_weights(tmp_path / "model.pt", 1.0)
    first = weights.read_bytes()
    assert register_weights(weights, MODEL, run_id, store, aliases=["champion"]) == 1
    assert register_weights(write_weights(weights, 2.0), MODEL, run_id, store, aliases=["champion"]) == 2
    assert fetch_weights(MODEL, 1, tmp_path / "old" / "model.pt", store).read_bytes() == first
    assert fetch_weights(MODEL, "champion", tmp_path / "new.pt", store).read_bytes() == weights.read_bytes()
    assert aliases(client) == {"champion": 2}


def test_the_same_file_is_one_version(store, client, run_id, tmp_path):
    weights = write_weights(tmp_path / "model.pt")
    for alias in ("challenger", "champion"):
        assert register_weights(weights, MODEL, run_id, store, aliases=[alias], tags={"seen": alias}) == 1
    (version,) = client.search_model_versions(f"name = '{MODEL}'")
    assert version.tags["seen"] == "champion"
    assert aliases(client) == {"challenger": 1, "champion": 1}


def test_other_weights_than_the_registered_ones_are_not_handed_out(store, run_id, tmp_path):
    register_weights(write_weights(tmp_path / "model.pt"), MODEL, run_id, store)
    (stored,) = Path(store).parent.rglob("*.pt")
    write_weights(stored, 7.0)
    with pytest.raises(WeightsError, match=f"{MODEL} version 1"):
        fetch_weights(MODEL, 1, tmp_path / "out" / "model.pt", store)
    assert not (tmp_path / "out").exists()


def test_versions_of_other_makers_are_not_handed_out(store, client, run_id, tmp_path):
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, client.get_run(run_id).info.artifact_uri, run_id)
    with pytest.raises(WeightsError, match=f"{MODEL} version 1.*sha256"):
        fetch_weights(MODEL, 1, tmp_path / "out.pt", store)


# content of the file, None for a missing file
WRONG = {
    "missing": None,
    "no PyTorch file": b"weights",
    "code": pickle.dumps(Path("x")),
    "checkpoint": {"network": {"a": torch.zeros(1)}, "epoch": 3},
    "empty": {},
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_nothing_but_a_state_dict_is_registered(store, client, run_id, tmp_path, content):
    path = tmp_path / "model.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=r"model\.pt: "):
        register_weights(path, MODEL, run_id, store)
    assert client.search_registered_models() == []
    assert not list(Path(store).parent.rglob("*.pt"))


def test_errors_name_the_store(store, client, run_id, tmp_path):
    weights = write_weights(tmp_path / "model.pt")
    with pytest.raises(RuntimeError, match=r"mlruns\.db.*0123456789abcdef"):
        register_weights(weights, MODEL, "0123456789abcdef0123456789abcdef", store)
    assert client.search_registered_models() == []
    register_weights(weights, MODEL, run_id, store)
    for version in (2, "champion"):
        with pytest.raises(RuntimeError, match=r"mlruns\.db.*" + str(version)):
            fetch_weights(MODEL, version, tmp_path / "out.pt", store)
    assert not (tmp_path / "out.pt").exists()


def test_the_environment_variable_goes_first(store, run_id, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    register_weights(write_weights(tmp_path / "model.pt"), MODEL, run_id, tmp_path / "other.db")
    assert MlflowClient(f"sqlite:///{store}").get_model_version(MODEL, "1").run_id == run_id
    assert not (tmp_path / "other.db").exists()


class Boobytrap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["alone", "beside"])
def test_a_registered_file_runs_no_code(store, client, run_id, tmp_path, name):
    path, exploded = tmp_path / "model.pt", tmp_path / "exploded"
    trap = Boobytrap(exploded)
    torch.save(trap if name == "alone" else {"layer.weight": torch.zeros(2), "trap": trap}, path)
    with pytest.raises(WeightsError, match=r"model\.pt: .*weights_only=True"):
        register_weights(path, MODEL, run_id, store)
    assert not exploded.exists() and client.search_registered_models() == []
