import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { UNet2DModel } from "../../../src/models/mod.ts";
import { unet2DInputs } from "../../../src/models/unet_2d/inputs.ts";
import { type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { type HostTensor, readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";
import { loadCase, type ModelCase, readCases } from "../../support/model_cases.ts";
import { assertTensor, upload } from "../../support/tensors.ts";
import "../../support/device.ts";

const bound = 1e-5; // f32; torch itself is some 7e-7 away from f64
const f16Bound = 1e-2;

const reference = await readTensors(fixture("ddpm/expected/unet.safetensors"));

Deno.test("UNet2DModel.forward() follows diffusers at every timestep, one for all rows or one a row", async () => {
  using unet = await UNet2DModel.fromPretrained(fixture("ddpm/pipeline"), {
    subfolder: "unet",
    dtype: "f32",
  });
  const sample = upload(reference.get("sample")!);
  for (const t of [0, 500, 999]) {
    await assertSame(unet.forward(sample, t).sample, reference.get(`out_t${t}`)!, `out_t${t}`);
  }
  const timesteps = [...reference.get("timestep_batch")!.data];
  await assertSame(unet.forward(sample, timesteps).sample, reference.get("out_batch_t")!, "out_batch_t");
});

Deno.test("UNet2DModel.fromPretrained() reads a flat repository of 2022: pickled, with the old names", async () => {
  const notices: string[] = [];
  const options = { dtype: "f32", onNotice: (line: string) => notices.push(line) } as const;
  using unet = await UNet2DModel.fromPretrained(fixture("ddpm/legacy_flat_bin"), options);
  assert.deepEqual(notices, []); // every key of the file is read
  await assertSame(
    unet.forward(upload(reference.get("sample")!), 500).sample,
    reference.get("out_t500")!,
    "out_t500",
  );
});

Deno.test("UNet2DModel in f16 stays near f32", async () => {
  using unet = await UNet2DModel.fromPretrained(fixture("ddpm/pipeline"), {
    subfolder: "unet",
    dtype: "f16",
  });
  const { sample } = unet.forward(upload(reference.get("sample")!), 500);
  assert.equal(sample.dtype, "f32");
  await assertSame(sample, reference.get("out_t500")!, "out_t500", f16Bound);
});

Deno.test("UNet2DModel names its parts as diffusers names modules, and each part agrees", async () => {
  using unet = await UNet2DModel.fromPretrained(fixture("ddpm/pipeline"), {
    subfolder: "unet",
    dtype: "f32",
  });
  const expected = await readTensors(fixture("ddpm/expected/unet_intermediates.safetensors"));
  const { taps } = unet.forward(upload(reference.get("sample")!), 999, { taps: [...expected.keys()] });
  await assertTaps(taps, expected);
});

/** A case of test/fixtures/unet_2d. */
interface Case extends ModelCase {
  t: number | number[];
  classes: number[] | "vectors" | null;
  taps: string[];
}

const { cases, caseOf, expected } = await readCases<Case>("unet_2d");

for (const made of cases) {
  const { name, t, classes, taps } = made;
  const get = (array: string) => expected.get(`${name}/${array}`)!;

  Deno.test(`UNet2DModel follows diffusers: ${name}`, async () => {
    const notices: string[] = [];
    using unet = await loadCase(UNet2DModel, "unet_2d", made, { onNotice: (line) => notices.push(line) });
    assert.deepEqual(notices, []); // every key of the file is read

    const classLabels = classes === "vectors" ? upload(get("classes")) : classes ?? undefined;
    const sample = upload(get("sample"));
    await assertSame(unet.forward(sample, t, { classLabels }).sample, get("out"), "out");
    if (taps.length > 0) {
      const parts = new Map(taps.map((path) => [path, get(`taps/${path}`)]));
      await assertTaps(unet.forward(sample, t, { classLabels, taps }).taps, parts);
    }
  });
}

Deno.test("UNet2DModel in f16 takes the logarithms of Fourier time in f32", async () => {
  const made = caseOf("fourier");
  using unet = await loadCase(UNet2DModel, "unet_2d", made, { dtype: "f16" });
  const { sample } = unet.forward(upload(expected.get("fourier/sample")!), made.t);
  await assertSame(sample, expected.get("fourier/out")!, "out", f16Bound);
});

Deno.test("UNet2DModel.forward() tells what is wrong with its arguments", async () => {
  using unet = await UNet2DModel.fromPretrained(fixture("bad/unet_good"), { dtype: "f32" });
  const sample = tensor(new Float32Array(2 * 3 * 8 * 8), [2, 3, 8, 8]);
  assert.throws(() => unet.forward(tensor([0], [1, 1, 1, 1]), 0), {
    name: "RangeError",
    message: "Cannot denoise a sample: expected shape [B, 3, H, W], got [1, 1, 1, 1]",
  });
  assert.throws(() => unet.forward(sample, [1, 2, 3]), {
    name: "RangeError",
    message: "Cannot denoise: expected one timestep, or 2 as there are rows in the sample, got 3",
  });
  assert.throws(() => unet.forward(sample, 1, { classLabels: 3 }), {
    name: "TypeError",
    message: "Cannot denoise: expected no classLabels, got some; the model draws no classes",
  });
});

Deno.test("unet2DInputs() wants the class labels that the config speaks of, within its table", async () => {
  using unet = await UNet2DModel.fromPretrained(fixture("bad/unet_good"), { dtype: "f32" });
  const sample = tensor(new Float32Array(3 * 8 * 8), [1, 3, 8, 8]);
  const inputs = (config: object, labels?: number | Tensor, t = 0) =>
    unet2DInputs(sample, t, labels, { ...unet.config, ...config });
  assert.throws(() => inputs({ num_class_embeds: 4 }), {
    message: "Cannot denoise: expected classLabels, as the model draws classes, got none",
  });
  assert.throws(() => inputs({ num_class_embeds: 4 }, 4), {
    message: "Cannot use class label 4: expected a whole number from 0 to 3",
  });
  assert.throws(() => inputs({ class_embed_type: "identity" }, 1), {
    message: 'Cannot use classLabels: expected a tensor [B, T], got 1; class_embed_type is "identity"',
  });
  const learned = { time_embedding_type: "learned", num_train_timesteps: 10 };
  assert.throws(() => inputs(learned, undefined, 2.5), {
    message: "Cannot use timestep 2.5: expected a whole number from 0 to 9",
  });
});

const refusals = {
  unet_wrong_shape:
    /^Cannot use "conv_in.weight": expected shape \[2, 3, 3, 3\], got \[8, 3, 1, 1\]; the config and/,
  unet_missing_tensor: /^Cannot load ".+" from .+: no such key; nearest is ".+"$/,
};
for (const [folder, message] of Object.entries(refusals)) {
  Deno.test(`UNet2DModel.fromPretrained() refuses ${folder} in one line`, async () => {
    await assert.rejects(UNet2DModel.fromPretrained(fixture(`bad/${folder}`), { dtype: "f32" }), { message });
  });
}

const notices = {
  unet_extra_tensor: /1 tensors? .* not used/,
  unet_unknown_config_key: /ignoring unknown keys shiny_new_option/,
  unet_nan_weight: /hold NaN/,
};
for (const [folder, line] of Object.entries(notices)) {
  Deno.test(`UNet2DModel.fromPretrained() loads ${folder} with a notice`, async () => {
    const lines: string[] = [];
    const onNotice = (line: string) => lines.push(line);
    using _unet = await UNet2DModel.fromPretrained(fixture(`bad/${folder}`), { dtype: "f32", onNotice });
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, line);
  });
}

function assertSame(got: Tensor, want: HostTensor, what: string, limit = bound): Promise<void> {
  return assertTensor(got, want, limit, what);
}

async function assertTaps(taps: Readonly<Record<string, Tensor>>, expected: Map<string, HostTensor>) {
  assert.deepEqual(Object.keys(taps), [...expected.keys()]);
  await Promise.all([...expected].map(([path, want]) => assertSame(taps[path]!, want, path)));
}

Deno.test("a picture larger than the adapter binds at once is refused in one line, before weights are there", async () => {
  using device = await openDevice();
  using unet = await UNet2DModel.fromPretrained(fixture("ddpm/pipeline"), { subfolder: "unet", defer: true });
  const side = 8192;
  const work = () => unet.forward(zeros([1]).expand([1, unet.config.in_channels, side, side]), 0);
  const message = new RegExp(
    `^Cannot compute [\\w.]+: expected at most ${device.limits.maxStorageBufferBindingSize} bytes in one ` +
      "tensor on .+, got \\d+; draw smaller pictures or fewer at once$",
  );
  assert.throws(() => unet.expectRunnable(work), { name: "RangeError", message });
  assert.ok(unet.measure(work) > 0); // for a plan
  await unet.load();
  assert.throws(() => unet.reserve(work), { name: "RangeError", message });
});
