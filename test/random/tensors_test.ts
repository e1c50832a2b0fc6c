import assert from "node:assert/strict";
import { openDevice } from "../../src/gpu/open/open.ts";
import { manualSeed, rand, randint, randLike, randn, randnLike, randperm } from "../../src/random/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { cpuMs } from "../support/cpu_time.ts";
import "../support/device.ts";
import { fixture } from "../support/fixtures.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";

const reference = await readTensors(fixture("random/expected/cpu.safetensors"));

Deno.test("randn() fills latents as torch does from one generator and from a list", async () => {
  const shape = [2, 4, 8, 8];
  const one = randn(shape, { generator: manualSeed(0) });
  assert.deepEqual(one.shape, shape);
  assert.deepEqual([...await one.data()], [...reference.get("latents/one_generator")!.data]);
  const list = randn(shape, { generator: [manualSeed(0), manualSeed(1)] });
  assert.deepEqual([...await list.data()], [...reference.get("latents/list_of_generators")!.data]);
});

Deno.test("rand(), randint() and randperm() make tensors of the values that their generator draws", async () => {
  const half = rand([3, 11], { generator: manualSeed(42), dtype: "f16" });
  assert.equal(half.dtype, "f16");
  assert.deepEqual([...await half.data()], [...manualSeed(42).rand(33, "f16")]);
  const integers = randint(-5, 77, [5, 8], { generator: manualSeed(1) });
  assert.equal(integers.dtype, "i32");
  assert.deepEqual([...await integers.data()], [...reference.get("randint/seed1/-5_77")!.data]);
  assert.deepEqual(
    [...await randperm(7, { generator: manualSeed(1) }).data()],
    [...reference.get("randperm/seed1/n7")!.data],
  );
});

Deno.test("randn() without a generator differs from call to call", async () => {
  assert.notDeepEqual(await randn([16]).data(), await randn([16]).data());
});

Deno.test("randn() wants as many generators as there are images", () => {
  assert.throws(() => randn([3, 2], { generator: [manualSeed(0), manualSeed(1)] }), {
    name: "RangeError",
    message: "Cannot draw a tensor [3, 2]: expected one generator or 3, got 2",
  });
  assert.throws(() => randint(0, 2 ** 40, [2]), /expected bounds from -2\^31 to 2\^31/);
});

Deno.test("randnLike() and randLike() take shape and type of a tensor", async () => {
  using device = await openDevice();
  const x = tensor([[1, 2, 3]]);
  const values = async (t: Tensor) => [t.dtype, ...t.shape, ...await t.data()];
  const generator = () => manualSeed(4);
  assert.deepEqual(
    await values(randnLike(x, { generator: generator() })),
    await values(randn([1, 3], { generator: generator() })),
  );
  assert.deepEqual(
    await values(randLike(x, { generator: generator() })),
    await values(rand([1, 3], { generator: generator() })),
  );
  assert.throws(
    () => randnLike(x.to("i32")),
    /^TypeError: Cannot draw a tensor of i32: expected f32 or f16; name one as dtype$/,
  );
  assert.equal(randLike(x.to("i32"), { dtype: "f32" }).dtype, "f32");
  if (device.traits.f16) assert.equal(randnLike(x.half()).dtype, "f16");
});

Deno.test("what is no option, no dtype's, no shape or too large is refused before numbers are drawn", async () => {
  using device = await openDevice();
  const odd = (options: object) => randn([2], options);
  assert.throws(
    () => odd({ seed: 3 }),
    /^TypeError: Cannot draw a tensor with seed: no such option; expected some of/,
  );
  assert.throws(
    () => odd({ Generator: 3 }),
    /Cannot draw a tensor with Generator: .*; did you mean generator\?$/,
  );
  assert.throws(
    () => odd({ dtype: "float16" }),
    /Cannot draw a tensor of float16: expected f32 or f16; name one as dtype$/,
  );
  assert.throws(
    () => randn(3 as never),
    /Cannot draw a tensor: expected a shape such as \[1, 4, 64, 64\], got 3$/,
  );
  const side = Math.ceil(Math.sqrt(device.limits.maxStorageBufferBindingSize / 4)) + 1;
  const ms = await cpuMs(() =>
    assert.throws(
      () => randn([side, side]),
      /^RangeError: Cannot draw a tensor .*: expected at most \d+ bytes in one tensor/,
    )
  );
  assert.ok(ms < 1000, `took ${ms} ms`);
});
