import assert from "node:assert/strict";
import { join } from "node:path";
import { readPng } from "../../src/io/images/png.ts";
import { commit, HubServer } from "../io/hub/hub_server.ts";
import { readTrace } from "../support/perfetto.ts";
import { inFolder, runScript, runScriptWith } from "../support/script.ts";

const root = join(import.meta.dirname!, "../..");

/** Largest difference of two pictures' RGB values, and the share of values that differ. */
async function compare(a: string, b: string): Promise<{ largest: number; share: number }> {
  const [x, y] = [await readPng(a), await readPng(b)];
  assert.deepEqual([x.width, x.height], [y.width, y.height]);
  let [largest, differ] = [0, 0];
  x.data.forEach((value, i) => {
    const d = Math.abs(value - y.data[i]!);
    largest = Math.max(largest, d);
    if (d) differ++;
  });
  return { largest, share: differ / x.data.length };
}

Deno.test("generate.ts draws the flower that diffusers draws from the embedded model, and says how", () =>
  inFolder(async (folder) => {
    const { code, stdout, stderr } = await runScript(folder, "generate.ts");
    assert.equal(code, 0, stderr);
    const flower = join(folder, "denoise.png");
    const { largest, share } = await compare(flower, join(root, "models/expected/flower_pndm_25.png"));
    assert.ok(largest <= 1 && share < 0.01, `differs by ${largest} on ${100 * share} %`);
    assert.match(stdout, /^denoise\.png\nDrawn by (Dawn|Deno's WebGPU) on /);
    assert.match(stdout, /set-up [\d.]+ s, load [\d.]+ s, compile [\d.]+ s, sample [\d.]+ s, save [\d.]+ s/);
    assert.match(stderr, /100% 26\/26/); // PNDM calls the model once more than it has steps

    const again = await runScript(folder, "generate.ts", "--replay", "denoise.png", "--out", "again.png");
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(await compare(flower, join(folder, "again.png")), { largest: 0, share: 0 });
  }));

Deno.test("generate.ts swaps the scheduler and draws several pictures, each with its own seed", () =>
  inFolder(async (folder) => {
    const { code, stderr } = await runScript(
      folder,
      "generate.ts",
      "a nice flower",
      "--scheduler",
      "UniPCMultistepScheduler",
      "--count",
      "2",
    );
    assert.equal(code, 0, stderr);
    const first = await compare(
      join(folder, "denoise-1.png"),
      join(root, "models/expected/flower_unipc_25.png"),
    );
    assert.ok(
      first.largest <= 1 && first.share < 0.01,
      `differs by ${first.largest} on ${100 * first.share} %`,
    );
    assert.equal(JSON.parse((await readPng(join(folder, "denoise-2.png"))).text["denoise"]!).seed, 1);
  }));

Deno.test("generate.ts tells wrong options in one line", () =>
  inFolder(async (folder) => {
    const wrong = [
      ["--steps", "0"],
      ["--steps", "x"],
      ["--guidance", "NaN"],
      ["--size", "64x"],
      ["--scheduler", "None"],
      ["--nothing"],
      ["a", "b"],
      ["--size", "62x64"],
      ["--out", "flower.jpg"],
      ["--lora", "style.safetensors:strong"],
      ["--lora", "nowhere.safetensors"],
      ["--lora", "style.safetensors:blocks=1,2,x"],
      ["--lora", "style.safetensors:from=0.5:to=0.5"],
      ["--lora", "style.safetensors:1:to=late"],
      ["--lora", "style.safetensors:to=0.5:to=0.6"],
      ["--max-sequence-length", "0"],
    ];
    for (const args of wrong) {
      const { code, stderr } = await runScript(folder, "generate.ts", ...args);
      assert.equal(code, 1, args.join(" "));
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

Deno.test("stable_diffusion.ts draws what diffusers draws with UniPC swapped in", () =>
  inFolder(async (folder) => {
    const { code, stderr } = await runScript(folder, "stable_diffusion.ts");
    assert.equal(code, 0, stderr);
    const { largest, share } = await compare(
      join(folder, "stable_diffusion.png"),
      join(root, "models/expected/flower_unipc_25.png"),
    );
    assert.ok(largest <= 1 && share < 0.01, `differs by ${largest} on ${100 * share} %`);
  }));

const flux = join(root, "test/fixtures/flux/pipeline");
const lora = (name: string) => join(root, `test/fixtures/flux/lora/${name}.safetensors`);

Deno.test("flux_lora.ts draws with a LoRA, and generate.ts repeats its picture from the file alone", () =>
  inFolder(async (folder) => {
    const small = ["--size", "64x48", "--steps", "2"];
    const args = ["a nice flower", "--model", flux, "--seed", "3", "--lora", lora("kohya"), ...small];
    const { code, stderr } = await runScript(folder, "flux_lora.ts", ...args);
    assert.equal(code, 0, stderr);
    const drawn = join(folder, "flux_lora.png");
    const { width, height } = await readPng(drawn);
    assert.deepEqual([width, height], [64, 48]);
    const again = await runScript(folder, "generate.ts", "--replay", "flux_lora.png");
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(await compare(drawn, join(folder, "denoise.png")), { largest: 0, share: 0 });
  }));

Deno.test("z_image.ts draws by its own loop what generate.ts draws from its file", () =>
  inFolder(async (folder) => {
    const small = ["--size", "64x48", "--steps", "4", "--seed", "3"];
    const args = ["a nice flower", "--model", join(root, "test/fixtures/zimage/pipeline"), ...small];
    const { code, stderr } = await runScript(folder, "z_image.ts", ...args);
    assert.equal(code, 0, stderr);
    const again = await runScript(folder, "generate.ts", "--replay", "z_image.png");
    assert.equal(again.code, 0, again.stderr);
    const { largest, share } = await compare(join(folder, "z_image.png"), join(folder, "denoise.png"));
    assert.ok(largest <= 1 && share < 0.001, `differs by ${largest} on ${100 * share} %`); // 1 - t / 1000 is not rounded
  }));

Deno.test("generate.ts adds several LoRAs, each as strong as it is told, and keeps them in the file", () =>
  inFolder(async (folder) => {
    const args = ["--model", flux, "--size", "64x48", "--steps", "2", "--max-sequence-length", "32"];
    const loras = ["--lora", `${lora("kohya")}:0.5`, "--lora", lora("xlabs")];
    const both = await runScript(folder, "generate.ts", ...args, ...loras, "--out", "both.png");
    assert.equal(both.code, 0, both.stderr);
    const off = loras.map((arg) => arg === "--lora" ? arg : `${arg.replace(":0.5", "")}:0`);
    for (const [out, given] of [["off.png", off], ["none.png", []]] as const) {
      const { code, stderr } = await runScript(folder, "generate.ts", ...args, ...given, "--out", out);
      assert.equal(code, 0, stderr);
    }
    const none = join(folder, "none.png");
    assert.deepEqual(await compare(join(folder, "off.png"), none), { largest: 0, share: 0 });
    assert.ok((await compare(join(folder, "both.png"), none)).share > 0.1);
    const made = JSON.parse((await readPng(join(folder, "both.png"))).text["denoise"]!);
    assert.deepEqual(made.lora, [`${lora("kohya")}:0.5`, lora("xlabs")]);
    assert.equal(made["max-sequence-length"], 32);
  }));

Deno.test("generate.ts adds a LoRA in some of the steps and blocks, and repeats its picture", () =>
  inFolder(async (folder) => {
    const args = ["--model", flux, "--size", "64x48", "--steps", "2", "--max-sequence-length", "32"];
    const draw = async (out: string, ...given: string[]) => {
      const { code, stderr } = await runScript(folder, "generate.ts", ...given, "--out", out);
      assert.equal(code, 0, stderr);
      return join(folder, out);
    };
    const styled = (how: string) => ["--lora", `${lora("kohya")}${how}`];
    const none = await draw("none.png", ...args);
    const whole = await draw("whole.png", ...args, ...styled(":0.5"));
    const late = await draw("late.png", ...args, ...styled(":0.5:from=0.5"));
    for (const other of [none, whole]) assert.ok((await compare(late, other)).share > 0.1);
    const always = await draw("always.png", ...args, ...styled(":0.5:from=0:to=1"));
    assert.deepEqual(await compare(always, whole), { largest: 0, share: 0 });
    const off = await draw("off.png", ...args, ...styled(":blocks=0,0,0,0,0,0,0,0")); // CLIP, T5, IN, 2 and 2 blocks, OUT
    assert.deepEqual(await compare(off, none), { largest: 0, share: 0 });
    const some = await draw("some.png", ...args, ...styled(":0.5:blocks=1,1,0,1")); // of the blocks alone
    for (const other of [none, whole]) assert.ok((await compare(some, other)).share > 0.1);
    const again = await draw("again.png", "--replay", "late.png");
    assert.deepEqual(await compare(again, late), { largest: 0, share: 0 });
  }));

Deno.test("custom_loop.ts draws a picture", () =>
  inFolder(async (folder) => {
    const { code, stderr } = await runScript(folder, "custom_loop.ts", "a red apple", "a strawberry");
    assert.equal(code, 0, stderr);
    const { width, height } = await readPng(join(folder, "custom_loop.png"));
    assert.deepEqual([width, height], [64, 64]);
  }));

Deno.test("ddpm.ts draws from a flat folder of 2022 with pickled weights, and writes how it was made", () =>
  inFolder(async (folder) => {
    const legacy = join(root, "test/fixtures/ddpm/legacy_flat_bin");
    const { code, stderr } = await runScript(folder, "ddpm.ts", legacy, "--steps", "4");
    assert.equal(code, 0, stderr);
    const picture = join(folder, "ddpm.png");
    const { largest, share } = await compare(picture, join(root, "test/fixtures/ddpm/expected/sampling.png"));
    assert.ok(largest <= 1 && share < 0.01, `differs by ${largest} on ${100 * share} %`);
    const { text } = await readPng(picture);
    const { model, scheduler, steps, seed, engine } = JSON.parse(text["denoise"]!);
    assert.deepEqual({ model, scheduler, steps, seed }, {
      model: legacy,
      scheduler: "DDPMScheduler",
      steps: 4,
      seed: 0,
    });
    assert.ok(["dawn", "deno"].includes(engine));
  }));

Deno.test("ddpm.ts downloads from the hub, then draws offline from the cache", () =>
  inFolder(async (folder) => {
    const flat = join(root, "test/fixtures/ddpm/legacy_flat_bin");
    const names = [...Deno.readDirSync(flat)].map(({ name }) => name);
    const files = Object.fromEntries(names.map((name) => [name, Deno.readFileSync(join(flat, name))]));
    const env = { HF_HUB_CACHE: join(folder, "cache"), HF_TOKEN: "", HF_HUB_OFFLINE: "" };
    {
      await using server = new HubServer({ files });
      const { code, stderr } = await runScriptWith(
        { ...env, HF_ENDPOINT: server.endpoint },
        folder,
        "ddpm.ts",
        "owner/tiny",
        "--steps",
        "2",
      );
      assert.equal(code, 0, stderr);
      assert.equal(JSON.parse((await readPng(join(folder, "ddpm.png"))).text["denoise"]!).revision, commit);
    }
    const { code, stderr } = await runScriptWith(
      { ...env, HF_HUB_OFFLINE: "1" },
      folder,
      "ddpm.ts",
      "owner/tiny",
      "--steps",
      "2",
    );
    assert.equal(code, 0, stderr);
  }));

Deno.test("scripts tell what is wrong in one line, with exit code 1 and no file", () =>
  inFolder(async (folder) => {
    const cases: [string[], RegExp][] = [
      [["./nowhere"], /^Cannot open \.\/nowhere: /],
      [[join(root, "test/fixtures/bad/unet_wrong_shape")], /^Cannot use "conv_in\.weight": expected shape/],
      [["--seed", "one"], /^Cannot take --seed one: expected a whole number from -2\^63 to 2\^64 - 1$/],
      [["--steps", "0"], /^Cannot take --steps 0: expected a whole number from 1$/],
      [["--steps", "1001"], /^Cannot set timesteps: expected 1 to 1000/],
      [["a", "0"], /^Cannot take "0": expected model without a name; --help lists the options$/],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await runScript(folder, "ddpm.ts", ...args);
      assert.equal(code, 1);
      assert.match(stderr.trim(), message);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

Deno.test(
  "Ctrl-C ends a script at once with 130 and leaves no file",
  { ignore: Deno.build.os === "windows" },
  () =>
    inFolder(async (folder) => {
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-q",
          "-A",
          "--config",
          join(root, "deno.json"),
          join(root, "scripts/ddpm.ts"),
          "--steps",
          "1000",
        ],
        cwd: folder,
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
      const reader = child.stderr.getReader();
      let text = "";
      while (!text.includes("0/1000")) text += new TextDecoder().decode((await reader.read()).value);
      child.kill("SIGINT");
      for (let part; !(part = await reader.read()).done;) text += new TextDecoder().decode(part.value);
      const { code, signal } = await child.status;
      assert.doesNotMatch(text, / [1-9]\d*\/1000 /); // it finished no more steps
      assert.ok(code === 130 || signal === "SIGINT", `ended with ${code}`);
      assert.deepEqual([...Deno.readDirSync(folder)], []);
    }),
);

Deno.test("profile.ts lists kernels and modules, and writes a trace", () =>
  inFolder(async (folder) => {
    const { code, stdout, stderr } = await runScript(
      folder,
      "profile.ts",
      "--steps",
      "1",
      "--rows",
      "5",
      "--trace",
      "trace.json",
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /kernel +calls +ms +GFLOP\/s +GB\/s +share/);
    assert.match(stdout, /resnets\.\d\S* gemm_\w+ /);
    const { slices } = readTrace(JSON.parse(await Deno.readTextFile(join(folder, "trace.json"))));
    const kernels = slices.filter(({ cat }) => cat === "kernel");
    assert.ok(kernels.length > 50);
    assert.ok(
      kernels.some(({ path }) =>
        /^step > UNet2DModel > \S+_blocks\.\d > .* > gemm_\w+$/.test(path.join(" > "))
      ),
    );
  }));

Deno.test({
  name: "a full disk behind what is shown costs no picture; where text is the result, it is told",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    inFolder(async (folder) => {
      const toFullDisk = async (script: string, ...args: string[]) => {
        const line =
          `"$0" run -q -A --config "$1/deno.json" "$1/scripts/$2" "\${@:3}" >/dev/full 2>/dev/full`;
        const command = new Deno.Command("bash", {
          args: ["-c", line, Deno.execPath(), root, script, ...args],
          cwd: folder,
        });
        return (await command.output()).code;
      };
      const steps = ["--steps", "1", "--count", "2", "--preview", "--out", "a.png"];
      assert.equal(await toFullDisk("generate.ts", "x", ...steps), 0);
      assert.equal(await toFullDisk("stable_diffusion.ts", "x"), 0);
      assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
        "a-1.png",
        "a-2.png",
        "stable_diffusion.png",
      ]);
      assert.equal(await toFullDisk("inspect.ts", join(root, "models/emoji-ddpm")), 1);
    }),
});
