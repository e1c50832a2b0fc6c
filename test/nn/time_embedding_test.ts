import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open.ts";
import { gaussianFourierProjection, timestepEmbeddingMLP } from "../../src/nn/time_embedding.ts";
import { tensor } from "../../src/tensor/mod.ts";
import { assertClose } from "../support/close.ts";

Deno.test("gaussianFourierProjection() keeps its digits at angles of thousands", async () => {
  using _device = await openDevice();
  const logT = [-4.5, 0, 0.1, 6.9].map(Math.fround);
  const frequencies = [-80.3, -16, 0, 0.37, 5, 71.9].map(Math.fround);
  const f = Math.fround;
  const angles = logT.map((t) => frequencies.map((w) => f(f(f(t * w) * 2) * f(Math.PI)))); // torch's roundings
  assert.ok(Math.max(...angles.flat().map(Math.abs)) > 3000);

  const y = gaussianFourierProjection(tensor(logT), { weight: tensor(frequencies) }, 12);
  assert.deepEqual(y.shape, [4, 12]);
  const expected = angles.flatMap((row) => [...row.map(Math.sin), ...row.map(Math.cos)]);
  assertClose(await y.data(), expected, 1e-6, "features");
});

Deno.test("timestepEmbeddingMLP() names the weight that is of another model", async () => {
  using _device = await openDevice();
  const layer = (rows: number, columns: number) => ({
    weight: tensor(new Float32Array(rows * columns), [rows, columns]),
    bias: tensor(new Float32Array(rows)),
  });
  const w = { linear_1: layer(5, 3), linear_2: layer(5, 6) };
  assert.throws(() => timestepEmbeddingMLP(tensor([1, 2, 3], [1, 3]), w, 5), {
    name: "RangeError",
    message: 'Cannot use "tensor": expected shape [5, 5], got [5, 6]; ' +
      "the config and the weights are of different models",
  });
});
