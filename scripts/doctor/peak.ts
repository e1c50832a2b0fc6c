import type { Device } from "denoise";
import { compose } from "../../src/gpu/shader/compose.ts";
import matrixCode from "./peak_matrix.wgsl" with { type: "text" };
import code from "./peak.wgsl" with { type: "text" };

/** Options of measuring. */
export interface PeakOptions {
  /** Ends it between two rounds, of a fraction of a second each, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** GFLOP/s of the adapter at f32 or f16 arithmetic alone: the best of several forms and rounds. */
export async function measurePeak(
  device: Device,
  scalar: "f32" | "f16" = "f32",
  { signal }: PeakOptions = {},
): Promise<number> {
  const { software } = device.traits;
  const groups = software ? 64 : 16384;
  const turns = software ? 8192 : 4096;
  let best = 0;
  const apart = code.replaceAll(/fma\((\w), factor, term\)/g, "$1 * factor + term"); // where fma is slow
  for (const [width, text] of [[1, code], [4, code], [4, apart]] as const) {
    const set = { S: scalar, T: width === 1 ? "S" : "vec4<S>" };
    signal?.throwIfAborted();
    const run = await arithmetic(device, { code: text, set, groups, turns, bytes: groups * 64 * 16 });
    best = Math.max(best, await bestRate(run, 16 * width * turns * groups * 64, signal));
  }
  return best;
}

/** GFLOP/s of its matrix units at f16 with sums in f32; undefined where it has none. */
export async function measureMatrixPeak(
  device: Device,
  { signal }: PeakOptions = {},
): Promise<number | undefined> {
  const { matrices, subgroups, sizedSubgroups, software } = device.traits;
  const config = matrices
    .filter((c) => c.componentType === "f16" && c.resultComponentType === "f32")
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)[0];
  if (!config || !subgroups || (subgroups.min !== subgroups.max && !sizedSubgroups)) return undefined;
  const { M, N, K } = config;
  const lanes = subgroups.min;
  const [WG, groups, turns] = software ? [lanes, 16, 1024] : [4 * lanes, 4096, 2048];
  const code = sizedSubgroups
    ? matrixCode.replace("@workgroup_size(WG)", `@workgroup_size(WG) @subgroup_size(${lanes})`)
    : matrixCode;
  const set = { M, N, K, WG };
  signal?.throwIfAborted();
  const run = await arithmetic(device, { code, set, groups, turns, bytes: groups * M * N * 4 });
  return await bestRate(run, 4 * 2 * M * N * K * turns * groups * WG / lanes, signal);
}

async function bestRate(
  run: () => Promise<void>,
  flops: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let best = 0;
  for (let round = 0; round < 4; round++) { // the first compiles
    signal?.throwIfAborted();
    const start = performance.now();
    await run();
    best = Math.max(best, flops / (performance.now() - start) / 1e6);
  }
  return best;
}

async function arithmetic(
  device: Device,
  { code, set, groups, turns, bytes }: {
    code: string;
    set: Record<string, string | number>;
    groups: number;
    turns: number;
    bytes: number;
  },
): Promise<() => Promise<void>> {
  const { gpu, buffers } = device;
  const kernel = { code: [{ name: "scripts/doctor/peak.wgsl", text: code }], bindings: [] };
  const parts = compose({ label: "peak", kernel, set });
  const module = gpu.createShaderModule({ label: "peak", code: parts.map(({ text }) => text).join("\n") });
  const pipeline = await gpu.createComputePipelineAsync({
    label: "peak",
    layout: "auto",
    compute: { module },
  });
  const y = buffers.allocate("peak", bytes);
  const uniform = buffers.create("peak turns", 16, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
  gpu.queue.writeBuffer(uniform, 0, new Uint32Array([turns]));
  const group = gpu.createBindGroup({
    label: "peak",
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: y.buffer } }, { binding: 1, resource: { buffer: uniform } }],
  });
  return () => {
    const encoder = gpu.createCommandEncoder({ label: "peak" });
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    return device.idle().finally(() => y); // which the garbage collector would free, were it not named here
  };
}
