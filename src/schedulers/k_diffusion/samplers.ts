import {
  dpmpp2m,
  dpmpp2mSde,
  dpmpp2mSdeHeun,
  dpmpp2sAncestral,
  dpmpp3mSde,
  erSde,
  resMultistep,
  resMultistepAncestral,
} from "./denoised_samplers.ts";
import {
  dpm2,
  dpm2Ancestral,
  euler,
  eulerAncestral,
  gradientEstimation,
  heun,
  heunpp2,
  ipndm,
  ipndmV,
  lms,
} from "./derivative_samplers.ts";
import { dpmFast } from "./dpm_fast.ts";
import { dpmppSde, expHeun, expHeunSde, seedsThree, seedsTwo } from "./exponential_samplers.ts";
import type { Sampler } from "./plan.ts";

/** The names of `sampler`: those of k-diffusion's functions, then those that ComfyUI added, without "sample_". */
export const SAMPLERS = [
  "euler",
  "euler_ancestral",
  "heun",
  "dpm_2",
  "dpm_2_ancestral",
  "lms",
  "dpm_fast",
  "dpmpp_2s_ancestral",
  "dpmpp_sde",
  "dpmpp_2m",
  "dpmpp_2m_sde",
  "dpmpp_2m_sde_heun",
  "dpmpp_3m_sde",
  "heunpp2",
  "exp_heun_2_x0",
  "exp_heun_2_x0_sde",
  "ipndm",
  "ipndm_v",
  "res_multistep",
  "res_multistep_ancestral",
  "gradient_estimation",
  "er_sde",
  "seeds_2",
  "seeds_3",
] as const;

/** A name of a sampler. */
export type SamplerName = typeof SAMPLERS[number];

/** The samplers by their names. */
export const samplerMethods: Readonly<Record<SamplerName, Sampler>> = {
  euler,
  euler_ancestral: eulerAncestral,
  heun,
  dpm_2: dpm2,
  dpm_2_ancestral: dpm2Ancestral,
  lms,
  dpm_fast: dpmFast,
  dpmpp_2s_ancestral: dpmpp2sAncestral,
  dpmpp_sde: dpmppSde,
  dpmpp_2m: dpmpp2m,
  dpmpp_2m_sde: dpmpp2mSde,
  dpmpp_2m_sde_heun: dpmpp2mSdeHeun,
  dpmpp_3m_sde: dpmpp3mSde,
  heunpp2,
  exp_heun_2_x0: expHeun,
  exp_heun_2_x0_sde: expHeunSde,
  ipndm,
  ipndm_v: ipndmV,
  res_multistep: resMultistep,
  res_multistep_ancestral: resMultistepAncestral,
  gradient_estimation: gradientEstimation,
  er_sde: erSde,
  seeds_2: seedsTwo,
  seeds_3: seedsThree,
};
