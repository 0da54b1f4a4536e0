# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A faster way to evaluate a residual dense block, with its own backward pass."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = ["stacked_dense_block"]

CHANNELS_LAST = torch.channels_last


def stacked_dense_block(
    x: torch.Tensor,
    weights: list[torch.Tensor],
    biases: list[torch.Tensor],
    negative_slope: float,
    residual_scale: float,
) -> torch.Tensor:
    """Evaluate a residual dense block with fewer and wider convolutions.

    The plain form convolves ``concatenate(x, x1, ..., xk)`` anew for each of the narrow outputs x1 to x4. A
    convolution is linear, so the same sums come out when every map is convolved once, with the kernels of all its
    consumers stacked: x gives a part of x1, x2, x3 and x4 at a time, x1 of x2, x3 and x4, and so on. The narrow
    convolutions (8 outputs by default) leave half of a CPU's vector lanes idle; the stacked ones do not. The backward
    pass is written out, so that gradients of slices are never scattered into zeros.

    The result differs from the plain form's in the order of the sums only: about 1e-6 in float32.
    ``benchmarks/step_speed.py`` measures the gain.

    Args:
        x: ``(B, features, H, W)``.
        weights: the five kernels, ``(growth, features + k * growth, 3, 3)`` for k of 0 to 3, then
            ``(features, features + 4 * growth, 3, 3)``.
        biases: the five biases.
        negative_slope: of the LeakyReLU after each convolution, 0 or more.
        residual_scale: factor of the fifth output before it is added to ``x``.

    Returns:
        ``(B, features, H, W)`` in ``torch.channels_last``, in autocast's dtype where autocast is on, else in that of
        ``x``. It can be differentiated once, not twice.
    """
    interleaved = [tensor for pair in zip(weights, biases) for tensor in pair]
    return _StackedDenseBlock.apply(x, negative_slope, residual_scale, *interleaved)


class _StackedDenseBlock(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, negative_slope: float, residual_scale: float, *parameters: torch.Tensor
    ) -> torch.Tensor:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        growth, features = parameters[0].shape[:2]
        ctx.input_dtype, ctx.parameter_dtypes = x.dtype, [parameter.dtype for parameter in parameters]
        with torch.autocast(device, enabled=False):
            x = x.to(dtype).contiguous(memory_format=CHANNELS_LAST)
            *kernels, last = (kernel.to(dtype) for kernel in parameters[::2])
            *biases, last_bias = (bias.to(dtype) for bias in parameters[1::2])
            # stacked[0] holds what x contributes to x1 .. x4, stacked[1] what x1 contributes to x2 .. x4, ...
            edges = [0, *(features + k * growth for k in range(4))]
            stacked = [
                torch.cat([kernel[:, begin:end] for kernel in kernels[k:]]).contiguous(memory_format=CHANNELS_LAST)
                for k, (begin, end) in enumerate(itertools.pairwise(edges))
            ]
            last = last.contiguous(memory_format=CHANNELS_LAST)

            sums = functional.conv2d(x, stacked[0], torch.cat(biases), padding=1)
            maps = [functional.leaky_relu_(_channels(sums, 0, growth), negative_slope)]
            for kernel in stacked[1:]:
                sums = _channels(sums, growth, sums.shape[1]).add_(functional.conv2d(maps[-1], kernel, padding=1))
                maps.append(functional.leaky_relu_(_channels(sums, 0, growth), negative_slope))
            joined = torch.cat([x, *maps], 1)
            fifth = functional.leaky_relu_(functional.conv2d(joined, last, last_bias, padding=1), negative_slope)
            out = torch.add(x, fifth, alpha=residual_scale)
        ctx.negative_slope, ctx.residual_scale = negative_slope, residual_scale
        ctx.save_for_backward(x, *maps, joined, fifth, *stacked, last)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        maps, joined, fifth, stacked, last = saved[:4], saved[4], saved[5], saved[6:10], saved[10]
        features, growth = x.shape[1], maps[0].shape[1]
        slope = ctx.negative_slope
        with torch.autocast(x.device.type, enabled=False):
            grad = grad.to(x.dtype).contiguous(memory_format=CHANNELS_LAST)
            before_fifth = _before_activation(grad * ctx.residual_scale, fifth, slope)
            grad_joined, grad_last, grad_last_bias = _convolution_backward(before_fifth, joined, last, bias=True)

            # From x4 back to x1: the gradients of a map's consumers, stacked as their kernels are.
            consumers: torch.Tensor | None = None
            grad_kernels: list[torch.Tensor] = []
            for k in (3, 2, 1, 0):
                grad_map = _channels(grad_joined, features + k * growth, features + (k + 1) * growth)
                if consumers is not None:
                    through, grad_kernel, _ = _convolution_backward(consumers, maps[k], stacked[k + 1])
                    grad_map = grad_map.add_(through)
                    grad_kernels.insert(0, grad_kernel)
                before = _before_activation(grad_map, maps[k], slope)
                consumers = before if consumers is None else torch.cat([before, consumers], 1)
            grad_x, grad_kernel, grad_biases = _convolution_backward(consumers, x, stacked[0], bias=True)
            grad_kernels.insert(0, grad_kernel)
            grad_x.add_(grad).add_(grad_joined[:, :features])

            result = [grad_x.to(ctx.input_dtype), None, None]
            for k in range(4):
                # Row block k - j of stacked[j] is the part of kernel k that reads map j.
                parts = [grad_kernels[j][(k - j) * growth : (k - j + 1) * growth] for j in range(k + 1)]
                result += [torch.cat(parts, 1), grad_biases[k * growth : (k + 1) * growth]]
            result += [grad_last, grad_last_bias]
            result[3:] = [value.to(dtype) for value, dtype in zip(result[3:], ctx.parameter_dtypes)]
        return tuple(result)


def _channels(tensor: torch.Tensor, begin: int, end: int) -> torch.Tensor:
    """A dense copy of some channels: the next operations are many times slower on a strided view."""
    return tensor[:, begin:end].clone(memory_format=CHANNELS_LAST)


def _before_activation(grad: torch.Tensor, output: torch.Tensor, negative_slope: float) -> torch.Tensor:
    return torch.ops.aten.leaky_relu_backward(grad, output, negative_slope, True)


def _convolution_backward(
    grad: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor, bias: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients by the input, the kernel and the bias of a 3x3 convolution with padding 1."""
    return torch.ops.aten.convolution_backward(
        grad, x, kernel, [kernel.shape[0]], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, bias]
    )
