# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Engines: PyTorch, OpenVINO and ONNX Runtime behind one interface."""
