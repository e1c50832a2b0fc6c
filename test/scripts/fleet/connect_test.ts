import assert from "node:assert/strict";
import { join } from "node:path";
import { queueAddress } from "../../../scripts/fleet/address.ts";
import { connect } from "../../../scripts/fleet/connect.ts";
import { Source } from "../../../scripts/fleet/lease.ts";
import { Queues } from "../../../scripts/fleet/queues.ts";
import { canonicalRequest } from "../../../scripts/fleet/request_name.ts";
import { refusalOf } from "../../support/files.ts";
import { freePort } from "../../support/free_port.ts";
import { queueProgram, QueueServer } from "../../support/queue_server.ts";
import { inFolder, runScript, runScriptWith } from "../../support/script.ts";
import { until } from "../../support/until.ts";

const ignore = !queueProgram;

Deno.test("addresses that are none are refused, and passwords are not shown", () => {
  for (const good of ["redis://h", "rediss://u:p@h:1/0", "redis://[::1]:6379/15"]) {
    assert.deepEqual([queueAddress(good).place, queueAddress(good).login], [good, {}]);
  }
  const wrong: Record<string, RegExp> = {
    "": /got another text$/,
    "h:6379": /got an address without a host$/,
    "secret@h": /got another text$/,
    "http://u:secret@h": /got http:\/\/h\/$/,
    "redis://": /got an address without a host$/,
    "redis://u:secret@h/x": /got redis:\/\/h\/x$/,
    "redis+sentinel://u:secret@h:26379/primary":
      /got one of Sentinel; say that of the primary which it watches$/,
    "redis-cluster://u:secret@h": /got one of a cluster, [^;]*; say that of a server alone$/,
    "redis://u:secret@a:1,b:2": /got several; a queue is on one server, /,
    "redis://u:secret@a,b": /got several; /,
    "unix://u:secret@h": /got a path that does not begin with \/$/,
    "unix://v.sock": /got a path that does not begin with \/$/,
    "redis+socket:///run/secret": /got a socket's in another form$/,
    "/run/valkey.sock": /got a path; say unix:\/\/\/run\/valkey\.sock$/,
    "//u:secret@h": /got another text$/,
    "redis://u:secret%@h": /got one whose % encodes nothing; write %25 for it$/,
  };
  for (const [bad, reason] of Object.entries(wrong)) {
    assert.throws(() => queueAddress(bad), ({ message }: Error) => {
      assert.match(message, /^Cannot take --queue: expected redis:\/\/[^\n]* or unix:\/\/[^\n]*$/);
      assert.match(message, reason);
      assert.doesNotMatch(message, /secret/);
      return true;
    });
  }
});

Deno.test("an address may be a socket of this machine, with user, password and database", () => {
  assert.deepEqual(queueAddress("unix:///run/valkey.sock"), {
    shown: "unix:///run/valkey.sock",
    place: "/run/valkey.sock",
    login: {},
  });
  assert.deepEqual(queueAddress("redis+unix://painter:br%40sh@/run/a%20b.sock?db=3"), {
    shown: "unix:///run/a%20b.sock?db=3",
    place: "/run/a b.sock?db=3",
    login: { username: "painter", password: "br@sh" },
  });
});

Deno.test(
  {
    name: "requests go through a socket of this machine as through a port",
    ignore: ignore || Deno.build.os === "windows",
  },
  () =>
    inFolder(async (folder) => {
      const socket = join(folder, "queue.sock");
      const missing = await refusalOf(connect(`unix://${socket}`));
      assert.match(
        missing,
        /^Cannot reach the queue at unix:\/\/\/.*queue\.sock: no server listens there; start [^\n]*$/,
      );
      await using server = await QueueServer.start("--unixsocket", socket, "--requirepass", "secret");
      const line = await refusalOf(connect(`unix://${socket}`));
      assert.match(line, /: it wants another user or password; say them as redis:\/\/USER:PASSWORD@HOST$/);
      const client = await connect(`unix://:secret@${socket}?db=3`);
      await using queues = new Queues(client);
      const request = canonicalRequest({ prompt: "a cat" }, "sd");
      await queues.add([request], 100);
      {
        await using source = new Source(client, "sd", 10);
        const { job, token } = (await source.take())!;
        assert.deepEqual(job.data, request);
        await job.moveToCompleted(null, token, false);
      }
      const other = await connect(server.url({ login: ":secret", database: 3 }));
      assert.deepEqual(await other.smembers("denoise:models"), ["sd"]);
      for (const one of [client, other]) one.disconnect();
    }),
);

Deno.test("where no server listens, that is said at once; where one is silent, within seconds", async () => {
  const closed = await refusalOf(connect(`redis://u:secret@127.0.0.1:${freePort()}`));
  assert.match(
    closed,
    /^Cannot reach the queue at redis:\/\/127\.0\.0\.1:\d+: no server listens there; start [^\n]*$/,
  );
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = silent.addr as Deno.NetAddr;
  assert.match(await refusalOf(connect(`redis://127.0.0.1:${port}`)), /: no answer within 5 s$/);
});

Deno.test(
  { name: "user and password are in the address, and are not shown where they are wrong", ignore },
  async () => {
    await using server = await QueueServer.start("--requirepass", "secret");
    const client = await connect(server.url({ login: ":secret", database: 3 }));
    assert.equal(await client.ping(), "PONG");
    await client.acl("SETUSER", "painter", "on", ">brush", "~*", "+@all");
    client.disconnect();
    (await connect(server.url({ login: "painter:brush" }))).disconnect();
    for (const login of ["", ":hidden", "painter:hidden"]) {
      const line = await refusalOf(connect(server.url({ login }), { patient: true })); // not tried again: it stays wrong
      assert.match(line, /: it wants another user or password; say them as redis:\/\/USER:PASSWORD@HOST$/);
      assert.doesNotMatch(line, /hidden/);
    }
    const far = await refusalOf(connect(server.url({ login: ":secret", database: 99 })));
    assert.match(far, /DB index is out of range$/);
  },
);

Deno.test(
  { name: "a patient client waits for its server, and what it sent for one that comes back", ignore },
  async () => {
    const lines: string[] = [];
    const onNotice = (line: string) => void lines.push(line);
    await using server = await QueueServer.start();
    await server.kill();
    const connecting = connect(server.url(), { patient: true, onNotice });
    await until(() => lines.length > 0);
    await server.start();
    const client = await connecting;
    await client.set("kept", "yes");
    await server.kill();
    const read = client.get("kept");
    await server.start();
    assert.equal(await read, "yes");
    client.disconnect();
    assert.match(lines[0]!, /^Cannot reach the queue at [^\n]*; tries again$/);
    assert.match(lines[1]!, /^The queue at redis:\/\/[^\n]* does not answer; tries again$/);
    assert.match(lines[2]!, /^The queue at redis:\/\/[^\n]* answers again$/);
    assert.equal(lines.length, 3);
  },
);

const refused: Record<string, [script: string, args: string[], line: RegExp]> = {
  "a worker without a queue": ["worker.ts", [], /^Cannot work: expected --queue redis:\/\/HOST, got none\n$/],
  "a fleet without a queue": ["fleet.ts", [], /^Cannot show a fleet: expected --queue [^\n]*\n$/],
  "an address that is none": [
    "fleet.ts",
    ["--queue", "http://u:secret@h"],
    /^Cannot take --queue: [^\n]* http:\/\/h\/\n$/,
  ],
  "an address twice": [
    "fleet.ts",
    ["--queue", "redis://:secret@h", "--queue", "redis://:secret@h"],
    /^Cannot take --queue twice: expected it once\n$/,
  ],
  "a file that is not there": [
    "submit.ts",
    ["none.jsonl"],
    /^Cannot load none\.jsonl: no such file; [^\n]*\n$/,
  ],
  "a folder where a file is": [
    "submit.ts",
    ["good.jsonl", "--out", "good.jsonl"],
    /^Cannot take --out good\.jsonl: [^\n]*\n$/,
  ],
  "a line that is no request": [
    "submit.ts",
    ["bad.jsonl"],
    /^Cannot take line 2 of bad\.jsonl: Cannot draw with stesp: [^\n]*\n$/,
  ],
  "a folder in place of a file": [
    "submit.ts",
    ["."],
    /^Cannot load \.: expected a file, got a folder; [^\n]*\n$/,
  ],
  "a place for pictures where workers have their own": [
    "submit.ts",
    ["good.jsonl", "--queue", "redis://h", "--wait", "--out", "out"],
    /^Cannot take --out with a queue: its workers draw, with options of their own; leave it out\n$/,
  ],
  "several models for one queue": [
    "submit.ts",
    ["good.jsonl", "--queue", "redis://h", "--model", "a", "--model", "b"],
    /^Cannot take several --model with a queue: [^\n]*\n$/,
  ],
  "a priority where nothing waits": [
    "submit.ts",
    ["good.jsonl", "--priority", "5"],
    /^Cannot take --priority without --queue: [^\n]*\n$/,
  ],
  "a state once and dead letters": [
    "fleet.ts",
    ["--queue", "redis://h", "--once", "--failed"],
    /^Cannot take --once with --failed: [^\n]*\n$/,
  ],
  "a file without requests": [
    "submit.ts",
    ["empty.jsonl"],
    /^Cannot take empty\.jsonl: expected a request on each line, got none\n$/,
  ],
  "a priority of 0": ["submit.ts", ["bad.jsonl", "--priority", "0"], /^Cannot take --priority 0: [^\n]*\n$/],
  "both at once": [
    "fleet.ts",
    ["--queue", "redis://h", "--retry", "--forget"],
    /^Cannot take --retry and [^\n]*\n$/,
  ],
};
for (const [what, [script, args, line]] of Object.entries(refused)) {
  Deno.test(`the fleet's scripts refuse in one line: ${what}`, () =>
    inFolder(async (folder) => {
      await Deno.writeTextFile(
        `${folder}/bad.jsonl`,
        '{"prompt": "a cat"}\n{"prompt": "a cat", "stesp": 3}\n',
      );
      await Deno.writeTextFile(`${folder}/empty.jsonl`, "\n\n");
      await Deno.writeTextFile(`${folder}/good.jsonl`, '{"prompt": "a cat"}\n');
      const { code, stderr } = await runScript(folder, script, ...args);
      assert.equal(code, 1);
      assert.match(stderr, line);
    }));
}

Deno.test("an address in the environment is checked, too, and its password is not shown", () =>
  inFolder(async (folder) => {
    for (const script of ["worker.ts", "fleet.ts"]) {
      const env = { DENOISE_QUEUE: "redis:/user:secret@host" };
      const { code, stderr } = await runScriptWith(
        env,
        folder,
        script,
        ...script === "worker.ts" ? ["--out", "out"] : [],
      );
      assert.match(stderr, /^Cannot take --queue: expected redis:\/\/[^\n]*\n$/);
      assert.doesNotMatch(stderr, /secret/);
      assert.equal(code, 1);
    }
  }));

Deno.test(
  { name: "requests may come through a pipe", ignore: ignore || Deno.build.os === "windows" },
  () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start();
      const script = join(import.meta.dirname!, "../../../scripts/submit.ts");
      const line =
        `printf '{"seed": 1}\\n\\n{"seed": 2}\\n' | "$0" run -q -A --no-check "$1" /dev/stdin --queue "$2"`;
      const args = ["-c", line, Deno.execPath(), script, server.url()];
      const env = { TMPDIR: folder };
      const { code, stdout, stderr } = await new Deno.Command("sh", { args, env }).output();
      assert.equal(new TextDecoder().decode(stderr), "2 requests added\n");
      assert.equal(new TextDecoder().decode(stdout).trim().split("\n").length, 2);
      assert.equal(code, 0);
      assert.deepEqual([...Deno.readDirSync(folder)], []); // the copy is gone
    }),
);

Deno.test(
  { name: "a signal to end leaves no copy of a pipe's requests", ignore: Deno.build.os === "windows" },
  () =>
    inFolder(async (folder) => {
      const [pipe, temporary] = ["pipe", "temporary"].map((name) => join(folder, name)) as [string, string];
      await Deno.mkdir(temporary);
      await new Deno.Command("mkfifo", { args: [pipe] }).output();
      const script = join(import.meta.dirname!, "../../../scripts/submit.ts");
      const args = ["run", "-q", "-A", "--no-check", script, pipe];
      const env = { TMPDIR: temporary };
      const submit = new Deno.Command(Deno.execPath(), { args, env, stdout: "null", stderr: "null" }).spawn();
      using _writer = await Deno.open(pipe, { write: true }); // the pipe stays open, and the copy unfinished
      const copies = () => [...Deno.readDirSync(temporary)];
      await until(() => copies().length > 0);
      submit.kill("SIGINT");
      assert.equal((await submit.status).code, 130);
      assert.deepEqual(copies(), []);
    }),
);

Deno.test(
  { name: "a queue that is not there is told with those that are", ignore },
  () =>
    inFolder(async (folder) => {
      await using server = await QueueServer.start();
      const client = await connect(server.url());
      await client.sadd("denoise:models", "sd", "xl");
      client.disconnect();
      const { code, stderr } = await runScript(
        folder,
        "fleet.ts",
        "--queue",
        server.url(),
        "--model",
        "sx",
        "--once",
      );
      assert.equal(stderr, "Cannot find the queue of sx: there are sd, xl\n");
      assert.equal(code, 1);
    }),
);

const canMount = Deno.build.os === "linux" &&
  (await new Deno.Command("unshare", { args: ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"] }).output()
    .catch(() => ({ success: false }))).success;

for (
  const [options, reason] of [["size=16k", "the disk is full"], ["ro", "what is in out can only be read"]]
) {
  const name = `submit.ts and worker.ts tell of a disk with ${options} before they open a model`;
  Deno.test({ name, ignore: !canMount }, () =>
    inFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/good.jsonl`, '{"prompt": "a cat"}\n');
      await Deno.mkdir(`${folder}/out`);
      const mounted = `mount -t tmpfs -o ${options} none out && "$0" run -q -A --no-check "$@"`;
      const scripts = join(import.meta.dirname!, "../../../scripts");
      const common = ["--out", "out", "--model", "none"]; // there is no such model
      for (
        const args of [
          [`${scripts}/submit.ts`, "good.jsonl", ...common],
          [`${scripts}/worker.ts`, "--queue", "redis://h", ...common],
        ]
      ) {
        const shell = ["-rm", "sh", "-c", mounted, Deno.execPath(), ...args];
        const env = { NO_COLOR: "1" };
        const { code, stderr } = await new Deno.Command("unshare", { args: shell, cwd: folder, env })
          .output();
        assert.match(
          new TextDecoder().decode(stderr),
          new RegExp(`^Cannot take --out out: ${reason}; [^\n]*\n$`),
        );
        assert.equal(code, 1);
      }
    }));
}
