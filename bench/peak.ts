import type { Device } from "denoise";
import code from "./peak.wgsl" with { type: "text" };

/** GFLOP/s of the adapter at f32 arithmetic alone: the best of scalar and vector form, over several rounds. */
export async function measurePeak(device: Device): Promise<number> {
  const { software } = device.traits;
  const groups = software ? 64 : 16384;
  const turns = software ? 8192 : 4096;
  let best = 0;
  for (const width of [1, 4]) {
    const run = await arithmetic(device, { type: width === 1 ? "f32" : "vec4f", groups, turns });
    for (let round = 0; round < 4; round++) { // the first compiles
      const start = performance.now();
      await run();
      best = Math.max(best, 16 * width * turns * groups * 64 / (performance.now() - start) / 1e6);
    }
  }
  return best;
}

async function arithmetic(
  device: Device,
  { type, groups, turns }: { type: string; groups: number; turns: number },
): Promise<() => Promise<void>> {
  const { gpu, buffers } = device;
  const module = gpu.createShaderModule({
    label: "peak",
    code: code.replace("alias T = f32;", `alias T = ${type};`),
  });
  const pipeline = await gpu.createComputePipelineAsync({
    label: "peak",
    layout: "auto",
    compute: { module },
  });
  const y = buffers.allocate("peak", groups * 64 * 16);
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
