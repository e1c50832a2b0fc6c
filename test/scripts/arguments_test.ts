import assert from "node:assert/strict";
import { helpOf, readArguments, readGiven } from "../../scripts/command_line/arguments.ts";
import * as option from "../../scripts/command_line/options.ts";
import { inFolder, runScript } from "../support/script.ts";

const options = {
  prompt: option.text("what to draw", "a flower"),
  other: option.text("what else"),
  steps: option.count("of the loop", 25),
  guidance: option.number("how closely", { over: 0, most: 20 }),
  seed: option.seed(),
  size: option.size("in pixels"),
  memory: option.memory("of the GPU"),
  dtype: option.choice("of weights", ["f32", "f16"]),
  only: option.some("what", ["red", "green"]),
  lora: option.list(option.text("styles")),
  preview: { ...option.text("where"), bare: true },
  out: option.output("a picture", /\.png$/i, "a.png"),
  plan: option.flag("prints a plan"),
};
const usage = "scripts/draw.ts [prompt] [other]";
const read = (...args: string[]) => readArguments(usage, "Draws.", options, args);
const one = <Name extends keyof typeof options>(name: Name, text: string) => read(`--${name}`, text)[name];

Deno.test("arguments are read by name and by place, in any order", () => {
  const { prompt, other, steps, lora, plan, seed, size } = read(
    "a red apple",
    "--steps=3",
    "--lora",
    "a",
    "the sun",
    "--plan",
    "--lora=b",
    "--seed",
    "-5",
  );
  assert.deepEqual([prompt, other, steps, plan, seed, size], [
    "a red apple",
    "the sun",
    3,
    true,
    -5n,
    undefined,
  ]);
  assert.deepEqual(lora, ["a", "b"]);
  assert.equal(read("--", "--steps").prompt, "--steps");
  assert.deepEqual(readGiven(usage, "", options, ["--steps", "3"]), { steps: 3 });
});

Deno.test("what may stand alone takes a value where one follows", () => {
  assert.equal(read("--preview").preview, "");
  assert.equal(read("--preview", "--plan").preview, "");
  assert.equal(read("--preview", "5").preview, "5");
  assert.equal(read().preview, undefined);
});

Deno.test("seeds of 64 bits are read to the last digit", () => {
  for (const seed of ["18446744073709551615", "-9223372036854775808", "9007199254740993", "-1", "+7", "0"]) {
    assert.equal(one("seed", seed), BigInt(seed.replace("+", "")));
  }
});

Deno.test("memory is read alike in all its spellings", () => {
  const bytes: Record<string, number> = {
    "8": 8e9,
    "8G": 8e9,
    "8GB": 8e9,
    "8 gb": 8e9,
    "8GiB": 8 * 2 ** 30,
    "8gi": 8 * 2 ** 30,
    "1.5G": 1.5e9,
    "500M": 5e8,
    "512MiB": 2 ** 29,
    "1T": 1e12,
  };
  for (const [text, value] of Object.entries(bytes)) assert.equal(one("memory", text), value, text);
});

Deno.test("sizes are two numbers, or one for both", () => {
  assert.deepEqual(one("size", "64x48"), { width: 64, height: 48 });
  assert.deepEqual(one("size", "64X48"), { width: 64, height: 48 });
  assert.deepEqual(one("size", "512"), { width: 512, height: 512 });
});

const wrong: [args: string[], line: RegExp][] = [
  [["--steps", "0"], /^Cannot take --steps 0: expected a whole number from 1$/],
  [["--steps", "2.5"], /^Cannot take --steps 2\.5: expected a whole number from 1$/],
  [["--steps", "x"], /^Cannot take --steps x: expected a whole number from 1$/],
  [["--steps", ""], /^Cannot take --steps : expected a whole number from 1$/],
  [["--steps", "0x10"], /^Cannot take --steps 0x10: expected a whole number from 1$/],
  [["--steps"], /^Cannot take --steps: expected --steps N, got no value$/],
  [["--steps", "--plan"], /^Cannot take --steps: expected --steps N, got --plan$/],
  [["--steps", "1", "--steps", "2"], /^Cannot take --steps twice: got "1" and "2"$/],
  [["--guidance", "NaN"], /^Cannot take --guidance NaN: expected a number$/],
  [["--guidance", "-1"], /^Cannot take --guidance -1: expected a number above 0$/],
  [["--guidance", "21"], /^Cannot take --guidance 21: expected a number of at most 20$/],
  [["--seed", "18446744073709551616"], /expected a whole number from -2\^63 to 2\^64 - 1$/],
  [["--seed", "1e3"], /^Cannot take --seed 1e3: expected a whole number from -2\^63 to 2\^64 - 1$/],
  [["--size", "0x64"], /^Cannot take --size 0x64: expected WIDTHxHEIGHT in pixels, e\.g\. 512x512$/],
  [["--size", "axb"], /^Cannot take --size axb: expected WIDTHxHEIGHT/],
  [
    ["--memory", "0"],
    /^Cannot take --memory 0: expected an amount of memory above 0, e\.g\. 8G, 8GiB or 500M$/,
  ],
  [["--memory", "8X"], /^Cannot take --memory 8X: expected an amount of memory/],
  [["--dtype", "fp16"], /^Cannot take --dtype fp16: expected f32 or f16; did you mean f16\?$/],
  [["--only", "red,gren"], /^Cannot take --only red,gren: expected red or green; did you mean green\?$/],
  [["--out", "a.jpg"], /^Cannot take --out a\.jpg: expected a name such as a\.png$/],
  [["--plan=yes"], /^Cannot take --plan=yes: expected --plan alone$/],
  [["--gidance", "5"], /^Cannot take --gidance: no such option; did you mean --guidance\?$/],
  [["--guidance_scale", "5"], /^Cannot take --guidance_scale: no such option; did you mean --guidance\?$/],
  [
    ["--num-inference-steps=5"],
    /^Cannot take --num-inference-steps: no such option; did you mean --steps\?$/,
  ],
  [["--width", "64"], /^Cannot take --width: no such option; did you mean --size\?$/],
  [["--torch_dtype", "f16"], /^Cannot take --torch_dtype: no such option; did you mean --dtype\?$/],
  [["--nothing"], /^Cannot take --nothing: no such option; --help lists the options$/],
  [["-s", "5"], /^Cannot take -s: no such option; /],
  [["--no-plan"], /^Cannot take --no-plan: no such option; /],
  [
    ["a", "b", "c"],
    /^Cannot take "c": expected prompt, then other without a name; put the prompt in quotes; --help/,
  ],
];
for (const [args, line] of wrong) {
  Deno.test(`"${args.join(" ")}" is refused in one line`, () => {
    assert.throws(() => read(...args), { name: "TypeError", message: line });
  });
}

Deno.test("what must be given is named where it is missing", () => {
  const folder = { folder: option.text("of numbers") };
  assert.throws(() => readArguments("scripts/run.ts <folder>", "Runs.", folder, []), {
    message: "Cannot run scripts/run.ts <folder>: expected folder, got none; --help says more",
  });
  assert.equal(readArguments("scripts/run.ts <folder>", "Runs.", folder, ["a"]).folder, "a");
});

Deno.test("help has a line for each option, with its value and its default, at most 110 columns wide", () => {
  const lines = helpOf(usage, "Draws.", options).split("\n");
  assert.equal(lines[0], "Usage: deno run -A scripts/draw.ts [prompt] [other] [options]");
  for (const name of [...Object.keys(options), "help", "version"]) {
    assert.ok(lines.some((line) => line.startsWith(`  --${name}`)), name);
  }
  assert.ok(lines.includes("  --steps N               of the loop; default: 25"));
  assert.ok(lines.includes("  --lora TEXT             styles; may be given several times"));
  assert.ok(lines.every((line) => line.length <= 110));
});

const scripts = [...Deno.readDirSync("scripts")].filter(({ isFile, name }) =>
  isFile && name !== "plain_errors.ts"
);
for (const { name } of scripts) {
  Deno.test(`${name} has --help and --version, and refuses what it does not know`, () =>
    inFolder(async (folder) => {
      const help = await runScript(folder, name, "--help");
      assert.deepEqual([help.code, help.stderr], [0, ""]);
      assert.match(help.stdout, new RegExp(`^Usage: deno run -A scripts/${name}.*\n\n[A-Z].*\n\n  --`));
      const version = await runScript(folder, name, "--version");
      assert.match(version.stdout, /^Denoise \d+\.\d+\.\d+, Deno \d+\.\d+\.\d+\n$/);
      const odd = await runScript(folder, name, "--nothing");
      assert.equal(odd.code, name === "profile.ts" ? 2 : 1); // whose 1 is that a kernel got slower
      assert.equal(odd.stderr, "Cannot take --nothing: no such option; --help lists the options\n");
    }));
}
