/**
 * Loads a server of its own process by all of its APIs, and compares each answer with the picture that a Drawer draws here.
 * Run: deno run -A bench/serve.ts
 */
import "../scripts/plain_errors.ts";
import { join } from "node:path";
import { embeddedModel } from "denoise";
import { Drawer, type DrawRequest } from "denoise/serve";
import { readArguments } from "../scripts/command_line/arguments.ts";
import * as option from "../scripts/command_line/options.ts";
import { decodePng } from "../src/io/images/png.ts";

const { requests, connections, minutes } = readArguments(
  "bench/serve.ts",
  "Loads a server: evenly spread requests over some connections, each answer compared with the right one.",
  {
    requests: option.count("in all", 200),
    connections: option.count("kept open", 20),
    minutes: option.count("over which they are spread", 5),
  },
);

/** What is asked for, in turn: so many pictures that sizes and prompts change all the time. */
const asked: readonly DrawRequest[] = ["a nice flower", "a cat", "a red house"].flatMap((prompt, i) =>
  [32, 48, 64].map((side) => ({
    ...{ prompt, steps: 8, seed: BigInt(i), size: { width: side, height: side }, scheduler: "Euler a" },
    guidance: 4.5,
  }))
);

type Api = (request: DrawRequest, client: Deno.HttpClient) => Promise<Uint8Array>;

/** The same request by each API. */
const apis: readonly Api[] = [
  async ({ seed, size, ...request }, client) => {
    const body = { ...request, seed: Number(seed), size: `${size!.width}x${size!.height}` };
    const { data } = await post("/v1/images/generations", body, client);
    return Uint8Array.fromBase64(data[0].b64_json);
  },
  async ({ seed, size, prompt, steps, scheduler, guidance }, client) => {
    const body = { prompt, steps, ...size, seed: Number(seed), sampler_name: scheduler, cfg_scale: guidance };
    const { images } = await post("/sdapi/v1/txt2img", body, client);
    return Uint8Array.fromBase64(images[0]);
  },
  async ({ seed, ...request }, client) => {
    const { id } = await post("/v1/jobs", { ...request, seed: Number(seed) }, client);
    const events = await (await fetch(`${base}/v1/jobs/${id}/events`, { client })).text();
    const [, end] = /event: succeeded\ndata: (.*)/.exec(events) ?? [];
    if (end === undefined) throw new Error(`Cannot draw: a job ended with ${events.slice(-300)}`);
    return await (await fetch(JSON.parse(end).pictures[0].url, { client })).bytes();
  },
];

const right = await drawnHere();
const child = new Deno.Command(Deno.execPath(), {
  args: ["run", "-A", join(import.meta.dirname!, "../scripts/serve.ts"), "--port", "0"],
  stdout: "piped",
}).spawn();
const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
const base = await address();
drain();

const times: number[] = [];
let [wrong, failed] = [0, 0];
const begun = performance.now();
const memory: number[] = [];
const sampling = setInterval(() => memory.push(residentMegabytes()), 5000);
await Promise.all(Array.from({ length: connections }, (_, i) => connection(i)));
clearInterval(sampling);
const seconds = (performance.now() - begun) / 1000;
const metrics = await (await fetch(`${base}/metrics`)).text();
child.kill("SIGTERM");
const { code } = await child.status;

times.sort((a, b) => a - b);
const at = (part: number) => `${times[Math.floor(part * (times.length - 1))]?.toFixed(1)} s`;
console.log(`${times.length} answers in ${seconds.toFixed(0)} s over ${connections} connections`);
console.log(`${wrong} wrong, ${failed} failed; the server ended with ${code}`);
console.log(`waiting and drawing: median ${at(0.5)}, 95 of 100 within ${at(0.95)}, at most ${at(1)}`);
const perMinute = Math.max(1, Math.round(memory.length / minutes));
const means = Array.from(
  { length: minutes },
  (_, i) => mean(memory.slice(i * perMinute, (i + 1) * perMinute)),
);
console.log(`MB of the process, minute by minute: ${means.map((value) => value.toFixed(0)).join(", ")}`);
console.log(
  metrics.split("\n").filter((line) => /^denoise_(drawings|device|gpu|steps)/.test(line)).join("\n"),
);
if (wrong + failed > 0 || code !== 0) Deno.exit(1);

/** One client: draws again and again, at its times, by one API after the other. */
async function connection(number: number): Promise<void> {
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 1 });
  const [mine, pause] = [Math.ceil((requests - number) / connections), 60_000 * minutes / requests];
  for (let i = 0; i < mine; i++) {
    const turn = number + i * connections; // among all requests
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, begun + turn * pause - performance.now()))
    );
    const at = turn % asked.length;
    const start = performance.now();
    try {
      const png = await apis[Math.floor(turn / asked.length) % apis.length]!(asked[at]!, client);
      const { data } = decodePng(png, "an answer");
      if (data.toHex() !== right[at]) wrong++;
      times.push((performance.now() - start) / 1000);
    } catch (error) {
      failed++;
      console.error(error);
    }
  }
}

// deno-lint-ignore no-explicit-any -- what a client expects of it
async function post(path: string, body: object, client: Deno.HttpClient): Promise<any> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(base + path, { method: "POST", body: JSON.stringify(body), headers, client });
  const text = await response.text();
  if (!response.ok) throw new Error(`Cannot draw: ${response.status}, ${text}`);
  return JSON.parse(text);
}

/** The pixels of what is asked for, drawn by this process. */
async function drawnHere(): Promise<string[]> {
  await using drawer = await Drawer.open({
    models: [{ name: "emoji", path: await embeddedModel("emoji-diffusion") }],
  });
  console.log(drawer.device.describe());
  const pixels: string[] = [];
  for (const request of asked) {
    const { pictures: [picture] } = await drawer.draw(request);
    pixels.push(decodePng(picture!.png, "a picture").data.toHex());
  }
  return pixels;
}

async function address(): Promise<string> {
  for (let text = "";;) {
    const found = /Listens at (http:\/\/[^/\s]+)/.exec(text);
    if (found) return found[1]!;
    const { value, done } = await lines.read();
    if (done) throw new Error(`Cannot load a server: it ended after ${text}`);
    text += value;
  }
}

/** Reads the server's log, so that it need not wait. */
async function drain(): Promise<void> {
  while (!(await lines.read()).done);
}

function residentMegabytes(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${child.pid}/status`))?.[1]) / 1024;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
