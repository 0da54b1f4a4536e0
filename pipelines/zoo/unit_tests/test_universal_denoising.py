# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import sys
import tempfile
import unittest

import numpy as np
from monai.bundle import ConfigWorkflow
from parameterized import parameterized
from PIL import Image
from utils import check_workflow

TEST_CASE_1 = [  # train
    {
        "bundle_root": "models/universal_denoising",
        "batch_size": 1,
        "patch_size": 16,
        "val_size": 48,
        "steps_per_epoch": 2,
        "max_epochs": 1,
        "val_interval": 1,
        "warmup_steps": 1,
        "num_workers": 0,
        "track": False,
    }
]

TEST_CASE_2 = [  # evaluate
    {"bundle_root": "models/universal_denoising", "stds": [25], "crop": 48, "track": False, "progress": False}
]

TEST_CASE_3 = [  # inference
    {"bundle_root": "models/universal_denoising"}
]


def test_order(test_name1, test_name2):
    def get_order(name):
        if "train" in name:
            return 1
        if "eval" in name:
            return 2
        if "infer" in name:
            return 3
        return 4

    return get_order(test_name1) - get_order(test_name2)


class TestUniversalDenoising(unittest.TestCase):
    def setUp(self):
        sys.path.insert(0, os.path.abspath("models/universal_denoising"))
        from scripts.data_manifest import Manifest, build_manifest

        self.dataset_dir = tempfile.mkdtemp()
        self.output_dir = tempfile.mkdtemp()
        self.manifest = os.path.join(self.output_dir, "manifest.csv")
        records = []
        for index, split in enumerate(("train", "val", "test")):
            folder = os.path.join(self.dataset_dir, f"subject_{index}")
            os.makedirs(folder)
            image = np.random.RandomState(index).randint(0, 256, (56, 50), np.uint8)
            Image.fromarray(image).save(os.path.join(folder, f"image_{index}.png"))
            records += build_manifest(folder, modality="mri", source="random", license="none", split=split)
        Manifest(records).write(self.manifest, absolute=True)

    def tearDown(self):
        shutil.rmtree(self.dataset_dir)
        shutil.rmtree(self.output_dir)
        sys.path.remove(os.path.abspath("models/universal_denoising"))

    def get_workflow(self, name, workflow_type, run_id, override):
        bundle_root = override["bundle_root"]
        return ConfigWorkflow(
            workflow_type=workflow_type,
            run_id=run_id,
            config_file=os.path.join(bundle_root, f"configs/{name}.yaml"),
            logging_file=os.path.join(bundle_root, "configs/logging.conf"),
            meta_file=os.path.join(bundle_root, "configs/metadata.json"),
            dataset_dir=self.dataset_dir,
            output_dir=os.path.join(self.output_dir, name),
            **override,
        )

    @parameterized.expand([TEST_CASE_1])
    def test_train_config(self, override):
        trainer = self.get_workflow("train", "train", "training", {**override, "manifest": self.manifest})
        check_workflow(trainer, check_properties=True)
        self.assertTrue(os.path.isfile(os.path.join(self.output_dir, "train", "model.pt")))

    @parameterized.expand([TEST_CASE_2])
    def test_eval_config(self, override):
        # evaluate.yaml is used by itself and has the properties of an inference
        evaluator = self.get_workflow("evaluate", "infer", "evaluating", {**override, "manifest": self.manifest})
        check_workflow(evaluator, check_properties=True)
        self.assertTrue(os.path.isfile(os.path.join(self.output_dir, "evaluate", "scores.csv")))

    @parameterized.expand([TEST_CASE_3])
    def test_infer_config(self, override):
        inferrer = self.get_workflow("inference", "infer", "inferring", override)
        check_workflow(inferrer, check_properties=True)
        for index in range(3):
            name = os.path.join(f"subject_{index}", f"image_{index}.png")
            self.assertTrue(os.path.isfile(os.path.join(self.output_dir, "inference", name)))


if __name__ == "__main__":
    loader = unittest.TestLoader()
    loader.sortTestMethodsUsing = test_order
    unittest.main(testLoader=loader)
