/** Denoise as a library: in folders outside its tree, in each of the ways that people add a package. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { Registry } from "./registry.ts";

const root = join(import.meta.dirname!, "../..");
const model = join(root, "models/emoji-diffusion");
const quiet = { allowScripts: { deny: ["npm:webgpu"] } };
const version = `jsr:@denoise/denoise@${config.version}`;
const linked = {
  ...quiet,
  links: [root],
  imports: { "denoise": version, "denoise/": version.replace("jsr:", "jsr:/") + "/" },
};

/** A loop as in the README, at 4 steps. */
const LOOP = `
import { cat, manualSeed, openDevice, progress, randn, savePng } from "denoise";
import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "denoise/models";
import { UniPCMultistepScheduler } from "denoise/schedulers";
import { CLIPTokenizer } from "denoise/tokenizers";

const repo = Deno.args[0]!;
using device = await openDevice();
const tokenizer = await CLIPTokenizer.fromPretrained(repo, { subfolder: "tokenizer" });
using encoder = await CLIPTextModel.fromPretrained(repo, { subfolder: "text_encoder" });
using unet = await UNet2DConditionModel.fromPretrained(repo, { subfolder: "unet" });
using vae = await AutoencoderKL.fromPretrained(repo, { subfolder: "vae" });
const scheduler = await UniPCMultistepScheduler.fromPretrained(repo, { subfolder: "scheduler" });
const embeddings = encoder.forward(tokenizer.encode(["", "a nice flower"]).inputIds).lastHiddenState;
scheduler.setTimesteps(4);
let latents = randn([1, 4, 16, 16], { generator: manualSeed(0) }).mul(scheduler.initNoiseSigma);
for await (const t of progress(scheduler.timesteps)) {
  const input = scheduler.scaleModelInput(cat([latents, latents]), t);
  const [uncond, cond] = unet.forward(input, t, embeddings).sample.chunk(2);
  latents = scheduler.step(uncond.lerp(cond, 4.5), t, latents).prevSample;
}
const image = vae.decode(vae.unscaleLatents(latents)).sample;
await savePng("flower.png", image.div(2).add(0.5).clamp(0, 1));
console.log("drawn on", device.engine);
`;

/** The strictest options a user may have that concern what is written, not how it is emitted. */
const STRICT = {
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noPropertyAccessFromIndexSignature: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  noFallthroughCasesInSwitch: true,
};

Deno.test("a folder that links a clone draws, and compiles under a user's strictest options", async () => {
  await using folder = await Folder.create({
    "deno.json": { ...linked, compilerOptions: STRICT },
    "loop.ts": LOOP,
  });
  await folder.draws();
  await folder.deno(["check", "loop.ts"]);
});

Deno.test("a workspace that has a clone as a member draws", async () => {
  await using folder = await Folder.create({
    "deno.json": { ...quiet, workspace: ["./mine", "./denoise"] },
    "mine/deno.json": { name: "@me/mine", version: "0.1.0", exports: "./loop.ts" },
    "mine/loop.ts": LOOP.replaceAll(/"denoise(.*)"/g, '"@denoise/denoise$1"'),
  });
  await Deno.mkdir(join(folder.path, "denoise"));
  for (const name of ["src", "shaders"]) await copy(join(root, name), join(folder.path, "denoise", name));
  await Deno.copyFile(join(root, "deno.json"), join(folder.path, "denoise/deno.json"));
  await folder.draws("mine/loop.ts");
});

Deno.test("an import map to a clone's files draws", async () => {
  const imports = Object.entries(config.exports)
    .map(([name, path]) => [name.replace(".", "denoise"), join(root, path)]);
  await using folder = await Folder.create({
    "deno.json": { ...quiet, imports: Object.fromEntries(imports) },
    "loop.ts": LOOP,
  });
  await folder.draws();
});

Deno.test("a published package holds no tests and no models; `deno add` brings it, and it draws", async () => {
  await using registry = new Registry();
  await using folder = await Folder.create({ "deno.json": quiet, "loop.ts": LOOP }, {
    JSR_URL: registry.url,
  });
  await folder.deno(["publish", "--token", "any", "--allow-dirty", "--no-provenance"], root);
  const [published] = [...registry.published.values()];
  const folders = new Set([...published!.files.keys()].map((path) => path.split("/")[1]));
  assert.deepEqual([...folders].sort(), [
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "deno.json",
    "scripts",
    "shaders",
    "src",
  ]);
  const bytes = [...published!.files.values()].reduce((sum, file) => sum + file.length, 0);
  assert.ok(bytes < 4e6, `${bytes} bytes`);

  await folder.deno(["add", "denoise@jsr:@denoise/denoise"]);
  await folder.draws();
  await folder.deno(["check", "loop.ts"]);
});

Deno.test("a bundle finds Dawn, from another folder too", async () => {
  await using folder = await Folder.create({ "deno.json": linked, "loop.ts": LOOP });
  await folder.deno(["bundle", "-o", "loop.js", "loop.ts"]);
  await using other = await Folder.create({ "deno.json": quiet });
  await Deno.copyFile(join(folder.path, "loop.js"), join(other.path, "loop.js"));
  await other.draws("loop.js");
});

Deno.test("a bundle reads JPEG and WebP, from another folder too", async () => {
  const script = `
    import { loadImage, openDevice } from "denoise";
    using _device = await openDevice();
    for (const path of Deno.args) console.log((await loadImage(path)).shape.join());
  `;
  await using folder = await Folder.create({ "deno.json": linked, "load.ts": script });
  await folder.deno(["bundle", "-o", "load.js", "load.ts"]);
  await using other = await Folder.create({ "deno.json": quiet });
  await Deno.copyFile(join(folder.path, "load.js"), join(other.path, "load.js"));
  const files = ["plain.jpg", "lossy.webp"].map((name) => join(root, "test/fixtures/pictures/files", name));
  assert.equal(await other.deno(["run", "-A", "load.js", ...files]), "1,3,17,23\n".repeat(2));
});

Deno.test("the names that bundles load decoders by are the versions in deno.json", async () => {
  const text = await Deno.readTextFile(join(root, "src/io/images/codecs.ts"));
  for (const name of ["@jsquash/jpeg", "@jsquash/webp"] as const) {
    assert.ok(text.includes(`name: "${config.imports[name]}/codec/`), name);
  }
});

Deno.test("the name that bundles load Dawn by is the version in deno.json", async () => {
  const text = await Deno.readTextFile(join(root, "src/gpu/open/dawn.ts"));
  assert.ok(text.includes(`const DAWN = "${config.imports.webgpu}";`));
});

Deno.test("README's ten lines for an own folder draw", async () => {
  const readme = await Deno.readTextFile(join(root, "README.md"));
  const section = readme.split("## In your own project")[1]!.split("\n## ")[0]!;
  const [json, script] = [...section.matchAll(/```(?:json|ts)\n([^]*?)```/g)].map(([, code]) => code!);
  await using folder = await Folder.create({
    "deno.json": JSON.parse(json!.replaceAll("/path/to/denoise", root)),
    "flower.ts": script!,
  });
  await folder.deno(["run", "-A", "flower.ts"]);
  assert.ok((await Deno.stat(join(folder.path, "flower.png"))).size > 1000);
});

/** A temporary folder with files, where Deno is run as a user would. */
class Folder implements AsyncDisposable {
  private constructor(readonly path: string, readonly env: Record<string, string>) {}

  static async create(
    files: Record<string, string | object>,
    env: Record<string, string> = {},
  ): Promise<Folder> {
    const path = await Deno.makeTempDir({ prefix: "denoise-own-" });
    for (const [name, content] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(path, name)), { recursive: true });
      await Deno.writeTextFile(
        join(path, name),
        typeof content === "string" ? content : JSON.stringify(content),
      );
    }
    return new Folder(path, env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }

  /** Runs Deno and returns what it printed; fails with its errors where it fails. */
  async deno(args: string[], cwd = this.path): Promise<string> {
    const command = new Deno.Command(Deno.execPath(), {
      args,
      cwd,
      env: { NO_COLOR: "1", HF_HUB_OFFLINE: "1", ...this.env },
      stdin: "null",
    });
    const { code, stdout, stderr } = await command.output();
    const errors = new TextDecoder().decode(stderr);
    assert.equal(code, 0, `deno ${args.join(" ")}: ${errors}`);
    assert.ok(!errors.includes("Ignored build scripts"), errors);
    return new TextDecoder().decode(stdout);
  }

  /** Draws with the loop, and expects Dawn behind it and a picture. */
  async draws(script = "loop.ts"): Promise<void> {
    assert.equal(await this.deno(["run", "-A", script, model]), "drawn on dawn\n");
    assert.ok((await Deno.stat(join(this.path, "flower.png"))).size > 1000);
  }
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copy(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}
