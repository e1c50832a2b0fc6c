/** torch's random numbers: generators and the tensors they fill. @module */
export { type BrownianNoiseOptions, BrownianTreeNoiseSampler } from "./brownian_noise.ts";
export type { FloatArrays, FloatType, TorchGenerator } from "./generator.ts";
export { manualSeed, type SeedOptions } from "./manual_seed.ts";
export {
  firstNoise,
  rand,
  randint,
  randLike,
  randn,
  randnLike,
  type RandomFloatOptions,
  type RandomOptions,
  randperm,
} from "./tensors.ts";
