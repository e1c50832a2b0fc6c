import { type Device, type Engine, NoAdapterError, openDevice } from "denoise";
import type { Draw } from "./draw.ts";
import type { Given } from "./options.ts";
import type { Replayed } from "./recipe.ts";
import type { Settings } from "./settings.ts";

/** Opens the engine that is asked for, or that of a replayed picture; where that does not open, any. */
export async function openEngine(given: Given, replayed: Replayed | undefined): Promise<Device> {
  const engine: Engine | undefined = given.engine ?? replayed?.settings.engine;
  try {
    return await openDevice({ engine });
  } catch (error) {
    if (given.engine || !replayed || !(error instanceof NoAdapterError)) throw error;
    return await openDevice();
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
  await draw([seed], { numInferenceSteps: fewest, progress: false });
}
