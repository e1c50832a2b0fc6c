import assert from "node:assert/strict";
import { inspect } from "node:util";
import { openDevice } from "../../src/gpu/open/open.ts";
import { arange, full, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
import "../support/device.ts";

/** What runs writes to the console. */
async function printed(run: () => Promise<void>): Promise<string> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...words) => lines.push(words.join(" "));
  try {
    await run();
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

Deno.test("consoles show shape and type of a tensor, and its values once they were read", async () => {
  const y = tensor([[1.5, -2], [3, 1 / 3]]).mul(2);
  for (const show of [Deno.inspect, inspect]) assert.equal(show(y), "tensor [2, 2] f32");
  await y.data();
  const want = "tensor [2, 2] f32\n[[      3,      -4],\n [      6, 0.66667]]";
  for (const show of [Deno.inspect, inspect]) assert.equal(show(y), want);
  assert.equal(String(y), "tensor [2, 2] f32");
  const notebook = tensor([1]).add(1) as unknown as Record<symbol, () => Promise<object>>;
  assert.deepEqual(await notebook[Symbol.for("Jupyter.display")]!(), { "text/plain": "tensor [1] f32\n[2]" });
  assert.equal(Deno.inspect(tensor([1, 2])), "tensor [2] f32\n[1, 2]", "values that came from the host");
});

Deno.test("print() reads a tensor and writes it, of large ones the edges", async () => {
  const cases: [Tensor, string][] = [
    [tensor([1, 2]).gt(1), "tensor [2] bool\n[false,  true]"],
    [tensor(5).mul(2), "tensor [] f32\n10"],
    [zeros([0, 3]), "tensor [0, 3] f32\n[]"],
    [tensor([NaN, -Infinity, 1e-7]), "tensor [3] f32\n[      NaN, -Infinity,      1e-7]"],
    [full([2, 1, 2], 1), "tensor [2, 1, 2] f32\n[[[1, 1]],\n\n [[1, 1]]]"],
    [
      arange(2000).reshape([1000, 2]),
      [
        "tensor [1000, 2] i32",
        "[[   0,    1],",
        " [   2,    3],",
        " [   4,    5],",
        " ...,",
        " [1994, 1995],",
        " [1996, 1997],",
        " [1998, 1999]]",
      ].join("\n"),
    ],
    [arange(1001), "tensor [1001] i32\n[   0,    1,    2, ...,  998,  999, 1000]"],
  ];
  for (const [x, want] of cases) assert.equal(await printed(() => x.print()), want);
});

Deno.test("tolist() nests as the axes are", async () => {
  assert.deepEqual(await arange(6).reshape([2, 3]).tolist(), [[0, 1, 2], [3, 4, 5]]);
  assert.deepEqual(await arange(4).reshape([2, 2]).T.gt(1).tolist(), [[false, true], [false, true]]);
  assert.equal(await tensor(2.5).tolist(), 2.5);
  assert.deepEqual(await zeros([2, 0]).tolist(), [[], []]);
});

Deno.test("a device shows what it is", async () => {
  using device = await openDevice();
  assert.equal(String(device), device.describe());
  assert.equal(Deno.inspect(device), `Device ${device.describe()}`);
});
