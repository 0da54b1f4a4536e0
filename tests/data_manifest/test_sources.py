# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The list of public sources."""

from __future__ import annotations

import ast
import importlib
import shlex

import pytest
import typer

from noisewise.data_manifest import ManifestError, get_source, list_sources
from noisewise.pipelines.cli.app import app

SOURCES = list_sources()
FIVE = {"mri", "xray", "ct", "skin", "microscopy"}


def test_the_papers_sources_come_first_and_cover_the_five_modalities():
    assert [s.name for s in SOURCES if s.paper] == [
        "lgg_mri",
        "lusebrink_mri",
        "chexpert",
        "kermany_xray",
        "covid_ct",
        "tcia_ct",
        "ham10000",
        "human_protein_atlas",
        "breakhis",
    ]
    assert all(s.paper for s in SOURCES[:9]) and not any(s.paper for s in SOURCES[9:])
    assert {s.modality for s in SOURCES if s.paper} == FIVE


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_each_source_says_how_it_is_got(source):
    assert source.modality in FIVE
    for text in (source.title, source.reference, source.size, source.license, source.access):
        assert text.strip()
    assert source.url.startswith("http")
    assert source.get or source.monai
    text = source.describe()
    assert source.build in text
    assert f"noisewise manifest split {shlex.split(source.build)[shlex.split(source.build).index('--out') + 1]}" in text


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_build_commands_are_understood_by_the_command(source):
    words = shlex.split(source.build)
    assert words[0] == "noisewise"
    command = typer.main.get_command(app)
    manifest = command.commands[words[1]]
    build = manifest.commands[words[2]]
    context = build.make_context("build", words[3:])
    assert context.params["source"] and str(context.params["out"]).endswith(".csv")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_python_lines_compile_and_name_functions_that_monai_has(source):
    for code in (source.monai, source.prepare):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("monai"):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


# source, a path as it stands in the collection, the subject in it
@pytest.mark.parametrize(
    ("name", "path", "subject"),
    [
        ("lgg_mri", "TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1.tif", "TCGA_CS_4941"),
        ("chexpert", "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg", "patient00001"),
        ("kermany_xray", "train/PNEUMONIA/person1000_bacteria_2931.jpeg", "person1000"),
        ("kermany_xray", "train/NORMAL/NORMAL2-IM-0001-0001.jpeg", "NORMAL2-IM-0001"),
        ("kermany_xray", "train/NORMAL/IM-0115-0001.jpeg", "IM-0115"),
        ("covid_ct", "CT_COVID/2020.01.24.919183-p27-132.png", "2020.01.24.919183-p27-132"),
        (
            "human_protein_atlas",
            "00070df0-bbc3-11e8-b2bc-ac1f6b6435d0_green.png",
            "00070df0-bbc3-11e8-b2bc-ac1f6b6435d0",
        ),
        ("breakhis", "SOB/adenosis/SOB_B_A_14-22549AB/40X/SOB_B_A-14-22549AB-40-001.png", "14-22549AB"),
        ("breakhis", "SOB/x/SOB_M_DC-14-2523-400-010.png", "14-2523"),
        ("openneuro_ds002748", "sub-01/anat/sub-01_T1w.nii.gz", "sub-01"),
        ("nih_cxr14", "images/00000001_000.png", "00000001"),
    ],
)
def test_subject_patterns_fit_the_collections_names(tmp_path, name, path, subject):
    from noisewise.data_manifest.subjects import compile_subject_pattern, subject_of

    words = shlex.split(get_source(name).build)
    pattern = compile_subject_pattern(words[words.index("--subject-pattern") + 1])
    assert subject_of(tmp_path / path, tmp_path, "", pattern) == subject


def test_list_by_modality_and_unknown_names():
    assert {s.modality for s in list_sources("CT")} == {"ct"}
    with pytest.raises(ManifestError, match="unknown modality 'dental'; choose from ct"):
        list_sources("dental")
    with pytest.raises(ManifestError, match="unknown source 'ham1000'; did you mean ham10000"):
        get_source("ham1000")
