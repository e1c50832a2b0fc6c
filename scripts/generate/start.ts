import { type Device, type Engine, NoAdapterError, openDevice, waiting } from "denoise";
import { type AnyPipeline, FluxKontextPipeline } from "denoise/pipelines";
import { describeLack, planMemory } from "../../src/pipelines/memory/plan.ts";
import type { DrawingSize } from "../../src/pipelines/memory/stage.ts";
import { stagesOf } from "../../src/pipelines/memory/stages.ts";
import type { Draw, Pictures } from "./draw.ts";
import type { Given, Settings } from "./options.ts";
import type { Replayed } from "./replay.ts";
import { takesReferences } from "./task_pipelines.ts";
import { usualSize } from "./usual.ts";

/** Opens the engine that is asked for, or that of a replayed picture; where that does not open, any. */
export async function openEngine(given: Given, replayed: Replayed | undefined): Promise<Device> {
  const engine: Engine | undefined = given.engine ?? replayed?.settings.engine;
  const { check } = given;
  try {
    return await openDevice({ engine, check });
  } catch (error) {
    if (given.engine || !replayed || !(error instanceof NoAdapterError)) throw error;
    return await openDevice({ check });
  }
}

/** Software drivers compile a kernel when it first runs, so a first step shows what that takes. */
export async function warmUp(
  device: Device,
  draw: Draw,
  { seed, image, strength = 0.3 }: Settings,
): Promise<void> {
  if (!device.traits.software) return;
  const fewest = image === undefined ? 1 : Math.ceil(1 / strength); // a part of the steps changes a picture
  const words = () => {
    const { count } = device.pipelines.statistics;
    return `compiling ${count} kernels for a software adapter, once, up to a minute`;
  };
  const work = async () => {
    const images = await draw([seed], { numInferenceSteps: fewest, progress: false });
    await images.data();
  };
  await waiting(words, work());
}

/** Throws where the models fit in no way in the memory that was said, as `--plan` says of it. */
export function expectRoom(
  { parts }: AnyPipeline,
  { memory, quantize }: Settings,
  size: DrawingSize,
): void {
  if (memory === undefined || quantize) return;
  const plan = planMemory(stagesOf({ ...parts }, size), memory);
  if (plan.runs !== "not") return;
  throw new RangeError(
    `Cannot draw with this --memory: ${describeLack(plan)}; draw smaller pictures, or fewer at once`,
  );
}

/** Tells where a prompt has weights as in A1111, and nothing says that they are some. */
export function tellWeights({ parts }: AnyPipeline, settings: Settings): void {
  const { prompt, negative = "", "prompt-syntax": syntax } = settings;
  if (syntax !== undefined || !("unet" in parts && "vae" in parts)) return; // others read no weights
  const [weight] = /\([^()]+:\d*\.?\d+\)/.exec(`${prompt}\n${negative}`) ?? [];
  if (weight === undefined) return;
  console.warn(`${weight} is read as plain words: with --prompt-syntax a1111 it is a weight`);
}

const FAR = 4; // times more pixels

/** Tells where a picture is far from the size for which its model was trained. */
export function tellSize(pipeline: AnyPipeline, { size }: Settings, { images }: Pictures): void {
  const { parts } = pipeline;
  if (!("vae" in parts)) return;
  if (pipeline instanceof FluxKontextPipeline) return; // it keeps to its number of pixels
  const [image] = takesReferences(pipeline) ? [] : images; // large references are made smaller
  const { width: W, height: H } = usualSize(parts);
  const [height = H, width = W] = size ? [size.height, size.width] : image?.shape.slice(2) ?? [];
  const ratio = height * width / (H * W);
  if (ratio < FAR && ratio > 1 / FAR) return;
  const [times, effect] = ratio > 1
    ? [
      `${Math.round(ratio)} times`,
      "it takes at least as many times as long, and things may come several times",
    ]
    : [`1/${Math.round(1 / ratio)} of`, "little may be seen on it"];
  console.warn(
    `${width}x${height} is ${times} the pixels for which this model was trained (${W}x${H}): ${effect}; ` +
      `try --size ${W}x${H}`,
  );
}
