import { type Device, scope } from "denoise";
import type { Case } from "./cases.ts";
import type { Peer } from "./peer.ts";
import { type Patience, takeTurns, timeOnce, turnOf } from "./turns.ts";

const TURN_MS = 120;

/** One row of the table; milliseconds are of one layer. */
export interface Row {
  name: string;
  flops: number;
  bytes: number;
  ms: number;
  /** By timestamps, in a pass of its own; undefined where the adapter has none. */
  gpuMs?: number | undefined;
  /** What the first run took more than a later one. */
  compileMs: number;
  torchMs?: number | undefined;
  ortMs?: number | undefined;
  /** Why a peer has no figure. */
  refusals: string[];
}

/** Measures a case, the peers taking turns with us. */
export async function measureCase(
  c: Case,
  device: Device,
  peers: { torch?: Peer | undefined; ort?: Peer | undefined },
  patience: Patience,
): Promise<Row> {
  using _made = scope();
  const record = c.prepare();
  await device.idle();
  const firstMs = await timeOnce(device, record);
  const order = [peers.torch, peers.ort];
  const [ms, torchMs, ortMs] = await takeTurns([
    async () => await turnOf(device, record, TURN_MS) / c.layers,
    ...order.map((peer) => async () => await peer?.measure(c.problem, c.layers, TURN_MS)),
  ], patience);
  const refusals = order.flatMap((peer) => peer?.refusal ? [`${peer.name}: ${peer.refusal}`] : []);
  const compileMs = Math.max(0, firstMs - ms! * c.layers);
  const { name, flops, bytes } = c;
  return { name, flops, bytes, ms: ms!, compileMs, torchMs, ortMs, refusals };
}

/** Milliseconds of a layer on the GPU's own clock. The device was opened with `profile: true`. */
export async function gpuTime(c: Case, device: Device): Promise<number> {
  using _made = scope();
  const record = c.prepare();
  await timeOnce(device, record);
  await device.profiler!.reset();
  await timeOnce(device, record);
  const dispatches = await device.profiler!.dispatches();
  return dispatches.reduce((sum, { ms }) => sum + ms, 0) / c.layers;
}
