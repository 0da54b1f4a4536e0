# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import os
import pickle
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch

from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.bundle.weights import WeightsError, load_weights


def small(seed: int = 0, **kwargs) -> TwoStageDenoiser:
    torch.manual_seed(seed)
    return TwoStageDenoiser(**{"features": 8, "growth": 4, "num_blocks": 1, **kwargs})


def save(value, folder, name="model.pt"):
    path = folder / name
    torch.save(value, path)
    return path


# how the file wraps the state_dict
WRAPPINGS = {
    "plain": lambda state: state,
    "network": lambda state: {"network": state, "epoch": 3},
    "model": lambda state: {"model": state},
    "parallel": lambda state: {f"module.{name}": value for name, value in state.items()},
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_accepted_forms_give_the_weights_and_the_files_digest(tmp_path, wrap):
    source, target = small(0), small(1)
    path = save(wrap(source.state_dict()), tmp_path)
    digest = load_weights(target, path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value)


@pytest.mark.parametrize("kind", ["script", "trace"])
def test_the_weights_of_a_torchscript_export_are_taken(tmp_path, kind):
    source, target = small(0), small(1)
    path = tmp_path / "model.ts"
    made = torch.jit.script(source) if kind == "script" else torch.jit.trace(source, torch.zeros(1, 3, 8, 8))
    made.save(path)
    assert load_weights(target, path) == hashlib.sha256(path.read_bytes()).hexdigest()
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value)
    with pytest.raises(WeightsError, match="the weights do not fit the network; missing"):
        load_weights(small(num_blocks=2), path)


class Trojan(torch.nn.Module):
    """TorchScript calls ``__setstate__`` of a loaded file, and programs can write files."""

    def __init__(self, path):
        super().__init__()
        self.path: str = path

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.path)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def test_the_program_of_a_torchscript_file_never_runs(tmp_path):
    path, written = tmp_path / "model.ts", tmp_path / "written"
    network = small(0)
    torch.jit.script(Trojan(str(written))).save(path)
    torch.jit.load(path)
    assert written.exists(), "the program does what this test is about"
    written.unlink()
    with pytest.raises(WeightsError, match=r"model\.ts"):
        load_weights(network, path)
    assert not written.exists()


def test_a_pickle_in_a_torchscript_file_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.jit.script(small()).save("model.ts")
    with ZipFile("model.ts") as good, ZipFile("trap.ts", "w") as trap:
        for name in good.namelist():
            replaced = name.endswith("/data.pkl")
            trap.writestr(name, pickle.dumps(Boobytrap(), protocol=2) if replaced else good.read(name))
    with pytest.raises(WeightsError, match="more than weights"):
        load_weights(small(), "trap.ts")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("kind", ["pt", "ts"])
def test_a_compressed_file_is_refused_before_it_is_inflated(tmp_path, kind):
    path = tmp_path / f"model.{kind}"
    if kind == "pt":
        torch.save({"network": torch.zeros(2**20)}, path)
    else:
        torch.jit.script(torch.nn.Linear(512, 512)).save(path)
    bomb = tmp_path / f"bomb.{kind}"
    with ZipFile(path) as good, ZipFile(bomb, "w", ZIP_DEFLATED) as packed:
        for name in good.namelist():
            content = good.read(name)
            packed.writestr(name, bytes(len(content)) if "/data/" in name else content)
    with pytest.raises(WeightsError, match="is compressed"):
        load_weights(small(), bomb)


class Boobytrap:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def broken_files(folder):
    state = small().state_dict()
    first = next(iter(state))
    garbage = folder / "garbage.pt"
    garbage.write_bytes(os.urandom(4096))
    empty = folder / "empty.pt"
    empty.write_bytes(b"")
    whole = save(state, folder, "whole.pt").read_bytes()
    cut = folder / "cut.pt"
    cut.write_bytes(whole[: len(whole) // 2])
    return {
        "missing": (folder / "none.pt", "No such file"),
        "folder": (folder, "Is a directory"),
        "garbage": (garbage, "not a PyTorch"),
        "empty": (empty, "not a PyTorch"),
        "cut": (cut, "not a PyTorch checkpoint"),
        "pickle": (save({"network": Boobytrap()}, folder, "trap.pt"), "more than weights"),
        "list": (save([1, 2], folder, "list.pt"), "a list"),
        "other keys": (save({"epoch": 3, "lr": 0.1}, folder, "other.pt"), "epoch, lr"),
        "fewer": (save({first: state[first]}, folder, "fewer.pt"), "missing: .* and .* more"),
        "more": (save({**state, "extra": torch.zeros(1)}, folder, "more.pt"), "unknown: extra"),
        "shape": (save({**state, first: state[first][:1]}, folder, "shape.pt"), f"wrong shape: {first} .* instead of"),
        "nan": (save({**state, first: state[first] * torch.nan}, folder, "nan.pt"), f"NaN or infinite values: {first}"),
    }


@pytest.mark.parametrize(
    "case",
    ["missing", "folder", "garbage", "empty", "cut", "pickle", "list", "other keys", "fewer", "more", "shape", "nan"],
)
def test_a_wrong_file_is_named_and_changes_nothing(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    path, message = broken_files(tmp_path)[case]
    network = small(1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(network, path)
    assert str(path) in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not (tmp_path / "exploded").exists()


def test_another_networks_weights_are_refused(tmp_path):
    path = save(small(noise_attention=True).state_dict(), tmp_path)
    with pytest.raises(WeightsError, match=r"unknown: .*attention"):
        load_weights(small(noise_attention=False), path)
