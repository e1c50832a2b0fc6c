/** What the line says, and how often it is tried, where the network or a proxy fails. */
import assert from "node:assert/strict";
import { fixture } from "../../support/fixtures.ts";
import { freePort } from "../../support/free_port.ts";
import { Cache, childOf, files, HubServer, open, repo } from "./hub_fixture.ts";
import type { HubOptions } from "./hub_server.ts";

/** A server that takes a request, answers with these bytes and hangs up. */
class RawServer implements Disposable {
  readonly #listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  readonly host = `127.0.0.1:${this.#listener.addr.port}`;
  requests = 0;

  constructor(answer: string) {
    (async () => {
      for await (const connection of this.#listener) {
        this.requests++;
        await connection.read(new Uint8Array(4096)).catch(() => {});
        await connection.write(new TextEncoder().encode(answer)).catch(() => {});
        connection.close();
      }
    })();
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

/** Where nobody listens. */
const closedPort = () => `127.0.0.1:${freePort()}`;

/** Expects one line from a first run, with a cause and an advice, before it would be tried again. */
async function expectLine(endpoint: string, message: RegExp): Promise<void> {
  await using cache = await Cache.create();
  const start = performance.now();
  await assert.rejects(
    open(undefined, cache, { env: { HF_ENDPOINT: endpoint }, retryPause: 20_000 }),
    (error: Error) => {
      assert.match(
        error.message,
        /^Cannot open owner\/tiny: [^\n]+, and no revision "main" in [^\n]+; [^\n]+$/,
      );
      assert.match(error.message, message);
      return true;
    },
  );
  assert.ok(performance.now() - start < 60_000, "it was tried again"); // after 20 s, and 40 s more
}

Deno.test("an unknown name, a closed port and a blocked one are said as what they are, at once", async () => {
  await expectLine(
    "http://no-such-host.invalid",
    /: no connection to no-such-host\.invalid \(dns error: .*\), .*; check the network, and the name in HF_ENDPOINT$/,
  );
  const host = closedPort();
  await expectLine(
    `http://${host}`,
    new RegExp(`: no connection to ${host} \\(tcp connect error: .*refused`, "i"),
  );
  await expectLine("http://127.0.0.1:1", /\(.*port 1 are blocked\), .*; check HF_ENDPOINT: its port, /);
});

Deno.test("a server that speaks another protocol is not asked again", async () => {
  using server = new RawServer("SSH-2.0-OpenSSH_9\r\n");
  await expectLine(
    `http://${server.host}`,
    /\(invalid HTTP version parsed\), .*; check HF_ENDPOINT: its port, /,
  );
  assert.equal(server.requests, 1);
  await expectLine(
    `https://${server.host}`,
    /\(received corrupt message.*\), .*whether it is http or https$/,
  );
});

/** A server with a certificate of the fixtures. */
function secureServer(certificate: string): Deno.HttpServer<Deno.NetAddr> {
  const read = (name: string) => Deno.readTextFileSync(fixture(`hub/${name}.pem`));
  const options = { port: 0, cert: read(certificate), key: read("key"), onListen() {} };
  return Deno.serve(options, () => new Response("{}")) as Deno.HttpServer<Deno.NetAddr>;
}

/** The line of another process, which knows the company that signed, with the seconds that it took. */
async function lineOf(env: Record<string, string>, flags?: string[]): Promise<string> {
  await using cache = await Cache.create();
  const [command, options] = childOf(cache, { HF_ENDPOINT: "https://localhost:1", ...env }, flags);
  return new TextDecoder().decode((await new Deno.Command(command, options).output()).stdout).trim();
}

Deno.test("a certificate of an unknown company is named, with the variables that help", async () => {
  await using server = secureServer("localhost");
  await expectLine(
    `https://localhost:${server.addr.port}`,
    /\(invalid peer certificate: UnknownIssuer\), .*; set DENO_TLS_CA_STORE=system, or DENO_CERT to the file /,
  );
});

for (
  const [certificate, cause, advice] of [
    ["expired", /certificate expired/, /; check the clock of this machine/],
    ["other", /certificate not valid for name "localhost"/, /; check HF_ENDPOINT; something else may answer/],
  ] as const
) {
  Deno.test(`a certificate of the kind "${certificate}" is named`, async () => {
    await using server = secureServer(certificate);
    const DENO_CERT = fixture("hub/ca.pem");
    const line = await lineOf({ DENO_CERT, HF_ENDPOINT: `https://localhost:${server.addr.port}` });
    assert.match(line, cause);
    assert.match(line, advice);
  });
}

const proxies: [what: string, answer: string | undefined, line: RegExp][] = [
  [
    "wants a password",
    "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
    /proxy authentication required.*; put the proxy's user and password into HTTPS_PROXY/,
  ],
  [
    "lets nothing pass",
    "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
    /unsuccessful tunnel.*; the proxy does not let it pass: check HTTPS_PROXY, or name the host in NO_PROXY$/,
  ],
  [
    "is not there",
    undefined,
    /no connection to hub\.example by the proxy \(.*refused.*, and the proxy in HTTPS_PROXY$/,
  ],
];

for (const [what, answer, line] of proxies) {
  Deno.test(`a proxy that ${what} is said to be at fault`, async () => {
    using server = answer === undefined ? undefined : new RawServer(answer);
    const HTTPS_PROXY = `http://user:secret@${server?.host ?? closedPort()}`;
    const got = await lineOf({ HTTPS_PROXY, NO_PROXY: "", HF_ENDPOINT: "https://hub.example" });
    assert.match(got, line);
    assert.doesNotMatch(got, /secret/);
  });
}

Deno.test("a plain request that a proxy refuses is not tried again", async () => {
  using server = new RawServer("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
  await expectLine(`http://${server.host}`, /the proxy wants a password \(407\), .*; put the proxy's user /);
});

Deno.test("a permission that Deno lacks is named with the flag that gives it, and the cache is used without it", async () => {
  const flags = ["--no-prompt", "--allow-read", "--allow-write", "--allow-env"];
  assert.match(
    await lineOf({ HF_ENDPOINT: "https://hub.example" }, flags),
    /^Cannot open owner\/tiny: Deno may not connect to hub\.example, .*; add hub\.example to --allow-net, or set HF_HUB_OFFLINE=1$/,
  );
  await using server = new HubServer({ files });
  await using cache = await Cache.create();
  const { folder } = await open(server, cache);
  const [command, options] = childOf(cache, { HF_ENDPOINT: server.endpoint }, flags);
  const { stdout, stderr } = await new Deno.Command(command, options).output();
  assert.equal(new TextDecoder().decode(stdout).trim(), folder);
  assert.match(
    new TextDecoder().decode(stderr),
    /^Using owner\/tiny as last fetched .*: Deno may not connect to /,
  );
});

Deno.test("a cut in a listing or in a range of bytes is said, after it was tried again", async () => {
  using server = new RawServer("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{");
  await using cache = await Cache.create();
  await assert.rejects(open(undefined, cache, { env: { HF_ENDPOINT: `http://${server.host}` } }), {
    message:
      /: no connection to .* \(error reading a body from connection\), and no revision .*; check the network /,
  });
  assert.equal(server.requests, 5);
});

const endings: [status: number, headers: Record<string, string>, line: RegExp, requests: number][] = [
  [429, { "retry-after": "3600" }, /status 429, which asks to wait 3600 s, .*; the hub limits .*HF_TOKEN/, 1],
  [429, { ratelimit: '"api";r=0;t=3000' }, /status 429, which asks to wait 3000 s, /, 1],
  [429, { "retry-after": "0" }, /status 429, which asks to wait 0 s, /, 5],
  [503, {}, /status 503, .*; the server has trouble: try again later$/, 5],
  [
    503,
    { ratelimit: '"resolvers";r=4999;t=280' },
    /status 503, .*; the server has trouble: try again later$/,
    5,
  ],
  [
    403,
    { "x-error-message": "Access to this resource is disabled." },
    /^Cannot open owner\/tiny: the hub has disabled it; see /,
    1,
  ],
  [
    403,
    { "x-error-code": "GatedRepo", "x-error-message": "Enable access in your fine-grained token settings." },
    /^Cannot download owner\/tiny: it is gated: "Enable access in your .*"; accept its licence at .* and set HF_TOKEN$/,
    1,
  ],
  [400, { "x-error-message": "Odd name" }, /: expected status 200, got 400: "Odd name"; see /, 1],
];

for (const [status, headers, line, requests] of endings) {
  Deno.test(`a status ${status} with ${JSON.stringify(headers)} is asked ${requests} times`, async () => {
    const fault: HubOptions["fault"] = () => new Response(null, { status, headers });
    await using server = new HubServer({ files, fault });
    await using cache = await Cache.create();
    await assert.rejects(open(server, cache), (error: Error) => {
      assert.match(error.message, line);
      return true;
    });
    assert.equal(server.requests(repo).length, requests);
  });
}

Deno.test("where the hub has answered, a host that is not reached is tried again: it may be back soon", async () => {
  const location = `http://${closedPort()}/blob`;
  const fault: HubOptions["fault"] = (_, path) =>
    path.includes("/resolve/") ? new Response(null, { status: 302, headers: { location } }) : undefined;
  await using server = new HubServer({ files, fault });
  await using cache = await Cache.create();
  await assert.rejects(open(server, cache), {
    message: /^Cannot download unet\/config\.json of .*: no connection to .*refused.*; another run goes on /,
  });
  assert.equal(server.requests("/resolve/").length, 5);
});

Deno.test("a cache that Deno may not read is named with the flags that help", async () => {
  const flags = ["--no-prompt", "--allow-net", "--allow-env", "--allow-read=."];
  assert.match(
    await lineOf({}, flags),
    /^Cannot use .*models--owner--tiny.*: Deno may not; run with --allow-read and --allow-write of this folder or /,
  );
});
