import assert from "node:assert/strict";
import { join } from "node:path";
import { readPng, writePng } from "../../src/io/images/png.ts";
import { inFolder, runScript } from "../support/script.ts";

const root = join(import.meta.dirname!, "../..");
const fixtures = join(root, "test/fixtures");
const models = {
  "the embedded model": join(root, "models/emoji-diffusion"),
  "an XL model": join(fixtures, "stable_diffusion_xl/pipeline"),
  "FLUX": join(fixtures, "flux/pipeline"),
};

Deno.test("generate.ts --preview FILE keeps the last preview in a file beside the picture", () =>
  inFolder(async (folder) => {
    const { code, stderr } = await runScript(
      folder,
      "generate.ts",
      "--steps",
      "4",
      "--preview",
      "2,small.png",
    );
    assert.equal(code, 0, stderr);
    const { width, height, data } = await readPng(join(folder, "small.png"));
    assert.deepEqual([width, height], [256, 256]);
    assert.ok(new Set(data).size > 20, "the preview is of one colour");
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
      "denoise.png",
      "small.png",
    ]);
  }));

Deno.test("generate.ts --preview-vae decodes previews, and is refused without --preview", () =>
  inFolder(async (folder) => {
    const tiny = ["--preview-vae", join(fixtures, "autoencoder_tiny/base")];
    const sides = ["--size", "32x32", "--steps", "2"];
    const run = await runScript(folder, "generate.ts", ...sides, "--preview", "p.png", ...tiny);
    assert.equal(run.code, 0, run.stderr);
    const { width, height } = await readPng(join(folder, "p.png"));
    assert.deepEqual([width, height], [256, 256]); // 64 of the decoder's, enlarged
    const alone = await runScript(folder, "generate.ts", ...tiny);
    assert.equal(
      alone.stderr,
      "Cannot take --preview-vae alone: expected --preview too, which it decodes\n",
    );
  }));

Deno.test("generate.ts --preview draws without one where standard output is no terminal, and says so", () =>
  inFolder(async (folder) => {
    const { code, stdout, stderr } = await runScript(folder, "generate.ts", "--steps", "1", "--preview");
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^No previews: this terminal is not known to show pictures; try --preview preview\.png$/m,
    );
    assert.ok(!stdout.includes("\x1b"));
  }));

Deno.test("generate.ts tells wrong previews in one line", () =>
  inFolder(async (folder) => {
    for (const wrong of ["0", "x.jpg", "5,6", "sixel,kitty"]) {
      const { code, stderr } = await runScript(folder, "generate.ts", "--preview", wrong);
      assert.equal(code, 1, wrong);
      assert.match(stderr, /^Cannot take --preview [^\n]*: expected a number of steps, a file [^\n]*\n$/);
    }
    const { code, stderr } = await runScript(folder, "generate.ts", "--steps", "2", "--preview", "no/x.png");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^Cannot take --preview no\/x\.png: expected a folder no, got none; create it first$/m,
    );
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

for (const [what, model] of Object.entries(models)) {
  Deno.test(`generate.ts changes no picture by a damaged file, with ${what}`, () =>
    inFolder(async (folder) => {
      const truncated = join(fixtures, "bad/png_truncated.png");
      await refused(folder, [model, truncated], /^Cannot load .*png_truncated\.png: expected /m);
      await refused(
        folder,
        [model, join(fixtures, "bad/png_bad_crc.png")],
        /^Cannot load .*png_bad_crc\.png: exp/m,
      );
      await refused(
        folder,
        [model, join(folder, "none.png")],
        /^Cannot load .*none\.png: no such file; check the path$/m,
      );
      assert.deepEqual([...Deno.readDirSync(folder)], []);
    }));
}

Deno.test("generate.ts refuses damaged masks, and sizes that the model cannot draw", () =>
  inFolder(async (folder) => {
    const image = await flat(folder, "image.png", 32, 32);
    const thin = await flat(folder, "thin.png", 3, 32);
    for (const model of [models["the embedded model"], models["an XL model"]]) {
      await refused(
        folder,
        [model, image, "--mask", join(fixtures, "bad/png_truncated.png")],
        /^Cannot load .*: exp/m,
      );
    }
    await refused(
      folder,
      [models["the embedded model"], thin],
      /^Cannot change a picture of width 3: expected at least 4 pixels; /m,
    );
    await refused(
      folder,
      [models["the embedded model"], image, "--size", "30x32"],
      /^Cannot take --size 30x32: expected multiples of 4 with this model; 32x32 would do$/m,
    );
    for (const strength of ["0", "-1", "2"]) {
      await refused(
        folder,
        [models["the embedded model"], image, "--strength", strength],
        /^Cannot take --strength .*: expected a number (above 0|of at most 1)$/m,
      );
    }
    await refused(
      folder,
      [join(root, "models/emoji-ddpm"), image],
      /^Cannot take --image with DDPMPipeline: /m,
    );
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["image.png", "thin.png"]);
  }));

Deno.test("generate.ts changes pictures of any size and format, as they are to be seen, with masks of any size", () =>
  inFolder(async (folder) => {
    const turned = join(fixtures, "pictures/files/turned_6.jpg"); // 17 x 23 once it is turned
    const mask = join(fixtures, "changed_sizes/mask.png"); // 50 x 29
    const drawn = async (...args: string[]) => {
      const small = ["--steps", "2", "--strength", "0.5", "--out", "out.png"];
      const { code, stderr } = await runScript(folder, "generate.ts", "--image", turned, ...small, ...args);
      assert.equal(code, 0, stderr);
      const { width, height } = await readPng(join(folder, "out.png"));
      return [width, height];
    };
    assert.deepEqual(await drawn(), [16, 20]);
    assert.deepEqual(await drawn("--size", "24x16", "--mask", mask), [24, 16]);
  }));

Deno.test("generate.ts takes seeds below 0", () =>
  inFolder(async (folder) => {
    const args = ["--model", join(root, "models/emoji-ddpm"), "--steps", "1", "--seed", "-1"];
    const { code, stderr } = await runScript(folder, "generate.ts", ...args);
    assert.equal(code, 0, stderr);
  }));

/** Runs the script on a picture; it must end with one line, and write nothing. */
async function refused(
  folder: string,
  [model, image, ...more]: [string, string, ...string[]],
  line: RegExp,
): Promise<void> {
  const args = ["--model", model, "--image", image, "--steps", "4", ...more];
  const { code, stdout, stderr } = await runScript(folder, "generate.ts", "a nice flower", ...args);
  assert.equal(code, 1, stdout);
  assert.match(stderr, line);
  const told = stderr.split("\n").filter((text) => /Cannot|Error|^\s+at /.test(text));
  assert.equal(told.length, 1, stderr);
}

/** A gray picture. */
async function flat(folder: string, name: string, width: number, height: number): Promise<string> {
  const path = join(folder, name);
  await writePng(path, { width, height, channels: 1, data: new Uint8Array(width * height).fill(128) });
  return path;
}

Deno.test("generate.ts refuses what the arguments alone decide before it loads anything", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(join(folder, "folder.png"));
    const ddpm = join(root, "models/emoji-ddpm");
    const lines: [args: string[], line: RegExp][] = [
      [
        ["--out", "none/a.png"],
        /^Cannot take --out none\/a\.png: expected a folder none, got none; create it first\n$/,
      ],
      [
        ["--out", "folder.png"],
        /^Cannot take --out folder\.png: expected a file, got a folder; name a file in it\n$/,
      ],
      ...Deno.build.os === "linux"
        ? [[
          ["--out", "/proc/a.png"],
          /^Cannot take --out \/proc\/a\.png: no file can be made in \/proc;/,
        ]] as [
          string[],
          RegExp,
        ][]
        : [],
      [
        ["--count", "100000000000"],
        /^Cannot take --count 100000000000: expected a whole number from 1 to 1000000\n$/,
      ],
      [["--lora", "none.safetensors"], /^Cannot load none\.safetensors: no such file; check the path\n$/],
      [
        ["--size", "65x50"],
        /^Cannot take --size 65x50: expected multiples of 4 with this model; 64x52 would do\n$/,
      ],
      [
        ["--controlnet", "a/b"],
        /^Cannot take 1 --controlnet with 0 --control: expected one picture for each\n$/,
      ],
      [
        ["--controlnet", "a:0.8:from=2", "--control", "a.png"],
        /^Cannot take --controlnet a:0\.8:from=2: expected two parts of the steps from 0 to 1, in order, got from=2 and to=1\n$/,
      ],
      [
        ["--t2i-adapter", "a/b"],
        /^Cannot take 1 --t2i-adapter with 0 --control: expected one picture for each\n$/,
      ],
      [
        ["--t2i-adapter", "a/b", "--controlnet", "a/b", "--control", "a.png"],
        /^Cannot take --t2i-adapter with --controlnet: expected one kind of control\n$/,
      ],
      [
        ["--t2i-adapter", "a/b", "--control", "a.png", "--image", "a.png"],
        /^Cannot take --t2i-adapter with --image: it draws from noise\n$/,
      ],
      [
        ["--ip-image", "a.png"],
        /^Cannot take 0 --ip-adapter with 1 --ip-image: expected one picture for each\n$/,
      ],
      [["--mask", "a.png"], /^Cannot take --mask alone: expected --image too, /],
      [["--cache", "easy:-1"], /^Cannot take --cache easy:-1: expected first-block, tea or easy, or e\.g\. /],
      [
        ["a cat <lora:style:0.8>", "--prompt-syntax", "a1111"],
        /^Cannot read <lora:style:0\.8> in a prompt: say --lora FILE:SCALE, and leave it out there\n$/,
      ],
      [["--strength", "0.5"], /^Cannot take --strength alone: expected --image too, /],
      [
        ["--true-cfg", "2"],
        /^Cannot take --true-cfg with StableDiffusionPipeline: it is for Flux, FluxFill, FluxKontext, FluxControl\n$/,
      ],
      [
        ["--max-sequence-length", "9"],
        /^Cannot take --max-sequence-length with StableDiffusionPipeline: it is for Flux/,
      ],
      [
        ["--base", "x"],
        /^Cannot take --base with models\/emoji-diffusion: it is for one file; folders and reposit/,
      ],
      [["--config", "x"], /^Cannot take --config with models\/emoji-diffusion: it is for one file; /],
      [
        ["a prompt", "--model", ddpm],
        /^Cannot take a prompt with DDPMPipeline: it draws from noise alone, at the size/,
      ],
      [
        ["--size", "32x32", "--model", ddpm],
        /^Cannot take --size with DDPMPipeline: it draws from noise alone, /,
      ],
      [
        ["--scheduler", "euler", "--model", ddpm],
        /^Cannot take --scheduler with DDPMPipeline: it draws from noise/,
      ],
      [["--scheduler", "eulr"], /^Cannot find the scheduler "eulr": [^\n]*; did you mean "Euler"\?\n$/],
    ];
    for (const [args, line] of lines) {
      const { code, stdout, stderr } = await runScript(folder, "generate.ts", ...args);
      assert.deepEqual([code, stdout], [1, ""], args.join(" "));
      assert.match(stderr, line);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
    const short = await runScript(folder, "generate.ts", "--memory", "10M");
    assert.equal(short.code, 1);
    assert.match(
      short.stderr,
      /\nCannot draw with this --memory: text_encoder takes [\d.]+ MB at least; [^\n]*\n$/,
    );
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["folder.png"]);
  }));

Deno.test("generate.ts tells that weights are words without --prompt-syntax, and what --cache left out", () =>
  inFolder(async (folder) => {
    const cached = ["--cache", "easy:0.3", "--size", "32x32", "--steps", "14"];
    const { code, stdout, stderr } = await runScript(folder, "generate.ts", "a (red:1.3) apple", ...cached);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^\(red:1\.3\) is read as plain words: with --prompt-syntax a1111 it is a weight$/m);
    assert.match(stdout, /^--cache easy:0\.3: [1-9] of 15 calls of the model left out$/m);
  }));

Deno.test("generate.ts tells a size that is far from the model's, and draws it", () =>
  inFolder(async (folder) => {
    const { code, stderr } = await runScript(folder, "generate.ts", "--size", "128x128", "--steps", "1");
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^128x128 is 4 times the pixels for which this model was trained \(64x64\): [^\n]*; try --size 64x64$/m,
    );
    const usual = await runScript(folder, "generate.ts", "--steps", "1");
    assert.doesNotMatch(usual.stderr, /was trained/);
  }));

Deno.test("generate.ts draws many pictures one after another, with a bar of pictures, and says where they are", () =>
  inFolder(async (folder) => {
    const args = [
      "--count",
      "9",
      "--steps",
      "1",
      "--size",
      "16x16",
      "--out",
      "a.png",
      "--seed",
      "18446744073709551612",
    ];
    const { code, stdout, stderr } = await runScript(folder, "generate.ts", ...args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^a-1\.png to a-9\.png\nDrawn by /);
    assert.match(stderr, /^pictures 100% 9\/9 /m);
    assert.doesNotMatch(stderr, /sample/);
    const seedOf = async (n: number) =>
      /"seed":(\d+)/.exec((await readPng(join(folder, `a-${n}.png`))).text["denoise"]!)![1];
    assert.equal(await seedOf(4), "18446744073709551615");
    assert.equal(await seedOf(5), "0"); // behind the last of 64 bits
    assert.equal([...Deno.readDirSync(folder)].length, 9);
  }));
