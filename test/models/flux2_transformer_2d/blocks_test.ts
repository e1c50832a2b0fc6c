import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import {
  flux2SingleTransformerBlock,
  flux2TransformerBlock,
} from "../../../src/models/flux2_transformer_2d/blocks.ts";
import { fluxPosEmbed } from "../../../src/models/flux_transformer_2d/pos_embed.ts";
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { Dice } from "../../support/dice.ts";
import { asGpu } from "../../support/engines.ts";

const [D, MLP, HEADS, N, L] = [16, 48, 2, 3, 6];
const LARGE = 3e5; // beyond 65504, where f16 ends

/** Random layers of one type, without biases. */
function makes(dtype: "f32" | "f16") {
  const dice = new Dice(95);
  const weight = (shape: number[], reach: number) => ({
    weight: tensor(dice.numbers(shape.reduce((a, b) => a * b), reach), shape).cast("f16").cast(dtype),
  });
  const layer = (to: number, from: number) => weight([to, from], from ** -0.5);
  const norm = () => weight([D / HEADS], 1);
  const feedForward = () => ({ linear_in: layer(2 * MLP, D), linear_out: layer(D, MLP) });
  const joint = () => ({
    to_q: layer(D, D),
    to_k: layer(D, D),
    to_v: layer(D, D),
    norm_q: norm(),
    norm_k: norm(),
    add_q_proj: layer(D, D),
    add_k_proj: layer(D, D),
    add_v_proj: layer(D, D),
    norm_added_q: norm(),
    norm_added_k: norm(),
    to_out: [layer(D, D)] as [ReturnType<typeof layer>],
    to_add_out: layer(D, D),
  });
  const single = () => ({
    to_qkv_mlp_proj: layer(3 * D + 2 * MLP, D),
    norm_q: norm(),
    norm_k: norm(),
    to_out: layer(D, D + MLP),
  });
  return { joint, single, feedForward };
}

/** The result of a block in f32 and in f16, on streams of large numbers with gates that let through thousands. */
async function inBoth(run: (dtype: "f32" | "f16", told: (count: number) => Tensor) => Tensor): Promise<void> {
  using device = await openDevice();
  if (!device.traits.f16) return;
  const [want, got] = await Promise.all((["f32", "f16"] as const).map((dtype) => {
    const dice = new Dice(96);
    const numbers = (i: number) => dice.numbers(D, i % 3 === 2 ? 2000 : 4); // every third part is a gate
    const told = (count: number) =>
      tensor(Array.from({ length: count }, (_, i) => [...numbers(i)]).flat(), [1, count * D]);
    return run(dtype, told).data();
  }));
  assert.ok(Math.max(...want!.map(Math.abs)) > 65504 * 4);
  assertRelativelyClose(got!, want!, 1e-3, "f16");
}

const stream = (tokens: number, seed: number) =>
  tensor(new Dice(seed).numbers(tokens * D, LARGE), [1, tokens, D]);

const options = (dtype: "f32" | "f16") => {
  const positions = Array.from({ length: N + L }, (_, i) => [i, 2 * i]);
  const { cos, sin } = fluxPosEmbed(positions, [4, 4], 2000);
  const tables = { cos: tensor(cos, [N + L, 4]), sin: tensor(sin, [N + L, 4]) };
  return { heads: HEADS, ...tables, eps: 1e-6, biases: false, mlp: MLP, dtype };
};

for (const part of [0, 1] as const) {
  Deno.test(`flux2TransformerBlock() in f16 carries stream ${part} beyond what f16 holds`, async () => {
    await inBoth((dtype, told) => {
      const { joint, feedForward } = makes(dtype);
      const w = { attn: joint(), ff: feedForward(), ff_context: feedForward() };
      const modulation = { img: told(6), txt: told(6) };
      return flux2TransformerBlock([stream(N, 1), stream(L, 2)], w, modulation, options(dtype))[part]!;
    });
  });
}

Deno.test("flux2SingleTransformerBlock() in f16 carries a stream beyond what f16 holds", async () => {
  await inBoth((dtype, told) => {
    const w = { attn: makes(dtype).single() };
    return flux2SingleTransformerBlock(stream(N + L, 3), w, told(3), options(dtype));
  });
});

Deno.test("blocks with joined products, as on GPUs, compute what they compute without", async () => {
  const run = async () => {
    const { joint, single, feedForward } = makes("f32");
    const told = (count: number) => tensor(new Dice(count).numbers(count * D, 1), [1, count * D]);
    const w = { attn: joint(), ff: feedForward(), ff_context: feedForward() };
    const small = (tokens: number, seed: number) =>
      tensor(new Dice(seed).numbers(tokens * D, 1), [1, tokens, D]);
    const streams = [small(N, 1), small(L, 2)] as const;
    const [c, x] = flux2TransformerBlock(streams, w, { img: told(6), txt: told(6) }, options("f32"));
    const y = flux2SingleTransformerBlock(small(N + L, 3), { attn: single() }, told(3), options("f32"));
    return [...await c.data(), ...await x.data(), ...await y.data()];
  };
  using device = await openDevice();
  const want = await run();
  asGpu(device);
  assertRelativelyClose(await run(), want, 1e-5, "joined");
});
