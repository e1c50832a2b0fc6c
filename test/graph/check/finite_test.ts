import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import type { Device } from "../../../src/gpu/device.ts";
import { streamOf } from "../../../src/graph/run/stream.ts";
import { conv2d, groupNorm, matmul, silu, softmax } from "../../../src/ops/mod.ts";
import { named, progress, scope, type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { Dice } from "../../support/dice.ts";
import { refused } from "../../support/planted.ts";
import { traced } from "../../support/traced.ts";

const ENGINES = ["dawn", "deno"] as const;

/** Registers a test on both engines, with a device that checks. */
function testChecked(name: string, run: (device: Device) => Promise<void>): void {
  for (const engine of ENGINES) {
    Deno.test(`${name} (${engine})`, async () => {
      using device = await openDevice({ engine, check: "finite" });
      await run(device);
    });
  }
}

const dice = new Dice(120);
const random = (...shape: number[]) => tensor(dice.numbers(shape.reduce((a, b) => a * b, 1), 1), shape);
/** Ones, and another number at a place. */
const onesBut = (shape: number[], at: number, value: number) =>
  tensor(
    new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1).map((one, i) => i === at ? value : one),
    shape,
  );

testChecked("a division by zero in a script is named with its operands", async () => {
  const x = tensor([[1, 2, 3], [4, 5, 6]]);
  const report = await refused(() => x.sub(4).div(0).data());
  assert.equal(report.cause.kind, "made here");
  assert.equal(report.cause.text, "-3 / 0 is -inf");
  assert.deepEqual(report.index, [0, 0]);
  assert.equal(report.value, -Infinity);
  assert.equal(report.fused, "(x0 - 4) / 0");
  const { nan, inf, negativeInf, first } = report.result;
  assert.deepEqual({ nan, inf, negativeInf, first }, { nan: 1, inf: 2, negativeInf: 3, first: 0 });
  assert.deepEqual(report.inputs.map(({ name, kind, min, max }) => ({ name, kind, min, max })), [
    { name: "x0", kind: "tensor", min: 1, max: 6 },
  ]);
  assert.match(
    report.message,
    /^Cannot go on: expected finite numbers from the script's arithmetic \(pointwise\), got -inf/,
  );
});

testChecked("the part of a fused expression that makes the number is named", async () => {
  const x = tensor([4, 9, -4, 16]);
  const root = await refused(() => x.add(1).sqrt().mul(3).data());
  assert.deepEqual([root.cause.text, root.index], ["sqrt(-3) is NaN", [2]]);
  const product = matmul(tensor([[1, 2], [3, 4]]), tensor([[2, 1], [-1, 1]])); // [[0, 3], [2, 7]]
  const log = await refused(() => product.log().add(1).data());
  assert.deepEqual([log.cause.text, log.index, log.fused], ["log(0) is -inf", [0, 0], "log(v) + 1"]);
  const chosen = tensor([1, 0]).gt(0);
  const select = await refused(() => tensor([1, 2]).where(chosen, tensor([0, -1]).log()).data());
  assert.equal(select.cause.text, "log(-1) is NaN");
});

testChecked("numbers that are not finite in what the script gives are told from those made", async () => {
  const nan = await refused(() => matmul(onesBut([2, 3], 4, NaN), random(3, 5)).data());
  assert.equal(nan.cause.kind, "came in");
  assert.deepEqual([nan.index, nan.dtype, nan.shape], [[0, 1, 0], "f32", [1, 2, 5]]);
  const [bad, good] = nan.inputs;
  assert.deepEqual([bad!.nan, bad!.index?.slice(-2), good!.nan], [1, [1, 1], 0]);
  const operand = await refused(() =>
    matmul(random(2, 3), random(3, 5)).add(onesBut([5], 2, Infinity)).data()
  );
  assert.deepEqual([operand.cause.kind, operand.index], ["came in", [0, 2]]);
  assert.match(operand.cause.text, /a tensor of the script, which has 1 inf, the first at \[2\]/);
  const scalar = await refused(() => random(3).mul(Infinity).data());
  assert.equal(scalar.cause.text, "it came in with the number inf");
  const sum = await refused(() => matmul(tensor([[1e30, 1]]), tensor([[1e30], [1]])).data());
  assert.equal(sum.cause.kind, "made here");
});

testChecked("an overflow of f16 is told from others, with what f32 would have held", async (device) => {
  if (!device.traits.f16) return;
  const halves = (...numbers: number[][]) => tensor(numbers).to("f16");
  const report = await refused(() => matmul(halves([1, 2], [300, 400]), halves([100], [200])).mul(2).data());
  assert.deepEqual([report.cause.kind, report.cause.largest], ["f16 overflow", 220000]);
  assert.deepEqual([report.index, report.value, report.dtype], [[1, 0], Infinity, "f16"]);
  assert.match(
    report.message,
    /f16 ends at 65504, and the result reaches 220000; load the model with { dtype: "f32" }/,
  );
  await matmul(halves([1, 2]), halves([100], [200])).mul(100).data(); // 50000 fits
  const zero = await refused(() => halves([1, 2]).div(halves([1, 0])).data());
  assert.deepEqual([zero.cause.kind, zero.cause.text], ["made here", "2 / 0 is inf"]);
});

testChecked("only the elements of a value are looked at, whatever lies behind them", async (device) => {
  for (const dtype of ["f32", ...device.traits.f16 ? ["f16" as const] : []] as const) {
    for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 1023, 1024, 1025, 4096, 4099]) {
      using _ = scope();
      for (const at of [0, count >> 1, count - 1]) {
        const report = await refused(() => onesBut([count], at, NaN).to(dtype).mul(2).data());
        assert.deepEqual([report.index, report.result.nan], [[at], 1], `${dtype} ${count}`);
      }
      const whole = onesBut([count + 1], count, NaN);
      await whole.slice(0, 0, count).to(dtype).mul(2).data();
    }
  }
});

testChecked("infinity by which a mask hides places may be passed on", async () => {
  const mask = tensor([[0, -Infinity, 0], [0, 0, -Infinity]]);
  const shown = await softmax(random(2, 3).add(mask), 1).data();
  assert.equal(shown[1], 0);
  const rows = tensor([[0, 0, 0], [-Infinity, -Infinity, -Infinity]]);
  const hidden = await refused(async () => {
    const y = softmax(random(2, 3).add(rows).mul(1), 1);
    return await y.data();
  });
  assert.equal(hidden.cause.kind, "made here");
  assert.match(hidden.cause.text, /has -inf, of which it makes 0 \/ 0/);
});

testChecked("a number by which a script masks places may be -infinity", async (device) => {
  const [x, shown] = [tensor([[1, 2, 3], [4, 5, 6]]), tensor([[0, 1, 0], [0, 0, 1]])];
  for (const dtype of ["f32", ...device.traits.f16 ? ["f16" as const] : []] as const) {
    const y = await softmax(x.to(dtype).maskedFill(shown.gt(0), -Infinity), 1).data();
    assert.deepEqual([y[1], y[5]], [0, 0], dtype);
    assert.ok(y[0]! > 0, dtype);
  }
  const hidden = await refused(() => softmax(x.maskedFill(x.gt(3), -Infinity), 1).data());
  assert.match(hidden.cause.text, /has -inf, of which it makes 0 \/ 0/);
  const nan = await refused(() => x.sub(1).mul(-Infinity).data());
  assert.deepEqual([nan.index, nan.value], [[0, 0], NaN]);
  await refused(() => x.maskedFill(shown.gt(0), Infinity).data());
  await refused(() => x.maskedFill(shown.gt(0), NaN).data());
  const log = await refused(() => x.add(shown.log()).data());
  assert.equal(log.cause.text, "log(0) is -inf");
});

testChecked("work after an error that was caught computes what it did before", async () => {
  await refused(() => tensor([1, Infinity]).exp().mul(3).data());
  assert.ok(Math.abs((await tensor([1, 2]).exp().data())[1]! - Math.E ** 2) < 1e-5);
  await refused(() => tensor([1, 0]).add(2).sub(2).log().mul(5).add(4).data());
  const log = await refused(() => tensor([1, 0]).log().data());
  assert.equal(log.cause.text, "log(0) is -inf");
  assert.equal((await tensor([1, 2]).log().data())[0], 0);
  await refused(() => matmul(tensor([[1, 2]]), tensor([[1], [-1]])).add(1).log().mul(2).data());
  const own = await refused(() => matmul(tensor([[1, 2]]), tensor([[2], [-1]])).log().data());
  assert.equal(own.cause.text, "log(0) is -inf");
});

/** A picture's two layers, as a model has them: [1, 8, 6, 5] → [1, 8, 6, 5]. */
function layers(weights: { one: Tensor; two: Tensor; norm: Tensor }) {
  return (x: Tensor, scale: Tensor): Tensor[] => {
    const h = named("first", () => silu(conv2d(x, { weight: weights.one }, { padding: 1 })));
    const n = named("norm", () => groupNorm(h, { weight: weights.norm }, { groups: 2 }).mul(scale));
    return [named("second", () => conv2d(n, { weight: weights.two }, { padding: 1 }).add(x)), scale.mul(2)];
  };
}

const makeLayers = () => ({ one: random(8, 8, 3, 3), two: random(8, 8, 3, 3), norm: random(8) });

testChecked("in a plan the first dispatch is named, though its memory is used again", async (device) => {
  const { plan, run } = traced(device, [random(1, 8, 6, 5), random(1)], layers(makeLayers()));
  for (let i = 0; i < 3; i++) await run(random(1, 8, 6, 5), tensor([2]))[0]!.data();
  const report = await refused(() =>
    run(onesBut([1, 8, 6, 5], 3 * 30 + 2 * 5 + 1, NaN), tensor([2]))[0]!.data()
  );
  assert.deepEqual([report.model, report.path, report.cause.kind], ["traced", "first", "came in"]);
  assert.deepEqual(report.shape, [1, 8, 6, 5]);
  assert.deepEqual(report.index, [0, 3, 2, 1]); // of the copy with channels innermost, which convolutions take
  const { kind, source, index } = report.inputs[0]!;
  assert.deepEqual({ kind, source, index }, { kind: "input", source: "input 0", index: [0, 3, 2, 1] });
  const scale = await refused(() => run(random(1, 8, 6, 5), tensor([Infinity]))[0]!.data());
  assert.equal(scale.path, "norm");
  assert.match(scale.cause.text, /the input "input 1", which has 1 inf$/);
  assert.equal(scale.dispatches, plan.size);
  await run(random(1, 8, 6, 5), tensor([2]))[0]!.data(); // all is well again
});

testChecked("kept results are not blamed, and calls in one submission are told apart", async (device) => {
  const { run } = traced(
    device,
    [random(4), random(4)],
    (x, text) => [x.mul(text.sum(0, { keepdim: true }).exp()), text],
  );
  const text = tensor([1, 2, 3, 4]);
  for (let i = 0; i < 3; i++) await run(random(4), text)[0]!.data(); // the text's part is kept by now
  const [good, bad] = [run(tensor([1, 2, 3, 4]), text), run(tensor([1, NaN, 3, 4]), text)];
  const report = await refused(() => bad[0]!.data());
  assert.deepEqual([report.index, report.inputs.find(({ nan }) => nan)?.kind], [[1], "input"]);
  assert.ok((await good[0]!.data()).every(Number.isFinite));
  const large = await refused(() => run(random(4), tensor([100, 2, 3, 4]))[0]!.data());
  assert.equal(large.cause.text, "exp(109) is inf");
});

testChecked("in a loop the step that has it ends the loop, and values stay readable", async () => {
  let done = 0;
  let x = tensor([1, 4, 9]);
  const report = await refused(async () => {
    for await (const t of progress([9, 3, 1, 0, 5], { write: false })) {
      x = x.div(t);
      done++;
    }
  });
  assert.equal(done, 4);
  assert.match(report.cause.text, /\/ 0 is inf/);
  assert.deepEqual([...await x.data()], [Infinity, Infinity, Infinity]);
});

Deno.test("the passes of a product in parts are checked, and computed again of what they were made of", async () => {
  using device = await openDevice({ check: "finite", candidate: "winograd" });
  const weight = random(16, 16, 3, 3);
  const { plan, run } = traced(device, [random(1, 16, 64, 64)], (x) => [
    named("one", () => conv2d(x, { weight }, { padding: 1 }).add(1).sqrt().sub(x)),
  ]);
  assert.ok(plan.size > 1, "winograd takes several dispatches");
  const x = onesBut([1, 16, 64, 64], 0, 1).mul(0);
  await run(x)[0]!.data(); // sqrt(1) − 0
  const report = await refused(() => run(x.sub(30))[0]!.data());
  assert.match(report.cause.text, /^sqrt\(-[\d.e+]+\) is NaN$/);
  assert.equal(report.path, "one");
  const early = await refused(() => run(onesBut([1, 16, 64, 64], 5, NaN))[0]!.data());
  assert.equal(early.cause.kind, "came in");
});

Deno.test("without the check nothing is counted, and nothing thrown", async () => {
  using device = await openDevice();
  await random(4).div(0).data();
  assert.equal(streamOf(device).statistics.dispatches, 1);
});

Deno.test("a check that does not exist is refused", async () => {
  await assert.rejects(openDevice({ check: "all" as "finite" }), {
    name: "TypeError",
    message: 'Cannot open a GPU with check all: expected "finite", or nothing',
  });
});
