import type { Tensor } from "../tensor/mod.ts";
import { mix } from "./mix.ts";
import { Scheduler } from "./scheduler.ts";

/** A scheduler that goes down a list of noise levels σ. */
export abstract class NoiseLevelScheduler<Config extends object> extends Scheduler<Config> {
  #sigmas: number[] = [];

  /** σ at each of the timesteps, then where the last step ends. */
  get sigmas(): number[] {
    void this.timesteps; // throws where there are none yet
    return this.#sigmas;
  }

  protected set sigmas(sigmas: number[]) {
    this.#sigmas = sigmas;
  }

  /** The images with noise as at a timestep, or at one timestep for each image. */
  addNoise(original: Tensor, noise: Tensor, timesteps: number | readonly number[]): Tensor {
    const indices = this.noiseIndices(timesteps);
    return mix(original, noise, indices.map((i) => this.weightsAt(this.sigmas[i]!)));
  }

  /** Whether the model was called for the second time in a step that takes two calls. */
  protected isSecondHalf(index: number): boolean {
    const begun = this.memory.tensors.length > 0;
    if (begun === (index % 2 === 1)) return begun;
    throw new RangeError(
      `Cannot step at timestep ${
        this.timesteps[index]
      }: a step of two model calls cannot begin at its second`,
    );
  }

  /** How much of the image and how much noise there is at σ. */
  protected abstract weightsAt(sigma: number): [image: number, noise: number];
}
