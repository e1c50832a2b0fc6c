/** A weight of a model: its name and shape in diffusers' words, and where it works. */
export interface Parameter {
  name: string;
  shape: number[];
  /** How often the picture was halved there; or it works on the time, or on the tokens of a prompt. */
  at: number | "time" | "prompt";
}

/** What UNet2DModel and UNet2DConditionModel have in common. */
export interface UNetShape {
  in_channels: number;
  out_channels: number;
  layers_per_block: number;
  block_out_channels: number[];
  down_block_types: string[];
  up_block_types: string[];
  /** Width of a prompt's embeddings, where the model attends to one. */
  cross_attention_dim?: number | undefined;
  /** Blocks of a transformer at each level; 1 by default. */
  transformer_layers_per_block?: number[] | undefined;
  /** Whether transformers begin and end in linear layers in place of 1×1 convolutions. */
  use_linear_projection?: boolean | undefined;
  /** Width of what is told beside the prompt and the time: the pooled prompt and sizes, of SDXL. */
  projection_class_embeddings_input_dim?: number | undefined;
}

/** What an AutoencoderKL is made of. */
export interface AutoencoderShape {
  in_channels: number;
  latent_channels: number;
  layers_per_block: number;
  block_out_channels: number[];
  /** Whether latents pass a 1×1 convolution behind the encoder and in front of the decoder; they do by default. */
  use_quant_conv?: boolean | undefined;
}

/** The weights of a UNet. */
export function* unetParameters(config: UNetShape): Generator<Parameter> {
  const { block_out_channels: channels, layers_per_block, in_channels, out_channels } = config;
  const time = 4 * channels[0]!;
  const last = channels.length - 1;
  const attend = (type: string, name: string, C: number, at: number) =>
    type.startsWith("CrossAttn")
      ? transformer(name, C, at, config)
      : type.startsWith("Attn")
      ? attention(name, C, at)
      : [];
  yield* conv("conv_in", in_channels, channels[0]!, 0);
  yield* dense("time_embedding.linear_1", channels[0]!, time, "time");
  yield* dense("time_embedding.linear_2", time, time, "time");
  const added = config.projection_class_embeddings_input_dim;
  if (added) {
    yield* dense("add_embedding.linear_1", added, time, "time");
    yield* dense("add_embedding.linear_2", time, time, "time");
  }

  const skips = [channels[0]];
  let C = channels[0]!;
  for (const [i, type] of config.down_block_types.entries()) {
    const block = `down_blocks.${i}`;
    for (let j = 0; j < layers_per_block; j++) {
      yield* resnet(`${block}.resnets.${j}`, C, channels[i]!, i, time);
      yield* attend(type, `${block}.attentions.${j}`, channels[i]!, i);
      skips.push(C = channels[i]!);
    }
    if (i === last) continue;
    yield* conv(`${block}.downsamplers.0.conv`, C, C, i + 1);
    skips.push(C);
  }

  yield* resnet("mid_block.resnets.0", C, C, last, time);
  yield* attend(config.cross_attention_dim ? "CrossAttn" : "Attn", "mid_block.attentions.0", C, last);
  yield* resnet("mid_block.resnets.1", C, C, last, time);

  for (const [i, type] of config.up_block_types.entries()) {
    const block = `up_blocks.${i}`;
    const [to, at] = [channels[last - i], last - i] as [number, number];
    for (let j = 0; j <= layers_per_block; j++) {
      yield* resnet(`${block}.resnets.${j}`, C + skips.pop()!, to, at, time);
      yield* attend(type, `${block}.attentions.${j}`, C = to, at);
    }
    if (i < last) yield* conv(`${block}.upsamplers.0.conv`, C, C, at - 1);
  }
  yield* norm("conv_norm_out", C);
  yield* conv("conv_out", C, out_channels, 0);
}

/** The weights of an AutoencoderKL; those of its decoder begin with "decoder." or "post_quant_conv.". */
export function* autoencoderParameters(config: AutoencoderShape): Generator<Parameter> {
  const { block_out_channels: channels, layers_per_block, in_channels, latent_channels } = config;
  const last = channels.length - 1;
  function* coder(name: string, from: number, first: number, to: number): Generator<Parameter> {
    const down = name === "encoder";
    let C = channels[first]!;
    const middle = [
      ...resnet(`${name}.mid_block.resnets.0`, channels[last]!, channels[last]!, last),
      ...attention(`${name}.mid_block.attentions.0`, channels[last]!, last),
      ...resnet(`${name}.mid_block.resnets.1`, channels[last]!, channels[last]!, last),
    ];
    yield* conv(`${name}.conv_in`, from, C, first);
    if (!down) yield* middle;
    for (let i = 0; i <= last; i++) {
      const at = down ? i : last - i;
      const block = `${name}.${down ? "down" : "up"}_blocks.${i}`;
      for (let j = 0; j < layers_per_block + (down ? 0 : 1); j++) {
        yield* resnet(`${block}.resnets.${j}`, C, channels[at]!, at);
        C = channels[at]!;
      }
      if (i === last) continue;
      if (down) yield* conv(`${block}.downsamplers.0.conv`, C, C, at + 1);
      else yield* conv(`${block}.upsamplers.0.conv`, C, C, at - 1);
    }
    if (down) yield* middle;
    yield* norm(`${name}.conv_norm_out`, C);
    yield* conv(`${name}.conv_out`, C, to, down ? last : 0);
  }
  yield* coder("encoder", in_channels, 0, 2 * latent_channels);
  if (config.use_quant_conv !== false) {
    yield* layer("quant_conv", 2 * latent_channels, [2 * latent_channels, 1, 1], last);
    yield* layer("post_quant_conv", latent_channels, [latent_channels, 1, 1], last);
  }
  yield* coder("decoder", latent_channels, last, in_channels);
}

/**
 * Multiply-adds of one picture, counted twice, where the widest level has `side` pixels a side and prompts have `tokens`;
 * norms and activations are left out.
 */
export function flopsOf(parameters: Iterable<Parameter>, side: number, tokens = 0): number {
  let flops = 0;
  for (const { name, shape, at } of parameters) {
    const rows = at === "time" ? 1 : at === "prompt" ? tokens : (side / 2 ** at) ** 2;
    if (shape.length > 1) flops += 2 * rows * shape.reduce((product, n) => product * n, 1);
    const keys = name.includes("attn2") ? tokens : rows;
    if (name.endsWith("to_q.weight")) flops += 4 * rows * keys * shape[0]!; // scores, and the values they weigh
  }
  return flops;
}

function* resnet(name: string, from: number, to: number, at: number, time?: number): Generator<Parameter> {
  yield* norm(`${name}.norm1`, from);
  yield* conv(`${name}.conv1`, from, to, at);
  if (time) yield* dense(`${name}.time_emb_proj`, time, to, "time");
  yield* norm(`${name}.norm2`, to);
  yield* conv(`${name}.conv2`, to, to, at);
  if (from !== to) yield* layer(`${name}.conv_shortcut`, to, [from, 1, 1], at);
}

function* attention(name: string, C: number, at: number): Generator<Parameter> {
  yield* norm(`${name}.group_norm`, C);
  for (const part of ["to_q", "to_k", "to_v", "to_out.0"]) yield* dense(`${name}.${part}`, C, C, at);
}

/** Blocks of attention to itself, to the prompt, and a gated feed-forward, between two projections. */
function* transformer(name: string, C: number, at: number, config: UNetShape): Generator<Parameter> {
  const { cross_attention_dim: prompt = C, transformer_layers_per_block: depths } = config;
  const projection = (to: string) =>
    config.use_linear_projection
      ? dense(`${name}.${to}`, C, C, at)
      : layer(`${name}.${to}`, C, [C, 1, 1], at);
  yield* norm(`${name}.norm`, C);
  yield* projection("proj_in");
  for (let j = 0; j < (depths?.[at] ?? 1); j++) {
    const block = `${name}.transformer_blocks.${j}`;
    for (const [i, width] of [C, prompt].entries()) {
      const keysAt = i === 0 ? at : "prompt";
      yield* norm(`${block}.norm${i + 1}`, C);
      yield { name: `${block}.attn${i + 1}.to_q.weight`, shape: [C, C], at };
      yield { name: `${block}.attn${i + 1}.to_k.weight`, shape: [C, width], at: keysAt };
      yield { name: `${block}.attn${i + 1}.to_v.weight`, shape: [C, width], at: keysAt };
      yield* dense(`${block}.attn${i + 1}.to_out.0`, C, C, at);
    }
    yield* norm(`${block}.norm3`, C);
    yield* dense(`${block}.ff.net.0.proj`, C, 8 * C, at);
    yield* dense(`${block}.ff.net.2`, 4 * C, C, at);
  }
  yield* projection("proj_out");
}

type At = Parameter["at"];
const conv = (name: string, from: number, to: number, at: At) => layer(name, to, [from, 3, 3], at);
const dense = (name: string, from: number, to: number, at: At) => layer(name, to, [from], at);
const norm = (name: string, channels: number) => layer(name, channels, [], 0);

function* layer(name: string, to: number, rest: number[], at: At): Generator<Parameter> {
  yield { name: `${name}.weight`, shape: [to, ...rest], at };
  yield { name: `${name}.bias`, shape: [to], at };
}
