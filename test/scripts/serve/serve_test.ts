import assert from "node:assert/strict";
import { join } from "node:path";
import type { Offer } from "denoise/serve";
import { options } from "../../../scripts/serve/options.ts";
import { inFolder, runScript } from "../../support/script.ts";
import { until } from "../../support/until.ts";

const root = join(import.meta.dirname!, "../../..");

/** A server of its own process. */
class Process implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  /** What it said on standard output so far. */
  text = "";
  /** What it said on standard error, once it has ended. */
  errors = "";

  /** `files` is the most that it may have open, connections included. */
  constructor(files?: number) {
    const command = [Deno.execPath(), "run", "-q", "-A", join(root, "scripts/serve.ts"), "--port", "0"];
    const limited = files === undefined
      ? command
      : ["sh", "-c", `ulimit -n ${files}; exec "$@"`, "sh", ...command];
    this.#child = new Deno.Command(limited[0]!, {
      args: limited.slice(1),
      env: { NO_COLOR: "1", HF_HUB_OFFLINE: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Waits for a text on standard output. */
  async told(text: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = text.exec(this.text);
      if (found) return found;
      const { value, done } = await this.#lines.read();
      assert.ok(!done, `ended after ${this.text}`);
      this.text += value;
    }
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async ended(): Promise<number> {
    for (let part; !(part = await this.#lines.read()).done;) this.text += part.value;
    this.errors = await new Response(this.#child.stderr).text();
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await this.#lines.cancel();
    if (!this.#child.stderr.locked) await this.#child.stderr.cancel();
    await this.#child.status;
  }
}

/** A number of a server's metrics, 0 where it has none of that name. */
async function numberOf(address: string, name: string): Promise<number> {
  const text = await (await fetch(new URL("/metrics", address))).text();
  const row = text.split("\n").find((row) => row.startsWith(`${name} `));
  return Number(row?.slice(name.length) ?? 0);
}

Deno.test("serve.ts draws for clients until it is told to end, finishes what it draws, and refuses the rest", async () => {
  await using server = new Process();
  const [, address] = await server.told(/Listens at (http:\/\/127\.0\.0\.1:\d+\/v1)/);
  const draw = (steps: number) =>
    fetch(`${address}/images/generations`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "a cat", size: "32x32", steps }),
    });
  assert.equal((await (await draw(1)).json()).data.length, 1);
  const [drawn, waiting] = [draw(150), draw(150)];
  await until(async () => await numberOf(address!, "denoise_queue_waiting") === 1);
  server.kill("SIGINT");
  server.kill("SIGINT"); // as from the terminal and from deno task
  await server.told(/Finishes the picture that is drawn; Ctrl-C again ends at once/);
  const statuses = await Promise.all([drawn, waiting].map(async (response) => {
    const { status, body } = await response;
    await body?.cancel();
    return status;
  }));
  assert.deepEqual(statuses.sort(), [200, 503]);
  assert.equal(await server.ended(), 0);
});

Deno.test("a client that leaves ends what is drawn for it, in a stream and without; nothing is logged", async () => {
  await using server = new Process();
  const [, address] = await server.told(/Listens at (http:\S+)/);
  const draw = (params: object, signal?: AbortSignal) =>
    fetch(`${address}/images/generations`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "a cat", size: "32x32", ...params }),
      signal: signal ?? null,
    }).then((response) => response.json());
  await draw({ steps: 1 });
  const number = (name: string) => numberOf(address!, name);
  const steps = 'denoise_steps_total{model="emoji-diffusion"}';
  for (const [i, stream] of [false, true].entries()) {
    const before = await number(steps);
    const leaving = new AbortController();
    const left = assert.rejects(draw({ steps: 150, n: 10, stream }, leaving.signal));
    await until(async () => await number("denoise_busy") === 1);
    leaving.abort();
    await left;
    await until(async () => await number('denoise_drawings_total{outcome="cancelled"}') === i + 1);
    const drawn = await number(steps) - before;
    assert.ok(drawn < 150, `${drawn} of 1510 steps`);
    assert.equal((await draw({ steps: 1 })).data.length, 1);
  }
  server.kill("SIGTERM");
  assert.equal(await server.ended(), 0);
  assert.equal(server.errors, "");
});

Deno.test("a server that is told to end finishes its job, whose picture can be fetched still, and takes no more", async () => {
  await using server = new Process();
  const [, address] = await server.told(/Listens at (http:\S+)/);
  const begin = async (steps: number) => {
    const body = JSON.stringify({ prompt: "a secret cat", size: "32x32", steps });
    const headers = { "content-type": "application/json" };
    return await (await fetch(`${address}/jobs`, { method: "POST", body, headers })).json();
  };
  const watch = (id: string) => fetch(`${address}/jobs/${id}/events`);
  const [running, queued] = [(await begin(100)).id, (await begin(100)).id];
  const streams = await Promise.all([watch(running), watch(queued)]);
  server.kill("SIGTERM");
  await server.told(/Finishes the picture/);
  assert.equal((await begin(1)).error.code, "stopping");
  const [done, refused] = await Promise.all(streams.map((stream) => stream.text()));
  assert.match(refused!, /event: failed\ndata: .*"code":"stopping"/);
  const { pictures: [{ url }] } = JSON.parse(/event: succeeded\ndata: (.*)\n/.exec(done!)![1]!);
  const picture = await fetch(url);
  assert.equal(picture.status, 200);
  await picture.body!.cancel();
  assert.equal(await server.ended(), 0);
  assert.equal(server.errors, "");
  assert.doesNotMatch(server.text, /secret/);
});

Deno.test("a client that reads nothing of its answer does not keep a server from its end", async () => {
  await using server = new Process();
  const [, address, port] = await server.told(/Listens at (http:.*:(\d+)\S*)/);
  const answered = () =>
    numberOf(address!, 'denoise_requests_total{method="GET",route="/openapi.json",status="200"}');
  using client = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
  await client.write(new TextEncoder().encode(request.repeat(1000))); // one after the other: tens of megabytes
  let last = -1;
  await until(async () => { // what nobody reads fills the connection
    await new Promise((resolve) => setTimeout(resolve, 200));
    const before = last;
    last = await answered();
    return last > 0 && last === before;
  });
  assert.ok(last < 1000, `${last} answers`);
  server.kill("SIGTERM");
  assert.equal(await server.ended(), 0); // or it never does
  assert.match(server.text, /^Ends$/m);
});

Deno.test({
  name: "a server outlives more connections than the system allows, and those that stay open do not harm it",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using server = new Process(150);
    const [, port] = await server.told(/Listens at http:.*:(\d+)/);
    const connect = () => Deno.connect({ hostname: "127.0.0.1", port: Number(port) }).catch(() => undefined);
    const idle = await Promise.all(Array.from({ length: 300 }, connect));
    await server.told(/Listens[^]*Listens/); // once more
    for (const connection of idle) connection?.close();
    assert.equal((await (await fetch(`http://127.0.0.1:${port}/healthz`)).json()).status, "ok");
    server.kill("SIGTERM");
    assert.equal(await server.ended(), 0);
    assert.match(server.errors, /^Cannot take connections: [^\n]*; tries again each second\n/);
  },
});

Deno.test("models have the names that are said, else the last part of their path, or their repository's name", () =>
  inFolder(async (folder) => {
    const file = join(folder, "a=b.safetensors");
    await Deno.writeTextFile(file, "");
    const nameOf = (text: string) => (options.model.read(text) as unknown as Offer).name; // lists read one by one
    assert.equal(nameOf(`${root}/models/emoji-diffusion/`), "emoji-diffusion");
    assert.equal(nameOf(file), "a=b");
    assert.equal(nameOf(`my models/Ä: 1=${file}`), "my models/Ä: 1");
    assert.equal(nameOf("CompVis/stable-diffusion-v1-4"), "CompVis/stable-diffusion-v1-4");
    for (const text of ["", "a=", "=a"]) assert.throws(() => nameOf(text), /^TypeError: expected a folder, /);
  }));

const refused: Record<string, [args: string[], line: RegExp]> = {
  "another host without a key": [
    ["--host", "0.0.0.0"],
    /^Cannot listen at 0\.0\.0\.0 without --key: everybody who reaches it would draw; [^\n]*\n$/,
  ],
  "two models of one name": [
    ["--model", `a=${root}/models/emoji-diffusion`, "--model", `a=${root}/models/emoji-diffusion`],
    /^Cannot offer two models under the name a: expected a name for each\n$/,
  ],
  "two folders of one name": [
    ["--model", `${root}/models/emoji-diffusion`, "--model", `${root}/models/emoji-diffusion/`],
    /^Cannot offer two models under the name emoji-diffusion: expected a name for each\n$/,
  ],
  "a model whose name has a tab": [
    ["--model", `a\tb=${root}/models/emoji-diffusion`],
    /^Cannot take --model [^\n]*: expected NAME=PATH_OR_REPO with a name without control characters\n$/,
  ],
  "a LoRA whose name has a colon": [
    ["--lora", "a:1=x"],
    /^Cannot take --lora a:1=x: expected NAME=PATH_OR_REPO[^\n]*\n$/,
  ],
  "a host of another machine": [
    ["--host", "192.0.2.1", "--key", "k"],
    /^Cannot listen at 192\.0\.2\.1:0: [^\n]*; say an address of this machine as --host\n$/,
  ],
  "a model that is not there": [["--model", "./none"], /^Cannot [^\n]*none[^\n]*\n$/],
  "an unknown option": [["--modle", "x"], /^Cannot take --modle: no such option; did you mean --model\?\n$/],
};
for (const [what, [args, line]] of Object.entries(refused)) {
  Deno.test(`serve.ts refuses in one line: ${what}`, () =>
    inFolder(async (folder) => {
      const { code, stderr } = await runScript(folder, "serve.ts", "--port", "0", ...args);
      assert.equal(code, 1);
      assert.match(stderr, line);
    }));
}

Deno.test("serve.ts says where another program listens", () =>
  inFolder(async (folder) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const model = "./none"; // which is not opened before
    const { code, stderr } = await runScript(folder, "serve.ts", "--port", String(port), "--model", model);
    listener.close();
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^Cannot listen at 127\.0\.0\.1:\d+: another program does; say another --port, [^\n]*\n$/,
    );
  }));
