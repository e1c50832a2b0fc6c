import type { SamplerName } from "./k_diffusion/samplers.ts";
import type { SigmaScheduleName } from "./sigma_schedules.ts";

/** A sampler by the names that it has elsewhere. */
export interface Sampler {
  /** A1111's, ComfyUI's, k-diffusion's, InvokeAI's; how they are written does not matter to `plainName`. */
  readonly names: readonly string[];
  /** Its class, a key of `schedulerClasses`. */
  readonly className: string;
  /** The keys of its config that differ from the class's defaults. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The class of the same method for models of flows, where that is another one. */
  readonly flowClassName?: string;
  /** The `sampler` of KDiffusionScheduler that does the same, which knows every schedule. */
  readonly kDiffusion?: SamplerName;
}

/** A spread of the steps over the noise by its names elsewhere, where it is the end of a sampler's name. */
export interface SpreadName {
  /** As in `Sampler`. */
  readonly names: readonly string[];
  /** The keys that it sets in diffusers' classes; without them only KDiffusionScheduler has it. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The `sigma_schedule` of KDiffusionScheduler. */
  readonly schedule: SigmaScheduleName;
}

const sde = { algorithm_type: "sde-dpmsolver++" };

/** Those of docs/schedulers.md, in its order; its test compares them. */
export const samplers: readonly Sampler[] = [
  {
    names: ["Euler", "Euler Discrete"],
    className: "EulerDiscreteScheduler",
    flowClassName: "FlowMatchEulerDiscreteScheduler",
    kDiffusion: "euler",
  },
  {
    names: ["Euler a", "Euler ancestral", "Euler ancestral discrete"],
    className: "EulerAncestralDiscreteScheduler",
    kDiffusion: "euler_ancestral",
  },
  {
    names: ["Heun", "Heun Discrete"],
    className: "HeunDiscreteScheduler",
    flowClassName: "FlowMatchHeunDiscreteScheduler",
    kDiffusion: "heun",
  },
  { names: ["DPM2", "KDPM2", "KDPM2 Discrete"], className: "KDPM2DiscreteScheduler", kDiffusion: "dpm_2" },
  {
    names: ["DPM2 a", "DPM2 ancestral", "KDPM2 a", "KDPM2 ancestral", "KDPM2 ancestral discrete"],
    className: "KDPM2AncestralDiscreteScheduler",
    kDiffusion: "dpm_2_ancestral",
  },
  { names: ["LMS", "LMS Discrete"], className: "LMSDiscreteScheduler", kDiffusion: "lms" },
  kDiffusion("dpm_fast", "DPM fast"),
  {
    names: ["DPM++ 2M", "DPM++", "DPM Solver++", "DPM Solver multistep"],
    className: "DPMSolverMultistepScheduler",
    kDiffusion: "dpmpp_2m",
  },
  {
    names: ["DPM++ 2M SDE"],
    className: "DPMSolverMultistepScheduler",
    config: sde,
    kDiffusion: "dpmpp_2m_sde",
  },
  {
    names: ["DPM++ 2M SDE Heun"],
    className: "DPMSolverMultistepScheduler",
    config: { ...sde, solver_type: "heun" },
    kDiffusion: "dpmpp_2m_sde_heun",
  },
  kDiffusion("dpmpp_3m_sde", "DPM++ 3M SDE"),
  kDiffusion("dpmpp_sde", "DPM++ SDE"),
  kDiffusion("dpmpp_2s_ancestral", "DPM++ 2S a", "DPM++ 2S ancestral"),
  { names: ["DPM Solver SDE"], className: "DPMSolverSDEScheduler" },
  { names: ["DPM++ 2S", "DPM Solver singlestep"], className: "DPMSolverSinglestepScheduler" },
  {
    names: ["UniPC"],
    className: "UniPCMultistepScheduler",
    config: { solver_type: "bh1", solver_order: 3, final_sigmas_type: "sigma_min" },
  },
  { names: ["uni_pc_bh2"], className: "UniPCMultistepScheduler", config: { solver_order: 3 } },
  { names: ["UniPC multistep"], className: "UniPCMultistepScheduler" },
  { names: ["DDIM"], className: "DDIMScheduler" },
  { names: ["DDPM"], className: "DDPMScheduler" },
  { names: ["PLMS"], className: "PNDMScheduler", config: { skip_prk_steps: true } },
  { names: ["PNDM"], className: "PNDMScheduler" },
  { names: ["DEIS"], className: "DEISMultistepScheduler", config: { solver_order: 3 } },
  { names: ["DEIS multistep"], className: "DEISMultistepScheduler" },
  {
    names: ["SA Solver"],
    className: "SASolverScheduler",
    config: { predictor_order: 3, corrector_order: 4 },
  },
  { names: ["LCM"], className: "LCMScheduler", flowClassName: "FlowMatchLCMScheduler" },
  { names: ["TCD"], className: "TCDScheduler" },
  kDiffusion("heunpp2"),
  kDiffusion("exp_heun_2_x0"),
  kDiffusion("exp_heun_2_x0_sde"),
  kDiffusion("ipndm"),
  kDiffusion("ipndm_v"),
  kDiffusion("res_multistep"),
  kDiffusion("res_multistep_ancestral"),
  kDiffusion("gradient_estimation"),
  kDiffusion("er_sde"),
  kDiffusion("seeds_2"),
  kDiffusion("seeds_3"),
  {
    names: ["Flow match Euler", "Flow match Euler discrete"],
    className: "FlowMatchEulerDiscreteScheduler",
  },
  { names: ["Flow match Heun", "Flow match Heun discrete"], className: "FlowMatchHeunDiscreteScheduler" },
];

/** A sampler that KDiffusionScheduler alone has, by its name there and others. */
function kDiffusion(sampler: SamplerName, ...names: readonly string[]): Sampler {
  const all = names.length > 0 ? names : [sampler];
  return { names: all, className: "KDiffusionScheduler", config: { sampler }, kDiffusion: sampler };
}

/** Those of docs/schedulers.md, and what A1111's API and InvokeAI put behind a name for Karras. */
export const spreadNames: readonly SpreadName[] = [
  { names: ["Uniform", "normal"], config: { timestep_spacing: "linspace" }, schedule: "normal" },
  { names: ["Karras", "ka", "k"], config: { use_karras_sigmas: true }, schedule: "karras" },
  { names: ["Exponential"], config: { use_exponential_sigmas: true }, schedule: "exponential" },
  { names: ["SGM Uniform"], config: { timestep_spacing: "trailing" }, schedule: "sgm_uniform" },
  { names: ["Simple"], config: { timestep_spacing: "trailing" }, schedule: "simple" },
  {
    names: ["ddim_uniform", "DDIM"],
    config: { timestep_spacing: "leading", steps_offset: 1 },
    schedule: "ddim_uniform",
  },
  { names: ["Beta"], config: { use_beta_sigmas: true }, schedule: "beta" },
  { names: ["KL Optimal"], schedule: "kl_optimal" },
  { names: ["Linear quadratic"], schedule: "linear_quadratic" },
  { names: ["Align Your Steps SD1", "AYS SD1"], schedule: "align_your_steps_sd1" },
  { names: ["Align Your Steps SDXL", "AYS SDXL"], schedule: "align_your_steps_sdxl" },
  { names: ["Align Your Steps SVD", "AYS SVD"], schedule: "align_your_steps_svd" },
  { names: ["GITS"], schedule: "gits" },
  { names: ["Polyexponential"], schedule: "polyexponential" },
  { names: ["VP"], schedule: "vp" },
];

/** A name without what its writers differ in: "DPM++ 2M Karras", "dpmpp_2m-karras" and "k_dpmpp_2m_karras". */
export function plainName(name: string): string {
  return name.trim().toLowerCase().replace(/^(sample|k)[_\s-]+/, "").replaceAll("+", "p")
    .replace(/[_\s-]gpu$/, "").replace(/[^a-z0-9]/g, "").replace(/scheduler$/, "").replace(/^kdpm2/, "dpm2");
}
