import { avgPool2d, upsampleNearest } from "../ops/mod.ts";
import { cat, named, type Tensor } from "../tensor/mod.ts";
import type { ActFnName } from "./activations.ts";
import {
  downsample2D,
  type ResnetBlock2D,
  resnetBlock2D,
  type ResnetOptions,
  type ResnetStyle,
  type Sampler2D,
  upsample2D,
} from "./resnet.ts";
import { type TimeProjections, timeProjections } from "./time_embedding.ts";

/** Weights of a block of a UNet, whose attention has weights A. */
export interface UNetBlock2D<A> {
  resnets: ResnetBlock2D[];
  attentions?: A[] | undefined;
  downsamplers?: [Sampler2D | ResnetBlock2D] | undefined;
  upsamplers?: [Sampler2D | ResnetBlock2D] | undefined;
}

/** Options of a block of a UNet. */
export interface UNetBlockOptions<A> {
  /** Residual blocks. */
  layers: number;
  resnet: ResnetOptions;
  /** Follows residual block `layer`; null where the block has no attention. */
  attention: ((x: Tensor, w: A, layer: number) => Tensor) | null;
  /** The block changes the size at its end by one convolution, in a residual block, or not at all. */
  sampler: "conv" | "resnet" | null;
}

/**
 * A step down: DownBlock2D and its relatives. `adapted` adds a T2I adapter's features behind the last layer. x
 * [B, C, H, W] → every layer's output, the block's own last.
 */
export function downBlock2D<A>(
  x: Tensor,
  w: UNetBlock2D<A>,
  times: TimeProjections,
  o: UNetBlockOptions<A> & { padding: number; adapted?: (x: Tensor) => Tensor },
): Tensor[] {
  const outputs: Tensor[] = [];
  for (let i = 0; i < o.layers; i++) {
    x = layer(x, w, times, i, o);
    if (o.adapted && i === o.layers - 1) x = o.adapted(x);
    outputs.push(x);
  }
  if (o.sampler === null) return outputs;
  const sampled = named("downsamplers.0", () => {
    const sampler = w.downsamplers![0];
    if (o.sampler === "conv") return downsample2D(x, sampler as Sampler2D, { padding: o.padding });
    const resample = (t: Tensor) => avgPool2d(t, { kernel: 2, stride: 2 });
    return resnetBlock2D(x, sampler as ResnetBlock2D, times, { ...o.resnet, resample });
  }, [x]);
  return [...outputs, sampled];
}

/** The bottom of the UNet: attention is between residual blocks. x [B, C, H, W] → [B, C, H, W]. */
export function midBlock2D<A>(
  x: Tensor,
  w: UNetBlock2D<A>,
  times: TimeProjections,
  o: Omit<UNetBlockOptions<A>, "sampler">,
): Tensor {
  const last = o.layers - 1;
  for (let i = 0; i < last; i++) x = layer(x, w, times, i, o);
  return layer(x, w, times, last, { ...o, attention: null });
}

/**
 * A step up: UpBlock2D and its relatives. Each layer also sees one of `skips`, the last first; `size` is
 * where the block ends, as odd sizes are not twice a whole number. x [B, C, H, W] → [B, channels, ...size].
 */
export function upBlock2D<A>(
  x: Tensor,
  skips: readonly Tensor[],
  w: UNetBlock2D<A>,
  times: TimeProjections,
  o: UNetBlockOptions<A> & { size: [H: number, W: number] },
): Tensor {
  for (let i = 0; i < o.layers; i++) {
    const both = [x, skips[o.layers - 1 - i]!];
    x = layer(named(`resnets.${i}.input`, () => cat(both, 1), both), w, times, i, o);
  }
  if (o.sampler === null) return x;
  return named("upsamplers.0", () => {
    const sampler = w.upsamplers![0];
    if (o.sampler === "conv") return upsample2D(x, sampler as Sampler2D, { size: o.size });
    const resample = (t: Tensor) => upsampleNearest(t, { size: o.size });
    return resnetBlock2D(x, sampler as ResnetBlock2D, times, { ...o.resnet, resample });
  }, [x]);
}

/** One residual block, then attention where the block has it. */
function layer<A>(
  x: Tensor,
  w: UNetBlock2D<A>,
  times: TimeProjections,
  i: number,
  { resnet, attention }: Pick<UNetBlockOptions<A>, "resnet" | "attention">,
): Tensor {
  const h = named(`resnets.${i}`, () => resnetBlock2D(x, w.resnets[i]!, times, resnet), [x]);
  return attention ? named(`attentions.${i}`, () => attention(h, w.attentions![i]!, i), [h]) : h;
}

/** The projections of time [B, T] that the residual blocks of a UNet read; `middle`: it has a middle block. */
export function unetTimeProjections<A>(
  temb: Tensor,
  w: { down_blocks: UNetBlock2D<A>[]; mid_block?: UNetBlock2D<A> | undefined; up_blocks: UNetBlock2D<A>[] },
  middle: boolean,
): TimeProjections {
  const lists = [w.down_blocks, middle ? [w.mid_block!] : [], w.up_blocks];
  const resnets = lists.flatMap((blocks) => Object.values(blocks)).flatMap((block) =>
    Object.values(block.resnets)
  );
  return timeProjections(temb, resnets.map((resnet) => resnet.time_emb_proj));
}

/** Options that a UNet's config has for all residual blocks. */
export function resnetStyle(config: {
  norm_num_groups: number;
  norm_eps: number;
  act_fn: ActFnName;
  resnet_time_scale_shift: "default" | "scale_shift";
}): ResnetStyle {
  return {
    groups: config.norm_num_groups,
    eps: config.norm_eps,
    act: config.act_fn,
    timeScaleShift: config.resnet_time_scale_shift,
    outputScale: 1,
  };
}
