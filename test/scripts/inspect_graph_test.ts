import assert from "node:assert/strict";
import { join } from "node:path";
import { graphForm } from "../../scripts/inspect/graph/form.ts";
import { inFolder, runScript } from "../support/script.ts";

const emoji = join(import.meta.dirname!, "../../models/emoji-diffusion");

Deno.test("--graph draws a model's dispatches as a page that needs no network, from its files or from a dump", async () => {
  await inFolder(async (folder) => {
    const inspect = (...args: string[]) => runScript(folder, "inspect.ts", ...args);
    const read = (name: string) => Deno.readTextFile(join(folder, name));
    const json = await inspect(emoji, "--graph", "clip.json", "--part", "text_encoder", "--dtype", "f32");
    assert.equal(json.code, 0, json.stderr);
    assert.match(json.stdout, /^clip\.json: CLIPTextModel with \d+ dispatches$/m);
    const { graphs: [graph] } = graphForm.parse(JSON.parse(await read("clip.json")));

    for (const name of ["clip.html", "clip.dot", "clip.txt", "again.json"]) {
      const { code, stderr } = await inspect("clip.json", "--graph", name);
      assert.equal(code, 0, stderr);
    }
    assert.equal(await read("again.json"), await read("clip.json"));
    assert.match(await read("clip.dot"), /^digraph denoise \{\n/);
    assert.equal((await read("clip.txt")).split("\n").length, graph!.steps.length + 1);

    const page = await read("clip.html");
    assert.doesNotMatch(page, /\b(src|href)=|@import|url\(|fetch\(/);
    const hosts = new Set([...page.matchAll(/https?:\/\/([^/"]+)/g)].map(([, host]) => host));
    assert.deepEqual([...hosts], ["www.w3.org"]); // names of SVG, of which nothing is loaded
    for (const { id } of graph!.steps) assert.ok(page.includes(`id="g0_${id}"`));
    const [, data] = /<script id="data" type="application\/json">(.*?)<\/script>/.exec(page)!;
    assert.deepEqual(JSON.parse(data!).graphs, [graph]);
  });
});

Deno.test("what cannot be drawn is refused in a line", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "other.json"), '{"format":"denoise-profile"}');
    for (
      const [args, message] of [
        [
          ["other.json", "--graph", "a.html"],
          /Cannot read other\.json: expected what device\.dump\("json"\)/,
        ],
        [[emoji, "--graph", "a.svg"], /--graph.*expected a name such as graph\.html/],
        [[emoji, "--graph", "no/a.dot"], /Cannot take --graph no\/a\.dot/],
        [[emoji, "--graph", "a.dot", "--memory", "8G"], /Cannot take --memory/],
        [[emoji, "--part", "vae"], /Cannot take --part/],
      ] as [string[], RegExp][]
    ) {
      const { code, stderr } = await runScript(folder, "inspect.ts", ...args);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
  });
});
