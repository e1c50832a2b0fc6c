import { graphText } from "../../../src/graph/dump/text.ts";
import assert from "node:assert/strict";
import type { Device } from "../../../src/gpu/device.ts";
import { DeviceLostError } from "../../../src/gpu/errors.ts";
import { type DeviceOptions, openDevice } from "../../../src/gpu/open/open.ts";
import {
  parseTunings,
  readTunings,
  tuningsPath,
  writeTunings,
} from "../../../src/gpu/tunings/tunings_file.ts";
import { benchBytes, type Problem, problemOf } from "../../../src/graph/tuning/bench.ts";
import { mismatch, type Sample, sampleOf, toleranceOf } from "../../../src/graph/tuning/check.ts";
import { choose, classOf, hashOf, idOf } from "../../../src/graph/tuning/choice.ts";
import type { Candidate, Kernel } from "../../../src/graph/node.ts";
import { isMeasured, tune } from "../../../src/graph/tuning/tuner.ts";
import { attention, linear, matmul } from "../../../src/ops/mod.ts";
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { Dice } from "../../support/dice.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { traced } from "../../support/traced.ts";
import { withTunings } from "../../support/tunings.ts";

const dice = new Dice(3);
const values = (...shape: number[]) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * dice.next() - 1);
const random = (...shape: number[]) => tensor(values(...shape)).reshape(shape);
const kernelOf = (y: Tensor) => y.node as Kernel;

/** The plain product, and others made of it. */
function withVariants(
  y: Tensor,
  variants: Record<string, (plain: Candidate) => Partial<Candidate>>,
): Problem {
  const problem = problemOf(kernelOf(y));
  const plain = { ...problem.candidates.find((candidate) => candidate.plain)!, name: "gemm_plain" };
  const others = Object.entries(variants).map(([name, of]) => ({
    ...plain,
    plain: false,
    name,
    ...of(plain),
  }));
  return { ...problem, candidates: [...others, { ...plain, name: "gemm_plain" }] };
}
const same = () => ({});

testOnBothEngines(
  "tune() drops what is wrong or does not compile, and says where and by how much",
  (device) =>
    withTunings(async () => {
      const problem = withVariants(matmul(random(70, 33), random(33, 50)), {
        gemm_wrong: ({ params }) => ({ params: { ...params, k: 32 } }),
        gemm_broken: ({ code }) => ({
          code: [...code, { name: "shaders/broken.wgsl", text: "fn oops() -> Nothing {}" }],
        }),
        gemm_same: same,
      });
      const lines: string[] = [];
      const before = device.buffers.usage();
      const [outcome] = await tune(device, [problem], { onNotice: (line) => lines.push(line) });
      assert.deepEqual(device.buffers.usage().bytes, before.bytes, "memory is given back");
      const names = Object.keys(outcome!.ms).map((id) => id.split(" ")[0]).sort();
      assert.deepEqual(names, ["gemm_plain", "gemm_same"]);
      assert.ok(Object.values(outcome!.ms).every((ms) => ms > 0));
      assert.equal(lines.length, 2);
      const [wrong, broken] = lines as [string, string];
      assert.match(
        wrong,
        /^gemm_wrong is not used on .*: it computes gemm 1×1×70×50 from f32, f32 to f32 wrongly: expected -?[\d.]+ ± [\d.e-]+ at \[0, 0, \d+, \d+\], got -?[\d.]+$/,
      );
      assert.match(broken, /^gemm_broken is not used on .*: Cannot compile shaders\/broken.wgsl:1/);

      const again = readTunings(device.tunings.adapter);
      const [bad] = problem.candidates;
      assert.match(
        again.dropped(idOf(bad!), () => again.data.dropped[idOf(bad!)]!.code) ?? "",
        /wrongly/,
        "it is kept",
      );
      assert.ok(isMeasured(device, problem), "and asked for no more");
      const kernel = { spec: problem } as unknown as Kernel;
      assert.ok(["gemm_same", "gemm_plain"].includes(choose(device, kernel).name));
      const corrected = { ...bad!, code: [...bad!.code, { name: "note", text: "// corrected" }] };
      const other = { ...problem, candidates: [corrected, ...problem.candidates.slice(1)] };
      assert.ok(!isMeasured(device, other), "unless its text is another");
    }),
);

Deno.test("choose() takes the fastest that was measured, and what was asked for before it", () =>
  withTunings(async () => {
    using device = await openDevice();
    const kernel = kernelOf(matmul(random(20, 16), random(16, 12)));
    const problem = withVariants(matmul(random(20, 16), random(16, 12)), { gemm_other: same });
    const spec = { ...kernel.spec, candidates: problem.candidates };
    const of = (on: Device) => choose(on, { spec } as Kernel).name;
    assert.equal(of(device), "gemm_other", "the guess");
    const [other, plain] = problem.candidates.map(idOf);
    device.tunings.add(classOf(spec), { shape: "", ms: { [other!]: 2, [plain!]: 1 } });
    assert.equal(of(device), "gemm_plain");
    writeTunings(device.tunings);
    using asked = await openDevice({ candidate: "other" });
    assert.equal(of(asked), "gemm_other");
    asked.tunings.drop(other!, { code: hashOf(problem.candidates[0]!), why: "wrong" });
    assert.equal(of(asked), "gemm_plain", "what was found wrong is not taken, whoever asks");
    using cached = await openDevice();
    assert.equal(of(cached), "gemm_plain");
    using off = await openDevice({ tune: "off" });
    assert.equal(of(off), "gemm_other");
  }));

Deno.test("choose() takes no candidate whose passes hand more to each other than the adapter binds at once", async () => {
  using device = await openDevice({ tune: "off" });
  const of = (rows: number) => {
    const { candidates, ...problem } = withVariants(matmul(random(20, 16), random(16, 12)), {
      gemm_passes: (plain) => ({ before: [{ ...plain, dtype: "f32", axes: [1, 1, rows, 4] }] }),
    });
    return choose(device, { spec: { ...problem, inputs: [], candidates } } as unknown as Kernel).name;
  };
  const most = Math.floor(device.limits.maxStorageBufferBindingSize / 16);
  assert.equal(of(most), "gemm_passes");
  assert.equal(of(most + 1), "gemm_plain");
});

Deno.test("tune: now measures once, when a trace first runs; the same file gives the same bits", () =>
  withTunings(async () => {
    const [x, weight, q] = [values(40, 72), values(24, 72), values(1, 2, 48, 40)];
    let path = "";
    const run = async (options: DeviceOptions) => {
      using device = await openDevice(options);
      path = tuningsPath(device.tunings.adapter);
      const w = { weight: tensor(weight).reshape([24, 72]) };
      const inputs = [tensor(x).reshape([40, 72]), tensor(q).reshape([1, 2, 48, 40])];
      const { plan, run } = traced(device, inputs, (x, q) => [linear(x!, w), attention(q!, q!, q!)]);
      const results = await Promise.all(run(...inputs).map((y) => y.data()));
      const names = [...graphText(plan.graph()).matchAll(/= (\w+)\(/g)].map(([, name]) => name!);
      return { bits: results.map((data) => [...new Uint32Array(data.buffer)]), names };
    };
    const measured = await run({ tune: "now" });
    const data = parseTunings(await Deno.readTextFile(path), path);
    const kernels = Object.entries(data.kernels);
    assert.deepEqual(kernels.map(([kernel]) => kernel.split(" ")[0]), ["attention", "gemm"]);
    const first = ([, [measured]]: typeof kernels[0]) => Object.keys(measured!.ms)[0]!.split(" ")[0];
    assert.deepEqual(measured.names, kernels.map(first).toReversed(), "the fastest of each runs");
    assert.deepEqual(await run({ tune: "cached" }), measured);

    const turned = kernels.map(([kernel, list]) => {
      const { shape, ms } = list[0]!;
      const ids = Object.keys(ms).toReversed();
      return [kernel, [{ shape, ms: Object.fromEntries(ids.map((id, i) => [id, i + 1])) }]];
    });
    const text = JSON.stringify({ ...data, kernels: Object.fromEntries(turned) });
    await Deno.writeTextFile(path, text);
    const other = await run({ tune: "cached" });
    assert.ok(
      other.names.every((name, i) => name !== measured.names[i]),
      `${other.names}, ${measured.names}`,
    );
    assert.deepEqual(await run({ tune: "now" }), other, "what is known is not measured again");
    assert.equal(await Deno.readTextFile(path), text);
  }));

Deno.test("a plan's memory is taken before its kernels are measured", () =>
  withTunings(async () => {
    using device = await openDevice({ tune: "now" });
    const weight = tensor(values(64, 64)).reshape([64, 64]);
    const example = tensor(values(64, 64)).reshape([64, 64]);
    const { plan, run } = traced(device, [example], (x) => [linear(x!, { weight })]);
    const before = device.buffers.usage().bytes;
    plan.reserve();
    assert.equal(device.buffers.usage().bytes - before, 2 * 4 * 64 * 64, "of its input and its result");
    assert.equal(device.pipelines.statistics.count, 0, "kernels that may not run are not compiled");
    await run(example)[0]!.data();
    assert.ok(Object.keys(device.tunings.data.kernels).length > 0);
  }));

Deno.test("toleranceOf() grows with the root of the terms, and with f16", () => {
  const of = (flops: number, ...types: ("f32" | "f16" | "int4")[]) =>
    toleranceOf({ flops, count: 10, reads: types.map((dtype) => ({ dtype, count: 1 })), dtype: "f32" }, {});
  const near = (a: number, b: number) => assert.ok(Math.abs(a / b - 1) < 1e-12, `${a}, ${b}`);
  near(of(20 * 2048, "f32"), 8 * 2 ** -24 * 32); // √(2048 / 2)
  near(of(20, "f32"), 8 * 2 ** -24 * 16); // 512 terms at least
  near(of(20, "f16", "f16"), 8 * (2 ** -24 * 16 + 2 ** -11 * Math.sqrt(18)));
  near(of(20, "f32", "f16"), of(20, "f32")); // weights in fewer bits are what they are
  near(of(20, "f16", "int4"), of(20, "f16"));
  near(toleranceOf({ flops: 0, count: 1, reads: [], dtype: "f32" }, { errors: 3 }), 3 * 8 * 2 ** -24 * 16);
});

Deno.test("mismatch() finds the worst place, and takes what is no number for the worst", () => {
  const sample = (...pieces: number[][]): Sample => ({ starts: [0, 100], pieces });
  const plain = sample([3, -3, 3], [-3, 3]); // 3 in root mean square
  assert.equal(mismatch(plain, sample([3.2, -3, 3], [-3, 3]), 0.1), undefined);
  assert.deepEqual(mismatch(plain, sample([3.4, -3, 3], [-3, 2]), 0.1), {
    element: 101,
    expected: 3,
    got: 2,
    bound: 0.1 * 3,
  });
  assert.equal(mismatch(plain, sample([9, -3, NaN], [-3, NaN]), 0.1)?.element, 2);
  assert.equal(mismatch(plain, sample([3, -3, Infinity], [-3, 3]), 0.1)?.element, 2);
});

Deno.test("sampleOf() reads all over a large result, to its very last element", async () => {
  using device = await openDevice();
  const count = 2 ** 22 + 70_003;
  const output = device.buffers.allocate("result", 4 * count);
  const values = Uint32Array.from({ length: count }, (_, i) => i);
  device.gpu.queue.writeBuffer(output.buffer, 0, values);
  const { starts, pieces } = await sampleOf(device, { output }, { dtype: "u32", count });
  assert.equal(starts[0], 0);
  starts.forEach((start, i) => {
    const piece = pieces[i]!;
    assert.deepEqual([piece[0], piece[piece.length - 1]], [start, start + piece.length - 1]);
  });
  assert.equal(starts.at(-1)! + pieces.at(-1)!.length, count);
  const gaps = starts.slice(1).map((start, i) => start - starts[i]!);
  assert.ok(Math.max(...gaps) < 1.1 * Math.min(...gaps));
});

Deno.test("a kernel whose plain candidate computes no numbers is not measured, and says so", () =>
  withTunings(async () => {
    using device = await openDevice();
    const problem = withVariants(matmul(random(20, 16), random(16, 12)), { gemm_same: same });
    const candidates = problem.candidates.map((candidate) => ({
      ...candidate,
      params: { ...candidate.params, z: 0 },
    }));
    const [outcome] = await tune(device, [{ ...problem, candidates }]);
    assert.match(outcome!.skipped!, /^gemm_plain, the plain one, computes no numbers$/);
    assert.ok(!isMeasured(device, problem));
  }));

/** A candidate like the plain one, at whose trial something happens. */
function withFatal(happens: () => void): Problem {
  let asked = 0;
  const problem = withVariants(matmul(random(20, 16), random(16, 12)), { gemm_fatal: same });
  const [fatal, plain] = problem.candidates as [Candidate, Candidate];
  Object.defineProperty(fatal, "workgroups", {
    get() {
      if (++asked === 2) happens(); // the first time it is compiled
      return plain.workgroups;
    },
  });
  return problem;
}

Deno.test("a candidate that loses the device is kept as such, and the loss is told", () =>
  withTunings(async () => {
    using device = await openDevice();
    const problem = withFatal(() => device.gpu.destroy());
    const lines: string[] = [];
    await assert.rejects(tune(device, [problem], { onNotice: (line) => lines.push(line) }), DeviceLostError);
    assert.match(lines.join(), /^gemm_fatal is not used on .*: it loses the device: /);
    const { dropped } = readTunings(device.tunings.adapter).data;
    assert.deepEqual(Object.keys(dropped), [idOf(problem.candidates[0]!)]);
    assert.match(Object.values(dropped)[0]!.why, /^it loses the device: /);
  }));

testOnBothEngines(
  "no candidate is blamed where the device is closed while it is tried",
  (device) =>
    withTunings(async () => {
      const problem = withFatal(() => device[Symbol.dispose]());
      const lines: string[] = [];
      await assert.rejects(tune(device, [problem], { onNotice: (line) => lines.push(line) }), /closed/);
      assert.deepEqual(lines, []);
      assert.deepEqual(device.tunings.data.dropped, {});
      await assert.rejects(Deno.stat(tuningsPath(device.tunings.adapter)), Deno.errors.NotFound);
    }),
);

Deno.test("a kernel that takes more memory than may be is not measured, and says so", () =>
  withTunings(async () => {
    using device = await openDevice();
    const problem = problemOf(kernelOf(matmul(random(20, 16), random(16, 12))));
    assert.equal(benchBytes(problem), 4 * (20 * 16 + 16 * 12 + 20 * 12));
    const [outcome] = await tune(device, [problem], { memory: benchBytes(problem) - 1 });
    assert.match(outcome!.skipped!, /memory/);
    await assert.rejects(Deno.stat(tuningsPath(device.tunings.adapter)), Deno.errors.NotFound);
  }));

testOnBothEngines(
  "a kernel whose result an adapter does not bind is not measured, and keeps no memory",
  (device) =>
    withTunings(async () => {
      const problem = problemOf(kernelOf(matmul(random(20, 16), random(16, 12))));
      const count = device.limits.maxStorageBufferBindingSize / 4 + 1;
      const before = device.buffers.usage().bytes;
      const [outcome] = await tune(device, [{ ...problem, count }]);
      assert.match(outcome!.skipped!, /^Cannot allocate tuning: /);
      assert.equal(device.buffers.usage().bytes, before);
    }),
);
