import assert from "node:assert/strict";
import { join } from "node:path";
import { type Device, type Engine, openDevice, type Pipeline, type TimedDispatch } from "denoise";
import { profileForm } from "../../scripts/profile/form.ts";
import { countLines } from "../../scripts/profile/lines/count.ts";
import { countText, type LineCount } from "../../scripts/profile/lines/count_text.ts";
import { openModel } from "../../scripts/profile/subject.ts";
import { inFolder, runScript } from "../support/script.ts";

const emoji = join(import.meta.dirname!, "../../models/emoji-diffusion");
const sum = (numbers: Iterable<number>) => Iterator.from(numbers).reduce((a, b) => a + b, 0);

/** Lines that end with what their statements do: executions, FLOP, others, bytes loaded and stored, bytes of workgroups. */
const KERNEL = `
alias Four = vec4<f32>;
const N: u32 = 2 * 3; // 0 0 0 0 0 0
@group(0) @binding(0) var<storage, read> x: array<Four>;
@group(0) @binding(1) var<storage, read_write> y: array<Four>;
var<workgroup> pairs: array<vec2f, 8>;

fn weigh(m: mat4x4f, v: vec4f, p: ptr<function, Four>) -> vec4f {
  *p += m * v; // 24 768 0 0 0 0
  if (v.x < 0.0 || (v.y < 1.0 && v.z < 1.0)) { // 24 0 80 0 0 0
    return v;
  }
  return fma(v, v, v); // 16 128 0 0 0 0
}

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (id.x >= 12) { // 16 0 16 0 0 0
    return;
  }
  var sum: Four;
  for (var i = 0u; i < N; i++) { // 60 0 108 0 0 0
    if (i == 1) { continue; } // 60 0 60 0 0 0
    if (i == 4) { break; } // 48 0 48 0 0 0
    sum += x[id.x] * f32(i); // 36 288 36 576 0 0
  }
  var n = 0;
  while n < i32(id.x) { // 66 0 156 0 0 0
    n++; // 66 0 66 0 0 0
  }
  loop {
    switch n % 3 { // 45 0 45 0 0 0
      case 0, 1: {
        n -= 1; // 23 0 23 0 0 0
      }
      default: {
        n -= 2; // 22 0 22 0 0 0
      }
    }
    continuing {
      break if n <= 0; // 45 0 45 0 0 0
    }
  }
  let m = mat4x4f(); // 12 0 0 0 0 0
  for (var i = 0; i < 2; i++) {
    sum += weigh(m, vec4f(f32(id.x) - 4, 2.0, 0.0, 0.0), &sum); // 24 120 24 0 0 0
  }
  pairs[lane].x = sum.x; // 12 0 0 0 0 48
  y[id.x] = sum + pairs[lane].xyxy; // 12 48 0 0 192 96
  y[id.x].w += dot(sum, sum); // 12 96 0 48 48 0
}
`;

/** Runs two workgroups of a text with counters, whose low words begin with `low`, and gives their sums. */
async function sumsOf(device: Device, text: string, counters: number, low: number): Promise<number[]> {
  const { gpu } = device;
  const bufferOf = (size: number) =>
    gpu.createBuffer({
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  const buffers = [bufferOf(256), bufferOf(256), bufferOf(8 * counters)];
  const begin = new Uint32Array(2 * counters).map((_, i) => i % 2 ? 0 : low);
  gpu.queue.writeBuffer(buffers[2]!, 0, begin);
  const module = gpu.createShaderModule({ code: text });
  const pipeline = await gpu.createComputePipelineAsync({
    layout: "auto",
    compute: { module, entryPoint: "main" },
  });
  const groupOf = (group: number, own: GPUBuffer[]) =>
    gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(group),
      entries: own.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, groupOf(0, buffers.slice(0, 2)));
  pass.setBindGroup(1, groupOf(1, buffers.slice(2)));
  pass.dispatchWorkgroups(2);
  pass.end();
  device.submit(encoder, "counting");
  const words = new Uint32Array(await device.read(buffers[2]!, 0, 8 * counters));
  for (const buffer of buffers) buffer.destroy();
  return Array.from({ length: counters }, (_, i) => words[2 * i]! + 2 ** 32 * words[2 * i + 1]! - low);
}

for (const engine of ["dawn", "deno"] as const) {
  Deno.test(`the lines of a kernel with loops, branches and returns are counted exactly on ${engine}`, async () => {
    using device = await openDevice({ engine });
    const counted = countText(KERNEL, 1, 8);
    for (const low of [0, 2 ** 32 - 3]) { // sums have more than 32 bits
      const lines = counted.lines(await sumsOf(device, counted.text, counted.counters, low));
      for (const [i, text] of KERNEL.split("\n").entries()) {
        const [, expected] = /\/\/ ((?:\d+ ?)+)$/.exec(text) ?? [];
        if (expected === undefined) continue;
        const found = lines.find(({ line }) => line === i + 1);
        const { executions = 0, flops = 0, others = 0, loaded = 0, stored = 0, shared = 0 } = found ??
          {} as Partial<LineCount>;
        assert.equal([executions, flops, others, loaded, stored, shared].join(" "), expected, text);
        assert.ok(!found?.atLeast, text);
      }
    }
  });
}

Deno.test("a text that cannot be read says where", () => {
  assert.throws(() => countText("fn main() {\n  let x = ;\n}", 1, 8), {
    message: 'expected a name in line 2, got ";"',
  });
});

Deno.test("work on a type that is not known counts as that of one number, and says so", () => {
  const { lines, counters } = countText(
    "@compute @workgroup_size(1)\nfn main() {\n  let x = unheardOf(1.0);\n  let y = x + x;\n}",
    1,
    8,
  );
  const [, line] = lines(Array(counters).fill(5));
  assert.deepEqual([line!.line, line!.atLeast, line!.flops + line!.others], [4, true, 5]);
});

/** Executions of a line of one dispatch, by its shapes; undefined where they do not say. */
interface Formula {
  /** A part of the line. */
  readonly line: string;
  readonly times: (dispatch: TimedDispatch, constant: (name: string) => number) => number | undefined;
}

const vectors = ({ shape }: TimedDispatch, constant: (name: string) => number) =>
  shape.slice(0, -1).reduce((a, b) => a * b, 1) * Math.ceil(shape.at(-1)! / constant("LANES"));

/** Of a product with weights [n, k, …taps]: k and taps. */
function depthOf({ inputs }: TimedDispatch): { k: number; taps: number } | undefined {
  const weights = inputs[1]!;
  const [, k, ...kernel] = weights.shape;
  return weights.name ? { k: k!, taps: kernel.reduce((a, b) => a * b, 1) } : undefined;
}

const FORMULAS: Readonly<Record<string, Formula>> = {
  softmax: {
    line: "if (c < seen) { sum +=", // the condition, which all lanes of the last step meet
    times: ({ shape }, constant) => {
      const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      return rows * constant("WG") * Math.ceil(shape.at(-1)! / constant("WG") / constant("LANES"));
    },
  },
  layer_norm: { line: "squares += d * d", times: vectors },
  group_norm_read: { line: "put(image, pixel", times: vectors },
  gemm_tiled_64: {
    line: "sum = fma(x.yyyy",
    times: (dispatch, constant) => {
      const depth = depthOf(dispatch);
      const [z0, z1, m, n] = dispatch.shape as [number, number, number, number];
      const tile = constant("TILE");
      const tiles = z0 * z1 * Math.ceil(m / tile) * Math.ceil(n / tile); // of one part of the sum
      return depth && tiles * tile * tile / 4 * constant("SETS") * depth.taps * 8 * Math.ceil(depth.k / 32);
    },
  },
  gemm_broadcast: {
    line: "(*sums)[first + 1] +=",
    times: (dispatch, constant) => {
      const depth = depthOf(dispatch);
      const [z0, z1, m, n] = dispatch.shape as [number, number, number, number];
      const [lanes, rows] = [constant("SG"), constant("ROWS")];
      const tiles = z0 * z1 * Math.ceil(m / rows) * Math.ceil(n / (4 * lanes));
      return depth && tiles * lanes * depth.taps * depth.k / 4 * Math.ceil(rows / lanes);
    },
  },
  attention_broadcast: {
    line: "(*scores)[first + 1] +=",
    times: ({ shape: [z0, z1, queries], inputs: [q, k] }, constant) => {
      const lanes = constant("SG");
      const tiles = z0! * z1! * Math.ceil(queries! / (4 * lanes));
      const keys = k!.shape.at(-2)!;
      return tiles * lanes * Math.ceil(keys / constant("KEYS")) * (q!.shape.at(-1)! / 4) *
        (constant("KEYS") / lanes);
    },
  },
};

/** Of each kernel the text that has the most dispatches, with these. */
async function textsOf(device: Device, run: () => Promise<void>): Promise<[Pipeline, TimedDispatch[]][]> {
  device.profiler!.mode = "dispatches";
  await device.profiler!.reset();
  await run();
  const { dispatches } = await device.profiler!.recording();
  const texts = [...Map.groupBy(dispatches, ({ pipeline }) => pipeline)].sort(([, a], [, b]) =>
    b.length - a.length
  );
  return [...Map.groupBy(texts, ([{ label }]) => label).values()].map(([first]) => first!);
}

const expectedOn: Readonly<Record<Exclude<Engine, "auto">, readonly string[]>> = {
  dawn: ["gemm_broadcast", "group_norm_read", "layer_norm", "attention_broadcast"],
  deno: ["gemm_tiled_64", "group_norm_read", "layer_norm", "softmax"],
};

for (const engine of ["dawn", "deno"] as const) {
  Deno.test(`lines of the emoji UNet's kernels on ${engine} run as often as their shapes say`, async () => {
    using device = await openDevice({ engine, profile: true });
    using subject = await openModel(device, emoji, { part: undefined, size: undefined });
    await subject.run(3);
    const texts = await textsOf(device, () => subject.run(1));
    const pipelines = texts.map(([pipeline]) => pipeline);
    const before = pipelines.map(({ gpu }) => gpu);
    const counted = await countLines(device, subject, pipelines, 1);
    assert.deepEqual(
      pipelines.map(({ gpu, counters }) => [gpu, counters]),
      before.map((gpu) => [gpu, undefined]),
    );
    const checked = new Set<string>();
    for (const [i, { calls, flops, bytes, counts, refused }] of counted.entries()) {
      const [{ label }, dispatches] = texts[i]!;
      assert.equal(refused, undefined, label);
      assert.equal(calls, dispatches.length);
      const results = sum(dispatches.map(({ shape }) => 4 * shape.reduce((a, b) => a * b, 1)));
      assert.equal(sum(counts.map(({ stored }) => stored)), results, `${label} stores its results once`);
      const moved = results + sum(counts.map(({ loaded }) => loaded));
      assert.ok(moved >= bytes && moved <= 15 * bytes, `${label} moves ${moved} bytes, at least ${bytes}`);
      const did = sum(counts.map(({ flops }) => flops));
      assert.ok(did >= flops && did <= 4 * flops, `${label} does ${did} FLOP, by formula ${flops}`);
      const formula = FORMULAS[label];
      if (!formula) continue;
      const parts = device.pipelines.partsOf(pipelines[i]!);
      const all = parts.map(({ text }) => text).join("\n");
      const constant = (name: string) =>
        Number(new RegExp(`^const ${name}: u32 = (\\d+)`, "m").exec(all)![1]);
      const times = dispatches.map((dispatch) => formula.times(dispatch, constant));
      if (times.includes(undefined)) continue;
      const line = counts.find(({ part, line }) =>
        parts[part]!.text.split("\n")[line - 1]!.includes(formula.line)
      );
      assert.equal(line?.executions, sum(times.map((count) => count!)), `${label}: ${formula.line}`);
      checked.add(label);
    }
    if (device.traits.lanes || engine === "deno") {
      assert.deepEqual(new Set(expectedOn[engine]).difference(checked), new Set());
    }
  });
}

Deno.test("--lines shows lines beside the kernel's own count, and --json has them", async () => {
  await inFolder(async (folder) => {
    const options = ["--steps", "1", "--lines", "--only", "layer_norm", "--json", "now.json"];
    const { code, stdout, stderr } = await runScript(folder, "profile.ts", emoji, ...options);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^lines of layer_norm: \d+ dispatches in a step$/m);
    assert.match(stdout, /^operations .* by formula/m);
    assert.match(stdout, /^shaders\/norm\/layer_norm\.wgsl$/m);
    assert.match(stdout, /squares \+= d \* d;$/m);
    const profile = profileForm.parse(JSON.parse(await Deno.readTextFile(join(folder, "now.json"))));
    const counted = profile.kernels.filter(({ lines }) => lines);
    assert.deepEqual(counted.map(({ name }) => name), ["layer_norm"]);
    const again = await runScript(folder, "profile.ts", "--from", "now.json");
    assert.match(again.stdout, /^lines of layer_norm/m);
  });
});
