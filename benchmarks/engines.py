# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""How fast the engines denoise on this machine's CPU, against PyTorch as written and the best of matrix products.

    python benchmarks/engines.py [--repeats 7] [--threads 2] [--sizes 256x256x3 256x256x1 512x512x1] [--compile]
    python benchmarks/engines.py --memory
    python benchmarks/engines.py --large 8192 [--engine auto] [--eight-bit]
    python benchmarks/engines.py --series 100 [--engine auto]

The first form prints a Markdown table. All rows are timed in turn, again and again in one run, so that another load on
the machine meets all of them; each figure is the median of the repeats after one that is not counted. On a machine that
is busy otherwise, ``--threads 1 --cpu-time`` counts only the time that the processor spent on it. ``--memory``
measures the engines' ``bytes_per_pixel``, each in a process of its own. ``--large`` denoises one square grey image in
tiles, and prints the time and the memory beyond input and output. ``--series`` makes a DICOM series of so many slices
of 512 x 512 pixels, denoises it as ``noisewise denoise`` does, and prints the whole time from reading to writing
against the time that the network alone took within it.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import torch
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from rich.console import Console
from rich.progress import Progress, track
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from noisewise.networks import ResidualDenseBlock, fast_inference_network
from noisewise.pipelines.bundle.precision import has_native_bfloat16
from noisewise.pipelines.denoising.denoiser import Denoiser
from noisewise.pipelines.denoising.models import load_model
from noisewise.pipelines.denoising.run import denoise_found
from noisewise.pipelines.denoising.settings import DenoisingOptions
from noisewise.pipelines.denoising.sources import find_sources
from noisewise.pipelines.engines.base import EngineError
from noisewise.pipelines.engines.graph_engine import MOST_CALLS_ALIKE
from noisewise.pipelines.engines.load import load_engine
from noisewise.pipelines.engines.torch_engine import grey_network

Run = Callable[[np.ndarray], np.ndarray]
ENGINES = ("torch", "openvino", "onnxruntime")
PRODUCTS = (1024, 2048, 4096)
REFERENCE = "PyTorch as written"


def as_written(network: nn.Module) -> nn.Module:
    """The network with its plain dense blocks, in the default memory layout."""
    plain = deepcopy(network).requires_grad_(False)
    for module in plain.modules():
        if isinstance(module, ResidualDenseBlock):
            module.stacked = False
    return plain


def in_pytorch(network: nn.Module, layout: torch.memory_format = torch.channels_last) -> Run:
    """Runs a network eagerly in a memory layout."""
    network = deepcopy(network).to(memory_format=layout)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(images).contiguous(memory_format=layout)).contiguous().numpy()

    return run


def engine_with(name: str, network: nn.Module, plain: bool = False, shape: tuple[int, ...] | None = None) -> Run:
    """An engine; on request over the plain graph, or compiled for one shape as for a long series."""
    engine = load_engine(network, name, "float32", "cpu")
    if plain:
        engine.networks = {3: as_written(network), 1: as_written(grey_network(network))}
    if shape is not None:
        engine._last_shape, engine._calls_alike = shape, MOST_CALLS_ALIKE
    return engine


def rows(network: nn.Module, shape: tuple[int, ...], compiled: bool) -> dict[str, Callable[[], Run]]:
    """What is measured: by name, what makes it. What cannot run here raises an ``EngineError`` that says why."""
    folded = network if shape[1] == 3 else grey_network(network)
    fast = fast_inference_network(folded)

    def bfloat16(name: str) -> Run:
        if not has_native_bfloat16():
            raise EngineError("no native bfloat16 on this processor")
        return load_engine(network, name, "bfloat16", "cpu")

    made = {
        REFERENCE: lambda: in_pytorch(as_written(folded), torch.contiguous_format),
        "PyTorch, channels_last": lambda: in_pytorch(as_written(folded)),
        "PyTorch, channels_last, stacked blocks": lambda: in_pytorch(folded),
        "**engine torch** (channels_last, split blocks)": lambda: load_engine(network, "torch", "float32", "cpu"),
        "PyTorch, torch.compile, split blocks": lambda: in_pytorch(torch.compile(fast, dynamic=False)),
        "ONNX Runtime, plain blocks": lambda: engine_with("onnxruntime", network, plain=True),
        "**engine onnxruntime** (split blocks)": lambda: engine_with("onnxruntime", network),
        "OpenVINO, plain blocks": lambda: engine_with("openvino", network, plain=True),
        "**engine openvino** (split blocks)": lambda: engine_with("openvino", network),
        "**engine openvino**, from the ninth slice of a series": lambda: engine_with("openvino", network, shape=shape),
        "**engine torch**, bfloat16": lambda: bfloat16("torch"),
        "**engine openvino**, bfloat16": lambda: bfloat16("openvino"),
    }
    if not compiled:
        del made["PyTorch, torch.compile, split blocks"]
    return made


def product(side: int, dtype: torch.dtype, library: str) -> Callable[[], object]:
    """A square matrix product. Libraries differ: on one and the same processor MKL may use AVX2, OpenBLAS AVX-512."""
    a, b = (torch.rand(side, side).to(dtype) for _ in range(2))
    if library == "numpy":
        a, b = a.numpy(), b.numpy()
    return lambda: a @ b


def seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Time of one call."""
    begin = clock()
    run()
    return clock() - begin


def compare(
    network: nn.Module,
    shape: tuple[int, int, int],
    repeats: int,
    compiled: bool,
    clock: Callable[[], float],
    console: Console,
) -> None:
    """Print the table for images of ``(height, width, channels)``."""
    height, width, channels = shape
    images = np.random.default_rng(0).random((1, channels, height, width), np.float32)
    runs, skipped, start, results = {}, {}, {}, {}
    made = rows(network, images.shape, compiled)
    for name, make in track(made.items(), "preparing", console=console, transient=True):
        begin = time.perf_counter()
        try:
            runs[name] = make()
            results[name] = runs[name](images)
            start[name] = time.perf_counter() - begin
        except EngineError as error:
            skipped[name] = str(error)
    dtypes = [torch.float32, torch.bfloat16] if has_native_bfloat16() else [torch.float32]
    kinds = [(dtype, "torch") for dtype in dtypes] + [(torch.float32, "numpy")]
    products = {(dtype, side, library): product(side, dtype, library) for dtype, library in kinds for side in PRODUCTS}
    times: dict[object, list[float]] = {key: [] for key in (*runs, *products)}
    for _ in track(range(repeats + 1), f"{height} x {width} x {channels}", console=console, transient=True):
        for name, run in runs.items():
            times[name].append(seconds(lambda run=run: run(images), clock))
        for key, multiply in products.items():
            times[key].append(seconds(multiply, clock))
    median = {key: statistics.median(each[1:]) for key, each in times.items()}
    peak = {dtype: max(2 * key[1] ** 3 / median[key] for key in products if key[0] is dtype) for dtype in dtypes}
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        as_written(network if channels == 3 else grey_network(network))(torch.from_numpy(images))
    work = counter.get_total_flops()

    print(f"\n{height} x {width} x {channels}: {work / 1e9:.1f} GFLOP; matrix products reach "
          + ", ".join(f"{value / 1e9:.0f} GFLOP/s in {str(dtype)[6:]}" for dtype, value in peak.items()) + ".\n")
    print("| | seconds | speed-up | of the matrix products' rate | start and first image, seconds | max. difference |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in made:
        if name in skipped:
            print(f"| {name} | skipped: {skipped[name]} | | | | |")
            continue
        share = work / median[name] / peak[torch.bfloat16 if "bfloat16" in name else torch.float32]
        difference = np.abs(results[name] - results[REFERENCE]).max()
        faster = median[REFERENCE] / median[name]
        print(f"| {name} | {median[name]:.3f} | {faster:.2f} x | {share:.0%} | {start[name]:.1f} | {difference:.1e} |")


def resident() -> int:
    """Memory of this process in bytes, as of now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_resident() -> int:
    """The most memory that this process has had, in bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_memory(network: nn.Module, name: str, side: int = 1024) -> None:
    """Print the memory that an engine takes for one colour image, for each pixel."""
    images = np.zeros((1, 3, side, side), np.float32)
    engine = load_engine(network, name, "float32", "cpu")
    engine(images[..., :32, :32])
    before = resident()
    engine(images)
    print(f"| {name} | {(peak_resident() - before) / side**2:.0f} |", flush=True)


def denoise_large(side: int, engine: str, eight_bit: bool, threads: int, console: Console) -> None:
    """Denoise one grey image in tiles, 8 or 16 bits in their default precision; print time and memory."""
    denoiser = Denoiser(engine=engine, device="cpu")
    bits, dtype = (8, np.uint8) if eight_bit else (16, np.uint16)
    image = np.random.default_rng(0).integers(0, 2**bits, (1, side, side), dtype)
    limits = (0.0, 2.0**bits - 1)
    out = np.zeros_like(image)  # zeros are not in memory until they are written
    out += 1
    denoiser.denoise_slices(image[:, :32, :32], limits)
    before = resident()
    begin = time.perf_counter()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"{side} x {side}", total=1.0)
        denoiser.denoise_slices(
            image, limits, out=out, on_progress=lambda done: progress.advance(task, done)
        )
    took = time.perf_counter() - begin
    run = denoiser.engine(eight_bit)
    print(f"{side} x {side} grey, {bits} bit, engine {run.name}, {run.precision}, {threads} threads: {took:.0f} s "
          f"({side**2 / took / 1e6:.3f} megapixels/s), peak memory beyond input and output "
          f"{(peak_resident() - before) / 2**20:.0f} MiB (allowed: {denoiser.memory / 2**20:.0f} MiB)")


def denoise_series(count: int, engine: str, threads: int) -> None:
    """Denoise a DICOM series from file to file; print the time, and that of the network alone."""
    with TemporaryDirectory() as folder:
        write_series(Path(folder, "in"), count)
        options = DenoisingOptions(engine=engine, precision="float32", device="cpu")
        denoiser = options.denoiser("ct")
        run, inside = denoiser.engine(), []
        run(np.zeros((1, 1, 512, 512), np.float32))

        def timed(images: np.ndarray) -> np.ndarray:
            begin = time.perf_counter()
            result = run(images)
            inside.append(time.perf_counter() - begin)
            return result

        timed.name, timed.precision, timed.bytes_per_pixel = run.name, run.precision, run.bytes_per_pixel
        denoiser._engines["float32"] = timed
        begin = time.perf_counter()
        (outcome,) = denoise_found(find_sources(Path(folder, "in"), Path(folder, "out")), options)
        took = time.perf_counter() - begin
        assert outcome.state == "done", outcome.failures
    print(f"DICOM series of {count} slices of 512 x 512, engine {run.name}, {threads} threads: {took:.1f} s from "
          f"reading to writing, of which the network {sum(inside):.1f} s: {took / sum(inside):.3f} x")


def write_series(folder: Path, count: int) -> None:
    """A CT series made of pydicom's small slice, tiled."""
    folder.mkdir()
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    pixels, series = np.tile(dataset.pixel_array, (4, 4)), generate_uid()
    dataset.Rows, dataset.Columns, dataset.SeriesInstanceUID = *pixels.shape, series
    for index in range(count):
        dataset.PixelData = (pixels + index).tobytes()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.InstanceNumber, dataset.ImagePositionPatient = index + 1, [0, 0, index]
        dataset.save_as(folder / f"{index:03d}.dcm")


def describe() -> str:
    """The machine and the versions that figures belong to."""
    cpu, sets = platform.processor() or platform.machine(), []
    information = Path("/proc/cpuinfo")
    if information.exists():
        fields = dict(line.split(":", 1) for line in information.read_text().splitlines() if ":" in line)
        fields = {name.strip(): value.strip() for name, value in fields.items()}
        cpu = fields.get("model name", cpu)
        flags = fields.get("flags", "").split()
        sets = [each for each in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if each in flags]
    versions = []
    for package in ENGINES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} absent")
    return (f"{cpu}, {torch.get_num_threads()} of {os.cpu_count()} cores; "
            f"{', '.join(sets)}; Python {platform.python_version()}, {', '.join(versions)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--sizes", nargs="+", default=["256x256x3", "256x256x1", "512x512x1"], metavar="HxWxC")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time: for busy machines")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too; it needs a C++ compiler")
    parser.add_argument("--memory", action="store_true", help="measure memory per pixel instead")
    parser.add_argument("--large", type=int, metavar="SIDE", help="denoise one large image instead")
    parser.add_argument("--series", type=int, metavar="SLICES", help="denoise a DICOM series instead")
    parser.add_argument("--engine", default="auto", help="of --large and --series")
    parser.add_argument("--eight-bit", action="store_true", help="--large with 8 bits a pixel in place of 16")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # the engine that a process of --memory measures
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    threadpool_limits(arguments.threads)  # NumPy's
    console = Console(stderr=True)
    network = load_model().network
    if arguments.one:
        measure_memory(network, arguments.one)
        return
    print(describe(), flush=True)
    if arguments.memory:
        print("\n| engine | bytes per pixel |\n|---|---:|", flush=True)
        for name in ENGINES:
            command = [sys.executable, __file__, "--threads", str(arguments.threads), "--one", name]
            subprocess.run(command, check=True)
    elif arguments.large:
        denoise_large(arguments.large, arguments.engine, arguments.eight_bit, arguments.threads, console)
    elif arguments.series:
        denoise_series(arguments.series, arguments.engine, arguments.threads)
    else:
        for size in arguments.sizes:
            height, width, channels = map(int, size.split("x"))
            clock = time.process_time if arguments.cpu_time else time.perf_counter
            compare(network, (height, width, channels), arguments.repeats, arguments.compile, clock, console)


if __name__ == "__main__":
    main()
