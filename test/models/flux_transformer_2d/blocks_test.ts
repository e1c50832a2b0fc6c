import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { fluxPosEmbed } from "../../../src/models/flux_transformer_2d/pos_embed.ts";
import {
  fluxSingleTransformerBlock,
  fluxTransformerBlock,
} from "../../../src/models/flux_transformer_2d/blocks.ts";
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu } from "../../support/engines.ts";

const [D, HEADS, N, L] = [16, 2, 3, 6];
const LARGE = 3e5; // beyond 65504, where f16 ends

/** Random layers of one type. */
function makes(dtype: "f32" | "f16") {
  const dice = new Dice(95);
  const numbers = (shape: number[], reach: number) =>
    tensor(dice.numbers(shape.reduce((a, b) => a * b), reach), shape).cast("f16").cast(dtype);
  const layer = (to: number, from: number) => ({
    weight: numbers([to, from], from ** -0.5),
    bias: numbers([to], 0.1),
  });
  const norm = () => ({ weight: numbers([D / HEADS], 1) });
  const feedForward = () => ({ net: { 0: { proj: layer(4 * D, D) }, 2: layer(D, 4 * D) } });
  const attn = () => ({
    to_q: layer(D, D),
    to_k: layer(D, D),
    to_v: layer(D, D),
    norm_q: norm(),
    norm_k: norm(),
  });
  const added = () => ({
    add_q_proj: layer(D, D),
    add_k_proj: layer(D, D),
    add_v_proj: layer(D, D),
    norm_added_q: norm(),
    norm_added_k: norm(),
    to_out: [layer(D, D)] as [ReturnType<typeof layer>],
    to_add_out: layer(D, D),
  });
  return { layer, attn, added, feedForward };
}

/**
 * The result of a block in f32 and in f16, on streams of large numbers with gates that let through thousands.
 */
async function inBoth(run: (dtype: "f32" | "f16", told: (count: number) => Tensor) => Tensor): Promise<void> {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const [want, got] = await Promise.all((["f32", "f16"] as const).map((dtype) => {
    const dice = new Dice(96);
    return run(dtype, (count) => tensor(dice.numbers(count * D, 2000), [1, count * D])).data();
  }));
  assert.ok(Math.max(...want!.map(Math.abs)) > 65504 * 4);
  assertRelativelyClose(got!, want!, 1e-3, "f16");
}

const stream = (tokens: number, seed: number) =>
  tensor(new Dice(seed).numbers(tokens * D, LARGE), [1, tokens, D]);

const options = (dtype: "f32" | "f16") => {
  const positions = Array.from({ length: N + L }, (_, i) => [i, 2 * i]);
  const { cos, sin } = fluxPosEmbed(positions, [4, 4]);
  return { heads: HEADS, cos: tensor(cos, [N + L, 4]), sin: tensor(sin, [N + L, 4]), dtype };
};

Deno.test("fluxTransformerBlock() in f16 carries streams beyond what f16 holds", async () => {
  for (const part of [0, 1] as const) {
    await inBoth((dtype, told) => {
      const { attn, added, feedForward } = makes(dtype);
      const w = { attn: { ...attn(), ...added() }, ff: feedForward(), ff_context: feedForward() };
      const vectors = { norm1: told(6), norm1_context: told(6) };
      return fluxTransformerBlock([stream(N, 1), stream(L, 2)], w, vectors, options(dtype))[part]!;
    });
  }
});

Deno.test("fluxSingleTransformerBlock() in f16 carries a stream beyond what f16 holds", async () => {
  await inBoth((dtype, told) => {
    const { attn, layer } = makes(dtype);
    const w = { attn: attn(), proj_mlp: layer(4 * D, D), proj_out: layer(D, 5 * D) };
    return fluxSingleTransformerBlock(stream(N + L, 3), w, told(3), options(dtype));
  });
});

Deno.test("FLUX's blocks are the same in their form for GPUs, where one product makes queries, keys and values", async () => {
  using device = await openDevice();
  const told = (count: number) => tensor(new Dice(97).numbers(2 * count * D, 2), [2, count * D]);
  const pictures = (tokens: number, seed: number) =>
    tensor(new Dice(seed).numbers(2 * tokens * D, 2), [2, tokens, D]);
  const run = () => {
    const { attn, added, feedForward, layer } = makes("f32");
    const dual = { attn: { ...attn(), ...added() }, ff: feedForward(), ff_context: feedForward() };
    const single = { attn: attn(), proj_mlp: layer(4 * D, D), proj_out: layer(D, 5 * D) };
    const vectors = { norm1: told(6), norm1_context: told(6) };
    const [c, x] = fluxTransformerBlock([pictures(N, 1), pictures(L, 2)], dual, vectors, options("f32"));
    const last = fluxSingleTransformerBlock(pictures(N + L, 3), single, told(3), options("f32"));
    return Promise.all([c, x, last].map((y) => y.data()));
  };
  const want = await run();
  asGpu(device);
  for (const [i, y] of (await run()).entries()) assertRelativelyClose(y, want[i]!, 1e-5, `stream ${i}`);
});

Deno.test("fluxSingleTransformerBlock() names a proj_out that does not take both branches", async () => {
  using _device = await openDevice();
  const { attn, layer } = makes("f32");
  const w = { attn: attn(), proj_mlp: layer(4 * D, D), proj_out: layer(D, 4 * D) };
  assert.throws(
    () =>
      fluxSingleTransformerBlock(
        stream(N + L, 3),
        w,
        tensor(new Float32Array(3 * D), [1, 3 * D]),
        options("f32"),
      ),
    {
      name: "RangeError",
      message: 'Cannot use "tensor": expected shape [16, 80], got [16, 64]; ' +
        "the config and the weights are of different models",
    },
  );
});
