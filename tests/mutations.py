# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Mutations: small faults in a copy of the package, one at a time, which its tests have to notice.

    python tests/mutations.py                      # all of them
    python tests/mutations.py checkpoint vifp      # those whose file, replacement or tests contain one of the words
    python tests/mutations.py --minutes 20         # as many as the time allows, in an order that --seed changes

A fault is *killed* if the tests next to the mutated file fail. It *survives* if they pass: then a test is missing.
Every group of tests first runs without a fault. The process imports the libraries once and forks for each run of tests.
The exit status is 0 if every fault was killed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARIES = ("torch", "monai.bundle", "monai.engines", "monai.transforms", "monai.metrics", "ignite.metrics", "pandas")


@dataclass(frozen=True)
class Mutation:
    """A fault.

    Attributes:
        file: the file, relative to the repository.
        pattern: a text that the file has exactly once.
        replacement: the text in its place.
        tests: files or folders below ``tests``; empty for the file that mirrors ``file``.
    """

    file: str
    pattern: str
    replacement: str
    tests: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The tests as arguments of pytest."""
        path = Path(self.file)
        names = self.tests or (path.parent / f"test_{path.stem}.py").as_posix()
        return tuple(f"tests/{name}" for name in names.split())


NETWORKS = [
    Mutation("networks/residual_dense.py", "RESIDUAL_SCALE = 0.2", "RESIDUAL_SCALE = 0.21"),
    Mutation(
        "networks/residual_dense.py",
        "torch.add(x, self.block3(self.block2(self.block1(x))), alpha=self.residual_scale)",
        "torch.add(x, self.block3(self.block2(self.block1(x))), alpha=1.0)",
    ),
    Mutation("networks/residual_dense.py", "self.block3(self.block2(", "self.block2(self.block3("),
    Mutation("networks/residual_dense.py", "x = block(x) + gate(x)", "x = block(x) + gate(block(x))"),
    Mutation("networks/residual_dense.py", "x4 = self.activation(self.conv4(", "x4 = (self.conv4("),
    Mutation("networks/two_stage.py", "else 1 + 3", "else 3"),
    Mutation("networks/two_stage.py", "return self.rn(x, noise), noise", "return self.rn(x, -noise), noise"),
    Mutation("networks/red_cnn.py", "if index in (0, 2, 4):", "if index in (1, 2, 4):"),
    Mutation("networks/padding.py", 'mode="reflect")\n        left', 'mode="replicate")\n        left'),
]
TRANSFORMS = [
    Mutation("transforms/noise.py", "self.R.uniform(*self.std_range)", "self.R.uniform(0, self.std_range[1])"),
    Mutation("transforms/noise.py", "self.R.randint(len(self.patterns))", "0 * self.R.randint(len(self.patterns))"),
    Mutation(
        "transforms/noise_dictionary.py",
        'NoiseRecord(**stored) if "shared" in stored else NoisePlan(**stored)',
        'NoisePlan(**{key: value for key, value in stored.items() if key != "shared"})',
        "transforms/test_noise.py",
    ),
    Mutation("transforms/noise_dictionary.py", "noisy - clean", "clean - noisy", "transforms/test_noise.py"),
    Mutation("transforms/noise_models.py", "photons = 1.0 / std**2", "photons = 1.0 / std", "transforms/test_noise.py"),
    Mutation("transforms/noise_models.py", "share = min(1.0, 4.0", "share = min(1.0, 3.6", "transforms/test_noise.py"),
    Mutation("transforms/low_dose.py", "PHOTONS_PER_MA = 1.14e6", "PHOTONS_PER_MA = 1.4e6"),
    Mutation("transforms/low_dose.py", "(1 + record.dose) / (1 - record.dose)", "1 / (1 - record.dose)"),
    Mutation("transforms/low_dose.py", "electronic * math.sqrt(", "electronic * (0 * "),
    Mutation("transforms/low_dose.py", "factor = record.dose / (1 - record.dose)", "factor = record.dose"),
    Mutation("transforms/low_dose.py", "WATER_PER_MM = 0.0192", "WATER_PER_MM = 0.0206"),
    Mutation("transforms/low_dose.py", "counts.clamp(min=0.5)", "counts.clamp(min=0.0)"),
    Mutation("transforms/ct_projection.py", "cutoff=0.371", "cutoff=0.41"),
    Mutation("transforms/ct_projection.py", "boost=4.2", "boost=3.7"),
    Mutation("transforms/ct_projection.py", "response[0] = 1 / (4 * self", "response[0] = 1 / (3 * self"),
    Mutation("transforms/intensity.py", "LARGEST_NEGATIVE_SHARE = 0.1", "LARGEST_NEGATIVE_SHARE = 0.2"),
    Mutation("transforms/intensity.py", "CLEARLY_NEGATIVE = -0.05", "CLEARLY_NEGATIVE = -0.2"),
    Mutation("transforms/intensity.py", "UPPER_PERCENTILE = 99.9", "UPPER_PERCENTILE = 99.5"),
    Mutation("transforms/intensity.py", "CT_RANGE = (-1000.0, 1000.0)", "CT_RANGE = (-1024.0, 1000.0)"),
    Mutation(
        "transforms/realistic_noise.py",
        "noise.poisson**2 * signal +",
        "noise.poisson**2 +",
        "transforms/test_realistic_noise.py",
    ),
    Mutation("transforms/noise_color.py", "if color.white > 0 and", "if color.white < 0 and"),
]
DATA = [
    Mutation("data_manifest/verify.py", "array.min() < array.max()", "array.min() > array.max()"),
    Mutation("data_manifest/verify.py", "if home and record.split not in home:", "if not home:"),
    Mutation("data_manifest/split.py", 'for split in ("test", "val"):', 'for split in ("val", "test"):'),
    Mutation(
        "data_manifest/split.py",
        'keys += [("sha256", record.sha256)] if record.sha256 else []',
        "keys += []",
    ),
    Mutation("data_manifest/folds.py", "(fold + position) % len(groups)", "(fold + position + 1) % len(groups)"),
    Mutation("data_manifest/build.py", "CONTENT_LEVEL = 0.05", "CONTENT_LEVEL = 0.5"),
    Mutation("data_manifest/build.py", "return low + offset, high + offset", "return low, high"),
    Mutation(
        "data_manifest/subjects.py",
        'key = hashlib.sha256(salt.encode()).digest() if salt else b""',
        'key = b""',
        "data_manifest/test_build.py",
    ),
    Mutation("data_manifest/ct_pair_pixels.py", "noise[0] <= noise[1]", "False", "data_manifest/test_low_dose_ct.py"),
]
TRAINING = [
    Mutation(
        "pipelines/training/checkpoint.py", "map_location=engine.state.device, weights_only=True", "weights_only=False"
    ),
    Mutation(
        "pipelines/training/checkpoint.py",
        'self.evaluator.state.best_metric = state["best"]["metric"]',
        "pass",
    ),
    Mutation("pipelines/training/checkpoint.py", "engine.state.best_metric_epoch == engine.state.epoch", "True"),
    Mutation(
        "pipelines/training/optimization.py",
        "            clip_grad_norm_(network.parameters(), self.gradient_clip)\n        optimizer.step()\n",
        "            optimizer.step()\n            clip_grad_norm_(network.parameters(), self.gradient_clip)\n"
        "        else:\n            optimizer.step()\n",
    ),
    Mutation("pipelines/training/optimization.py", "optimizer.zero_grad(set_to_none=True)", "pass"),
    Mutation(
        "pipelines/training/trainer.py",
        "output[NOISE_ESTIMATE] = noise.detach()",
        "output[NOISE_ESTIMATE] = noise.detach() * 0",
    ),
    Mutation(
        "pipelines/training/handlers.py", "(1 + updates) / (10 + updates)", "1.0", "pipelines/training/test_trainer.py"
    ),
    Mutation(
        "pipelines/training/handlers.py",
        'derive_seed("epoch", self.seed, engine.state.epoch, process_rank())',
        'derive_seed("epoch", self.seed, process_rank())',
        "pipelines/training/test_trainer.py",
    ),
    Mutation(
        "pipelines/training/schedule.py",
        "(step + 1) / (warmup_steps + 1)",
        "(step + 1) / warmup_steps",
        "pipelines/training/test_trainer.py",
    ),
    Mutation(
        "pipelines/training/sampler.py",
        "1.0 / counts[item.get(key)]",
        "1.0",
        "pipelines/training/test_trainer.py",
    ),
    Mutation(
        "bundles/multimodal_denoising/configs/train.yaml",
        "learning_rate: 0.0005",
        "learning_rate: 0.001",
        "bundles/test_published_defaults.py",
    ),
    Mutation(
        "bundles/multimodal_denoising/configs/train.yaml",
        "betas: [0.9, 0.99]",
        "betas: [0.9, 0.999]",
        "bundles/test_published_defaults.py",
    ),
    Mutation(
        "bundles/multimodal_denoising/configs/train.yaml",
        "_target_: torch.nn.L1Loss",
        "_target_: torch.nn.MSELoss",
        "bundles/test_published_defaults.py",
    ),
]
METRICS = [
    Mutation("pipelines/metrics/vifp.py", "_FLAT_VARIANCE = 1e-6", "_FLAT_VARIANCE = 1.2e-6"),
    Mutation("pipelines/metrics/vifp.py", "_NOISE_VARIANCE = 2.0", "_NOISE_VARIANCE = 2.2"),
    Mutation(
        "pipelines/metrics/vifp.py", ".clamp(min=0).masked_fill(var_r < _EPS, 0)", ".masked_fill(var_r < _EPS, 0)"
    ),
    Mutation("pipelines/metrics/delta_e.py", "1.5 - 0.5 *", "1.5 - 0.4 *"),
    Mutation("pipelines/metrics/delta_e.py", "cross * chroma * hue", "0 * cross"),
    Mutation("pipelines/metrics/psnr.py", ".clamp(max=self.cap)", ""),
    Mutation("pipelines/metrics/ssim.py", "k2=0.03", "k2=0.02", "pipelines/metrics/test_handlers.py"),
]
CT = [
    Mutation("pipelines/low_dose_ct/regions.py", '"bone": (200.0, np.inf)', '"bone": (300.0, np.inf)'),
    Mutation("pipelines/low_dose_ct/regions.py", "BODY_LIMIT_HU = -300.0", "BODY_LIMIT_HU = -200.0"),
    Mutation("pipelines/low_dose_ct/edges.py", "np.sinc(frequency * _BIN_PX) ** 2", "np.sinc(frequency * _BIN_PX)"),
    Mutation(
        "pipelines/low_dose_ct/edges.py", "for x in (edges.contrast_hu * values, edges", "for x in (values, edges"
    ),
    Mutation("pipelines/low_dose_ct/noise_power.py", "/ np.sqrt((taper**2).mean())", ""),
    Mutation("pipelines/low_dose_ct/detectability.py", "/ (2 * (count - 2))", "/ count"),
    Mutation("pipelines/low_dose_ct/wiener.py", "gain[0] = 1.0", "gain[0] = gain[0]"),
    Mutation("pipelines/low_dose_ct/scores.py", "/ width + 0.5", "/ width"),
]
DENOISING = [
    Mutation(
        "pipelines/audit/residual.py",
        "SIGNIFICANCE_LIMITS = (11.0, 8.0, 7.5)",
        "SIGNIFICANCE_LIMITS = (13.0, 8.0, 7.5)",
        "pipelines/audit/test_limits.py",
    ),
    Mutation(
        "pipelines/audit/residual.py",
        "SIGNIFICANCE_LIMITS = (11.0, 8.0, 7.5)",
        "SIGNIFICANCE_LIMITS = (11.0, 9.0, 7.5)",
        "pipelines/audit/test_limits.py",
    ),
    Mutation(
        "pipelines/audit/residual.py",
        "AUTOCORRELATION_LIMIT = 0.12",
        "AUTOCORRELATION_LIMIT = 0.14",
        "pipelines/audit/test_limits.py",
    ),
    Mutation(
        "pipelines/audit/residual.py",
        "STRUCTURE_LIMIT = 0.14",
        "STRUCTURE_LIMIT = 0.17",
        "pipelines/audit/test_limits.py",
    ),
    Mutation("pipelines/audit/residual.py", "BIAS_LIMIT = 0.1", "BIAS_LIMIT = 0.12", "pipelines/audit/test_limits.py"),
    Mutation(
        "pipelines/audit/residual.py",
        "STANDARD_ERRORS = 4.0",
        "STANDARD_ERRORS = 3.0",
        "pipelines/audit/test_limits.py",
    ),
    Mutation(
        "pipelines/denoising/denoiser.py",
        "self.settings.tile_size, self.model.halo",
        "self.settings.tile_size, self.model.halo and self.model.halo - 1",
        "pipelines/denoising/test_halo.py",
    ),
    Mutation("pipelines/denoising/denoiser.py", "side - 2 * (halo or 0)", "side", "pipelines/denoising/test_halo.py"),
    Mutation("pipelines/denoising/denoiser.py", "np.minimum(low, stored)", "low"),
    Mutation("pipelines/denoising/tiling.py", "// grid * grid", "// 1"),
    Mutation("pipelines/denoising/mapping.py", "if stack.inverted else real_range", "if False else real_range"),
    Mutation("pipelines/denoising/ledger.py", 'line["inputs"] != inputs', "False"),
    Mutation("pipelines/denoising/ledger.py", "if others and not overwrite:", "if False:"),
    Mutation("atomic.py", "os.fsync(file.fileno())", "pass"),
    Mutation("atomic.py", "temporary.unlink(missing_ok=True)", "pass"),
    Mutation(
        "pipelines/formats/dicom/writer.py",
        "int(slices.min()), int(slices.max())",
        "int(slices.min()), int(slices[0].max())",
        "pipelines/formats/dicom/test_extremes.py",
    ),
    Mutation(
        "pipelines/formats/dicom/writer.py",
        "int(pixels.max())",
        "int(pixels.max()) + 1",
        "pipelines/formats/dicom/test_extremes.py",
    ),
]
OTHERS = [
    Mutation(
        "pipelines/bundle/weights.py", 'map_location="cpu", weights_only=True', 'map_location="cpu", weights_only=False'
    ),
    Mutation("pipelines/bundle/weights.py", "if broken:", "if False:"),
    Mutation(
        "pipelines/tracking/registry.py",
        'map_location="cpu", weights_only=True',
        'map_location="cpu", weights_only=False',
    ),
    Mutation("pipelines/tracking/registry.py", "!= digest:", "== 0:"),
    Mutation("pipelines/evaluation/summary.py", "max(numbers) if higher else min(numbers)", "max(numbers)"),
    Mutation("listing.py", "names[:shown]) + more", "names[: shown + 1]) + more"),
    Mutation("renamed.py", "kwargs[new] = kwargs.pop(old)", "kwargs.pop(old)"),
]
MUTATIONS = [*NETWORKS, *TRANSFORMS, *DATA, *TRAINING, *METRICS, *CT, *DENOISING, *OTHERS]


def copy_package(folder: Path) -> Path:
    """Copy the files of the working tree that git knows or would add. Returns: the copy, ``folder/noisewise``."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    copy = folder / "noisewise"
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@contextlib.contextmanager
def mutated(copy: Path, mutation: Mutation | None) -> Iterator[None]:
    """The copy with a fault, and afterwards without it."""
    if mutation is None:
        yield
        return
    path = copy / mutation.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutation.pattern, mutation.replacement), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def run_tests(copy: Path, arguments: tuple[str, ...], log: Path) -> None:
    """Run tests of the copy, in a process of their own. Exits with pytest's status."""
    os.setsid()
    sys.path.insert(0, str(copy.parent))
    os.environ["PYTHONPATH"] = str(copy.parent)
    os.chdir(copy)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=short"]
    status = int(pytest.main([*options, *arguments]))
    sys.stdout.flush()
    os._exit(status)


def passes(copy: Path, arguments: tuple[str, ...], limit: float) -> bool:
    """Whether tests pass within a limit in seconds."""
    process = multiprocessing.get_context("fork").Process(
        target=run_tests, args=(copy, arguments, copy.parent / "log.txt")
    )
    process.start()
    process.join(limit)
    if process.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode == 0


def stale(mutations: list[Mutation]) -> list[Mutation]:
    """The mutations whose pattern is not in its file exactly once, or whose tests are gone."""
    return [
        mutation
        for mutation in mutations
        if not all((ROOT / name).exists() for name in (mutation.file, *mutation.arguments))
        or (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.pattern) != 1
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose file, replacement or tests contain one of these")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no further fault after this time")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that the tests of one fault may take")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another order of the files")
    options = parser.parse_args()

    chosen = [
        mutation
        for mutation in MUTATIONS
        if not options.words
        or any(word in f"{mutation.file} {mutation.replacement} {mutation.tests}" for word in options.words)
    ]
    gone = stale(chosen)
    for mutation in gone:
        print(f"stale: {mutation.file}: {mutation.pattern!r}, tests {mutation.arguments}")
    chosen = [mutation for mutation in chosen if mutation not in gone]
    groups: dict[tuple[str, ...], list[Mutation]] = {}
    for mutation in chosen:
        groups.setdefault(mutation.arguments, []).append(mutation)
    order = list(groups)
    random.Random(options.seed).shuffle(order)

    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent]
    for name in LIBRARIES:
        importlib.import_module(name)
    assert "noisewise" not in sys.modules, "the copy is tested, not the package that is installed"

    begin = time.monotonic()
    killed, survived, broken = 0, [], []
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_package(Path(folder))
        for arguments in order:
            if time.monotonic() - begin > 60 * options.minutes:
                break
            if not passes(copy, arguments, options.limit):
                broken.append(arguments)
                print(f"fails without a fault: {' '.join(arguments)}", flush=True)
                print((copy.parent / "log.txt").read_text(errors="replace")[-3000:], flush=True)
                continue
            for mutation in groups[arguments]:
                if time.monotonic() - begin > 60 * options.minutes:
                    break
                with mutated(copy, mutation):
                    alive = passes(copy, arguments, options.limit)
                killed += not alive
                survived += [mutation] if alive else []
                print(f"{'SURVIVED' if alive else 'killed'}: {mutation.file}: {mutation.replacement!r}", flush=True)
    run = killed + len(survived)
    print(f"{len(survived)} of {run} survived; {len(chosen) - run} not run, {len(gone)} stale.")
    return int(bool(survived or broken or gone))


if __name__ == "__main__":
    sys.exit(main())
