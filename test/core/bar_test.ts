import assert from "node:assert/strict";
import { stderr } from "node:process";
import { Bar } from "../../src/core/bar.ts";
import { waiting } from "../../src/core/waiting.ts";

const bar = new URL("../../src/core/bar.ts", import.meta.url).href;

Deno.test("a bar writes plain lines with counts, times and rate where there is no terminal", () => {
  using clock = new FakeClock();
  const lines: string[] = [];
  const bar = new Bar(4, { label: "draw", write: (text) => lines.push(text) });
  for (let done = 1; done <= 4; done++) {
    clock.advance(100);
    bar.update(done);
  }
  bar.end();
  assert.deepEqual(lines[0], "draw   0% 0/4 [00:00<?]\n");
  assert.equal(lines.length, 2, "the steps between are not worth a line");
  assert.match(lines[1]!, /^draw 100% 4\/4 \[00:00<00:00, 10\.00 it\/s\]\n$/);
});

Deno.test("a bar of bytes counts megabytes", () => {
  using clock = new FakeClock();
  const lines: string[] = [];
  const bar = new Bar(2e6, { unit: "B", write: (text) => lines.push(text) });
  clock.advance(100);
  bar.update(2e6);
  assert.match(lines[1]!, /^100% 2\.0 MB\/2\.0 MB \[00:00<00:00, 20\.0 MB\/s\]\n$/);
});

Deno.test("a bar may stay silent for short work, or altogether", () => {
  using clock = new FakeClock();
  const lines: string[] = [];
  const bar = new Bar(1, { silentMs: 1000, write: (text) => lines.push(text) });
  clock.advance(900);
  bar.update(1);
  bar.end();
  assert.deepEqual(lines, []);
  new Bar(1, { write: false }).update(1);
});

Deno.test("a bar says nothing of the time left until it knows how long a step takes that does not compile", () => {
  using clock = new FakeClock();
  const lines: string[] = [];
  const bar = new Bar(100, { write: (text) => lines.push(text), beat: () => "compiling" });
  clock.advance(300); // the first step
  bar.update(1);
  clock.advance(20);
  bar.update(100);
  bar.end();
  assert.equal(lines[0], "  0% 0/100 [00:00<?] compiling\n");
  assert.equal(lines.at(-1), "100% 100/100 [00:00<00:00, 4950.00 it/s] compiling\n"); // 99 in 20 ms
});

Deno.test("a bar that beats moves where nothing is done, and stops at its end", () => {
  using clock = new FakeClock();
  using terminal = new FakeTerminal();
  const bar = new Bar(2, { beat: () => "compiling" });
  clock.advance(2200);
  bar.end();
  clock.advance(5000);
  const shown = [...terminal.text.matchAll(/0\/2 \[(\S+)<\?\] compiling/g)].map(([, seconds]) => seconds);
  assert.deepEqual(shown, ["00:00", "00:01", "00:02"]);
});

Deno.test("waiting() shows its words and the seconds, in logs a line after a second", async () => {
  using clock = new FakeClock();
  const lines: string[] = [];
  const write = (text: string) => lines.push(text);
  assert.equal(await waiting("decoding", Promise.resolve(5), { write }), 5);
  {
    const { promise, resolve } = Promise.withResolvers<void>();
    const short = waiting("short", promise, { write });
    clock.advance(300);
    resolve();
    await short;
    assert.deepEqual(lines, []);
  }
  let words = "decoding 1";
  const { promise, resolve } = Promise.withResolvers<void>();
  const all = [waiting(() => words, promise, { write }), waiting("hidden", promise, { write: false })];
  clock.advance(100);
  words = "decoding 2";
  clock.advance(1200);
  resolve();
  await Promise.all(all);
  clock.advance(20_000);
  assert.deepEqual(lines, ["decoding 2, 1 s\n"]);
  await assert.rejects(waiting("failing", Promise.reject(new Error("no"))), { message: "no" });
});

Deno.test("waiting() moves twice a second in a terminal", async () => {
  using clock = new FakeClock();
  using terminal = new FakeTerminal();
  const { promise, resolve } = Promise.withResolvers<void>();
  const decoding = waiting("decoding", promise);
  clock.advance(2300);
  resolve();
  await decoding;
  assert.deepEqual(terminal.text.split("\r\x1b[2K").slice(1).map((text) => text.trimEnd()), [
    "decoding, 1 s",
    "decoding, 1 s",
    "decoding, 2 s",
    "decoding, 2 s",
  ]);
});

/** A clock that goes on only where the test says so, and with it what comes at intervals; until disposed of. */
class FakeClock implements Disposable {
  readonly #real = { setInterval, clearInterval, now: performance.now };
  readonly #timers = new Map<number, { handler: () => void; every: number; due: number }>();
  #now = 0;
  #count = 0;

  constructor() {
    performance.now = () => this.#now;
    const set = (handler: () => void, every: number) => {
      this.#timers.set(++this.#count, { handler, every, due: this.#now + every });
      return this.#count;
    };
    const clear = (id: number | undefined) => void this.#timers.delete(id ?? 0);
    Object.assign(globalThis, { setInterval: set, clearInterval: clear });
  }

  /** Lets milliseconds pass. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers.values()].toSorted((a, b) => a.due - b.due);
      if (!next || next.due > end) break;
      this.#now = next.due;
      next.due += next.every;
      next.handler();
    }
    this.#now = end;
  }

  [Symbol.dispose](): void {
    const { setInterval, clearInterval, now } = this.#real;
    Object.assign(globalThis, { setInterval, clearInterval });
    performance.now = now;
  }
}

/** A terminal in the place of standard error, until disposed of. */
class FakeTerminal implements Disposable {
  text = "";
  readonly #real = { isTTY: stderr.isTTY, write: stderr.write };

  constructor() {
    const write = (text: string) => Boolean(this.text += text);
    Object.assign(stderr, { isTTY: true, write });
  }

  [Symbol.dispose](): void {
    Object.assign(stderr, this.#real);
  }
}

Deno.test("a bar ends no program whose standard error nobody reads", async () => {
  const code = `import { Bar } from "${bar}";
    for (let i = 0; i < 5; i++) {
      new Bar(1).update(1);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    console.log("done");`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "-q", code],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stderr.cancel();
  const [text, { code: exit }] = await Promise.all([new Response(child.stdout).text(), child.status]);
  assert.deepEqual([text, exit], ["done\n", 0]);
});
