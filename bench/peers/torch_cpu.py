"""The problems of bench/cases.ts in torch on the CPU, f32, all cores. See serve.py for the protocol."""

import os

import torch
from serve import serve

torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
F = torch.nn.functional


def prepare(problem, layers):
    steps = {"unet": unet}.get(problem["op"], layer)(problem)

    @torch.inference_mode()
    def run():
        x = steps[0]
        for i in range(layers):
            x = steps[1 + i % (len(steps) - 1)](x)

    return run


def layer(p):
    """The input of the chain, then its layers in turn."""
    op = p["op"]
    if op == "matmul":
        b = torch.randn(p["size"], p["size"]) * p["size"] ** -0.5
        return [torch.randn(p["size"], p["size"]), lambda x: torch.matmul(x, b)]
    if op == "linear":
        a, b = p["widths"]
        there, back = torch.randn(b, a) * a ** -0.5, torch.randn(a, b) * b ** -0.5
        return [torch.randn(p["rows"], a), lambda x: F.linear(x, there), lambda x: F.linear(x, back)]
    if op == "conv2d":
        c = p["channels"]
        w = torch.randn(c, c, 3, 3) * (9 * c) ** -0.5
        return [torch.randn(1, c, p["side"], p["side"]), lambda x: F.conv2d(x, w, padding=1)]
    if op == "attention":
        h, d = p["heads"], p["width"]
        k, v = torch.randn(1, h, p["keys"], d), torch.randn(1, h, p["keys"], d)
        return [torch.randn(1, h, p["queries"], d), lambda q: F.scaled_dot_product_attention(q, k, v)]
    if op == "groupNorm":
        c = p["channels"]
        w, b = torch.randn(c), torch.randn(c)
        return [torch.randn(1, c, p["side"], p["side"]), lambda x: F.group_norm(x, 32, w, b)]
    w, b = torch.randn(p["width"]), torch.randn(p["width"])
    return [torch.randn(p["rows"], p["width"]), lambda x: F.layer_norm(x, (p["width"],), w, b)]


def unet(p):
    """diffusers' model of this config, with its initial weights."""
    from diffusers import UNet2DModel

    model = UNet2DModel.from_config(p["config"]).eval()
    return [torch.randn(1, 3, p["side"], p["side"]), lambda x: model(x, 500).sample]


serve(f"torch {torch.__version__.split('+')[0]}, CPU, {torch.get_num_threads()} threads", prepare)
