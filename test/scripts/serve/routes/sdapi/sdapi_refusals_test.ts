import assert from "node:assert/strict";
import { Drawer } from "denoise/serve";
import { encodePng } from "../../../../../src/io/images/png.ts";
import { cpuMs } from "../../../../support/cpu_time.ts";
import { emoji } from "../../../../support/emoji.ts";
import { fixture } from "../../../../support/fixtures.ts";
import { Served } from "../../../../support/served.ts";
import sent from "./webuiapi_0_9_17.json" with { type: "json" }; // what PyPI's client sends

let drawer: Drawer;
let served: Served;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({
    models: [{ name: "emoji", path: emoji }, { name: "flux", path: fixture("flux/pipeline") }],
    lora: [{ name: "style", path: fixture("flux/lora/kohya.safetensors") }],
  });
  served = new Served(drawer);
});
Deno.test.afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await drawer[Symbol.asyncDispose]();
});

const get = async (path: string) => (await served.call("GET", `/sdapi/v1/${path}`)).json;
const post = (path: string, body: unknown) => served.call("POST", `/sdapi/v1/${path}`, body);

const refused: Record<string, [params: object, status: number, message: RegExp]> = {
  "an upscaler that is a network": [
    { enable_hr: true, hr_upscaler: "R-ESRGAN 4x+" },
    422,
    /^Cannot take hr_upscaler R-ESRGAN 4x\+: expected Latent, .*, as networks are not built in$/,
  ],
  "a second pass with another model": [
    { enable_hr: true, hr_checkpoint_name: "flux" },
    422,
    /hr_checkpoint_name to be /,
  ],
  "a second pass with another LoRA": [
    { enable_hr: true, hr_prompt: "<lora:style:1>" },
    422,
    /^Cannot take hr_prompt style:1: expected no LoRA but those of the prompt$/,
  ],
  "a second pass that is too large": [{ enable_hr: true, hr_scale: 64 }, 422, /expected at most \d+ pixels/],
  "a second pass of too little strength": [
    { enable_hr: true, denoising_strength: 0.01, hr_second_pass_steps: 20 },
    422,
    /^Cannot draw 20 steps of a second pass with this strength: expected to be the last of at most 999, got 2000;/,
  ],
  "faces to restore": [{ restore_faces: true }, 422, /restore_faces to be false/],
  "more than a whole variation": [{ subseed_strength: 1.5 }, 422, /subseed_strength/],
  "another model for the last steps": [{ refiner_checkpoint: "flux" }, 422, /refiner_checkpoint to be /],
  "steps without guidance": [{ s_min_uncond: 2 }, 422, /s_min_uncond to be 0/],
  "a script": [{ script_name: "X/Y/Z plot" }, 422, /script_name to be ""/],
  "a ControlNet without a picture": [
    { alwayson_scripts: { ControlNet: { args: [{}] } } },
    422,
    /^Cannot take image of a ControlNet: expected a picture, got none$/,
  ],
  "more layers of CLIP than there are": [
    { override_settings: { CLIP_stop_at_last_layers: 4 } },
    422,
    /^Cannot draw: expected clip-skip of at most 2, got 3$/,
  ],
  "an unknown model": [
    { override_settings: { sd_model_checkpoint: "x" } },
    404,
    /^Cannot find the model x: /,
  ],
  "an unknown sampler": [{ sampler_name: "Eular" }, 422, /^Cannot find the scheduler "Eular": .*Euler/],
  "an unknown LoRA": [{ prompt: "<lora:stile:1>" }, 404, /lora stile: nearest is style$/],
  "another network": [
    { prompt: "<hypernet:x:1>" },
    422,
    /^Cannot take <hypernet:x:1> in a prompt: expected /,
  ],
  "several prompts": [{ prompt: "a AND b" }, 422, /AND, which joins several prompts, is not built/],
  "too many pictures": [{ batch_size: 6, n_iter: 2 }, 422, /count of at most 10, got 12$/],
};
for (const [what, [params, status, message]] of Object.entries(refused)) {
  Deno.test(`A1111's API refuses in its own form: ${what}`, async () => {
    const answer = await post("txt2img", { ...sent.txt2img, ...params });
    assert.equal(answer.status, status, JSON.stringify(answer.json));
    assert.match(answer.json.detail, message);
    assert.equal(answer.json.error, "HTTPException");
  });
}

Deno.test("img2img refuses what is no picture, and none", async () => {
  for (const init_images of [["/etc/passwd"], ["http://localhost/x.png"], ["AAAA"]]) {
    assert.equal((await post("img2img", { ...sent.img2img, init_images })).status, 422);
  }
  assert.equal((await post("img2img", { prompt: "a cat" })).status, 404);
});

Deno.test("options that would change pictures otherwise are refused, and keep what was set", async () => {
  for (
    const options of [{ eta_noise_seed_delta: 31337 }, { CLIP_stop_at_last_layers: 0 }]
  ) {
    assert.equal((await post("options", { ...options, sd_model_checkpoint: "flux" })).status, 422);
  }
  assert.equal((await post("options", { sd_model_checkpoint: "x" })).status, 404);
  assert.equal((await get("options")).sd_model_checkpoint, "emoji");
});

Deno.test("A1111's clients send the key as a password", async () => {
  await using locked = new Served(drawer, { key: "a:b" });
  const status = async (pair: string) => {
    const authorization = `Basic ${btoa(pair)}`;
    const [status] = await Promise.all(["/sdapi/v1/options", "/controlnet/version"].map(async (path) => {
      const { status, headers, json } = await locked.call("GET", path, undefined, { authorization });
      assert.equal(headers.has("www-authenticate"), status === 401);
      assert.equal(json.error, status === 401 ? "HTTPException" : undefined);
      return status;
    }));
    return status;
  };
  assert.equal(await status("any:a:b"), 200);
  for (const pair of ["any:a", "a:b", "any", ""]) assert.equal(await status(pair), 401);
});

Deno.test("hostile texts are read in no time: infotexts of files, tags of prompts", async () => {
  const png = (parameters: string) =>
    encodePng({ width: 1, height: 1, channels: 1, data: Uint8Array.of(0) }, { parameters }).toBase64();
  const lines = ["a ".repeat(50_000), " ".repeat(9_999), `${"ab".repeat(4_000)}:"`, 'a b:"'.repeat(1_900)];
  const prompts = ["<a:".repeat(6_000), "<".repeat(20_000), "<a:".repeat(40_000)];
  const ms = await cpuMs(async () => {
    for (const line of lines) {
      assert.equal((await post("png-info", { image: png(`x\n${line}`) })).status, 200);
    }
    for (const prompt of prompts) {
      assert.equal((await post("txt2img", { ...sent.txt2img, sampler_name: "Eular", prompt })).status, 422);
    }
  });
  assert.ok(ms < 3000, `took ${ms} ms`);
});
