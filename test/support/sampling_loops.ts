import type { Schedule } from "../../src/schedulers/mod.ts";
import { type HostTensor, readTensors } from "./arrays.ts";
import { fixture } from "./fixtures.ts";

/** A sampling loop that diffusers ran; see test/fixtures/README.md. */
export interface SamplingLoop {
  id: string;
  class: string;
  config: Record<string, unknown>;
  num_inference_steps: number;
  set_timesteps_kwargs: Schedule & { original_inference_steps?: number; strength?: number };
  step_kwargs: Record<string, unknown>;
  generator_seed: number | null;
  timesteps_dtype: string;
  init_noise_sigma: number;
  order: number;
  /** False where diffusers' own numbers are NaN. */
  finite: boolean;
  /** Of image to image. */
  strength: number;
}

/** Calls `check` with each finite loop of a file and what diffusers recorded of it; returns their number. */
export async function forEachLoop(
  path: string,
  check: (loop: SamplingLoop, want: (array: string) => HostTensor) => Promise<void>,
): Promise<number> {
  const arrays = await readTensors(fixture(`${path}.safetensors`));
  const { cases } = JSON.parse(await Deno.readTextFile(fixture(`${path}.json`)));
  const finite = (cases as SamplingLoop[]).filter((loop) => loop.finite);
  for (const loop of finite) await check(loop, (array) => arrays.get(`${loop.id}/${array}`)!);
  return finite.length;
}

/** 0.3 x + 0.1 sin(t / 100 + i), what stood in for a model in diffusers. */
export function fakeModel(x: ArrayLike<number>, t: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(x, (value, i) => 0.3 * value + 0.1 * Math.sin(t / 100 + i));
}

/** `use_clipped_model_output` → `useClippedModelOutput`. */
export function camelCased(kwargs: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(kwargs).map(([key, value]) => [
      key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
}
