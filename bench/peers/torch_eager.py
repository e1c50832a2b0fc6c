"""The problems of bench/cases.ts in torch: on the CPU, f32, all cores, or with the word "auto" on a GPU in f16 where torch
has one. See serve.py for the protocol."""

import os
import sys

import torch
from serve import serve

GPU = None
if sys.argv[1:] == ["auto"]:
    GPU = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None
if GPU:
    torch.set_default_device(GPU)
    torch.set_default_dtype(torch.float16)
torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
F = torch.nn.functional


def prepare(problem, layers):
    steps = {"unet": unet, "decoder": decoder, "flux": flux, "t5": t5}.get(problem["op"], layer)(problem)

    @torch.inference_mode()
    def run():
        x = steps[0]
        for i in range(layers):
            x = steps[1 + i % (len(steps) - 1)](x)
        if GPU:
            getattr(torch, GPU).synchronize()

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
    import diffusers

    config, side = p["config"], p["side"]
    model = getattr(diffusers, config["_class_name"]).from_config(config).eval()
    told = {}
    if "cross_attention_dim" in config:
        told["encoder_hidden_states"] = torch.randn(p["batch"], 77, config["cross_attention_dim"])
    x = torch.randn(p["batch"], config["in_channels"], side, side)
    return [x, lambda x: model(x, 500, **told).sample]


def decoder(p):
    from diffusers import AutoencoderKL

    model = AutoencoderKL.from_config(p["config"]).eval()
    z = torch.randn(1, p["config"]["latent_channels"], p["side"], p["side"])
    return [z, lambda z: model.decode(z).sample]


def flux(p):
    """diffusers' block, with its initial weights."""
    from diffusers.models.transformers import transformer_flux as flux

    width, heads, tokens = p["width"], p["heads"], (p["text"], p["image"])
    kinds = {"dual": flux.FluxTransformerBlock, "single": flux.FluxSingleTransformerBlock}
    block = kinds[p["kind"]](width, heads, width // heads).eval()
    ids = torch.zeros(sum(tokens), 3)
    ids[p["text"]:, 1:] = torch.stack([torch.arange(p["image"]) // 64, torch.arange(p["image"]) % 64], 1)
    angles = flux.FluxPosEmbed(10000, p["axes"])(ids)
    text, told = torch.randn(1, tokens[0], width), torch.randn(1, width)
    return [torch.randn(1, tokens[1], width), lambda x: block(x, text, told, angles)[1]]


def t5(p):
    """transformers' block, with its initial weights."""
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Block

    config = T5Config(
        d_model=p["width"], d_ff=p["hidden"], num_heads=p["heads"], d_kv=p["headWidth"], feed_forward_proj="gated-gelu"
    )
    config._attn_implementation = "eager"
    block = T5Block(config, layer_idx=0).eval()
    bias = torch.randn(1, p["heads"], p["tokens"], p["tokens"])
    return [torch.randn(1, p["tokens"], p["width"]), lambda x: block(x, position_bias=bias)[0]]


on = f"{torch.cuda.get_device_name() if GPU == 'cuda' else 'MPS'}, f16" if GPU else f"CPU, {torch.get_num_threads()} threads"
serve(f"torch {torch.__version__.split('+')[0]}, {on}", prepare)
