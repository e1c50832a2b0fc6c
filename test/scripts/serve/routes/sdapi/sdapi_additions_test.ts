import assert from "node:assert/strict";
import { join } from "node:path";
import { Drawer, type DrawRequest } from "denoise/serve";
import { decodePng, encodePng } from "../../../../../src/io/images/png.ts";
import { resizedImage } from "../../../../../src/io/images/resize.ts";
import { fixture } from "../../../../support/fixtures.ts";
import { CONTROLLED_WIDTH, controlledFolder } from "../../../../support/pipeline_folders.ts";
import { safetensorsOf } from "../../../../support/raw_tensors.ts";
import { Served } from "../../../../support/served.ts";

const folder = Deno.makeTempDirSync({ prefix: "denoise-sdapi-" });
const control = decodePng(Deno.readFileSync(fixture("controlnet/control.png")), "edges");
const edges = encodePng(resizedImage(control, { width: 32, height: 32 }));
const image = edges.toBase64();
const offer = (name: string, path: string) => ({ name, path });

let drawer: Drawer;
let served: Served;
Deno.test.beforeAll(async () => {
  await controlledFolder(join(folder, "sd"));
  const vectors = Float32Array.from({ length: 2 * CONTROLLED_WIDTH }, (_, i) => Math.sin(i));
  const learned = { dtype: "F32", shape: [2, CONTROLLED_WIDTH], bytes: new Uint8Array(vectors.buffer) };
  const learn = (name: string, token: string) =>
    Deno.writeFileSync(join(folder, `${name}.safetensors`), safetensorsOf(new Map([[token, learned]])));
  learn("cat", "<cat>");
  learn("umbo", "umbo");
  drawer = await Drawer.open({
    models: [offer("sd", join(folder, "sd"))],
    vae: [offer("tiny", fixture("autoencoder_tiny/base"))],
    controlnet: [
      offer("edges", fixture("controlnet/controlnet")),
      offer("other", fixture("controlnet/controlnet_1")),
    ],
    embedding: ["cat", "umbo"].map((name) => offer(name, join(folder, `${name}.safetensors`))),
  });
  served = new Served(drawer);
});
Deno.test.afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await drawer?.[Symbol.asyncDispose]();
  Deno.removeSync(folder, { recursive: true });
});

const flower = { prompt: "a nice flower", steps: 2, seed: 3, width: 32, height: 32, sampler_name: "Euler" };
const post = (path: string, body: unknown) => served.call("POST", `/sdapi/v1/${path}`, body);
const get = async (path: string) => (await served.call("GET", path)).json;
const pixelsOf = (png: Uint8Array) => decodePng(png, "a picture").data;

async function drawn(path: string, params: object): Promise<Uint8Array | Uint16Array> {
  const { status, json } = await post(path, { ...flower, ...params });
  assert.equal(status, 200, JSON.stringify(json));
  return pixelsOf(Uint8Array.fromBase64(json.images[0]));
}

async function pixelsAs(request: DrawRequest) {
  const usual = {
    prompt: flower.prompt,
    "prompt-syntax": "a1111",
    steps: 2,
    seed: 3n,
    scheduler: "Euler",
  } as const;
  const { pictures } = await drawer.draw({ ...usual, size: { width: 32, height: 32 }, ...request });
  return pixelsOf(pictures[0]!.png);
}

const units = (...args: object[]) => ({ alwayson_scripts: { controlnet: { args } } });
// as PyPI's webuiapi 0.9.17 sends them
const unit = {
  ...{
    image,
    mask: null,
    module: "none",
    model: "edges",
    weight: 0.7,
    resize_mode: "Crop and Resize",
    low_vram: false,
  },
  ...{ processor_res: 512, threshold_a: 64, threshold_b: 64, guidance_start: 0.0, guidance_end: 1.0 },
  ...{ control_mode: "Balanced", pixel_perfect: false, hr_option: "Both", enabled: true },
};

Deno.test("units of the ControlNet extension control, with their weights", async () => {
  const one = { controlnet: ["edges:0.7"], control: [edges] };
  assert.deepEqual(await drawn("txt2img", units(unit)), await pixelsAs(one));
  const off = { ...unit, model: "other", enabled: false };
  assert.deepEqual(await drawn("txt2img", units(unit, off)), await pixelsAs(one));
  const data = { ...unit, image: null, input_image: { image: `data:image/png;base64,${image}` }, weight: 1 };
  assert.deepEqual(
    await drawn("txt2img", units(unit, { ...data, model: "other" })),
    await pixelsAs({ controlnet: ["edges:0.7", "other:1"], control: [edges, edges] }),
  );
  const { image: _, ...bare } = unit; // the picture that is changed controls then
  assert.deepEqual(
    await drawn("img2img", { ...units(bare), init_images: [image], denoising_strength: 0.5 }),
    await pixelsAs({ ...one, image: [edges], strength: 0.5 }),
  );
});

Deno.test("units say between which steps they count, and what counts more; what is for preprocessors has no effect", async () => {
  const request = (rest: string) => pixelsAs({ controlnet: [`edges:0.7${rest}`], control: [edges] });
  const [whole, early, late] = await Promise.all(["", ":to=0.5", ":from=0.5"].map(request));
  assert.notDeepEqual(whole, early);
  assert.deepEqual(await drawn("txt2img", units({ ...unit, guidance_end: 0.5 })), early);
  const { guidance_end: _, ...others } = unit;
  assert.deepEqual(await drawn("txt2img", units({ ...others, guidance: 0.5 })), early);
  assert.deepEqual(await drawn("txt2img", units({ ...unit, guidance_start: 0.5 })), late);
  const favored = await Promise.all(["prompt", "control"].map((what) => request(`:favor=${what}`)));
  assert.notDeepEqual(favored[0], whole);
  assert.notDeepEqual(favored[1], favored[0]);
  for (
    const [i, modes] of [["My prompt is more important", 1], ["ControlNet is more important", 2]].entries()
  ) {
    for (const control_mode of modes as unknown[]) {
      assert.deepEqual(await drawn("txt2img", units({ ...unit, control_mode })), favored[i]);
    }
  }
  const told = { ...unit, pixel_perfect: true, processor_res: 64, module: "None", control_mode: 0 };
  assert.deepEqual(await drawn("txt2img", units(told)), whole);
});

Deno.test("units control both passes in the size of each, or the one that is said", async () => {
  const wide = encodePng(resizedImage(control, { width: 90, height: 60 }));
  const cut = encodePng(resizedImage(control, { width: 60, height: 60 }));
  const asked = (more: object) => ({
    ...units({ ...unit, image: wide.toBase64(), ...more }),
    enable_hr: true,
  });
  const again = { "hires-strength": 0.75, hires: { width: 64, height: 64 } };
  const request = (rest: string, picture = wide) =>
    pixelsAs({ ...again, controlnet: [`edges:0.7${rest}`], control: [picture] });
  const [both, first, second] = await Promise.all(["", ":pass=1", ":pass=2"].map((rest) => request(rest)));
  const stretched = await drawn("txt2img", asked({ resize_mode: "Just Resize" }));
  assert.deepEqual(stretched, both);
  assert.notDeepEqual(await drawn("txt2img", asked({})), both); // cut to shape, with all its pixels
  assert.deepEqual(
    await drawn("txt2img", asked({ image: cut.toBase64() })),
    await request("", cut),
  );
  for (const [hr_option, want] of [["Low res only", first], ["High res only", second]] as const) {
    assert.notDeepEqual(want, both);
    assert.deepEqual(await drawn("txt2img", asked({ resize_mode: 0, hr_option })), want);
  }
  const once = { ...asked({ resize_mode: 0, hr_option: "Low res only" }), enable_hr: false };
  assert.deepEqual(
    await drawn("txt2img", once),
    await pixelsAs({ controlnet: ["edges:0.7"], control: [wide] }),
  );
});

Deno.test("with a mask of which only the part is drawn, the same part of a unit's picture controls", async () => {
  const side = 64; // of which the mask leaves 32 pixels in the middle
  const inner = (x: number) => x >= 16 && x < 48;
  const bytes = (color: (x: number, y: number) => number[]) =>
    Uint8Array.from(
      Array.from({ length: side * side }, (_, i) => color(i % side, Math.floor(i / side))).flat(),
    );
  const square = (data: Uint8Array, width = side) => encodePng({ width, height: width, channels: 3, data });
  const scene = square(bytes((x, y) => [4 * x, 4 * y, 90]));
  const mask = square(bytes((x, y) => new Array(3).fill(inner(x) && inner(y) ? 255 : 0)));
  const whole = resizedImage(control, { width: side, height: side });
  const cut = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % 32 + 16, Math.floor(i / 96) + 16, i % 3];
    return whole.data[4 * (y * side + x) + c]!;
  });
  const masked = { init_images: [scene.toBase64()], mask: mask.toBase64(), mask_blur: 0 };
  const draw = (more: object) =>
    drawn("img2img", { ...masked, ...units({ ...unit, image: encodePng(whole).toBase64(), ...more }) });
  const part = square(cut, 32);
  const got = await draw({});
  assert.deepEqual(await draw({ inpaint_crop_input_image: false, image: part.toBase64() }), got);
  assert.notDeepEqual(await draw({ inpaint_crop_input_image: false }), got);
  const { image: _, ...bare } = unit; // then the picture itself
  const own = await drawn("img2img", { ...masked, ...units(bare) });
  assert.deepEqual(own, await draw({ image: scene.toBase64() }));
});

/** A picture of one colour but for a bar across its middle, 48 x 12 pixels. */
function striped(width: number, height: number): Uint8Array {
  const isBar = (y: number) => Math.abs(y + 0.5 - height / 2) < 6;
  const data = Array.from(
    { length: width * height },
    (_, i) => isBar(Math.floor(i / width)) ? [9, 99, 200] : [40, 50, 60],
  );
  return encodePng({ width, height, channels: 3, data: Uint8Array.from(data.flat()) });
}

Deno.test("a picture of another shape is cut, or stretched where that is asked for", async () => {
  const square = decodePng(edges, "edges");
  const wide = encodePng(resizedImage(square, { width: 48, height: 32 }));
  const request = { controlnet: ["edges:0.7"] };
  const cut = encodePng(resizedImage(decodePng(wide, "wide"), { width: 32, height: 32 }, { fit: "crop" }));
  const asked = { ...unit, image: wide.toBase64() };
  assert.deepEqual(await drawn("txt2img", units(asked)), await pixelsAs({ ...request, control: [cut] }));
  const stretched = await drawn("txt2img", units({ ...asked, resize_mode: 0 }));
  assert.deepEqual(stretched, await pixelsAs({ ...request, control: [wide] }));
  const framed = { ...asked, image: striped(48, 24).toBase64(), resize_mode: "Resize and Fill" }; // webuiapi's default
  const filled = resizedImage(decodePng(striped(48, 48), "striped"), { width: 32, height: 32 });
  assert.deepEqual(
    await drawn("txt2img", units(framed)),
    await pixelsAs({ ...request, control: [encodePng(filled)] }),
  );
  const huge = { ...flower, width: 1e9, height: 1e9, ...units({ ...asked, resize_mode: 2 }) };
  assert.equal((await post("txt2img", huge)).status, 422);
  const thin = encodePng({ width: 16_000, height: 1, channels: 1, data: new Uint8Array(16_000) }).toBase64();
  const twice = { enable_hr: true, ...units({ ...asked, image: thin, resize_mode: 2 }) };
  assert.equal((await post("txt2img", { ...flower, ...twice })).status, 200);
});

Deno.test("autoencoders are named by sd_vae, textual inversions by their tokens", async () => {
  const tiny = await pixelsAs({ vae: "tiny" });
  assert.deepEqual(await drawn("txt2img", { override_settings: { sd_vae: "tiny" } }), tiny);
  assert.equal((await post("options", { sd_vae: "tiny" })).status, 200);
  assert.deepEqual(await drawn("txt2img", {}), tiny);
  assert.deepEqual(
    await drawn("txt2img", { override_settings: { sd_vae: "Automatic" } }),
    await pixelsAs({}),
  );
  assert.equal((await post("options", { sd_vae: "None" })).status, 200);
  assert.equal((await post("options", { sd_vae: "tinny" })).status, 404);
  const prompt = "a nice <cat>";
  assert.deepEqual(await drawn("txt2img", { prompt }), await pixelsAs({ prompt, embedding: ["cat"] }));
  const again = { "hires-prompt": prompt, "hires-strength": 0.75, hires: { width: 64, height: 64 } };
  assert.deepEqual(
    await drawn("txt2img", { enable_hr: true, hr_prompt: prompt }),
    await pixelsAs({ ...again, embedding: ["cat"] }),
  );
});

Deno.test("a token of a textual inversion counts as a word of a prompt, not within another", async () => {
  for (const prompt of ["jumbo", "umbos", "Umbo"]) {
    assert.deepEqual(await drawn("txt2img", { prompt }), await pixelsAs({ prompt }), prompt);
  }
  for (const prompt of ["umbo", "my_umbo, 2umbo3", "an (umbo:1.2)"]) {
    const wanted = await pixelsAs({ prompt, embedding: ["umbo"] });
    assert.deepEqual(await drawn("txt2img", { prompt }), wanted, prompt);
    assert.notDeepEqual(wanted, await pixelsAs({ prompt }), prompt);
  }
  const negative_prompt = "x<cat>y"; // no letters at its ends, so that letters may stand beside it
  assert.deepEqual(
    await drawn("txt2img", { negative_prompt }),
    await pixelsAs({ negative: negative_prompt, embedding: ["cat"] }),
  );
});

Deno.test("settings of a request stay for others where it says so and is drawn, not where it is refused", async () => {
  const own = await pixelsAs({});
  const kept = { override_settings_restore_afterwards: false };
  const refused = { override_settings: { sd_vae: "tinny" }, ...kept };
  assert.equal((await post("txt2img", { ...flower, ...refused })).status, 404);
  assert.equal((await get("/sdapi/v1/options")).sd_vae, "None");
  assert.deepEqual(await drawn("txt2img", {}), own);
  await drawn("txt2img", { override_settings: { sd_vae: "tiny" }, ...kept });
  assert.deepEqual(await drawn("txt2img", {}), await pixelsAs({ vae: "tiny" }));
  assert.equal((await post("options", { sd_vae: "None" })).status, 200);
});

Deno.test("what is offered is listed as A1111 and its ControlNet extension do", async () => {
  assert.deepEqual(await get("/controlnet/model_list"), { model_list: ["edges", "other"] });
  assert.deepEqual((await get("/controlnet/module_list")).module_list, ["none"]);
  assert.equal((await get("/controlnet/version")).version, 2);
  assert.equal((await get("/controlnet/settings")).control_net_unit_count, 16);
  assert.deepEqual((await get("/controlnet/control_types")).control_types.All.model_list, [
    "None",
    "edges",
    "other",
  ]);
  assert.deepEqual(await get("/sdapi/v1/sd-vae"), [{ model_name: "tiny", filename: "tiny" }]);
  assert.deepEqual(Object.keys((await get("/sdapi/v1/embeddings")).loaded), ["<cat>", "umbo"]);
  assert.deepEqual(await get("/sdapi/v1/scripts"), { txt2img: ["controlnet"], img2img: ["controlnet"] });
});

const refused: Record<string, [params: object, message: RegExp]> = {
  "a preprocessor": [
    units({ ...unit, module: "canny" }),
    /^Cannot take module canny: expected none, as no preproc/,
  ],
  "a ControlNet that is not offered": [
    units({ ...unit, model: "edgs" }),
    /^Cannot find the controlnet edgs: nearest is edges$/,
  ],
  "no picture": [
    units({ ...unit, image: "" }),
    /^Cannot take image of a ControlNet: expected a picture, got none$/,
  ],
  "no part of the steps": [
    units({ ...unit, guidance_start: 0.5, guidance_end: 0.5 }),
    /^Cannot take guidance_start 0.5: expected less than guidance_end, got 0.5$/,
  ],
  "more than all steps": [units({ ...unit, guidance_end: 1.5 }), /guidance_end/],
  "an unknown control mode": [
    units({ ...unit, control_mode: "My cat is more important" }),
    /^Cannot take control_mode My cat is more important: expected 0, 1, 2, Balanced, My prompt is more important, /,
  ],
  "weights of layers": [units({ ...unit, advanced_weighting: [1, 1] }), /advanced_weighting to be null/],
  "a mask": [units({ ...unit, mask: image }), /mask to be ""/],
  "an extension that is not built in": [
    { alwayson_scripts: { ADetailer: { args: [{}] } } },
    /^Cannot take alwayson_scripts ADetailer: no such extension is built in$/,
  ],
};
for (const [what, [params, message]] of Object.entries(refused)) {
  Deno.test(`A1111's API refuses beside a model: ${what}`, async () => {
    const { status, json } = await post("txt2img", { ...flower, ...params });
    assert.ok(status === 422 || status === 404, JSON.stringify(json));
    assert.match(json.detail, message);
  });
}
