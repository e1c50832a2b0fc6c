import { cat, type Device, type DeviceOptions, openDevice, randn, type Tensor, zeros } from "denoise";
import { FluxTransformer2DModel, UNet2DConditionModel } from "denoise/models";
import type { Problem as PeerProblem } from "../../bench/cases.ts";
import { fluxParameters } from "../../bench/flux_parameters.ts";
import { SD15_UNET } from "../../bench/models.ts";
import { unetParameters } from "../../bench/parameters.ts";
import type { Peer } from "../../bench/peer.ts";
import { median, timeOnce } from "../../bench/turns.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { imageIds, textIds } from "../../src/models/flux_transformer_2d/pos_embed.ts";
import { modulationWidth } from "../../src/models/flux_transformer_2d/modulation.ts";
import { usualDType } from "./cases.ts";
import { inventModel } from "./invented.ts";

/** One step of a model, or a part of one. */
export interface StepRow {
  readonly name: string;
  /** From recording to the end on the GPU. */
  readonly ms: number;
  /** To fuse, encode and submit. */
  readonly hostMs: number;
  /** All dispatches, each in a pass of its own; undefined where the adapter has no timestamps. */
  readonly gpuMs?: number | undefined;
  readonly dispatches: number;
  /** The first step's surplus: kernels are compiled. */
  readonly compileMs: number;
  /** Kernels with their parts of the GPU's time, the longest first. */
  readonly kernels: readonly { readonly kernel: string; readonly calls: number; readonly ms: number }[];
  readonly torchMs?: number | undefined;
}

/** A step at a size for the adapter: what it is called, how its model is made, and how it is recorded. */
interface StepCase {
  readonly name: string;
  readonly peer: PeerProblem;
  prepare(device: Device): Promise<{ record: (turn: number) => Tensor; free: () => void }>;
}

/** A guided step of SD 1.5 and a block of FLUX.1 at its real width; on a software adapter both are smaller, as they say. */
export function stepsOf(device: Device): StepCase[] {
  return [guidedStep(device), fluxBlock(device)];
}

function guidedStep({ traits: { software } }: Device): StepCase {
  const config = software
    ? { ...SD15_UNET, sample_size: 8, block_out_channels: [64, 128, 256, 256], cross_attention_dim: 192 }
    : SD15_UNET;
  const side = config.sample_size;
  const width = software ? ", a fifth of its width" : "";
  return {
    name: `SD 1.5 guided step, ${8 * side}²${width}`,
    peer: { op: "unet", config, batch: 2, side },
    async prepare(device) {
      const entries = [...unetParameters(config)].map(({ name, shape }) => [name, shape] as const);
      const unet = await inventModel(device, UNet2DConditionModel, {
        config,
        entries,
        dtype: usualDType(device),
      });
      const samples = [0, 1].map(() => randn([1, 4, side, side]));
      const prompts = randn([2, 77, config.cross_attention_dim]);
      const record = (turn: number) => {
        const latents = samples[turn % 2]!;
        const [uncond, cond] = unet.forward(cat([latents, latents]), 999 - turn, prompts).sample.chunk(2);
        return latents.add(uncond.lerp(cond, 7.5).mul(-0.1)); // Euler's step
      };
      return { record, free: () => unet[Symbol.dispose]() };
    },
  };
}

function fluxBlock({ traits: { software } }: Device): StepCase {
  const [side, text] = software ? [16, 32] : [128, 512];
  const image = side * side / 4;
  const config = {
    in_channels: 64,
    num_layers: 1,
    num_single_layers: 0,
    attention_head_dim: 128,
    num_attention_heads: 24,
    joint_attention_dim: 4096,
    pooled_projection_dim: 768,
    guidance_embeds: true,
    axes_dims_rope: [16, 56, 56],
  };
  return {
    name: `FLUX.1 dual block with its projections, ${image} + ${text} tokens`,
    peer: { op: "flux", kind: "dual", image, text, width: 3072, heads: 24, axes: config.axes_dims_rope },
    async prepare(device) {
      const model = await inventModel(device, FluxTransformer2DModel, {
        config,
        entries: fluxParameters(config),
        dtype: usualDType(device),
        only: "step",
      });
      const samples = [0, 1].map(() => randn([1, image, 64]));
      const encoderHiddenStates = randn([1, text, 4096]);
      const modulation = zeros([1, modulationWidth(model.config)]);
      const [imgIds, txtIds] = [imageIds([side, side]), textIds(text)];
      const record = (turn: number) =>
        model.forward(samples[turn % 2]!, { encoderHiddenStates, imgIds, txtIds, modulation }).sample;
      return { record, free: () => model[Symbol.dispose]() };
    },
  };
}

/** Measures a step by the clock, then by the GPU's own on a device of its own, beside torch. */
export async function measureStep(
  step: StepCase,
  { torch, ...options }: {
    engine: DeviceOptions["engine"];
    adapter: string | undefined;
    torch?: Peer | undefined;
  },
): Promise<StepRow> {
  const { ms, hostMs, dispatches, compileMs, hasStamps } = await byClock(step, options);
  const stamped = hasStamps ? await byStamps(step, options) : undefined;
  const torchMs = await torch?.measure(step.peer, 1, 0);
  return {
    name: step.name,
    ms,
    hostMs,
    dispatches,
    compileMs,
    kernels: stamped?.kernels ?? [],
    ...stamped && { gpuMs: stamped.gpuMs },
    ...torchMs && { torchMs },
  };
}

const MOST_MS = 3000;

async function byClock({ prepare }: StepCase, options: DeviceOptions) {
  using device = await openDevice(options);
  const { record, free } = await prepare(device);
  try {
    let turn = 0;
    const once = () => timeOnce(device, () => record(turn++));
    const firstMs = await once();
    await once(); // the plan learns here which of its inputs stay
    const [times, encodings]: [number[], number[]] = [[], []];
    const end = performance.now() + MOST_MS;
    for (let round = 0; round < 3 || (round < 20 && performance.now() < end); round++) {
      times.push(await once());
      encodings.push(streamOf(device).statistics.encodeMs);
    }
    const ms = median(times)!;
    const { dispatches } = streamOf(device).statistics;
    const hasStamps = device.gpu.features.has("timestamp-query");
    return { ms, hostMs: median(encodings)!, dispatches, compileMs: Math.max(0, firstMs - ms), hasStamps };
  } finally {
    free();
  }
}

async function byStamps({ prepare }: StepCase, options: DeviceOptions) {
  using device = await openDevice({ ...options, profile: true });
  const { record, free } = await prepare(device);
  try {
    for (let turn = 0; turn < 2; turn++) await timeOnce(device, () => record(turn));
    await device.profiler!.reset();
    await timeOnce(device, () => record(2));
    const rows = await device.timings();
    const kernels = [...Map.groupBy(rows, ({ kernel }) => kernel)].map(([kernel, list]) => ({
      kernel,
      calls: list.reduce((sum, { calls }) => sum + calls, 0),
      ms: list.reduce((sum, { ms }) => sum + ms, 0),
    })).sort((a, b) => b.ms - a.ms);
    return { kernels, gpuMs: kernels.reduce((sum, { ms }) => sum + ms, 0) };
  } finally {
    free();
  }
}
