import assert from "node:assert/strict";
import { join } from "node:path";
import { loadPng } from "../../src/mod.ts";
import { writePng } from "../../src/io/images/png.ts";
import { fixture } from "../support/fixtures.ts";
import { fluxControlNetFolder } from "../support/flux_controlnet.ts";
import { fluxFolder, pipelineFolder } from "../support/pipeline_folders.ts";
import { inFolder, runScript } from "../support/script.ts";

const controlled = (path: string) =>
  fluxFolder(path, "FluxControlPipeline", "flux_tools/transformer_control");

/** A picture of some noise. */
async function picture(path: string, width: number, height: number): Promise<void> {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 89) % 256);
  await writePng(path, { width, height, channels: 3, data });
}

const short = ["--steps", "2", "--max-sequence-length", "24"];

Deno.test("generate.ts lets FLUX.1 Canny follow --control, changes and inpaints by it, and replays it", () =>
  inFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await controlled(at("canny"));
    await picture(at("edges.png"), 64, 48);
    await picture(at("photo.png"), 48, 32);
    const draw = async (...args: string[]) => {
      const { code, stderr } = await runScript(folder, "generate.ts", ...args);
      assert.equal(code, 0, stderr);
    };
    const given = ["a sign", "--model", "canny", ...short, "--control", "edges.png"];
    await draw(...given, "--out", "a.png");
    await draw("--replay", "a.png", "--out", "b.png");
    const changing = [...given, "--image", "photo.png", "--strength", "0.9"];
    await draw(...changing, "--out", "c.png");
    await draw(...changing, "--mask", "edges.png", "--out", "d.png");
    const [a, b, c, d] = await Promise.all(["a", "b", "c", "d"].map((name) => loadPng(at(`${name}.png`))));
    assert.deepEqual(a!.data, b!.data);
    assert.deepEqual(a!.recipe!["control"], ["edges.png"]);
    assert.equal((a!.recipe!["controlContent"] as string[]).length, 1);
    assert.deepEqual([a, c, d].map((picture) => picture!.recipe!["size"]), ["64x48", "48x32", "48x32"]);
    assert.notDeepEqual(c!.data, d!.data);
  }));

Deno.test("generate.ts follows --control by a Control LoRA on FLUX.1", () =>
  inFolder(async (folder) => {
    await picture(join(folder, "edges.png"), 64, 48);
    const given = ["a", "--model", fixture("flux/pipeline"), ...short, "--control", "edges.png"];
    const run = (lora: string) =>
      runScript(folder, "generate.ts", ...given, "--lora", fixture(`flux_tools/lora_${lora}.safetensors`));
    const { code, stderr } = await run("control_bfl");
    assert.equal(code, 0, stderr);
    const { recipe } = await loadPng(join(folder, "denoise.png"));
    assert.deepEqual([recipe!["size"], recipe!["control"]], ["64x48", ["edges.png"]]);
    const plain = await run("plain");
    assert.equal(plain.code, 1);
    assert.match(
      plain.stderr,
      /^Cannot draw with a transformer of 64 channels: expected 128, .*of 128 for FluxControlPipeline/m,
    );
  }));

Deno.test("generate.ts controls FLUX.1 by ControlNets, also where it changes a picture, plans it and replays it", () =>
  inFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    using union = await fluxControlNetFolder("union");
    using plain = await fluxControlNetFolder("plain");
    await fluxFolder(at("flux"), "FluxPipeline");
    await picture(at("edges.png"), 64, 48);
    await picture(at("photo.png"), 48, 32);
    const script = async (...args: string[]) => {
      const { code, stdout, stderr } = await runScript(folder, "generate.ts", ...args);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const one = [
      "a sign",
      "--model",
      "flux",
      ...short,
      "--controlnet",
      `${union.path}:0.7`,
      "--control",
      "edges.png",
    ];
    await script(...one, "--control-mode", "1", "--out", "a.png");
    await script("--replay", "a.png", "--out", "b.png");
    const two = [...one, "--controlnet", plain.path, "--control", "photo.png"];
    const modes = ["--control-mode", "2", "--control-mode", "none"];
    await script(...two, ...modes, "--image", "photo.png", "--out", "c.png");
    const [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => loadPng(at(`${name}.png`))));
    assert.deepEqual(a!.data, b!.data);
    const weights = [a, b, c].map((picture) => picture!.recipe!["controlnetWeights"] as string[]);
    assert.match(weights[0]!.join(), /^[0-9a-f]{16}$/);
    assert.deepEqual(weights[1], weights[0]);
    assert.deepEqual([weights[2]!.length, weights[2]![0]], [2, weights[0]![0]]);
    assert.deepEqual([a, c].map((picture) => picture!.recipe!["size"]), ["64x48", "48x32"]);
    assert.deepEqual(a!.recipe!["control-mode"], ["1"]);
    const plan = await script(...two, "--plan");
    assert.match(plan, /^controlnet .*\ncontrolnet_1 /m);
    const without = await runScript(folder, "generate.ts", ...one);
    assert.match(
      without.stderr,
      /^Cannot control with controlMode left out: expected a whole number from 0 to 2/m,
    );
    const odd = await runScript(folder, "generate.ts", ...one, "--control-mode", "x");
    assert.match(
      odd.stderr,
      /^Cannot take --control-mode x: expected a whole number from 0, or none, got x/m,
    );
  }));

Deno.test("generate.ts says what --control belongs to, and what FLUX.1's tools do not take", () =>
  inFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await controlled(at("canny"));
    await fluxFolder(at("kontext"), "FluxKontextPipeline");
    await picture(at("a.png"), 64, 48);
    const control = ["--control", "a.png"];
    const lines: [args: string[], line: string][] = [
      [
        ["--model", "canny"],
        "Cannot draw with FluxControlPipeline: expected one --control, the depth or edges to follow, got none",
      ],
      [
        ["--model", "canny", ...control, ...control],
        "Cannot draw with FluxControlPipeline: expected one --control, the depth or edges to follow, got 2",
      ],
      [
        ["--model", "canny", ...control, "--controlnet", "a/b"],
        "Cannot take --controlnet with FluxControlPipeline: it is for Stable Diffusion, XL, FLUX.1 and Z-Image",
      ],
      [
        control,
        "Cannot take --control with StableDiffusionPipeline: it belongs to --controlnet or --t2i-adapter, or to FLUX.1 Depth or Canny, as model or --lora",
      ],
      [
        ["--model", fixture("flux/pipeline"), ...control],
        "Cannot take --control with FluxPipeline: it belongs to --controlnet or --t2i-adapter, or to FLUX.1 Depth or Canny, as model or --lora",
      ],
      [
        ["--model", "kontext", "--image", "a.png", "--strength", "0.5"],
        "Cannot take --strength with FluxKontextPipeline: it is for ",
      ],
      [
        ["--model", "kontext", "--image", "a.png", "--image", "a.png"],
        "Cannot take several --image with FluxKontextPipeline: it changes one picture",
      ],
    ];
    for (const [args, line] of lines) {
      const { code, stdout, stderr } = await runScript(folder, "generate.ts", ...args);
      assert.deepEqual([code, stdout], [1, ""], args.join(" "));
      assert.ok(stderr.startsWith(line) && /^[^\n]*\n$/.test(stderr), stderr);
    }
  }));

Deno.test("generate.ts --plan counts pictures, --vae, ControlNets and IP-Adapters", () =>
  inFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await fluxFolder(at("kontext"), "FluxKontextPipeline");
    await pipelineFolder(at("sd"), "StableDiffusionPipeline", {
      unet: ["diffusers", "UNet2DConditionModel", fixture("controlnet/unet")],
      vae: ["diffusers", "AutoencoderKL", fixture("controlnet/vae")],
    });
    await picture(at("photo.png"), 64, 48);
    /** Rows of the table: what each part's columns say. */
    const plan = async (...args: string[]) => {
      const { code, stdout, stderr } = await runScript(
        folder,
        "generate.ts",
        "--plan",
        "--dtype",
        "f32",
        ...args,
      );
      assert.equal(code, 0, stderr);
      const rows = stdout.split("\n").slice(2, -3).map((line) => line.split(/ {2,}/));
      return new Map(rows.map(([name, ...cells]) => [name!, cells]));
    };
    const activations = (rows: Map<string, string[]>, name: string) => Number(rows.get(name)![4]);

    const kontext = await plan("--model", "kontext", "--image", "photo.png");
    const words = await plan("--model", fixture("flux/pipeline"));
    const changed = await plan("--model", fixture("flux/pipeline"), "--image", "photo.png");
    assert.ok(activations(kontext, "transformer") > 1.4 * activations(words, "transformer")); // twice the picture's tokens
    assert.ok(activations(kontext, "vae") > 1.5 * activations(words, "vae")); // encodes, too
    assert.ok(activations(changed, "vae") < activations(words, "vae")); // drawn in the size of its picture

    const nets = ["controlnet", "controlnet_1"].flatMap((
      name,
    ) => ["--controlnet", fixture(`controlnet/${name}`)]);
    const pictures = ["--control", "photo.png", "--control", "photo.png"];
    const added = await plan(
      ...["--model", "sd", ...nets, ...pictures],
      ...["--ip-adapter", fixture("ip_adapter/plus.safetensors"), "--ip-image", "photo.png"],
    );
    assert.deepEqual([...added.keys()], [
      "image_encoder",
      "ip_adapter",
      "unet",
      "controlnet",
      "controlnet_1",
      "vae",
    ]);
    const tiny = await plan("--model", "sd", "--vae", fixture("autoencoder_tiny/base"));
    assert.deepEqual([...tiny.keys()], ["unet", "vae"]);
    assert.notDeepEqual(tiny.get("vae"), (await plan("--model", "sd")).get("vae"));
  }));
