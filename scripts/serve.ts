/**
 * Draws what clients ask for over HTTP, as OpenAI's images API and A1111's have it. `--help` lists the options.
 * Run: deno task serve
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { embeddedModel, loadingBar } from "denoise";
import { createHandler, Drawer, LOOPBACK } from "denoise/serve";
import { readArguments } from "./command_line/arguments.ts";
import { EMBEDDED_NAME } from "./generate/usual.ts";
import { about, options, usage } from "./serve/options.ts";

const settings = readArguments(usage, about, options);
const { host, port, lora, memory, dtype, quantize, engine, adapter } = settings;
const key = settings.key ?? (Deno.env.get("DENOISE_KEY") || undefined);
const isLocal = [...LOOPBACK, "::1"].includes(host);
if (!isLocal && key === undefined) {
  throw new TypeError(
    `Cannot listen at ${host} without --key: everybody who reaches it would draw; say a key that clients send`,
  );
}

const [first, ...others] = settings.model ??
  [{ name: EMBEDDED_NAME, path: await embeddedModel(EMBEDDED_NAME) }];
const drawer = await Drawer.open({
  ...{ models: [first!, ...others], loras: lora, memory, dtype, quantize, engine, adapter },
  limits: {
    pixels: settings["max-pixels"],
    steps: settings["max-steps"],
    count: settings["max-count"],
    seconds: settings["max-seconds"],
    waiting: settings["max-waiting"],
  },
  onProgress: loadingBar(),
});
const handler = createHandler(drawer, {
  key,
  hosts: isLocal ? LOOPBACK : undefined,
  body: settings["max-body"],
  log: (entry) => console.log(JSON.stringify(entry)),
  logPrompts: settings["log-prompts"],
});
const server = listen();

let isStopping = false;
for (const signal of Deno.build.os === "windows" ? ["SIGINT"] as const : ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    if (isStopping) Deno.exit(130);
    isStopping = true;
    console.log("Ends once the picture is done that is drawn; again to end at once");
    stop();
  });
}

function listen(): Deno.HttpServer {
  const onListen = ({ hostname, port }: Deno.NetAddr) => {
    const name = hostname.includes(":") ? `[${hostname}]` : hostname;
    console.log(`Draws by ${drawer.device.describe()}: ${drawer.models.join(", ")}`);
    console.log(`Draws in a browser at http://${name}:${port}/`);
    console.log(`Listens at http://${name}:${port}/v1`);
  };
  try {
    return Deno.serve({ hostname: host, port, onListen }, handler);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Error(
      `Cannot listen at ${host}:${port}: another program does; say another --port, or 0 for any`,
    );
  }
}

/** Refuses what waits, finishes what is drawn, and ends. */
async function stop(): Promise<void> {
  const drawn = drawer[Symbol.asyncDispose]();
  await server.shutdown();
  await drawn;
  Deno.exit(0);
}
