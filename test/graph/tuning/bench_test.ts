import assert from "node:assert/strict";
import type { Storage } from "../../../src/gpu/memory/buffers.ts";
import type { Group } from "../../../src/graph/fusion/fuse.ts";
import type { Kernel } from "../../../src/graph/node.ts";
import {
  Bench,
  benchBytes,
  fusedText,
  problemOf,
  readsOf,
  shapeOf,
} from "../../../src/graph/tuning/bench.ts";
import { resultOf } from "../../../src/graph/tuning/check.ts";
import { choose, classOf, decide, idOf, watchKernels } from "../../../src/graph/tuning/choice.ts";
import { gelu, linear } from "../../../src/ops/mod.ts";
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { Dice } from "../../support/dice.ts";
import { testOnBothEngines } from "../../support/engines.ts";

const dice = new Dice(7);
const random = (...shape: number[]) =>
  tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * dice.next() - 1), shape);

testOnBothEngines("a bench runs what is fused into a kernel, on given values", async (device) => {
  const [x, w, bias, rest] = [random(6, 20), random(12, 20), random(12), random(6, 12)];
  const seen: { kernel: Kernel; group: Group }[] = [];
  let expected: Float32Array;
  {
    using _watch = watchKernels(device, (kernel, group) => seen.push({ kernel, group }));
    expected = await gelu(linear(x, { weight: w, bias })).add(rest).data() as Float32Array;
  }
  const [{ kernel, group }] = seen as [typeof seen[0]];
  const problem = problemOf(kernel, group);
  assert.equal(shapeOf(problem), "1×1×6×12 from f32, f32 to f32");
  assert.match(fusedText(problem), /^add\(gelu\(add\(v,x\d\)\),x\d\)$/);
  assert.equal(fusedText(problemOf(kernel)), "");
  assert.deepEqual(readsOf(problem).map(({ count }) => count).toSorted((a, b) => a - b), [12, 72, 120, 240]);
  assert.equal(benchBytes(problem), 4 * (12 + 72 + 120 + 240 + 72));
  const storages = new Map([x, w, bias, rest].map((t: Tensor) => [t.size, t.node.storage!]));
  const given: Storage[] = readsOf(problem).map(({ count }) => storages.get(count)!);
  const before = device.buffers.usage().bytes;
  {
    using bench = await Bench.open(device, problem, given);
    const candidate = choose(device, { spec: { ...problem, inputs: [] } });
    const { pieces } = await resultOf(device, bench, problem, await bench.ready(candidate));
    assert.deepEqual([...pieces[0] as Float32Array], [...expected]);
  }
  assert.equal(device.buffers.usage().bytes, before);
  assert.deepEqual((await x.data()).length, 120, "what is given stays");
});

testOnBothEngines("decide() tells the reason of a choice", (device) => {
  const { spec } = linear(random(6, 20), { weight: random(12, 20) }).node as Kernel;
  assert.ok(spec.candidates.length > 1);
  assert.equal(decide(device, spec).why, "guess");
  const last = spec.candidates.at(-1)!;
  assert.equal(decide(device, { ...spec, candidates: [last] }).why, "only");
  device.tunings.add(classOf(spec), { shape: "", ms: { [idOf(last)]: 1 } });
  const { candidate, why, ms } = decide(device, spec);
  assert.deepEqual([candidate, why, ms], [last, "measured", { [idOf(last)]: 1 }]);
  assert.equal(
    decide({ ...device, choice: { candidate: spec.candidates[0]!.name } } as never, spec).why,
    "asked",
  );
  return Promise.resolve();
});
