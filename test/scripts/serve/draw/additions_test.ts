import assert from "node:assert/strict";
import { join } from "node:path";
import { Drawer, type DrawRequest, RefusalError } from "denoise/serve";
import { decodePng } from "../../../../src/io/images/png.ts";
import { fixture } from "../../../support/fixtures.ts";
import { fluxControlNetFolder } from "../../../support/flux_controlnet.ts";
import { CONTROLLED_WIDTH, controlledFolder, fluxFolder } from "../../../support/pipeline_folders.ts";
import { Served } from "../../../support/served.ts";
import { adapterFolder } from "../../../support/t2i_adapter.ts";
import type { TestFolder } from "../../../support/files.ts";
import { safetensorsOf } from "../../../support/raw_tensors.ts";
import { runScript } from "../../../support/script.ts";

const folder = Deno.makeTempDirSync({ prefix: "denoise-additions-" });
const at = (name: string) => join(folder, name);
const [edges, second] = ["control", "second"].map((name) => fixture(`controlnet/${name}.png`)) as [
  string,
  string,
];
const [edgesBytes, secondBytes] = [edges, second].map((path) => Deno.readFileSync(path)) as [
  Uint8Array,
  Uint8Array,
];
const offer = (name: string, path: string) => ({ name, path });

let drawer: Drawer;
let [union, sketch]: TestFolder[] = [];
Deno.test.beforeAll(async () => {
  await controlledFolder(at("sd"));
  await fluxFolder(at("flux"), "FluxPipeline");
  await fluxFolder(at("canny"), "FluxControlPipeline", "flux_tools/transformer_control");
  [union, sketch] = [await fluxControlNetFolder("union"), await adapterFolder("full")];
  const vectors = Float32Array.from({ length: 2 * CONTROLLED_WIDTH }, (_, i) => Math.sin(i));
  const learned = { dtype: "F32", shape: [2, CONTROLLED_WIDTH], bytes: new Uint8Array(vectors.buffer) };
  Deno.writeFileSync(at("cat.safetensors"), safetensorsOf(new Map([["<cat>", learned]])));
  drawer = await Drawer.open({
    models: [offer("sd", at("sd")), offer("flux", at("flux")), offer("canny", at("canny"))],
    lora: [offer("depth", fixture("flux_tools/lora_control_bfl.safetensors"))],
    vae: [offer("tiny", fixture("autoencoder_tiny/base"))],
    controlnet: [
      offer("edges", fixture("controlnet/controlnet")),
      offer("other", fixture("controlnet/controlnet_1")),
      offer("union", union!.path),
    ],
    "t2i-adapter": [offer("sketch", sketch!.path)],
    "ip-adapter": [
      offer("ip", fixture("ip_adapter/full.safetensors")),
      offer("plus", fixture("ip_adapter/plus.safetensors")),
    ],
    embedding: [offer("cat", at("cat.safetensors"))],
  });
});
Deno.test.afterAll(async () => {
  await drawer?.[Symbol.asyncDispose]();
  for (const one of [union, sketch]) one?.[Symbol.dispose]();
  Deno.removeSync(folder, { recursive: true });
});

const flower: DrawRequest = { prompt: "a nice flower", steps: 2, seed: 3n };
const size = { width: 32, height: 32 };
const controlled: DrawRequest = { ...flower, controlnet: ["edges:0.7"], control: [edgesBytes] };

async function pngOf(request: DrawRequest): Promise<Uint8Array> {
  const { pictures: [picture] } = await drawer.draw(request);
  return picture!.png;
}

const pixelsOf = (png: Uint8Array) => decodePng(png, "a picture").data;

const net = ["--controlnet", `${fixture("controlnet/controlnet")}:0.7`, "--control", edges];
const asScript: Record<string, [request: DrawRequest, args: string[]]> = {
  "a ControlNet": [controlled, net],
  "two ControlNets that change a picture behind a mask": [
    {
      ...flower,
      size,
      controlnet: ["edges:0.7", "other"],
      control: [edgesBytes, secondBytes],
      image: [secondBytes],
      mask: edgesBytes,
    },
    [
      ...[...net, "--controlnet", fixture("controlnet/controlnet_1"), "--control", second, "--size", "32x32"],
      ...["--image", second, "--mask", edges],
    ],
  ],
  "another autoencoder": [{ ...flower, size, vae: "tiny" }, [
    ...["--vae", fixture("autoencoder_tiny/base"), "--size", "32x32"],
  ]],
  "a T2I-Adapter": [{ ...flower, "t2i-adapter": ["sketch:0.6"], control: [edgesBytes] }, [
    ...["--t2i-adapter", "SKETCH:0.6", "--control", edges],
  ]],
  "two IP-Adapters and a ControlNet": [
    {
      ...controlled,
      "ip-adapter": ["ip:0.5", "ip"],
      "ip-image": [secondBytes, edgesBytes],
    },
    [
      ...["--ip-adapter", `${fixture("ip_adapter/full.safetensors")}:0.5`, "--ip-image", second],
      ...["--ip-adapter", fixture("ip_adapter/full.safetensors"), "--ip-image", edges],
      ...net,
    ],
  ],
  "a textual inversion": [{ ...flower, size, prompt: "a <dog> flower", embedding: ["cat=<dog>"] }, [
    ...["--embedding", `${at("cat.safetensors")}=<dog>`, "--size", "32x32"],
  ]],
  "FLUX.1 Canny": [{ ...flower, model: "canny", "max-sequence-length": 24, control: [edgesBytes] }, [
    ...["--max-sequence-length", "24", "--control", edges],
  ]],
  "FLUX.1 with a Control LoRA": [
    { ...flower, model: "flux", "max-sequence-length": 24, lora: ["depth"], control: [edgesBytes] },
    [
      ...["--max-sequence-length", "24", "--lora", fixture("flux_tools/lora_control_bfl.safetensors")],
      ...["--control", edges],
    ],
  ],
};
for (const [what, [request, args]] of Object.entries(asScript)) {
  Deno.test(`a request draws the pixels of generate.ts with the same settings: ${what}`, async () => {
    const model = request.model ?? "sd";
    const given = [request.prompt!, "--model", model, "--steps", "2", "--seed", "3", ...args]
      .map((text) => text.replace("SKETCH", sketch!.path));
    const { code, stderr } = await runScript(folder, "generate.ts", ...given);
    assert.equal(code, 0, stderr);
    const script = decodePng(Deno.readFileSync(at("denoise.png")), "the script's");
    const own = decodePng(await pngOf(request), "the drawer's");
    assert.deepEqual(own.data, script.data);
    const recipe = JSON.parse(script.text["denoise"]!);
    for (const setting of ["image", "mask", "control", "ip-image"]) delete recipe[setting]; // paths
    const named = Object.fromEntries(
      ["lora", "embedding", "vae", "controlnet", "t2i-adapter", "ip-adapter"].flatMap((setting) => {
        const value = request[setting as keyof DrawRequest];
        return value === undefined ? [] : [[setting, value]];
      }),
    );
    assert.deepEqual(JSON.parse(own.text["denoise"]!), { ...recipe, ...named });
  });
}

Deno.test("the same request gives the same bytes, whatever stood beside the model before", async () => {
  const requests: DrawRequest[] = [
    { ...flower, size },
    { ...controlled, size },
    { ...flower, size, vae: "tiny" },
    { ...flower, size, "t2i-adapter": ["sketch"], control: [edgesBytes] },
    { ...flower, size, "ip-adapter": ["ip:0.5"], "ip-image": [secondBytes] },
    { ...flower, size, "ip-adapter": ["ip"], "ip-image": [secondBytes] },
    { ...flower, size, prompt: "a <cat> flower" },
    { ...flower, size, prompt: "a <cat> flower", embedding: ["cat"] },
    { ...flower, model: "flux", "max-sequence-length": 24, size },
    { ...flower, model: "flux", "max-sequence-length": 24, size, lora: ["depth"], control: [edgesBytes] },
    {
      ...flower,
      model: "flux",
      "max-sequence-length": 24,
      size,
      control: [edgesBytes],
      controlnet: ["union"],
      "control-mode": ["1"],
    },
  ];
  const first: Uint8Array[] = [];
  for (const request of requests) first.push(await pngOf(request));
  const pixels = first.map((png) => pixelsOf(png).join());
  assert.equal(new Set(pixels).size, requests.length, "all differ");
  for (const order of [[...requests.keys()].reverse(), [0, 4, 0, 1, 8, 10, 9, 8, 7, 6]]) {
    for (const i of order) assert.deepEqual(await pngOf(requests[i]!), first[i], `request ${i}`);
  }
});

const refused: Record<string, [request: object, kind: string, param: string | undefined, message: RegExp]> = {
  "an unknown ControlNet": [
    { controlnet: ["edge"], control: [edgesBytes] },
    "not found",
    "controlnet",
    /^Cannot find the controlnet edge: nearest is edges$/,
  ],
  "a path in place of a name": [
    { vae: "/etc/vae" },
    "not found",
    "vae",
    /^Cannot find the vae \/etc\/vae: nearest is tiny$/,
  ],
  "no prompt": [{ size }, "invalid", "prompt", /^Cannot draw: expected a prompt, got none$/],
  "a ControlNet of another model": [
    { controlnet: ["union"], control: [edgesBytes] },
    "invalid",
    "controlnet",
    /^Cannot draw with the ControlNet union on sd: it was made for another model$/,
  ],
  "an IP-Adapter with a model that takes none": [
    { model: "flux", "ip-adapter": ["ip"], "ip-image": [edgesBytes] },
    "invalid",
    "ip-adapter",
    /^Cannot take ip-adapter with flux: it is for StableDiffusion/,
  ],
  "a ControlNet without a picture": [
    { controlnet: ["edges"] },
    "invalid",
    "control",
    /^Cannot take 1 controlnet with 0 control: expected one picture for each$/,
  ],
  "a picture that controls nothing": [
    { control: [edgesBytes] },
    "invalid",
    "control",
    /^Cannot take control with sd: it belongs to controlnet or t2i-adapter, or to FLUX\.1 Depth or Canny, as model or lora$/,
  ],
  "FLUX.1 Canny without one": [
    { model: "canny" },
    "invalid",
    "control",
    /^Cannot draw with canny: expected one control, the depth or edges to follow, got none$/,
  ],
  "both kinds of control": [
    { ...controlled, "t2i-adapter": ["sketch"] },
    "invalid",
    "t2i-adapter",
    /^Cannot take t2i-adapter with controlnet: expected one kind of control$/,
  ],
  "a T2I-Adapter that changes a picture": [
    { "t2i-adapter": ["sketch"], control: [edgesBytes], image: [edgesBytes] },
    "invalid",
    "t2i-adapter",
    /^Cannot take t2i-adapter with image: it draws from noise$/,
  ],
  "a union ControlNet without the kind of its picture": [
    { model: "flux", controlnet: ["union"], control: [edgesBytes] },
    "invalid",
    "control-mode",
    /^Cannot control with controlMode left out: expected a whole number from 0 to 2/,
  ],
  "an autoencoder that does not go with the ControlNet": [
    { ...controlled, vae: "tiny" },
    "invalid",
    undefined,
    /^Cannot control by this ControlNet: expected 2 pixels for a latent's side, .*got \d of the autoencoder/,
  ],
  "a textual inversion twice": [
    { embedding: ["cat", "cat=<x>"] },
    "invalid",
    "embedding",
    /^Cannot take the embedding cat twice: say it once$/,
  ],
  "a token that the tokenizer knows": [
    { ...flower, size, embedding: ["cat=flower</w>"] },
    "invalid",
    "embedding",
    /^Cannot add the token .*: expected a new one/,
  ],
  "too large a scale": [
    { controlnet: ["edges:9999"], control: [edgesBytes] },
    "invalid",
    "controlnet",
    /expected controlnet\[0\] to be NAME or NAME:0\.8, perhaps with .*, got/,
  ],
  "no picture that controls": [
    { controlnet: ["edges"], control: [new Uint8Array(9)] },
    "invalid",
    "control",
    /^Cannot load control: expected a PNG/,
  ],
};
for (const [what, [request, kind, param, message]] of Object.entries(refused)) {
  Deno.test(`a request is refused in one sentence: ${what}`, async () => {
    await assert.rejects(drawer.draw(request), (error) => {
      assert.ok(error instanceof RefusalError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n|\/fixtures\//);
      assert.deepEqual([error.kind, error.param], [kind, param]);
      return true;
    });
  });
}

Deno.test("offers tell what may be named beside each model, and versions tell their files", () => {
  const { models, loras, embeddings } = drawer.offers();
  const [sd, flux, canny] = models.map(({ additions, settings }) => ({ additions, settings }));
  const none = {
    lora: ["depth"],
    embedding: [],
    vae: [],
    controlnet: [],
    "t2i-adapter": [],
    "ip-adapter": [],
  };
  assert.deepEqual(sd!.additions, {
    lora: [],
    embedding: ["cat"],
    vae: ["tiny"],
    controlnet: ["edges", "other"],
    "t2i-adapter": ["sketch"],
    "ip-adapter": ["ip", "plus"],
  });
  assert.deepEqual(flux!.additions, { ...none, controlnet: ["union"] });
  assert.deepEqual(canny!.additions, none);
  const pictures = ["control", "control-mode", "ip-image"];
  assert.deepEqual([sd, flux, canny].map((one) => pictures.filter((name) => one!.settings.includes(name))), [
    ["control", "ip-image"],
    ["control", "control-mode"],
    ["control"],
  ]);
  assert.deepEqual([loras, embeddings], [["depth"], [{ name: "cat", token: "<cat>" }]]);
  const versions = drawer.versions();
  assert.deepEqual(Object.keys(versions), [
    "model",
    "lora",
    "embedding",
    "vae",
    "controlnet",
    "t2i-adapter",
    "ip-adapter",
  ]);
  for (const version of Object.values(versions).flatMap((all) => Object.values(all))) {
    assert.match(version, /^[0-9a-f]{16}(-[0-9a-f]{16}| f32)?$/);
  }
});

Deno.test("clients send pictures that control in base64, and as files of an edit", async () => {
  await using served = new Served(drawer);
  const post = async (path: string, body: BodyInit, headers: Record<string, string> = {}) => {
    const response = await fetch(served.address + path, { method: "POST", body, headers });
    const { data, error } = await response.json();
    assert.equal(error, undefined);
    return Uint8Array.fromBase64(data[0].b64_json);
  };
  const plain = { prompt: "a nice flower", size: "32x32", steps: 2, seed: 3, controlnet: ["edges:0.7"] };
  const json = JSON.stringify({ ...plain, control: [edgesBytes.toBase64()] });
  const generated = await post("/v1/images/generations", json, { "Content-Type": "application/json" });
  assert.deepEqual(generated, await pngOf({ ...controlled, size }));

  const form = new FormData();
  for (const [name, value] of Object.entries(plain)) form.append(name, String(value));
  for (
    const [name, bytes] of [["image", secondBytes], ["control", edgesBytes], [
      "ip-image",
      secondBytes,
    ]] as const
  ) {
    form.append(name, new File([bytes as Uint8Array<ArrayBuffer>], `${name}.png`));
  }
  form.append("ip-adapter[]", "ip");
  const want = { ...controlled, size, image: [secondBytes], "ip-adapter": ["ip"], "ip-image": [secondBytes] };
  assert.deepEqual(await post("/v1/images/edits", form), await pngOf(want));
});

Deno.test("what stands beside a model counts in the plan of memory, and leaves pictures as they are where it is short", async () => {
  const controlnet = [offer("edges", fixture("controlnet/controlnet"))];
  const models = [offer("sd", at("sd"))] as const;
  const requests = [{ ...flower, size }, { ...controlled, size }, { ...flower, size }];
  const want: Uint8Array[] = [];
  for (const request of requests) want.push(pixelsOf(await pngOf(request)));
  await using small = await Drawer.open({
    models,
    controlnet,
    memory: 75e6,
    onNotice: () => {},
  });
  const large = { width: 192, height: 192 };
  await small.draw({ ...flower, steps: 1, size: large });
  await assert.rejects(small.draw({ ...controlled, size: large }), (error) => {
    assert.ok(error instanceof RefusalError && error.param === "size", String(error));
    assert.match(error.message, /^Cannot draw: unet takes [\d.]+ MB at least; draw smaller pictures/);
    return true;
  });
  for (const [i, request] of requests.entries()) {
    const { pictures: [picture] } = await small.draw(request);
    assert.deepEqual(pixelsOf(picture!.png), want[i], `request ${i}`);
  }
});

Deno.test("a file that no model takes is not offered", async () => {
  const open = (additions: object) => Drawer.open({ models: [offer("canny", at("canny"))], ...additions });
  await assert.rejects(open({ controlnet: [offer("edges", fixture("controlnet/controlnet"))] }), {
    message: "Cannot offer the ControlNet edges: no model here takes one",
  });
  const open2 = Drawer.open({
    models: [offer("sd", at("sd"))],
    controlnet: [offer("xl", fixture("controlnet/controlnet_xl"))],
  });
  await assert.rejects(
    open2,
    /^TypeError: Cannot offer the ControlNet xl: Cannot control by this ControlNet: expected /,
  );
});

Deno.test("requests that are checked while a drawer closes are refused, whatever stands beside their model", async () => {
  const models = [{ name: "sd", path: join(folder, "sd") }] as const;
  const closing = await Drawer.open({
    models,
    vae: [{ name: "tiny", path: fixture("autoencoder_tiny/base") }],
  });
  const request = { ...flower, vae: "tiny" } as const;
  const checked = closing.draw(request);
  const isStopping = (error: unknown) => error instanceof RefusalError && error.kind === "stopping";
  const refused = assert.rejects(checked, isStopping);
  await closing[Symbol.asyncDispose]();
  await refused;
  await assert.rejects(closing.draw(request), isStopping);
});
