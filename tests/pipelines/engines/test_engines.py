# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Every engine gives the network's result in PyTorch, for any size and batch, in the requested precision."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

from noisewise.networks import ConvolutionalAutoencoder, DnCNN, ResidualDenseBlock, ResidualUNet, TwoStageDenoiser
from noisewise.pipelines.bundle.precision import has_native_bfloat16
from noisewise.pipelines.engines import base as engine_module
from noisewise.pipelines.engines.base import EngineError
from noisewise.pipelines.engines.graph_engine import MOST_CALLS_ALIKE, MOST_COMPILED, example
from noisewise.pipelines.engines.load import load_engine

# engine, the modules that it needs
ENGINES = {"torch": (), "openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx")}
SMALL = {"features": 8, "growth": 4, "num_blocks": 1}


def two_stage(**options):
    torch.manual_seed(0)
    network = TwoStageDenoiser(**SMALL, **options).eval()
    for module in network.modules():  # The plain form, which the engines are compared with.
        if isinstance(module, ResidualDenseBlock):
            module.stacked = False
    return network


def images(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def expected(network, batch):
    """PyTorch's result; gray images are repeated, and their results averaged."""
    with torch.inference_mode():
        result = network(torch.from_numpy(batch).expand(-1, 3, -1, -1)).numpy()
    return result if batch.shape[1] == 3 else result.mean(1, keepdims=True)


@pytest.fixture(scope="module", params=ENGINES)
def name(request):
    for module in ENGINES[request.param]:
        pytest.importorskip(module)
    return request.param


def residual_unet():
    torch.manual_seed(0)
    network = ResidualUNet(widths=(4, 8, 8), blocks=(1, 1, 1)).eval()
    network.tail.weight.data.mul_(10)  # so that the residual is as large as the image
    return network


@pytest.fixture(scope="module", params=[two_stage, residual_unet])
def network(request):
    return request.param()


@pytest.fixture(scope="module")
def engine(name, network):
    return load_engine(network, name, "float32", "cpu")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 1, 1), (3, 7, 13), (1, 64, 48), (3, 1, 5)])
def test_equals_pytorch(engine, network, batch, channels, height, width):
    given = images(batch, channels, height, width)
    before = given.copy()
    result = engine(given)
    assert result.dtype == np.float32 and result.shape == given.shape
    np.testing.assert_allclose(result, expected(network, given), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(given, before)


def test_takes_strided_images_and_other_dtypes(engine, network):
    given = images(1, 16, 12, 3).transpose(0, 3, 1, 2)[:, :, ::2]
    np.testing.assert_allclose(engine(given), expected(network, given.copy()), rtol=0, atol=1e-5)


def test_results_are_kept_when_the_engine_runs_again(engine):
    first = engine(images(1, 1, 8, 8))
    before = first.copy()
    engine(1 - images(1, 1, 8, 8))
    np.testing.assert_array_equal(first, before)


def test_random_numbers_of_the_user_stay_as_they_are(name):
    engine = load_engine(DnCNN(depth=2, features=2), name, "float32", "cpu")
    before = torch.get_rng_state()
    engine(images(1, 1, 4, 4))
    assert torch.equal(torch.get_rng_state(), before)


def test_says_what_it_is(engine, name):
    assert engine.name == name and engine.precision == "float32" and engine.bytes_per_pixel > 0


def test_may_be_called_from_threads(engine, network):
    batches = [images(1, 1, 8 + index, 9) for index in range(4)]
    results = {}
    threads = [
        threading.Thread(target=lambda index=index: results.update({index: engine(batches[index])}))
        for index in range(len(batches))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, batch in enumerate(batches):
        np.testing.assert_allclose(results[index], expected(network, batch), rtol=0, atol=1e-5)


def test_network_is_neither_changed_nor_followed(name):
    network = two_stage()
    before = copy.deepcopy(network.state_dict())
    engine = load_engine(network, name, "float32", "cpu")
    result = expected(network, images(1, 3, 8, 8))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    for parameter in network.parameters():
        parameter.data.zero_()
    np.testing.assert_allclose(engine(images(1, 3, 8, 8)), result, rtol=0, atol=1e-5)


def test_nonlinear_output_is_averaged_not_folded(name):
    network = two_stage(output_activation="sigmoid")
    given = images(2, 1, 6, 9)
    engine = load_engine(network, name, "float32", "cpu")
    np.testing.assert_allclose(engine(given), expected(network, given), rtol=0, atol=1e-5)


def test_any_other_network(name):
    torch.manual_seed(0)
    network = DnCNN(depth=3, features=4).eval()
    engine = load_engine(network, name, "float32", "cpu")
    for shape in [(1, 3, 8, 8), (2, 3, 9, 11), (1, 1, 6, 5)]:
        given = images(*shape)
        np.testing.assert_allclose(engine(given), expected(network, given), rtol=0, atol=1e-5)


def test_a_graph_that_is_wrong_is_refused(name):
    """The autoencoder computes its padding from the size, and ONNX rounds that division differently from Python."""
    torch.manual_seed(0)
    network = ConvolutionalAutoencoder(features=4).eval()
    engine = load_engine(network, name, "float32", "cpu")
    for shape in [(1, 3, 8, 8), (2, 3, 9, 11)]:
        given = images(*shape)
        if name == "onnxruntime" and shape[-1] % 4:
            with pytest.raises(EngineError, match="cannot express this network"):
                engine(given)
        else:
            np.testing.assert_allclose(engine(given), expected(network, given), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"], indirect=True)
def test_compiled_shapes_are_bounded(name):
    engine = load_engine(DnCNN(depth=2, features=2), name, "float32", "cpu")
    for side in range(1, MOST_COMPILED + 3):
        engine(images(1, 3, side, 4))
    assert engine._compiled.cache_info().currsize == MOST_COMPILED


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"], indirect=True)
def test_two_stage_denoisers_are_compiled_once_for_all_sizes(engine):
    for side in range(1, 6):
        engine(images(side, 3, side, 4))
    assert engine._compiled.cache_info().misses <= 2  # color and gray


@pytest.mark.parametrize("name", ["openvino"], indirect=True)
def test_a_shape_that_comes_again_and_again_gets_a_graph_of_its_own(engine, network):
    images = example((1, 3, 20, 17)).numpy()
    results = [engine(images) for _ in range(MOST_CALLS_ALIKE + 2)]
    assert engine._compiled_for_series.cache_info().misses == 1
    assert all(np.abs(result - results[0]).max() < 1e-5 for result in results)
    engine(example((1, 3, 9, 9)).numpy())
    assert engine._calls_alike == 1


@pytest.mark.parametrize("name", ["openvino"], indirect=True)
def test_openvino_computes_in_float32_when_asked(engine):
    compiled = engine._compiled((None, 3, None, None)).get_compiled_model()
    assert str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()) == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == torch.get_num_threads()


def test_openvino_sends_no_usage_statistics():
    pytest.importorskip("openvino")
    engine = load_engine(DnCNN(depth=2, features=2), "openvino", "float32", "cpu")
    assert engine(images(1, 3, 4, 4)).shape == (1, 3, 4, 4)
    from openvino.tools.ovc import telemetry_utils

    # OpenVINO's own replacement for the reporting package, where that is not installed.
    assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"


REPORTS = """
import os
from pathlib import Path
from noisewise.networks import DnCNN
from noisewise.pipelines.engines.load import load_engine
load_engine(DnCNN(depth=2, features=2), "onnxruntime", "float32", "cpu")
print(os.environ["ORT_DISABLE_TELEMETRY"], sorted(path.name for path in Path.home().rglob("*onnxruntime*")))
"""


# The variable before and after the start. If reports are wanted, their store is in the home directory (since 1.29).
@pytest.mark.parametrize(("given", "after"), [(None, "1"), ("0", "0")])
def test_onnx_runtime_sends_no_reports_unless_asked(tmp_path, given, after):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    # Variables by which ONNX Runtime recognizes tests and continuous integration, where it reports nothing anyway.
    ours = ("CI", "GITHUB_ACTIONS", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {key: item for key, item in os.environ.items() if key not in ours} | {"HOME": str(tmp_path)}
    if given is not None:
        environment["ORT_DISABLE_TELEMETRY"] = given
    done = subprocess.run(
        [sys.executable, "-c", REPORTS], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    variable, left = done.stdout.strip().split(" ", 1)
    assert variable == after
    assert given is not None or left == "[]"


def test_openvino_refuses_the_precision_that_it_would_replace():
    openvino = pytest.importorskip("openvino")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        engine = load_engine(two_stage(), "openvino", "bfloat16", "cpu")
        compiled = engine._compiled((None, 3, None, None)).get_compiled_model()
        assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16
    else:
        with pytest.raises(EngineError, match="bfloat16"):
            load_engine(two_stage(), "openvino", "bfloat16", "cpu")


def test_torch_computes_in_bfloat16_when_asked():
    engine = load_engine(two_stage(), "torch", "bfloat16", "cpu")
    seen = []
    for module in engine.network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    result = engine(images(1, 1, 4, 4))
    assert result.dtype == np.float32 and set(seen) == {torch.bfloat16}
    assert np.abs(result - expected(two_stage(), images(1, 1, 4, 4))).max() < 0.05


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("abacus", "float32", "cpu"), ["abacus", "openvino"]),
        (("torch", "int4", "cpu"), ["int4", "bfloat16"]),
        (("torch", "auto", "cpu"), ["auto"]),
        (("onnxruntime", "bfloat16", "cpu"), ["onnxruntime", "bfloat16"]),
        (("onnxruntime", "float32", "cuda"), ["onnxruntime", "cuda"]),
        (("openvino", "float32", "cuda"), ["openvino", "cuda"]),
    ],
)
def test_impossible_requests_are_refused(options, words):
    with pytest.raises(EngineError) as caught:
        load_engine(two_stage(), *options)
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("chosen", "module", "command"),
    [
        ("openvino", "openvino", "pip install 'noisewise[fast]'"),
        ("onnxruntime", "onnxruntime", "pip install 'noisewise[onnx]'"),
        ("onnxruntime", "onnx", "pip install 'noisewise[onnx]'"),
    ],
)
def test_a_missing_package_is_named_with_its_command(monkeypatch, chosen, module, command):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError) as caught:
        load_engine(two_stage(), chosen, "float32", "cpu")
    assert command in str(caught.value)


def test_auto_takes_openvino_where_it_is_installed(monkeypatch):
    pytest.importorskip("openvino")
    assert load_engine(two_stage(), "auto", "float32", "cpu").name == "openvino"
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert load_engine(two_stage(), "auto", "float32", "cpu").name == "torch"


def test_auto_takes_pytorch_for_other_networks():
    assert load_engine(DnCNN(depth=2, features=2), "auto", "float32", "cpu").name == "torch"


def test_auto_never_changes_the_precision():
    for precision in ("float32", "bfloat16"):
        assert load_engine(two_stage(), "auto", precision, "cpu").precision == precision


def test_native_bfloat16_is_what_the_processor_says():
    with open("/proc/cpuinfo") as file:
        flags = file.read()
    assert has_native_bfloat16("cpu") == ("avx512_bf16" in flags or "amx_tile" in flags)


def test_names_agree():
    assert set(engine_module.ENGINES) == {"auto", *ENGINES}
