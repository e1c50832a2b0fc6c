import assert from "node:assert/strict";
import { join } from "node:path";
import { connect } from "../../../scripts/fleet/connect.ts";
import { canonicalRequest, filesOf, nameOf } from "../../../scripts/fleet/request_name.ts";
import { Roster } from "../../../scripts/fleet/roster.ts";
import { emoji } from "../../support/emoji.ts";
import { queueProgram, QueueServer } from "../../support/queue_server.ts";
import { inFolder, runScript } from "../../support/script.ts";
import { ScriptProcess, WorkerProcess } from "../../support/script_process.ts";
import { until } from "../../support/until.ts";

const ignore = !queueProgram;
const EMOJI = "emoji-diffusion";
const LEASE = ["--lease", "3"];

/** A request that is drawn in a fifth of a second, as a line of a file. */
const flower = (seed: number, more: object = {}) => ({
  prompt: "a nice flower",
  seed,
  steps: 2,
  size: "32x32",
  ...more,
});
const fileOf = (request: object) => filesOf(canonicalRequest(request, EMOJI))[0]!;

/** Writes a file of requests. */
async function write(folder: string, requests: readonly object[], name = "prompts.jsonl"): Promise<string> {
  const path = join(folder, name);
  await Deno.writeTextFile(path, requests.map((request) => `${JSON.stringify(request)}\n`).join(""));
  return path;
}

function picturesIn(folder: string): Map<string, Uint8Array> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  return new Map(names.map((name) => [name, Deno.readFileSync(join(folder, name))]));
}

/** Runs fleet.ts. */
async function fleet(folder: string, url: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runScript(folder, "fleet.ts", "--queue", url, ...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

Deno.test("without a queue submit.ts draws here: each request once, its file by its name", () =>
  inFolder(async (folder) => {
    const requests = [flower(1), flower(2), flower(1)];
    const path = await write(folder, requests);
    const { code, stdout, stderr } = await runScript(folder, "submit.ts", path, "--out", "pictures");
    assert.equal(code, 0, stderr);
    assert.deepEqual(stdout.trim().split("\n"), requests.map(fileOf));
    const first = picturesIn(join(folder, "pictures"));
    assert.deepEqual([...first.keys()], [fileOf(requests[0]!), fileOf(requests[1]!)].sort());

    const times = () =>
      [...first.keys()].map((name) => Deno.statSync(join(folder, "pictures", name)).mtime!.getTime());
    const before = times();
    await write(folder, [flower(1), flower(2)]);
    await Deno.writeTextFile(path, `\uFEFF${await Deno.readTextFile(path)}`); // as some editors begin a file
    assert.equal((await runScript(folder, "submit.ts", path, "--out", "pictures")).code, 0);
    assert.deepEqual(times(), before);
  }));

Deno.test("without a queue submit.ts tells all lines that its models refuse, and draws none then", () =>
  inFolder(async (folder) => {
    const wrong: [request: object, reason: string][] = [
      [flower(3, { steps: 1000 }), "Cannot draw: expected steps of at most 150, got 1000"],
      [flower(4, { model: "other" }), "Cannot find the model other: nearest is emoji-diffusion"],
      [
        flower(5, { "true-cfg": 2 }),
        "Cannot take true-cfg with emoji-diffusion: it is for Flux",
      ],
      [flower(6, { size: "33x32" }), "Cannot take size 33x32: expected multiples of 4 with this model; "],
      [flower(7, { size: "1024x1024" }), "Cannot draw: unet takes "],
      [flower(8, { lora: ["style"] }), "Cannot find the lora style: none is offered"],
    ];
    const path = await write(folder, [flower(1), ...wrong.map(([request]) => request), flower(2)]);
    const args = [path, "--out", "pictures", "--memory", "300MB"];
    const { code, stdout, stderr } = await runScript(folder, "submit.ts", ...args);
    const told = stderr.trim().split("\n").filter((line) => line.startsWith("line "));
    assert.equal(told.length, wrong.length, stderr);
    for (const [i, [, reason]] of wrong.entries()) {
      const line = `line ${i + 2} of ${path}: ${reason}`;
      assert.ok(told[i]!.startsWith(line), `${told[i]} in place of ${line}`);
    }
    assert.deepEqual([code, stdout, picturesIn(join(folder, "pictures")).size], [1, "", 0]);
  }));

Deno.test({
  name:
    "60 requests over 2 workers: one is killed, the queue's server loses its power; each picture is there once, as a single " +
    "process draws it",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      const requests = Array.from({ length: 60 }, (_, i) => flower(i));
      const path = await write(folder, requests);
      await using server = await QueueServer.start("--appendfsync", "always");
      const out = join(folder, "fleet");
      const args = ["--queue", server.url(), "--out", out, ...LEASE];
      await using killed = new WorkerProcess(args);
      await using other = new WorkerProcess(args);
      const done = runScript(folder, "submit.ts", path, "--queue", server.url(), "--wait");
      await killed.told(/(drawn[^]*){5}/);
      killed.kill("SIGKILL");
      await other.told(/(drawn[^]*){10}/);
      await server.kill();
      await other.told(/does not answer; tries again/);
      await server.start();
      const { code, stdout, stderr } = await done;
      assert.equal(code, 0, stderr);
      assert.match(stderr, /^60 requests added$/m);
      assert.equal(stdout, requests.map((request) => `${fileOf(request)}\n`).join(""));
      other.kill("SIGTERM");
      assert.equal(await other.ended(), 0, other.text);
      assert.match(other.text, /does not answer; tries again\n[^]*answers again/);

      const alone = await runScript(folder, "submit.ts", path, "--out", "alone");
      assert.equal(alone.code, 0, alone.stderr);
      const pictures = picturesIn(out);
      assert.equal(pictures.size, 60);
      assert.deepEqual(pictures, picturesIn(join(folder, "alone")));
      assert.match(await fleet(folder, server.url(), "--once"), /^emoji-diffusion +0 +0 +0 +0 +60 /m);
    }),
});

Deno.test({
  name:
    "poison ends in the dead letters with its reason; it is drawn once more, or thrown away, where that is said",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start();
      const url = server.url();
      const [good, bad] = [flower(1), flower(2, { steps: 4 })];
      const path = await write(folder, [bad, good]);
      const name = nameOf(canonicalRequest(bad, EMOJI));
      const args = ["--queue", url, "--out", join(folder, "out")];
      {
        await using _worker = new WorkerProcess([...args, "--max-steps", "3"]);
        const { code, stderr } = await runScript(folder, "submit.ts", path, "--queue", url, "--wait");
        assert.equal(code, 1);
        assert.match(
          stderr,
          new RegExp(`^${name}: Cannot draw: expected steps of at most 3, got 4$`, "m"),
        );
        assert.match(await fleet(folder, url, "--once"), /^emoji-diffusion +0 +0 +0 +1 +1 /m);
      }
      const letter = JSON.parse(await fleet(folder, url, "--failed"));
      assert.deepEqual(letter, {
        name,
        model: EMOJI,
        reason: "Cannot draw: expected steps of at most 3, got 4",
        request: canonicalRequest(bad, EMOJI),
      });
      const again = await runScript(folder, "submit.ts", path, "--queue", url);
      assert.match(again.stderr, /^1 request added; 1 failed before: deno task fleet --failed [^\n]*$/m);

      await using worker = new WorkerProcess([...args, "--max-steps", "4"]);
      await worker.told(/was there/);
      assert.equal(await fleet(folder, url, "--retry"), `${EMOJI}: 1 will be drawn once more\n`);
      await worker.told(new RegExp(`${name} drawn`));
      assert.equal(await fleet(folder, url, "--failed"), "");
      assert.deepEqual(
        [...picturesIn(join(folder, "out")).keys()].sort(),
        [fileOf(good), fileOf(bad)].sort(),
      );

      await write(folder, [flower(3, { steps: 5 })]);
      assert.equal((await runScript(folder, "submit.ts", path, "--queue", url, "--wait")).code, 1);
      assert.equal(await fleet(folder, url, "--forget"), `${EMOJI}: 1 forgotten\n`);
      assert.equal(await fleet(folder, url, "--failed"), "");
    }),
});

Deno.test({
  name: "a worker that is told to stop finishes its request, and leaves the others",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start();
      const slow = flower(1, { steps: 150 });
      const path = await write(folder, [slow, flower(2)]);
      await runScript(folder, "submit.ts", path, "--queue", server.url());
      await using worker = new WorkerProcess(["--queue", server.url(), "--out", join(folder, "out")]);
      await drawnNow(server, slow);
      worker.kill("SIGTERM");
      assert.equal(await worker.ended(), 0, worker.text);
      assert.match(worker.text, /^Ends once the request is done/m);
      assert.deepEqual([...picturesIn(join(folder, "out")).keys()], [fileOf(slow)]);
    }),
});

Deno.test({
  name: "a worker that is told twice to stop gives its request back, and another takes it first",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start();
      const args = ["--queue", server.url(), "--out", join(folder, "out")];
      const long = flower(1, { steps: 150, count: 10, size: "64x64" }); // minutes
      const path = await write(folder, [long, flower(2)]);
      await runScript(folder, "submit.ts", path, "--queue", server.url());
      {
        await using first = new WorkerProcess(args);
        await drawnNow(server, long);
        first.kill("SIGTERM");
        await first.told(/Ends once the request is done/);
        await new Promise((resolve) => setTimeout(resolve, 1100)); // signals of one second are one
        first.kill("SIGTERM");
        assert.equal(await first.ended(), 0, first.text);
        assert.match(first.text, new RegExp(`${nameOf(canonicalRequest(long, EMOJI))} given back`));
        assert.deepEqual([...picturesIn(join(folder, "out")).keys()], []);
      }
      await using _second = new WorkerProcess(args);
      await drawnNow(server, long);
      assert.match(await fleet(folder, server.url(), "--once"), /[0-9a-f]{12} +\d+ s/);
    }),
});

/** Waits until a worker says that it draws a request. */
async function drawnNow(server: QueueServer, request: object): Promise<void> {
  const client = await connect(server.url());
  using _connection = { [Symbol.dispose]: () => client.disconnect() };
  const name = nameOf(canonicalRequest(request, EMOJI));
  await until(async () => (await new Roster(client).workers()).some((worker) => worker.request === name));
}

Deno.test({
  name:
    "requests of a higher priority come first, and a worker draws all of the model that it has loaded before another's",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start();
      const url = server.url();
      const [a, b] = ["a", "b"].map((name) => `${name}=${emoji}`);
      const of = (model: string, seeds: number[]) => seeds.map((seed) => flower(seed, { model }));
      const files: [requests: object[], priority: string][] = [
        [[...of("a", [1, 2]), ...of("b", [1, 2])], "100"],
        [of("a", [3]), "50"],
        [of("b", [3]), "1"],
      ];
      for (const [requests, priority] of files) {
        const path = await write(folder, requests);
        const { code, stderr } = await runScript(
          folder,
          "submit.ts",
          path,
          "--queue",
          url,
          "--priority",
          priority,
        );
        assert.equal(code, 0, stderr);
      }
      await using worker = new WorkerProcess([
        ...["--queue", url, "--out", join(folder, "out"), "--model", a!, "--model", b!],
      ]);
      await worker.told(/(drawn[^]*){6}/);
      const drawn = [...worker.text.matchAll(/^(\w+) drawn/gm)].map(([, name]) => `${name}.png`);
      const want = [...of("a", [3, 1, 2]), ...of("b", [3, 1, 2])];
      assert.deepEqual(drawn, want.map(fileOf));
    }),
});

Deno.test({
  name:
    "submit --wait says what no worker offers, and goes on when one comes; it sends again what the server lost",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start("--appendonly", "no");
      const args = ["--queue", server.url(), "--out", join(folder, "out")];
      const path = await write(folder, [flower(1, { model: "rose" }), flower(2, { model: "rose" })]);
      const waiting = () => new ScriptProcess("submit.ts", [path, "--queue", server.url(), "--wait"]);
      await using submit = waiting();
      await submit.told(
        /^No worker offers the model rose; no worker is there; 2 requests wait for one that does$/m,
      );
      await using worker = new WorkerProcess([...args, "--model", `rose=${emoji}`]);
      assert.equal(await submit.ended(), 0, submit.text);

      await write(folder, [3, 4, 5].map((seed) => flower(seed, { model: "tulip" })));
      await using lost = waiting();
      await lost.told(/^No worker offers the model tulip; offered are model: rose; 3 requests /m);
      await server.kill();
      await server.start(); // without a file
      await lost.told(/^The queue's server lost what it had; sends 3 requests again$/m);
      await using later = new WorkerProcess([...args, "--model", `tulip=${emoji}`]);
      assert.equal(await lost.ended(), 0, lost.text);
      assert.equal(picturesIn(join(folder, "out")).size, 5);
      for (const one of [worker, later]) one.kill("SIGTERM");
      for (const one of [worker, later]) assert.equal(await one.ended(), 0, one.text);
    }),
});

Deno.test({
  name: "a worker that would store a model otherwise than one that lives, under the same name, is refused",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start();
      const args = ["--queue", server.url(), "--out", join(folder, "out")];
      await using living = new WorkerProcess(args);
      await living.told(/Draws by/);
      while (!/^[^\n]* none yet /m.test(await fleet(folder, server.url(), "--once")));
      await using other = new WorkerProcess([...args, "--quantize", "int8"]);
      assert.equal(await other.ended(), 1);
      assert.match(
        other.text,
        /^Cannot offer the model emoji-diffusion: expected it to be stored as \S+ has it \(f32\), got f32 int8; [^\n]*$/m,
      );
    }),
});
