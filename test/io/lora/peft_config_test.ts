import assert from "node:assert/strict";
import { openCheckpoint } from "../../../src/io/formats/checkpoint.ts";
import { readLora } from "../../../src/io/lora/file.ts";
import {
  adapterConfigOf,
  isSavedWhole,
  patternOf,
  readHeaderConfigs,
} from "../../../src/io/lora/peft_config.ts";
import { cpuMs } from "../../support/cpu_time.ts";
import { TestFolder } from "../../support/files.ts";
import { tensorFile } from "../../support/lora_files.ts";

const zeros = (...shape: number[]) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b)) });

/** A file as peft writes it, with its config beside it. */
async function read(config: object | string) {
  using folder = new TestFolder();
  const name = "base_model.model.a.to_q";
  const tensors = { [`${name}.lora_A.weight`]: zeros(4, 6), [`${name}.lora_B.weight`]: zeros(5, 4) };
  const path = folder.write("adapter_model.safetensors", tensorFile(tensors));
  folder.write("adapter_config.json", typeof config === "string" ? config : JSON.stringify(config));
  using checkpoint = await openCheckpoint(path);
  return await readLora(checkpoint, path);
}

Deno.test("readLora() takes the strength from the config beside a file of peft", async () => {
  const factor = async (config: object) =>
    (await read({ peft_type: "LORA", r: 4, ...config })).pairs[0]!.factor;
  assert.equal(await factor({ lora_alpha: 8 }), 2);
  assert.equal(await factor({ lora_alpha: 8, use_rslora: true }), 4);
  assert.equal(await factor({ lora_alpha: 8, alpha_pattern: { "to_[qk]": 2 } }), 0.5);
  assert.equal(await factor({ lora_alpha: 8, fan_in_fan_out: true, lora_dropout: 0.1 }), 2); // of no dense layer
});

const refused: [config: object | string, message: RegExp][] = [
  [
    { peft_type: "VERA" },
    /^Error: Cannot load .*adapter_config\.json: expected LoRA, LoHa, LoKr or OFT of peft, got VERA, which is not built$/,
  ],
  [{ use_qalora: true }, /got one with use_qalora, which is not built$/],
  [{ trainable_token_indices: [3] }, /got one with trainable_token_indices, which is not built$/],
  [{ layer_replication: [[0, 4]] }, /got one with layer_replication, which is not built$/],
  [
    { init_lora_weights: "pissa_niter_4" },
    /got one that began by "pissa_niter_4", which changes the model's weights; save it with/,
  ],
  [{ init_lora_weights: "olora" }, /got one that began by "olora"/],
  [{ use_dora: true }, /expected the magnitudes of DoRA, as its config has use_dora, got none/],
  [{ alpha_pattern: { "(a+)+": 1 } }, /^SyntaxError: Cannot read the pattern "\(a\+\)\+" of peft's config/],
  [{ alpha_pattern: { "(": 1 } }, /^SyntaxError: Cannot read the pattern/],
  [{ alpha_pattern: { ".*.*.*x": 1 } }, /^SyntaxError: Cannot read the pattern/],
  [{ alpha_pattern: { ".*.*.*.*.*": 1 } }, /^SyntaxError: Cannot read the pattern/],
  [{ alpha_pattern: { [`${".?".repeat(40)}!`]: 1 } }, /^SyntaxError: Cannot read the pattern/],
  [{ alpha_pattern: { [`${"(.|..)".repeat(25)}!`]: 1 } }, /^SyntaxError: Cannot read the pattern/],
  [{ alpha_pattern: { [`a${"b".repeat(200)}`]: 1 } }, /^SyntaxError: Cannot read the pattern/],
  [
    { r: 0 },
    /^RangeError: Cannot load .*adapter_config\.json: expected ranks \(r, rank_pattern\) from 1, got 0; /,
  ],
  [{ r: -4 }, /got -4; /],
  [{ r: 4.5 }, /got 4\.5; /],
  [{ r: 4, rank_pattern: { to_k: 0 } }, /got 0; /],
  [
    { r: 8 },
    /^RangeError: Cannot load .*: expected "base_model\.model\.a\.to_q\.lora_A\.weight" of rank 8, .*got \[4, 6\]; /,
  ],
  [{ r: 4, rank_pattern: { to_q: 2 } }, /of rank 2, .*got \[4, 6\]; /],
  [{ lora_alpha: "8" }, /adapter_config\.json/],
  ["[1]", /adapter_config\.json/],
  ["<html>", /adapter_config\.json/],
];
for (const [config, message] of refused) {
  Deno.test(`readLora() refuses what peft's config says: ${JSON.stringify(config).slice(0, 50)}`, async () => {
    await assert.rejects(read(config), (error: Error) => message.test(`${error.name}: ${error.message}`));
  });
}

Deno.test("options of peft that change nothing, or are off, are taken", async () => {
  for (const off of [null, false, [], {}]) {
    await read({ r: 8, rank_pattern: { to_q: 4 } });
    await read({ use_qalora: off === null ? null : false, arrow_config: off });
  }
  for (const begin of [true, false, "gaussian", "eva", "orthogonal", "mica"]) {
    await read({ init_lora_weights: begin });
  }
});

Deno.test("patternOf() matches a whole name or its end behind a dot, as peft does, in the config's order", () => {
  const of = (patterns: Record<string, number>, layer: string) => {
    const config = readHeaderConfigs(JSON.stringify({ alpha_pattern: patterns }), "x").get("");
    return patternOf(config?.alpha_pattern, layer);
  };
  assert.equal(of({ to_q: 1 }, "a.to_q"), 1);
  assert.equal(of({ to_q: 1 }, "to_q"), 1);
  assert.equal(of({ to_q: 1 }, "a.into_q"), undefined);
  assert.equal(of({ "attn1.to_q": 1 }, "a.attn1xto_q"), 1); // a dot is any character, as in Python
  assert.equal(of({ "a|b": 1 }, "x.b"), 1);
  assert.equal(of({ "down_blocks\\.\\d+\\..*to_q": 2, to_q: 3 }, "down_blocks.10.x.to_q"), 2);
  assert.equal(of({ "down_blocks\\.\\d+\\..*to_q": 2, to_q: 3 }, "up_blocks.1.x.to_q"), 3);
  assert.equal(of({ "(?:down|up)_blocks\\.\\d+\\..*to_(q|k)": 2 }, "up_blocks.1.x.to_k"), 2);
  assert.equal(of({ "(to_q|to_k|to_v|to_out\\.0)": 2 }, "a.to_out.0"), 2);
  assert.equal(patternOf(null, "x"), undefined);
});

Deno.test("the slowest patterns that are taken take less than a second", async () => {
  for (const pattern of [".*.*x", ".*.*.?.?(a|b)x", ".*(.|.|.|.|.)x", "(.|..)(.|..)(.|..).?.?x"]) {
    const config = readHeaderConfigs(JSON.stringify({ alpha_pattern: { [pattern]: 1 } }), "x").get("");
    const ms = await cpuMs(() =>
      assert.equal(patternOf(config?.alpha_pattern, "a.".repeat(100)), undefined, pattern)
    );
    assert.ok(ms < 1000, `${pattern} took ${ms} ms`);
    assert.throws(
      () => patternOf(config?.alpha_pattern, "a".repeat(500)),
      /names of layers of at most 200 letters, got 500/,
    );
  }
});

Deno.test("isSavedWhole() knows the modules and biases that a config names", () => {
  const modules_to_save = ["conv_out", "time_embedding"];
  const is = (key: string, bias = "none") => isSavedWhole({ modules_to_save, bias }, key);
  assert.ok(is("base_model.model.conv_out.weight"));
  assert.ok(is("base_model.model.time_embedding.linear_1.bias"));
  assert.ok(!is("base_model.model.conv_in.weight"));
  assert.ok(!is("base_model.model.my_conv_out.weight"));
  assert.ok(!is("base_model.model.conv_in.bias"));
  assert.ok(is("base_model.model.conv_in.bias", "all"));
  assert.ok(!is("base_model.model.conv_in.weight", "all"));
  assert.ok(!is("base_model.model.conv_out.alpha"));
});

Deno.test("adapterConfigOf() finds the config beside a file of peft alone", () => {
  const listing = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "unet/adapter_model.bin",
    "unet/adapter_config.json",
  ];
  assert.deepEqual(adapterConfigOf(listing, "adapter_model.safetensors"), ["adapter_config.json"]);
  assert.deepEqual(adapterConfigOf(listing, "unet/adapter_model.bin"), ["unet/adapter_config.json"]);
  assert.deepEqual(adapterConfigOf(listing, "style.safetensors"), []);
  assert.deepEqual(adapterConfigOf(["adapter_model.bin"], "adapter_model.bin"), []);
});
