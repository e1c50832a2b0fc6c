import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { tokenAttention } from "../../../src/models/unet_2d_condition/transformer_2d.ts";
import { type Tensor, watched } from "../../../src/tensor/mod.ts";
import { assertClose } from "../../support/close.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu } from "../../support/engines.ts";
import { Nd } from "../../support/nd.ts";

Deno.test("tokenAttention() shows the same parts in its form for GPUs, where one product makes three", async () => {
  using device = await openDevice();
  const dice = new Dice(81);
  const draw = (...shape: number[]) => Nd.random(dice, shape).upload();
  const [to_q, to_k, to_v] = [1, 2, 3].map(() => ({ weight: draw(8, 8) }));
  const weights = {
    to_q: to_q!,
    to_k: to_k!,
    to_v: to_v!,
    to_out: [{ weight: draw(8, 8), bias: draw(8) }] as [Layer],
  };
  const x = draw(2, 5, 8);
  const read = async () => {
    const seen = new Map<string, Tensor>();
    const visit = (path: string, y: Tensor) => (seen.set(path, y), y);
    seen.set("", watched({ wants: () => true, visit }, () => tokenAttention(x, weights, x, { heads: 2 })));
    return new Map(
      await Promise.all(seen.entries().map(async ([path, y]) => [path, await y.data()] as const)),
    );
  };
  const plain = await read();
  assert.deepEqual([...plain.keys()], [
    "to_q",
    "to_k",
    "to_v",
    "attention_probs",
    "attention",
    "to_out.0",
    "",
  ]);
  asGpu(device);
  const gpu = await read();
  assert.deepEqual([...gpu.keys()], [...plain.keys()]);
  for (const [path, want] of plain) assertClose(gpu.get(path)!, want, 1e-5, path);
});

type Layer = { weight: Tensor; bias: Tensor };
