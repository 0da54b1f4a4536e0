# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the README's picture: embedded images with moderate simulated noise, BM3D and the shipped weights beside them.

    pip install '.[embedded,bm3d]'
    python benchmarks/examples_picture.py docs/images/examples.jpg

BM3D is told the noise level; its license is non-commercial. The splits of the images do not matter, because the shipped
weights were not trained on any embedded image.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from monai.data import DataLoader, Dataset
from PIL import Image

from noisewise.bundles import bundle_path
from noisewise.data_manifest import Manifest, build_embedded
from noisewise.pipelines.evaluation import ComparisonEvaluator, EvaluationSettings, ScoreTable, reference_methods
from noisewise.pipelines.evaluation.picture import quality_text, save_figure, show_image
from noisewise.pipelines.evaluation.run import load_network
from noisewise.pipelines.evaluation.transforms import evaluation_preprocessing

SUBJECTS = {"siemens_abdomen": "MRI", "pancreas_0001": "CT", "wg04_rg3": "X-ray", "skimage_ihc": "microscopy"}
SIGMA = 25
CROP = 256
INCHES = 2.0
# Key of the evaluation's output, or name of a method.
COLUMNS = {"image": "noisy", "bm3d": "BM3D", "two_stage": "denoised", "label": "clean"}


def main() -> None:
    """Denoise the chosen images by both methods and write the picture."""
    target = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        records = {record.subject: record for record in Manifest.read(build_embedded(Path(scratch) / "embedded"))}
        chosen = Manifest([dataclasses.replace(records[subject], split="test") for subject in SUBJECTS])
        rows = _denoise(chosen.write(Path(scratch) / "examples.csv"), Path(scratch))
        figure = Figure(figsize=(INCHES * len(COLUMNS), (INCHES + 0.3) * len(rows) + 0.2), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (title, images) in zip(figure.subplots(len(rows), len(COLUMNS), squeeze=False), rows.items()):
            for axis, (key, image) in zip(axes, images.items()):
                show_image(axis, image)
                axis.set(xticks=[], yticks=[])
                text = "PSNR / SSIM" if key == "label" else quality_text(image, images["label"])
                axis.set_xlabel(text, fontsize=8)
                if title == next(iter(rows)):
                    axis.set_title(COLUMNS[key], fontsize=10)
            axes[0].set_ylabel(title, fontsize=10)
        picture = save_figure(figure, Path(scratch) / "examples.png", 120)
        Image.open(picture).convert("RGB").save(target, quality=88)
    print(target)


def _denoise(manifest: Path, scratch: Path) -> dict[str, dict]:
    """The images of each row by their column."""
    settings = EvaluationSettings(crop=CROP, patterns=("gaussian",), stds=(SIGMA,), device="cpu")
    conditions = settings.conditions(settings.items(manifest))
    network, _ = load_network(bundle_path("multimodal_denoising") / "models" / "model.pt")
    methods = {**reference_methods(["bm3d"]), "two_stage": network}
    loader = DataLoader(Dataset(conditions, evaluation_preprocessing(CROP)), batch_size=1)
    evaluator = ComparisonEvaluator("cpu", loader, methods, ScoreTable(scratch / "scores"))
    rows = {}
    for index, item in enumerate(conditions):
        outputs = {name: evaluator.denoise(index, name) for name in methods}
        shared = outputs["two_stage"]
        images = {key: outputs[key]["pred"] if key in outputs else shared[key] for key in COLUMNS}
        rows[SUBJECTS[item["subject"]]] = images
    return rows


if __name__ == "__main__":
    main()
