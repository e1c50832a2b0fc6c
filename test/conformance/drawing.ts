import type { Tensor } from "../../src/mod.ts";
import type { HostTensor } from "../support/arrays.ts";
import { comparePixels } from "./pixels.ts";
import { compareTensor, type Verdict } from "./verdict.ts";

const LOOP = { rel: 1e-3 }; // a whole loop in f32 on a GPU

/** Takes the latents after a step, as a pipeline's option of this name. */
export type OnStep = (step: number, timestep: number, latents: Tensor) => void;

/** Every step that was recorded of a pipeline's run, and the picture. */
export async function* drawing(
  id: string,
  tensors: ReadonlyMap<string, HostTensor>,
  run: (onStep: OnStep) => Promise<{ images: Tensor; latents: Tensor }>,
): AsyncGenerator<Verdict, void, void> {
  const steps: Promise<Verdict>[] = [];
  const { images, latents } = await run((step, _timestep, latents) => {
    const name = `latents_after_step_${String(step).padStart(3, "0")}`;
    const want = tensors.get(name);
    if (want) steps.push(compareTensor(`${id}/${name}`, latents, want, LOOP));
  });
  yield* await Promise.all(steps);
  yield await compareTensor(`${id}/final_latents`, latents, tensors.get("final_latents")!, LOOP);
  const floats = tensors.get("image_float_0_1");
  if (floats) yield await compareTensor(`${id}/image_float`, images, floats, LOOP);
  yield await comparePixels(`${id}/image`, images, tensors.get("image_uint8_nhwc")!);
}
