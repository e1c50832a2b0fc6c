import assert from "node:assert/strict";
import { Drawer, type DrawOptions, type DrawRequest } from "denoise/serve";
import { decodePng, encodePng } from "../../../../../src/io/images/png.ts";
import { type Image, inMode } from "../../../../../src/io/images/image.ts";
import { decodePicture } from "../../../../../src/io/images/load_image.ts";
import { resizedImage } from "../../../../../src/io/images/resize.ts";
import { samplers } from "../../../../../src/schedulers/names.ts";
import { emoji } from "../../../../support/emoji.ts";
import { Endings } from "../../../../support/endings.ts";
import { fixture } from "../../../../support/fixtures.ts";
import { Served } from "../../../../support/served.ts";
import sent from "./webuiapi_0_9_17.json" with { type: "json" }; // what PyPI's client sends

const EMOJI = { name: "emoji", path: emoji };
const FLUX = { name: "flux", path: fixture("flux/pipeline") };
const LORA = { name: "style", path: fixture("flux/lora/kohya.safetensors") };
const photo = Deno.readFileSync(fixture("pictures/files/turned_6.jpg"));
const onePhoto = await decodePicture(photo, "a photo", 2 ** 24);
const size = { width: 32, height: 32 };

let drawer: Drawer;
let served: Served;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [EMOJI, FLUX], lora: [LORA] });
  served = new Served(drawer);
});
Deno.test.afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await drawer[Symbol.asyncDispose]();
});

const post = (path: string, body: unknown) => served.call("POST", `/sdapi/v1/${path}`, body);
const get = async (path: string) => (await served.call("GET", `/sdapi/v1/${path}`)).json;

async function drawn(path: "txt2img" | "img2img", params: object) {
  const { status, json } = await post(path, { ...sent[path], ...params });
  assert.equal(status, 200, JSON.stringify(json));
  const files: Uint8Array[] = json.images.map((text: string) => Uint8Array.fromBase64(text));
  return { files, pixels: files.map(pixelsOf), info: JSON.parse(json.info), parameters: json.parameters };
}

const pixelsOf = (png: Uint8Array) => decodePng(png, "a picture").data;
async function pixelsAs(request: DrawRequest): Promise<Uint8Array[]> {
  const usual = { scheduler: "Euler a", guidance: 7, size, seed: 3n };
  const { pictures } = await drawer.draw({ ...usual, ...request });
  return pictures.map(({ png }) => pixelsOf(png));
}

Deno.test("txt2img of an unchanged client draws what a request in our words draws, batch after batch", async () => {
  const params = { prompt: "a (nice:1.4) flower", negative_prompt: "blue", batch_size: 2, n_iter: 2 };
  const { pixels, info, parameters } = await drawn("txt2img", params);
  const request = { prompt: params.prompt, negative: "blue", "prompt-syntax": "a1111", steps: 2 } as const;
  assert.deepEqual(pixels, await pixelsAs({ ...request, count: 4 }));
  assert.deepEqual(info.all_seeds, [3, 4, 5, 6]);
  assert.equal(info.infotexts.length, 4);
  assert.deepEqual([parameters.prompt, parameters.hr_scale], [params.prompt, 2]);
});

Deno.test("pictures have an infotext as A1111 writes it, beside their recipe, and png-info reads it", async () => {
  const params = { prompt: "a nice flower,\nwild", negative_prompt: "blue", sampler_name: "DPM++ 2M" };
  const { files: [png], info } = await drawn("txt2img", params);
  const { text } = decodePng(png!, "a picture");
  const want =
    "a nice flower,\nwild\nNegative prompt: blue\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, " +
    "CFG scale: 7, Seed: 3, Size: 32x32, Model: emoji, Version: Denoise ";
  assert.equal(text["parameters"]!.slice(0, want.length), want);
  assert.equal(info.infotexts[0], text["parameters"]);
  assert.equal(JSON.parse(text["denoise"]!).scheduler, "DPM++ 2M Karras");
  const { json } = await post("png-info", { image: `data:image/png;base64,${png!.toBase64()}` });
  assert.equal(json.info, text["parameters"]);
  assert.deepEqual(Object.keys(json.items), ["denoise"]);
  const { Version: _, ...read } = json.parameters;
  assert.deepEqual(read, {
    ...{ Prompt: "a nice flower,\nwild", "Negative prompt": "blue", Steps: "2", Sampler: "DPM++ 2M" },
    ...{
      "Schedule type": "Karras",
      "CFG scale": "7",
      Seed: "3",
      "Size-1": "32",
      "Size-2": "32",
      Model: "emoji",
    },
  });
  assert.equal((await post("png-info", { image: photo.toBase64() })).status, 422);
});

Deno.test("img2img changes a picture by denoising_strength", async () => {
  const init_images = [`data:image/jpeg;base64,${photo.toBase64()}`];
  const request = { prompt: "a cat", "prompt-syntax": "a1111", steps: 4, image: [photo] } as const;
  const whole = await drawn("img2img", { init_images });
  assert.deepEqual(whole.pixels, await pixelsAs({ ...request, strength: 0.75 }));
  assert.equal(whole.parameters.init_images, undefined);
  const file = (...color: number[]) => {
    const data = Uint8Array.from({ length: color.length * 1024 }, (_, i) => color[i % color.length]!);
    const channels = color.length as 3 | 4;
    return encodePng({ width: 32, height: 32, channels, data }).toBase64();
  };
  const { pixels: seen } = await drawn("img2img", { init_images: [file(9, 9, 9, 0)] });
  assert.deepEqual(seen, (await drawn("img2img", { init_images: [file(255, 255, 255)] })).pixels);
  for (const [resize_mode, fit] of [[1, "crop"], [2, "fill"]] as const) {
    const wide = decodePng(encodePng(resizedImage(onePhoto, { width: 48, height: 32 })), "a picture");
    const { pixels } = await drawn("img2img", { init_images: [encodePng(wide).toBase64()], resize_mode });
    const image = [encodePng(resizedImage(inMode(wide, "RGB"), size, { fit }))];
    assert.deepEqual(pixels, await pixelsAs({ ...request, image, strength: 0.75 }));
  }
  const latents = await drawn("img2img", { init_images, resize_mode: 3 });
  assert.deepEqual(latents.pixels, await pixelsAs({ ...request, strength: 0.75, resize: "latents" }));
  assert.notDeepEqual(latents.pixels, whole.pixels);
  const weak = await drawn("img2img", { init_images, denoising_strength: 0.4 });
  assert.deepEqual(weak.pixels, await pixelsAs({ ...request, strength: 0.4 }));
  assert.match(weak.info.infotexts[0], /Denoising strength: 0\.4/);
});

Deno.test("within a mask a picture is drawn anew, and stays what it is elsewhere", async () => {
  const side = 48;
  const scene = (x: number, y: number) => [5 * x, 5 * y, 120];
  const image = pictureOf(side, scene);
  const isMasked = (x: number, y: number) => x >= 8 && x < 20 && y >= 24 && y < 36;
  const mask = pictureOf(side, (x, y) => isMasked(x, y) ? [255, 255, 255] : [0, 0, 0]);
  const params = {
    init_images: [image.toBase64()],
    mask: mask.toBase64(),
    mask_blur: 0,
    width: 48,
    height: 48,
  };
  const request = { prompt: "a cat", "prompt-syntax": "a1111", steps: 4, strength: 0.75 } as const;
  const size = { width: side, height: side };
  const whole = { ...params, inpaint_full_res: false };
  const within = (_: number, i: number) => isMasked(Math.floor(i / 4) % side, Math.floor(i / 4 / side));
  const [drawnWhole] = await pixelsAs({ ...request, image: [image], mask, size, "mask-content": "fill" });
  const { pixels: [got] } = await drawn("img2img", whole);
  assert.deepEqual(
    got,
    new Uint8Array(got!.length).map((_, i) => {
      const [x, y] = [Math.floor(i / 4) % side, Math.floor(i / 4 / side)];
      return isMasked(x, y) ? drawnWhole![i]! : i % 4 === 3 ? 255 : scene(x, y)[i % 4]!;
    }),
  );

  for (const [inpainting_fill, content] of [[1, "original"], [2, "noise"], [3, "nothing"]] as const) {
    const { pixels: [other], info } = await drawn("img2img", { ...whole, inpainting_fill });
    const [want] = await pixelsAs({ ...request, image: [image], mask, size, "mask-content": content });
    assert.deepEqual(other!.filter(within), want!.filter(within), content);
    assert.equal(/Masked content: latent/.test(info.infotexts[0]), content !== "original");
    assert.notDeepEqual(other, got);
  }

  const part = { inpaint_full_res: true, inpaint_full_res_padding: 2, width: 32, height: 32 };
  const { pixels: [only], files, info } = await drawn("img2img", { ...params, ...part });
  const file = decodePng(files[0]!, "a picture");
  assert.deepEqual([file.width, file.height, Object.keys(file.text)], [side, side, ["parameters"]]);
  assert.match(info.infotexts[0], /Size: 32x32/); // that which was drawn
  assert.match(info.infotexts[0], /, Inpaint area: Only masked, Masked area padding: 2, /);
  const changed = new Set<boolean>();
  for (let i = 0; i < only!.length; i++) {
    const [x, y] = [Math.floor(i / 4) % side, Math.floor(i / 4 / side)];
    if (i % 4 < 3 && only![i] !== scene(x, y)[i % 4]) changed.add(isMasked(x, y));
  }
  assert.deepEqual([...changed], [true]);
  assert.notDeepEqual(only, got);

  const outside = pictureOf(side, (x, y) => isMasked(x, y) ? [0, 0, 0] : [255, 255, 255]).toBase64();
  const inverted = await drawn("img2img", { ...whole, mask: outside, inpainting_mask_invert: 1 });
  assert.deepEqual(inverted.pixels, [got]);
  const soft = await drawn("img2img", { ...whole, mask_blur: 2 });
  assert.notDeepEqual(soft.pixels, [got]);
  const huge = await post("img2img", { ...sent.img2img, ...whole, mask_blur: 100_000 });
  assert.equal(huge.status, 422);
  for (const side of [1e9, 0, -32]) {
    assert.equal((await post("img2img", { ...sent.img2img, ...whole, width: side, height: 64 })).status, 422);
  }
});

/** A PNG of a square. */
function pictureOf(side: number, color: (x: number, y: number) => number[]): Uint8Array {
  const data = Array.from({ length: side * side }, (_, i) => color(i % side, Math.floor(i / side))).flat();
  return encodePng({ width: side, height: side, channels: 3, data: Uint8Array.from(data) });
}

Deno.test("LoRAs are named in the prompt, and a model without weighted prompts draws it as plain words", async () => {
  const params = {
    steps: 1,
    prompt: "a cat <lora:style:0.5>",
    override_settings: { sd_model_checkpoint: "flux" },
  };
  const euler = { ...params, sampler_name: "Euler" };
  const { pixels, info } = await drawn("txt2img", euler);
  const request = { prompt: "a cat", model: "flux", steps: 1, scheduler: "Euler" };
  assert.deepEqual(pixels, await pixelsAs({ ...request, lora: ["style:0.5"] }));
  assert.notDeepEqual(pixels, await pixelsAs(request));
  assert.match(info.infotexts[0], /^a cat <lora:style:0.5>\n/);
  assert.equal((await get("options")).sd_model_checkpoint, "emoji");
  const { pixels: plain } = await drawn("txt2img", { ...euler, disable_extra_networks: true });
  assert.deepEqual(plain, await pixelsAs(request));
});

Deno.test("samplers have A1111's own spread of the steps, whatever they are called", async () => {
  const request = { prompt: "a nice flower", "prompt-syntax": "a1111", steps: 3 } as const;
  const [want] = await pixelsAs({ ...request, scheduler: "DPM++ 2M Karras" });
  for (const sampler_name of ["DPM++ 2M", "k_dpmpp_2m", "dpm++ 2m", "DPM++ 2M Karras"]) {
    assert.deepEqual((await drawn("txt2img", { steps: 3, sampler_name })).pixels, [want], sampler_name);
  }
});

Deno.test("subseed and seed_resize_from mix noise, one seed for all pictures", async () => {
  const request: DrawRequest = { prompt: "a nice flower", "prompt-syntax": "a1111", steps: 2 };
  const params = { subseed: 7, subseed_strength: 0.3, batch_size: 2 };
  const { pixels, info, files } = await drawn("txt2img", params);
  assert.deepEqual(pixels, await pixelsAs({ ...request, variation: "7:0.3", count: 2 }));
  assert.deepEqual([info.all_seeds, info.all_subseeds, info.subseed_strength], [[3, 3], [7, 8], 0.3]);
  assert.match(info.infotexts[1], /, Seed: 3, .*Variation seed: 8, Variation seed strength: 0.3, /);
  const { seed, variation } = JSON.parse(decodePng(files[1]!, "a picture").text["denoise"]!);
  assert.deepEqual([seed, variation], [3, "8:0.3"]);
  assert.deepEqual(await pixelsAs({ ...request, variation }), [pixels[1]]);
  const resized = await drawn("txt2img", { seed_resize_from_w: 16, seed_resize_from_h: 24 });
  assert.deepEqual(resized.pixels, await pixelsAs({ ...request, "seed-size": { width: 16, height: 24 } }));
  assert.notDeepEqual(resized.pixels, await pixelsAs(request));
  const changed = await drawn("img2img", { ...params, init_images: [photo.toBase64()] });
  const change = {
    prompt: "a cat",
    "prompt-syntax": "a1111",
    steps: 4,
    image: [photo],
    strength: 0.75,
  } as const;
  assert.deepEqual(changed.pixels, await pixelsAs({ ...change, variation: "7:0.3", count: 2 }));
  assert.notDeepEqual(changed.pixels[0], (await pixelsAs(change))[0]);
});

Deno.test("enable_hr draws in two passes, with A1111's names and sizes", async () => {
  const hr = {
    enable_hr: true,
    hr_upscaler: "Latent (bicubic)",
    hr_second_pass_steps: 3,
    denoising_strength: 0.5,
  };
  const request: DrawRequest = {
    prompt: "a nice flower",
    "prompt-syntax": "a1111",
    steps: 2,
    hires: { width: 72, height: 48 },
    "hires-upscaler": "latent-bicubic",
    "hires-steps": 3,
    "hires-strength": 0.5,
  };
  const params = { ...hr, hr_resize_x: 74, hr_resize_y: 48 };
  const { pixels, files, info } = await drawn("txt2img", params);
  assert.deepEqual(pixels, await pixelsAs(request));
  const { width, height, text } = decodePng(files[0]!, "a picture");
  assert.deepEqual([width, height], [72, 48]);
  assert.match(
    text["parameters"]!,
    /Size: 32x32, .*Denoising strength: 0.5, Hires resize: 72x48, Hires steps: 3, Hires/,
  );
  const { size, hires } = JSON.parse(text["denoise"]!);
  assert.deepEqual([size, hires, info.width], ["32x32", "72x48", 72]);
  const other = {
    ...hr,
    hr_scale: 1.53,
    hr_sampler_name: "DPM++ 2M",
    hr_prompt: "a red apple",
    hr_negative_prompt: "blue",
  };
  const want = await pixelsAs({
    ...request,
    ...{ hires: { width: 48, height: 48 }, "hires-scheduler": "DPM++ 2M Karras" },
    ...{ "hires-prompt": "a red apple", "hires-negative": "blue" },
  });
  assert.deepEqual((await drawn("txt2img", other)).pixels, want);
  assert.notDeepEqual((await drawn("txt2img", { ...hr, hr_scale: 1.53 })).pixels, want);
  const names = [...await get("upscalers"), ...await get("latent-upscale-modes")].map(({ name }) => name);
  assert.deepEqual(names.slice(0, 4), ["None", "Lanczos", "Nearest", "Latent"]);
  const pictures = await drawn("txt2img", { ...hr, hr_scale: 1.53, hr_upscaler: "None" });
  assert.deepEqual(
    pictures.pixels,
    await pixelsAs({ ...request, hires: { width: 48, height: 48 }, "hires-upscaler": "lanczos" }),
  );
});

Deno.test("enable_hr draws FLUX.1 in two passes, too", async () => {
  const override_settings = { sd_model_checkpoint: "flux" };
  const hr = { enable_hr: true, hr_scale: 2, denoising_strength: 0.5, steps: 2, cfg_scale: 3 };
  const params = { prompt: "a cat", sampler_name: "Euler", override_settings, ...hr };
  const { pixels } = await drawn("txt2img", params);
  const twice = { hires: { width: 64, height: 64 }, "hires-strength": 0.5 };
  assert.deepEqual(
    pixels,
    await pixelsAs({ prompt: "a cat", model: "flux", scheduler: "Euler", guidance: 3, steps: 2, ...twice }),
  );
});

Deno.test("layers of CLIP are left out for both prompts, where A1111 does so", async () => {
  const params = { prompt: "a nice flower", negative_prompt: "blue" };
  const request = { prompt: params.prompt, negative: "blue", "prompt-syntax": "a1111", steps: 2 } as const;
  const want = await pixelsAs({ ...request, "clip-skip": 1 });
  const override_settings = { CLIP_stop_at_last_layers: 2 };
  const { pixels, info } = await drawn("txt2img", { ...params, override_settings });
  assert.deepEqual(pixels, want);
  assert.notDeepEqual(pixels, await pixelsAs(request));
  assert.match(info.infotexts[0], /, Clip skip: 2, /);
  assert.equal(info.clip_skip, 2);
  assert.equal((await post("options", { CLIP_stop_at_last_layers: 2 })).status, 200);
  assert.equal((await get("options")).CLIP_stop_at_last_layers, 2);
  assert.deepEqual((await drawn("txt2img", params)).pixels, want);
  const flux = {
    prompt: "a cat",
    steps: 1,
    sampler_name: "Euler",
    override_settings: { sd_model_checkpoint: "flux" },
  };
  assert.equal((await drawn("txt2img", flux)).info.clip_skip, 1); // has no such layers
  const reset = {
    override_settings: { CLIP_stop_at_last_layers: 1 },
    override_settings_restore_afterwards: false,
  };
  await drawn("txt2img", reset);
  assert.equal((await get("options")).CLIP_stop_at_last_layers, 1);
});

Deno.test("Open WebUI finds the models, sets one, and draws", async () => {
  const options = await get("options");
  assert.deepEqual((await get("sd-models")).map(({ title }: { title: string }) => title), ["emoji", "flux"]);
  assert.equal((await post("options", { ...options, sd_model_checkpoint: "flux" })).status, 200);
  assert.equal((await get("options")).sd_model_checkpoint, "flux");
  assert.equal((await post("options", options)).status, 200);
  const params = { prompt: "a cat", batch_size: 1, ...size, steps: 2, cfg_scale: 3, scheduler: "Karras" };
  const { status, json } = await post("txt2img", {
    ...params,
    sampler_name: "Euler",
    negative_prompt: "blue",
  });
  assert.deepEqual([status, json.images.length], [200, 1]);
  const { json: plain } = await post("txt2img", { prompt: "a cat", ...size, steps: 1 });
  assert.match(JSON.parse(plain.info).infotexts[0], /Sampler: PLMS, /); // the model's own
  const openai = { model: "emoji", prompt: "a cat", n: 1, size: "32x32", response_format: "b64_json" };
  const answer = await served.call("POST", "/v1/images/generations", openai, { authorization: "Bearer any" });
  assert.ok(answer.json.data[0].b64_json);
  const form = new FormData();
  for (const [name, value] of Object.entries(openai)) form.set(name, String(value));
  form.append("image[]", new Blob([photo], { type: "image/jpeg" }), "image.jpg");
  const edited = await fetch(`${served.address}/v1/images/edits?api-version=1`, {
    method: "POST",
    body: form,
  });
  assert.ok((await edited.json()).data[0].b64_json);
});

Deno.test("weights leave when a client says so, and come again with the next request", async () => {
  const [before] = await pixelsAs({ prompt: "a cat", steps: 1 });
  assert.ok(drawer.loaded > 0);
  assert.deepEqual((await post("unload-checkpoint", undefined)).json, {});
  assert.equal(drawer.loaded, 0);
  assert.deepEqual((await post("reload-checkpoint", undefined)).json, {});
  assert.deepEqual(await pixelsAs({ prompt: "a cat", steps: 1 }), [before]);
});

Deno.test("samplers, schedulers and what there is none of are listed", async () => {
  const names = (await get("samplers")).map(({ name }: { name: string }) => name);
  assert.deepEqual(names, samplers.map(({ names: [name] }) => name));
  const labels = (await get("schedulers")).map(({ label }: { label: string }) => label);
  for (const label of ["Automatic", "Karras", "Exponential", "SGM Uniform", "Beta"]) {
    assert.ok(labels.includes(label));
  }
  assert.deepEqual(await get("loras"), [{ name: "style", alias: "style", path: "style", metadata: {} }]);
  for (
    const name of ["prompt-styles", "sd-vae", "hypernetworks", "face-restorers", "script-info", "extensions"]
  ) {
    assert.deepEqual(await get(name), []);
  }
  assert.ok((await get("memory")).ram.used > 0);
  for (const name of ["checkpoints", "loras", "vae", "embeddings"]) {
    assert.equal((await post(`refresh-${name}`, undefined)).json, null);
  }
  const { status, json } = await post("interrogate", { image: "", model: "clip" });
  assert.deepEqual([status, json.error], [404, "HTTPException"]);
  assert.deepEqual(await get("scripts"), { txt2img: [], img2img: [] });
});

Deno.test("progress tells the picture that is drawn, with a preview, and interrupt ends it", async () => {
  const idle = await get("progress");
  assert.deepEqual([idle.progress, idle.state.job_count, idle.current_image], [0, 0, null]);
  const { promise: rest, resolve: letGo } = Promise.withResolvers<void>();
  const { draw } = drawer;
  drawer.draw = async (...given) => {
    const drawing = await draw.apply(drawer, given);
    await rest; // so long it counts as drawn
    return drawing;
  };
  using endings = new Endings(drawer);
  const drawing = drawn("txt2img", { steps: 100 });
  let now = idle;
  while (!(now.state.sampling_step > 1 && now.current_image)) now = await get("progress");
  assert.ok(now.progress > 0 && now.progress < 1 && now.eta_relative > 0);
  assert.equal(now.state.sampling_steps, 100);
  assert.equal(decodePng(Uint8Array.fromBase64(now.current_image), "a preview").width, 256);
  assert.equal((await get("progress?skip_current_image=true")).current_image, null);
  assert.deepEqual([now.state.job_count, now.state.job_no], [1, 0]);
  assert.match(now.state.job_timestamp, /^20\d{12}$/);
  assert.deepEqual((await post("interrupt", undefined)).json, {});
  assert.equal((await get("progress")).state.interrupted, true);
  letGo();
  const { files: [png], pixels: [pixels], info } = await drawing;
  await endings.expectStopped();
  assert.deepEqual([info.infotexts.length, info.all_seeds], [1, [3]]);
  assert.deepEqual(Object.keys(decodePng(png!, "a picture").text), ["parameters"]);
  assert.ok(spread(pixels!) > 10, "it is a picture so far");
  assert.equal((await get("progress")).progress, 0);
});

Deno.test("no small picture is painted for clients that ask for none", async () => {
  const wanted: (boolean | undefined)[] = [];
  const seen = new Proxy(drawer, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (name !== "draw") return typeof value === "function" ? value.bind(target) : value;
      return (request: DrawRequest, options: DrawOptions) =>
        target.draw(request, {
          ...options,
          wantsPreview: (...step) => {
            wanted.push(options.wantsPreview?.(...step));
            return wanted.at(-1) !== false;
          },
        });
    },
  });
  await using other = new Served(seen);
  await other.call("GET", "/sdapi/v1/progress"); // of no request
  assert.equal((await other.call("POST", "/sdapi/v1/txt2img", sent.txt2img)).status, 200);
  assert.ok(wanted.length > 0);
  assert.deepEqual(new Set(wanted), new Set([false]));
});

Deno.test("skip ends the picture that is drawn, and the next is drawn whole", async () => {
  const [, whole] = await pixelsAs({
    ...{ prompt: "a nice flower", "prompt-syntax": "a1111", steps: 30, count: 2 },
  });
  const drawing = drawn("txt2img", { steps: 30, n_iter: 2 });
  while ((await get("progress")).state.sampling_step < 2);
  assert.equal((await post("skip", undefined)).json, null);
  const { pixels, files, info } = await drawing;
  assert.deepEqual(info.all_seeds, [3, 4]);
  assert.deepEqual(pixels[1], whole);
  const kept = files.map((png) => "denoise" in decodePng(png, "a picture").text);
  assert.deepEqual(kept, [false, true]);
  assert.equal((await get("progress")).state.skipped, false);
});

/** Standard deviation of a picture's values. */
function spread(pixels: Iterable<number>): number {
  const values = [...pixels];
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

Deno.test("extra-single-image makes pictures larger, by names that are no networks", async () => {
  const side = (x: number, y: number) => [8 * x, 8 * y, 90];
  const image = pictureOf(16, side).toBase64();
  const made = async (params: object) => {
    const { status, json } = await post("extra-single-image", { image, ...params });
    assert.equal(status, 200, JSON.stringify(json));
    return decodePng(Uint8Array.fromBase64(json.image), "a picture");
  };
  const source = decodePng(Uint8Array.fromBase64(image), "a picture");
  const want = (width: number, height: number, options = {}) =>
    resizedImage(inMode(source, "RGB"), { width, height }, options);
  const pixels = (
    { data, ...size }: Image,
  ) => [size.width, size.height, ...inMode({ data, ...size }, "RGB").data];
  assert.deepEqual(pixels(await made({ upscaling_resize: 1.6 })), pixels(want(25, 25)));
  const nearest = { upscaler_1: "Nearest", resize_mode: 1, upscaling_resize_w: 40, upscaling_resize_h: 20 };
  assert.deepEqual(pixels(await made(nearest)), pixels(want(40, 20, { fit: "crop", resample: "nearest" })));
  const covering = await made({ ...nearest, upscaling_crop: false });
  assert.deepEqual([covering.width, covering.height], [40, 40]);
  for (
    const wrong of [{ upscaler_1: "ESRGAN_4x" }, { gfpgan_visibility: 1 }, {
      upscaling_resize: 64,
      upscaling_resize_w: 9,
    }]
  ) {
    const { status } = await post("extra-single-image", { image: pictureOf(64, side).toBase64(), ...wrong });
    assert.equal(status, 422);
  }
});
