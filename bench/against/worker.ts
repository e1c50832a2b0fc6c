/**
 * Measures the bench's cases with the sources of a checkout, whose import map it is run with: `main.ts` starts one for each
 * of two checkouts and lets them take turns. It reads a line for each turn, the number of a case, and answers with its
 * milliseconds; the first line that it writes lists the cases. All it imports is the checkout's own.
 * Run: deno run -A --config CHECKOUT/deno.json bench/against/worker.ts CHECKOUT
 */
import { type Device, openDevice, scope, type Tensor, tensor } from "denoise";
import { UNet2DConditionModel, UNet2DModel } from "denoise/models";

const TURN_MS = 150;
const [root] = Deno.args;

interface Case {
  readonly name: string;
  prepare(): Promise<() => Tensor> | (() => Tensor);
}

const { casesFor } = await import(`${root}/bench/cases.ts`);
const { timeOnce, turnOf } = await import(`${root}/bench/turns.ts`) as {
  timeOnce: (device: Device, record: () => Tensor) => Promise<number>;
  turnOf: (device: Device, record: () => Tensor, turnMs: number) => Promise<number>;
};
using device = await openDevice();
const software = /llvmpipe|swiftshader/i.test(device.describe());
const cases: Case[] = [...casesFor({ software, quick: false }), ...steps()];
console.log(JSON.stringify({ adapter: device.describe(), cases: cases.map(({ name }) => name) }));

let current = -1;
let made: ReturnType<typeof scope> | undefined;
let record: () => Tensor;
for await (const line of linesOf(Deno.stdin.readable)) {
  const wanted = Number(line);
  if (wanted !== current) {
    made?.[Symbol.dispose]();
    made = scope();
    record = await cases[current = wanted]!.prepare();
    await timeOnce(device, record); // compiles
    await timeOnce(device, record); // the plan of a model learns here which of its inputs stay
  }
  console.log(JSON.stringify({ ms: await turnOf(device, record!, TURN_MS) }));
}

/** A step of each model that comes with the project. */
function steps(): Case[] {
  return [
    {
      name: "step of emoji-ddpm",
      async prepare() {
        const unet = await UNet2DModel.fromPretrained(`${root}/models/emoji-ddpm`, { subfolder: "unet" });
        const { in_channels, sample_size } = unet.config;
        const side = sample_size as number;
        const samples = [0, 1].map((i) => ramp([1, in_channels, side, side], i));
        let turn = 0;
        return () => unet.forward(samples[turn++ % 2]!, 500).sample;
      },
    },
    {
      name: "guided step of emoji-diffusion",
      async prepare() {
        const unet = await UNet2DConditionModel.fromPretrained(`${root}/models/emoji-diffusion`, {
          subfolder: "unet",
        });
        const { in_channels, sample_size, cross_attention_dim } = unet.config;
        const side = sample_size as number;
        const samples = [0, 1].map((i) => ramp([2, in_channels, side, side], i));
        const prompts = ramp([2, 77, cross_attention_dim], 2);
        let turn = 0;
        return () => unet.forward(samples[turn++ % 2]!, 500, prompts).sample;
      },
    },
  ];
}

function ramp(shape: number[], from: number): Tensor {
  const count = shape.reduce((product, n) => product * n, 1);
  return tensor(Float32Array.from({ length: count }, (_, i) => Math.sin(from + i)), shape);
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
