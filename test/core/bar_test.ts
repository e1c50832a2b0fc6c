import assert from "node:assert/strict";
import { Bar } from "../../src/core/bar.ts";
import { waiting } from "../../src/core/waiting.ts";

const bar = new URL("../../src/core/bar.ts", import.meta.url).href;
const waitingModule = new URL("../../src/core/waiting.ts", import.meta.url).href;

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

Deno.test("a bar says nothing of the time left until it knows how long a step takes that does not compile", async () => {
  const lines: string[] = [];
  const bar = new Bar(100, { write: (text) => lines.push(text), beat: () => "compiling" });
  await sleep(300); // the first step
  bar.update(1);
  await sleep(20);
  bar.update(100);
  bar.end();
  assert.equal(lines[0], "  0% 0/100 [00:00<?] compiling\n");
  const [, rate] = /, ([\d.]+) it\/s\] compiling\n$/.exec(lines.at(-1)!)!;
  assert.ok(Number(rate) > 1000, `99 steps in 20 ms are not ${rate} a second`);
});

Deno.test("a bar that beats moves where nothing is done, and stops at its end", async () => {
  const code = `import { Bar } from "${bar}";
    const bar = new Bar(2, { beat: () => "compiling" });
    await new Promise((resolve) => setTimeout(resolve, 2200));
    bar.end();`;
  const { stdout, code: exit } = await inTerminal(code);
  assert.equal(exit, 0);
  assert.match(stdout, /0\/2 \[00:01<\?\] compiling/);
  assert.match(stdout, /0\/2 \[00:02<\?\] compiling/);
});

Deno.test("waiting() shows its words and the seconds, in logs a line after a second", async () => {
  const lines: string[] = [];
  const write = (text: string) => lines.push(text);
  assert.equal(await waiting("decoding", Promise.resolve(5), { write }), 5);
  await waiting("short", sleep(300), { write });
  assert.deepEqual(lines, []);
  let words = "decoding 1";
  const work = sleep(1300);
  await waiting(() => words, sleep(100).then(() => (words = "decoding 2", work)), { write });
  assert.deepEqual(lines, ["decoding 2, 1 s\n"]);
  await assert.rejects(waiting("failing", Promise.reject(new Error("no"))), { message: "no" });
  await waiting("hidden", sleep(1200), { write: false });
});

Deno.test("waiting() moves twice a second in a terminal", async () => {
  const { stdout } = await inTerminal(`import { waiting } from "${waitingModule}";
    await waiting("decoding", new Promise((resolve) => setTimeout(resolve, 2300)));`);
  assert.deepEqual(stdout.split("\r\x1b[2K").slice(1).map((text) => text.trimEnd()), [
    "decoding, 1 s",
    "decoding, 1 s",
    "decoding, 2 s",
    "decoding, 2 s",
  ]);
});

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs code whose standard error is said to be a terminal. */
async function inTerminal(code: string): Promise<{ code: number; stdout: string }> {
  const claim = `process.stderr.isTTY = true;
    process.stderr.write = (text) => process.stdout.write(text);\n`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "-"],
    stdin: "piped",
    stdout: "piped",
  });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(claim + code));
  await writer.close();
  const output = await child.output();
  return { code: output.code, stdout: new TextDecoder().decode(output.stdout) };
}

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
