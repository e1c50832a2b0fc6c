import type { Device, Tensor } from "denoise";
import { streamOf } from "../src/graph/run/stream.ts";
import type { Problem } from "./cases.ts";
import type { Row } from "./kernels.ts";
import type { Seeded } from "./models.ts";
import type { Peer } from "./peer.ts";
import { median, type Patience, takeTurns, timeOnce } from "./turns.ts";

/** A row of the table, with what a step costs the host and the memory. */
export interface StepRow extends Row {
  dispatches: number;
  /** To fuse loop arithmetic, encode and submit. */
  encodeMs: number;
  /** Dispatches of residual blocks: the most of one without a shortcut, and with one. */
  resnet: { plain: number; shortcut: number };
  /** The most GPU memory that was live at once, weights among it. */
  peakBytes: number;
  /** Of the model's file, read, converted and sent to the adapter. */
  load: { bytes: number; seconds: number };
}

/** One step of a loop, or what is done once for a picture. */
export interface StepCase {
  name: string;
  problem: Problem;
  flops: number;
  /** Records turn number `turn`; no turn has the input of the turn before it. */
  record(turn: number): Tensor;
}

/** Measures a step in turns with torch, and what it takes of host and memory. */
export async function measureStep(
  { name, problem, flops, record }: StepCase,
  { bytes, seconds }: Pick<Seeded<unknown>, "bytes" | "seconds">,
  device: Device,
  torch: Peer | undefined,
  patience: Patience,
): Promise<StepRow> {
  let turn = 0;
  const once = () => timeOnce(device, () => record(turn++));
  const firstMs = await once();
  await once(); // the plan learns here which of its inputs stay
  const encodings: number[] = [];
  const [ms, torchMs] = await takeTurns([
    async () => {
      const ms = await once();
      encodings.push(streamOf(device).statistics.encodeMs);
      return ms;
    },
    async () => await torch?.measure(problem, 1, 0),
  ], patience);
  return {
    name,
    flops,
    bytes: 0,
    ms: ms!,
    compileMs: Math.max(0, firstMs - ms!),
    torchMs,
    refusals: torch?.refusal ? [`${torch.name}: ${torch.refusal}`] : [],
    dispatches: streamOf(device).statistics.dispatches,
    encodeMs: median(encodings)!,
    resnet: resnetDispatches(device),
    peakBytes: device.buffers.usage().peak,
    load: { bytes, seconds },
  };
}

/** Counts the dispatches of each residual block in the traced graphs. */
function resnetDispatches(device: Device): StepRow["resnet"] {
  const most = { plain: 0, shortcut: 0 };
  for (const graph of device.dump().split("\n\n")) {
    const lines = graph.split("\n").flatMap((line) => {
      const path = line.match(/@ (\S*resnets\.\d+)(?!\d*\.input)/)?.[1];
      return path ? [{ path, line }] : [];
    });
    for (const block of Map.groupBy(lines, ({ path }) => path).values()) {
      const kind = block.some(({ line }) => line.includes("conv_shortcut")) ? "shortcut" : "plain";
      most[kind] = Math.max(most[kind], block.length);
    }
  }
  return most;
}
