/**
 * Draws what clients ask for over HTTP, as OpenAI's images API and A1111's have it. `--help` lists the options.
 * Run: deno task serve
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { createHandler, LOOPBACK } from "denoise/serve";
import { readArguments } from "./command_line/arguments.ts";
import { onEnd } from "./command_line/ending.ts";
import { openDrawer } from "./serve/open_drawer.ts";
import { about, options, usage } from "./serve/options.ts";

const LINGER = 3; // seconds in which a picture that was just drawn is fetched
const PATIENCE = 5; // seconds for answers under way

const settings = readArguments(usage, about, options);
const { host, port } = settings;
const key = settings.key ?? (Deno.env.get("DENOISE_KEY") || undefined);
const isLocal = [...LOOPBACK, "::1"].includes(host);
if (!isLocal && key === undefined) {
  throw new TypeError(
    `Cannot listen at ${host} without --key: everybody who reaches it would draw; say a key that clients send`,
  );
}

expectFree();
const drawer = await openDrawer(settings);
const handler = createHandler(drawer, {
  key,
  hosts: isLocal ? LOOPBACK : undefined,
  address: settings.address,
  body: settings["max-body"],
  log: (entry) => console.log(JSON.stringify(entry)),
  logPrompts: settings["log-prompts"],
});
let server = listen(port);
let isStopping = false;

onEnd((count) => {
  if (count > 1) Deno.exit(130);
  isStopping = true;
  const { busy } = drawer;
  console.log(busy ? "Finishes the picture that is drawn; Ctrl-C again ends at once" : "Ends");
  stop(busy);
});

/** Refuses a port that is taken before models are opened, which takes long. */
function expectFree(): void {
  saying(() => Deno.listen({ hostname: host, port }).close());
}

function listen(port: number): Deno.HttpServer<Deno.NetAddr> {
  const onListen = ({ hostname, port }: Deno.NetAddr) => {
    const name = hostname.includes(":") ? `[${hostname}]` : hostname;
    console.log(`Draws by ${drawer.device.describe()}: ${drawer.models.join(", ")}`);
    console.log(`Draws in a browser at http://${name}:${port}/`);
    console.log(`Listens at http://${name}:${port}/v1`);
  };
  const server = saying(() => Deno.serve({ hostname: host, port, onListen }, handler));
  server.finished.catch((error) => listenAgain(error, server.addr.port));
  return server;
}

/** Goes on after an error of taking connections, as where clients hold as many open as the system allows. */
async function listenAgain(error: Error, port: number): Promise<void> {
  console.error(`Cannot take connections: ${error.message}; tries again each second`);
  for (let isUp = false; !isUp && !isStopping;) {
    await pause(1);
    try {
      server = listen(port);
      isUp = true;
    } catch { /* in the next second, perhaps */ }
  }
}

/** Says why it cannot listen in one sentence. */
function saying<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const at = `Cannot listen at ${host}:${port}`;
    if (error instanceof Deno.errors.AddrInUse) {
      throw new Error(`${at}: another program does; say another --port, or 0 for any`);
    }
    if (error instanceof Deno.errors.NotCapable) {
      throw new Error(`${at}: Deno may not; run with --allow-net=${host}:${port}`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Error(`${at}: this user may not; say a --port above 1023`);
    }
    throw new Error(`${at}: ${(error as Error).message}; say an address of this machine as --host`);
  }
}

/** Refuses what waits and comes, finishes what is drawn, gives clients a moment to fetch it, and ends. */
async function stop(busy: boolean): Promise<void> {
  await drawer[Symbol.asyncDispose]();
  if (busy) await pause(LINGER);
  await Promise.race([server.shutdown(), pause(PATIENCE)]); // not for ever: a client may read nothing of its answer
  Deno.exit(0);
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}
