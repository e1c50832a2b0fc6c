import { type Device, type Tensor } from "denoise";
import type { UNet2DModel } from "denoise/models";
import { DDIMScheduler } from "denoise/schedulers";
import { streamOf } from "../src/graph/stream.ts";
import type { Row } from "./kernels.ts";
import type { Peer } from "./peer.ts";
import { noiseImage } from "./random.ts";
import { median, type Patience, takeTurns, timeOnce } from "./turns.ts";
import { CELEBAHQ, unetFlops } from "./unet.ts";

/** A row of the table, with what a step costs the host. */
export interface StepRow extends Row {
  dispatches: number;
  /** To fuse loop arithmetic, encode and submit. */
  encodeMs: number;
  /** Dispatches of residual blocks: the most of one without a shortcut, and with one. */
  resnet: { plain: number; shortcut: number };
}

/** Measures one step of the loop that people write: the model, then DDIM's update. */
export async function measureStep(
  unet: UNet2DModel,
  side: number,
  device: Device,
  torch: Peer | undefined,
  patience: Patience,
): Promise<StepRow> {
  const scheduler = new DDIMScheduler({});
  scheduler.setTimesteps(50);
  let turn = 0;
  const samples = [noiseImage([1, 3, side, side]), noiseImage([1, 3, side, side])]; // no step sees the sample before it
  const record = (): Tensor => {
    const t = scheduler.timesteps[turn % 50];
    const sample = samples[turn++ % 2];
    return scheduler.step(unet.forward(sample, t).sample, t, sample).prevSample;
  };
  const firstMs = await timeOnce(device, record);
  await timeOnce(device, record); // the plan learns here which of its inputs stay
  const encodings: number[] = [];
  const problem = { op: "unet" as const, config: CELEBAHQ, side };
  const [ms, torchMs] = await takeTurns([
    async () => {
      const ms = await timeOnce(device, record);
      encodings.push(streamOf(device).statistics.encodeMs);
      return ms;
    },
    async () => await torch?.measure(problem, 1, 0),
  ], patience);
  return {
    name: `DDPM UNet step ${side}²`,
    flops: unetFlops(side),
    bytes: 0,
    ms: ms!,
    compileMs: Math.max(0, firstMs - ms!),
    torchMs,
    refusals: torch?.refusal ? [`${torch.name}: ${torch.refusal}`] : [],
    dispatches: streamOf(device).statistics.dispatches,
    encodeMs: median(encodings)!,
    resnet: resnetDispatches(device),
  };
}

/** Counts the dispatches of each residual block in the traced graphs. */
function resnetDispatches(device: Device): StepRow["resnet"] {
  const most = { plain: 0, shortcut: 0 };
  for (const graph of device.dump().split("\n\n")) {
    const lines = graph.split("\n").flatMap((line) => {
      const path = line.match(/@ (\S*resnets\.\d+)/)?.[1];
      return path ? [{ path, line }] : [];
    });
    for (const block of Map.groupBy(lines, ({ path }) => path).values()) {
      const kind = block.some(({ line }) => line.includes("conv_shortcut")) ? "shortcut" : "plain";
      most[kind] = Math.max(most[kind], block.length);
    }
  }
  return most;
}
