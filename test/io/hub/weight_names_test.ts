import assert from "node:assert/strict";
import { readJson } from "../../../src/io/config.ts";
import { chooseWeights, type Library, noticeOf } from "../../../src/io/hub/needed_files.ts";
import { fixture } from "../../support/fixtures.ts";

type Case = [library: Library, names: string[], variant: string | null, taken: string | null];
const cases = await readJson(fixture("weight_names/cases.json")) as Case[];

for (const library of ["diffusers", "transformers"] as const) {
  Deno.test(`chooseWeights() takes the file that ${library} takes, of any three`, () => {
    const own = cases.filter(([of]) => of === library);
    const plain = new Map(own.flatMap(([, names, variant, taken]) => variant ? [] : [[names.join(), taken]]));
    for (const [, names, variant, taken] of own) {
      const chosen = chooseWeights(new Set(names), { library, variant: variant ?? undefined });
      // As in pipelines of diffusers the plain weights serve where a part lacks the variant.
      const expected = taken ?? (variant ? plain.get(names.join()) : null);
      const what = `${variant} of ${names.join(", ")}`;
      if (expected) assert.equal(chosen, expected, what);
      else assert.ok(chosen && names.includes(chosen), what); // Python would have wanted the variant's name
    }
  });
}

const stem = "diffusion_pytorch_model";
const others: [what: string, names: string[], library: Library, taken: string | undefined][] = [
  ["the other library's names", ["model.safetensors"], "diffusers", "model.safetensors"],
  [
    "its own pickle before the other's file",
    ["model.safetensors", `${stem}.bin`],
    "diffusers",
    `${stem}.bin`,
  ],
  [
    "the text encoder's where a UNet's lie beside it",
    [`${stem}.safetensors`, "pytorch_model.bin"],
    "transformers",
    "pytorch_model.bin",
  ],
  ["shards of a pickle", [`${stem}.bin.index.json`], "diffusers", `${stem}.bin.index.json`],
  [
    "any one variant",
    [`${stem}.non_ema.safetensors`, `${stem}.non_ema.bin`],
    "diffusers",
    `${stem}.non_ema.safetensors`,
  ],
  [
    "the index of the only variant",
    ["model.fp16-00001-of-00002.safetensors", "model.safetensors.index.fp16.json"],
    "transformers",
    "model.safetensors.index.fp16.json",
  ],
  [
    "nothing of other files",
    ["config.json", "model.onnx", "flax_model.msgpack", "tf_model.h5"],
    "transformers",
    undefined,
  ],
];

for (const [what, names, library, taken] of others) {
  Deno.test(`chooseWeights() takes ${what} for ${library}`, () => {
    assert.equal(chooseWeights(new Set(names), { library }), taken);
  });
}

Deno.test("chooseWeights() leaves the choice among several variants to the user", () => {
  const names = new Set(["fp16", "bf16"].map((variant) => `${stem}.${variant}.safetensors`));
  assert.throws(() => chooseWeights(names, {}, "unet"), {
    message:
      "Cannot choose weights of unet: expected plain ones or one variant, got bf16, fp16; name one as variant",
  });
  assert.equal(chooseWeights(names, { variant: "bf16" }), `${stem}.bf16.safetensors`);
});

Deno.test("noticeOf() says that weights are not of the variant that was asked for", () => {
  assert.equal(noticeOf("unet/model.safetensors", undefined), undefined);
  assert.equal(noticeOf("unet/model.fp16.safetensors", "fp16"), undefined);
  assert.equal(noticeOf("model.safetensors.index.fp16.json", "fp16"), undefined);
  assert.equal(noticeOf("unet/model.bin", "fp16"), "no fp16 weights; taking unet/model.bin");
  assert.equal(
    noticeOf("unet/model.fp16.bin", undefined),
    "unet/model.fp16.bin is taken, as there are no other weights",
  );
});
