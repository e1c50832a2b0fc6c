"""
Records what a model of diffusers or transformers computes, module by module, for `deno task diff`.

    python docs/record_features.py MODEL --part unet --out features.safetensors

MODEL is a pipeline or one model, a folder or a repository of the hub. In a program of your own:

    from record_features import record
    record(unet, "features.safetensors", sample=latents, timestep=500, encoder_hidden_states=texts)

The file is safetensors. Tensors: `inputs/NAME` (the arguments by their names, parts of them behind dots),
`features/PATH` (a module's result; several results are PATH.0, PATH.1, …) and `results/NAME` (of the call).
Metadata: `format` ("denoise-features") and `version` ("1"); `class` and `call` (forward, encode or decode);
as JSON `config`, `order` (the paths of all features, as their modules end) and `sources` (for each path, and
each results/NAME, the paths of the features that it is computed from at once; those that were not written too).

Needs torch, safetensors, and diffusers or transformers (seen working with 2.13, 0.8, 0.42 and 5.23).
"""

import argparse
import importlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary


def record(model, out, call="forward", only="", **inputs):
    """Calls a model and writes the results of all its modules, or of those whose paths begin with `only`."""
    features, sources, calls = {}, {}, {}
    trail = Trail()

    def ended(path, args, kwargs, output):
        given = [id(x) for _, x in leaves("", [args, kwargs])]
        parts = [(name, x) for name, x in states(path, output) if id(x) not in given]
        if not parts:
            return  # it gave its inputs back, as dropout does
        calls[path] = calls.get(path, 0) + 1
        for name, x in parts:
            name = name if calls[path] == 1 else f"{name}#{calls[path]}"  # a module that runs several times
            sources[name] = sorted(trail.of(x))
            trail.made[x] = {name}
            if name.startswith(only):
                features[f"features/{name}"] = stored(x)

    hooks = [
        module.register_forward_hook(
            lambda _, args, kwargs, output, path=path: ended(path, args, kwargs, output), with_kwargs=True
        )
        for path, module in model.named_modules()
        if path
    ]
    try:
        with torch.no_grad(), trail:
            results = getattr(model, call)(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    tensors = {f"inputs/{name}": stored(x) for name, x in leaves("", inputs)}
    tensors |= features
    for name, x in leaves("", named(results)):
        tensors[f"results/{name}"] = stored(x)
        sources[f"results/{name}"] = sorted(trail.of(x))
    config = model.config if isinstance(model.config, dict) else model.config.to_dict()
    metadata = {
        "format": "denoise-features",
        "version": "1",
        "class": type(model).__name__,
        "call": call,
        "config": json.dumps(dict(config), default=str),
        "order": json.dumps([name for name in sources if f"features/{name}" in features]),
        "sources": json.dumps(sources),
        "torch": torch.__version__,
    }
    save_file(tensors, out, metadata)
    return len(features)


class Trail(TorchFunctionMode):
    """Follows tensors through functions: of which modules' results each was made."""

    def __init__(self):
        super().__init__()
        self.made = WeakTensorKeyDictionary()

    def of(self, x):
        return self.made.get(x, set())

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sources = set().union(*(self.of(x) for _, x in leaves("", [args, kwargs])))
        if sources:
            for _, x in leaves("", result):
                self.made[x] = sources
        return result


def leaves(name, value):
    """The tensors in a value, by their names in it; numbers count as tensors where they have names."""
    if isinstance(value, torch.Tensor):
        return [(name, value)]
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    else:
        return [(name, torch.tensor(value))] if name and type(value) in (int, float) else []
    return [leaf for key, part in parts for leaf in leaves(f"{name}.{key}" if name else str(key), part)]


def states(path, output):
    """A module's results. A state with a list of states, as blocks of a UNet give it, is in that list."""
    if isinstance(output, (list, tuple)) and not hasattr(output, "keys"):
        lists = [part for part in output if isinstance(part, (list, tuple)) and part]
        output = lists[-1] if lists else output
    found = [x for _, x in leaves("", output)]
    return [(path, found[0])] if len(found) == 1 else [(f"{path}.{i}", x) for i, x in enumerate(found)]


def named(results):
    """A call's results by their names."""
    if isinstance(results, list):
        return {"features": results}
    if isinstance(results, torch.Tensor):
        return {"sample": results}
    if "latent_dist" in results:
        return {"latent_dist": {"mean": results.latent_dist.mean, "logvar": results.latent_dist.logvar}}
    return dict(results)


def stored(x):
    return x.detach().to("cpu").clone().contiguous()


# What a model is called with where nothing is given.


def usual_inputs(model, call, seed, size, tokens):
    """Arguments of a model's usual call: noise, times and ids of a seed; `tokens` are those of the prompt."""
    generator = torch.Generator().manual_seed(seed)
    config, dtype = model.config, model.dtype

    def noise(*shape):
        return torch.randn(shape, generator=generator).to(dtype)

    def ids(count, least=0):
        return torch.randint(least, config.vocab_size, (2, count), generator=generator)

    def side(usual):
        usual = usual if isinstance(usual, (list, tuple)) else [usual or 32] * 2
        return [size] * 2 if size else list(usual)

    name = type(model).__name__
    if name in ("UNet2DModel", "UNet2DConditionModel", "ControlNetModel"):
        inputs = {"sample": noise(2, config.in_channels, *side(getattr(config, "sample_size", None))), "timestep": torch.tensor(501)}
        kind, classes = config.class_embed_type, config.num_class_embeds
        if kind == "timestep" or (kind is None and classes):
            inputs["class_labels"] = torch.tensor([0, (classes or 2) - 1])
        elif kind:  # vectors, in place of labels
            projected = getattr(config, "projection_class_embeddings_input_dim", None)
            inputs["class_labels"] = noise(2, projected or 4 * config.block_out_channels[0])
        if name == "UNet2DModel":
            return inputs
        inputs["encoder_hidden_states"] = noise(2, tokens, config.cross_attention_dim)
        if name == "ControlNetModel":
            factor = 2 ** (len(config.conditioning_embedding_out_channels) - 1)
            pixels = [factor * n for n in inputs["sample"].shape[2:]]
            inputs["controlnet_cond"] = torch.rand(1, config.conditioning_channels, *pixels, generator=generator).to(dtype)
        elif config.time_cond_proj_dim:
            inputs["timestep_cond"] = noise(2, config.time_cond_proj_dim)
        if config.addition_embed_type == "text_time":
            width, each = config.projection_class_embeddings_input_dim, config.addition_time_embed_dim
            count = min(6, (width - 1) // each)  # 5 of SDXL's refiner
            sizes = torch.tensor([[64.0, 48.0, 0.0, 8.0, 56.0, 64.0][:count]] * 2).to(dtype)
            inputs["added_cond_kwargs"] = {"text_embeds": noise(2, width - count * each), "time_ids": sizes}
        return inputs
    if name == "T2IAdapter":
        n = config.downscale_factor * (size or 16)
        return {"x": torch.rand(1, config.in_channels, n, n, generator=generator).to(dtype)}
    if name == "CLIPVisionModelWithProjection":
        return {"pixel_values": noise(1, config.num_channels, config.image_size, config.image_size), "output_hidden_states": True}
    if name == "SiglipVisionModel":
        return {"pixel_values": noise(1, config.num_channels, config.image_size, config.image_size)}
    if name == "ReduxImageEncoder":
        return {"x": noise(1, 16, config.redux_dim)}
    if name in ("AutoencoderKL", "AutoencoderKLFlux2"):
        factor = 2 ** (len(config.block_out_channels) - 1)
        h, w = side(config.sample_size)
        if call == "encode":
            return {"x": noise(1, config.in_channels, h, w).clamp(-1, 1)}
        return {"z": noise(1, config.latent_channels, h // factor, w // factor)}
    if name in ("CLIPTextModel", "CLIPTextModelWithProjection"):
        texts = ids(min(size or 77, config.max_position_embeddings))
        texts[:, -1] = config.vocab_size - 1  # CLIP's end of a text
        return {"input_ids": texts, "output_hidden_states": True}
    if name == "T5EncoderModel":
        return {"input_ids": ids(size or 77, 2)}
    if name == "Qwen3Model":
        return {"input_ids": ids(size or 77), "output_hidden_states": True}
    if name == "FluxTransformer2DModel":
        h, w = (size or 32) // 2, (size or 32) // 2
        rows = torch.arange(h).repeat_interleave(w)
        columns = torch.arange(w).repeat(h)
        inputs = {
            "hidden_states": noise(1, h * w, config.in_channels),
            "encoder_hidden_states": noise(1, tokens, config.joint_attention_dim),
            "pooled_projections": noise(1, config.pooled_projection_dim),
            "timestep": torch.tensor([0.501]).to(dtype),
            "img_ids": torch.stack([torch.zeros(h * w), rows, columns], 1),
            "txt_ids": torch.zeros(tokens, 3),
        }
        return inputs | ({"guidance": torch.tensor([3.5])} if config.guidance_embeds else {})
    if name == "Flux2Transformer2DModel":
        h, w = (size or 32) // 2, (size or 32) // 2
        places = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float32) for n in (1, h, w, 1)])
        inputs = {
            "hidden_states": noise(1, h * w, config.in_channels),
            "encoder_hidden_states": noise(1, tokens, config.joint_attention_dim),
            "timestep": torch.tensor([0.501]).to(dtype),
            "img_ids": places,
            "txt_ids": torch.stack([torch.zeros(tokens)] * 3 + [torch.arange(tokens)], 1),
        }
        return inputs | ({"guidance": torch.tensor([3.5])} if config.guidance_embeds else {})
    if name == "ZImageTransformer2DModel":
        x = noise(config.in_channels, 1, size or 16, size or 16)
        return {"x": [x], "t": torch.tensor([0.501]).to(dtype), "cap_feats": [noise(tokens, config.cap_feat_dim)]}
    raise SystemExit(f"Cannot call {name}: expected --inputs, as nothing here says what it takes")


def usual_tokens(model, target):
    """Tokens of a prompt as the model's pipeline reads it: those of its CLIP, as many as FLUX reads, or those of a short caption."""
    name = type(model).__name__
    if name.startswith("Flux"):
        return 512
    if name.startswith("ZImage"):
        return 64
    return (json_of(target, "text_encoder/config.json") or {}).get("max_position_embeddings", 77)


def given_inputs(path):
    """Arguments from a safetensors file; those with dots in their names are parts of one."""
    inputs = {}
    for name, x in load_file(path).items():
        *outer, last = name.split(".")
        place = inputs
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = x
    return inputs


# Where models are.


def open_model(target, part, dtype):
    index = json_of(target, "model_index.json")
    if index:
        part = part or next((name for name in ("unet", "transformer") if name in index), None)
        if part not in index:
            raise SystemExit(f"Cannot open {part} of {target}: expected --part, one of {', '.join(index)}")
        library, name = index[part]
    else:
        config = json_of(target, "config.json") or {}
        name = config.get("_class_name") or (config.get("architectures") or [None])[0]
        library = "diffusers" if "_class_name" in config else "transformers"
        if not name or part:
            raise SystemExit(f"Cannot open {part or 'a model'} of {target}: expected model_index.json or config.json")
    type = getattr(importlib.import_module(library), name)
    options = {"subfolder": part} if index else {}
    return type.from_pretrained(target, torch_dtype=getattr(torch, dtype), **options).eval()


def json_of(target, name):
    if not Path(target).exists():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            return json.loads(Path(hf_hub_download(target, name)).read_text())
        except EntryNotFoundError:
            return None
    path = Path(target) / name
    return json.loads(path.read_text()) if path.exists() else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("model", help="a pipeline or a model: a folder or a repository")
    parser.add_argument("--part", help="of a pipeline, e.g. vae; default: its unet or transformer")
    parser.add_argument("--call", help="of a VAE: encode or decode", choices=("forward", "encode", "decode"))
    parser.add_argument("--inputs", help="safetensors with the arguments by name; default: noise")
    parser.add_argument("--seed", type=int, default=0, help="of the default inputs")
    parser.add_argument("--size", type=int, help="of the default sample: its side, or the number of tokens")
    parser.add_argument("--tokens", type=int, help="of the default prompt; default: as many as the pipeline reads")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16", "bfloat16", "float64"))
    parser.add_argument("--only", default="", help="beginning of the paths that are written")
    parser.add_argument("--out", required=True, help="the file to write")
    options = parser.parse_args()

    model = open_model(options.model, options.part, options.dtype)
    call = options.call or ("decode" if hasattr(model, "decode") else "forward")
    tokens = options.tokens or usual_tokens(model, options.model)
    inputs = given_inputs(options.inputs) if options.inputs else usual_inputs(model, call, options.seed, options.size, tokens)
    count = record(model, options.out, call, options.only, **inputs)
    print(f"{options.out}: {count} features of {type(model).__name__}.{call}")
