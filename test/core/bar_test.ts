import assert from "node:assert/strict";
import { Bar } from "../../src/core/bar.ts";

const bar = new URL("../../src/core/bar.ts", import.meta.url).href;

Deno.test("a bar writes plain lines with counts, times and rate where there is no terminal", () => {
  const lines: string[] = [];
  const bar = new Bar(4, { label: "draw", write: (text) => lines.push(text) });
  for (let done = 1; done <= 4; done++) bar.update(done);
  bar.end();
  assert.deepEqual(lines[0], "draw   0% 0/4 [00:00<?]\n");
  assert.equal(lines.length, 2, "the steps between are not worth a line"); // they take no time
  assert.match(lines[1]!, /^draw 100% 4\/4 \[00:00<00:00, [\d.]+ it\/s\]\n$/);
});

Deno.test("a bar of bytes counts megabytes", () => {
  const lines: string[] = [];
  const bar = new Bar(2e6, { unit: "B", write: (text) => lines.push(text) });
  bar.update(2e6);
  assert.match(lines[1]!, /^100% 2\.0 MB\/2\.0 MB \[00:00<00:00, [\d.]+ MB\/s\]\n$/);
});

Deno.test("a bar may stay silent for short work, or altogether", () => {
  const lines: string[] = [];
  const bar = new Bar(1, { silentMs: 1000, write: (text) => lines.push(text) });
  bar.update(1);
  bar.end();
  assert.deepEqual(lines, []);
  new Bar(1, { write: false }).update(1);
});

Deno.test("a bar ends no program whose standard error nobody reads", async () => {
  const code = `import { Bar } from "${bar}";
    for (let i = 0; i < 5; i++) {
      new Bar(1).update(1);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    console.log("done");`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", code],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stderr.cancel();
  const [text, { code: exit }] = await Promise.all([new Response(child.stdout).text(), child.status]);
  assert.deepEqual([text, exit], ["done\n", 0]);
});
