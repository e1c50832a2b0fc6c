import assert from "node:assert/strict";
import { join } from "node:path";
import { shortNames } from "../../scripts/tune/table.ts";
import { inFolder, runScriptWith } from "../support/script.ts";

const model = join(import.meta.dirname!, "../../models/emoji-ddpm");

Deno.test("tune.ts measures a model's kernels once, and hands the measurements on as a file", () =>
  inFolder(async (folder) => {
    const tune = (cache: string, ...args: string[]) =>
      runScriptWith({ DENOISE_TUNINGS: join(folder, cache) }, folder, "tune.ts", ...args);
    const first = await tune("a", model, "--size", "16x16");
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /^kernel +axes and types +FLOPs each +ms +GFLOP\/s +fastest +others take\n/);
    assert.match(first.stdout, /\ngemm +1×1×\d+×\d+ from f32, f16 to f32 .*×\n/);
    assert.match(first.stdout, /\n\d+ kernels measured on .*\n.*\/a\/.*\.json\n$/);
    assert.match(first.stderr, /\d+ kernels with a choice, \d+ of them not measured yet\nmeasuring/);
    const again = await tune("a", model, "--size", "16x16");
    assert.match(again.stderr, /, 0 of them not measured yet/);
    assert.match(again.stdout, /^All of them were measured before; --again measures them anew\n/);
    assert.equal((await tune("a", "./none", "--again")).code, 1); // forgets nothing

    assert.equal((await tune("a", "--export", "sent.json")).stdout, "sent.json\n");
    const got = await tune("b", "--import", "sent.json");
    assert.equal(got.code, 0, got.stderr);
    assert.match((await tune("b", model, "--size", "16x16")).stderr, /, 0 of them not measured yet/);
    const sent = await Deno.readTextFile(join(folder, "sent.json"));
    const both = await tune("c", "--import", "sent.json", "--export", "back.json");
    assert.match(both.stdout, /\/c\/.*\.json\nback\.json\n$/);
    assert.equal(await Deno.readTextFile(join(folder, "back.json")), sent);
    await Deno.writeTextFile(join(folder, "sent.json"), sent.replace(`"vendor": "`, `"vendor": "x`));
    const foreign = await tune("b", "--import", "sent.json");
    assert.equal(foreign.code, 1);
    assert.match(
      foreign.stderr,
      /^Cannot take --import sent.json: expected tunings of .*, got those of .*; measure by/,
    );
  }));

Deno.test("tune.ts refuses what it would ignore, and measures nothing that it cannot keep", () =>
  inFolder(async (folder) => {
    const refused = async (message: RegExp, ...args: string[]) => {
      const { code, stderr } = await runScriptWith({ DENOISE_TUNINGS: "taken" }, folder, "tune.ts", ...args);
      assert.equal(code, 1);
      assert.match(stderr, message);
    };
    await Deno.writeTextFile(join(folder, "taken"), "");
    await refused(/^Cannot take --dtype with --export, which m/, "--export", "a.json", "--dtype", "f16");
    await refused(/^Cannot take --model with --import, which measures/, model, "--import", "a.json");
    await refused(/^Cannot load a.json: no such file; check the path$/m, "--import", "a.json");
    await refused(/^Cannot keep tunings in taken\/.*\.json: [^\n]*\n$/m, model, "--size", "16x16");
  }));

Deno.test("shortNames() are names where these tell candidates apart, else leave out what all share", () => {
  const names = shortNames([
    "gemm_a X=f32 SG=8, sum PARTS=2",
    "gemm_a X=f32 SG=16, sum PARTS=2",
    "gemm_b X=f32, sum PARTS=2",
  ]);
  assert.deepEqual([...names.values()], ["gemm_a SG=8", "gemm_a SG=16", "gemm_b"]);
  const apart = shortNames(["gemm_a X=f32 SG=8", "parts X=f32, gemm_b X=f32"]);
  assert.deepEqual([...apart.values()], ["gemm_a", "gemm_b"]);
});
