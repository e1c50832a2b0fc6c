import assert from "node:assert/strict";
import { join } from "node:path";
import { loadPng } from "../../src/mod.ts";
import { fixture } from "../support/fixtures.ts";
import { inFolder, runScript } from "../support/script.ts";

const model = fixture("flux2/pipeline");
const references = [0, 1].map((i) => fixture(`flux2/expected/ref_${i}.png`));
const short = ["--model", model, "--steps", "2", "--max-sequence-length", "24"];
const withBoth = references.flatMap((path) => ["--image", path]);

Deno.test("generate.ts draws FLUX.2 klein with references, and draws the picture again from its file", () =>
  inFolder(async (folder) => {
    const draw = async (...args: string[]) => {
      const { code, stderr } = await runScript(folder, "generate.ts", ...args);
      assert.equal(code, 0, stderr);
      return stderr;
    };
    await draw("a sign", ...short, ...withBoth, "--out", "a.png", "--preview=p.png");
    await draw("--replay", "a.png", "--out", "b.png");
    const [a, b] = await Promise.all(["a.png", "b.png"].map((name) => loadPng(join(folder, name))));
    assert.deepEqual(a!.data, b!.data);
    assert.deepEqual(a!.recipe!["image"], references);
    assert.equal((a!.recipe!["imageContent"] as string[]).length, 2);
    assert.equal(a!.recipe!["size"], "80x64"); // of the first, cut to multiples of 16
    await draw("a sign", ...short, "--image", references[0]!, "--size", "48x64", "--out", "c.png");
    const { recipe } = await loadPng(join(folder, "c.png"));
    assert.deepEqual([recipe!["size"], recipe!["image"]], ["48x64", [references[0]]]);
  }));

Deno.test("generate.ts refuses what FLUX.2 does not take, and several pictures for pipelines that change one", () =>
  inFolder(async (folder) => {
    const refused = async (args: string[], line: RegExp) => {
      const { code, stderr } = await runScript(folder, "generate.ts", ...args);
      assert.deepEqual([code, line.test(stderr)], [1, true], stderr);
    };
    await refused(
      [...short, ...withBoth, "--strength", "0.5"],
      /^Cannot take --strength with Flux2KleinPipeline: /,
    );
    await refused(
      [...short, ...withBoth, "--mask", references[0]!],
      /^Cannot take --mask with Flux2KleinPipeline: /,
    );
    await refused(
      [...short, "--size", "50x48"],
      /^Cannot take --size 50x48: expected multiples of 16 with this /,
    );
    await refused(
      withBoth,
      /^Cannot take several --image with StableDiffusionImg2ImgPipeline: it changes one /,
    );
  }));
