/** A sampler by the names that it has elsewhere. */
export interface Sampler {
  /** A1111's, ComfyUI's, k-diffusion's, InvokeAI's; how they are written does not matter to `plain`. */
  readonly names: readonly string[];
  /** Its class, a key of `schedulerClasses`. */
  readonly className: string;
  /** The keys of its config that differ from the class's defaults. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The class of the same method for models of flows, where that is another one. */
  readonly flowClassName?: string;
}

/** A spread of the steps over the noise by its names elsewhere, where it is the end of a sampler's name. */
export interface SpreadName {
  /** As in `Sampler`. */
  readonly names: readonly string[];
  /** The keys that it sets. */
  readonly config: Readonly<Record<string, unknown>>;
}

const sde = { algorithm_type: "sde-dpmsolver++" };

/** Those of docs/schedulers.md, in its order; its test compares them. */
export const samplers: readonly Sampler[] = [
  {
    names: ["Euler", "Euler Discrete"],
    className: "EulerDiscreteScheduler",
    flowClassName: "FlowMatchEulerDiscreteScheduler",
  },
  {
    names: ["Euler a", "Euler ancestral", "Euler ancestral discrete"],
    className: "EulerAncestralDiscreteScheduler",
  },
  {
    names: ["Heun", "Heun Discrete"],
    className: "HeunDiscreteScheduler",
    flowClassName: "FlowMatchHeunDiscreteScheduler",
  },
  { names: ["DPM2", "KDPM2", "KDPM2 Discrete"], className: "KDPM2DiscreteScheduler" },
  {
    names: ["DPM2 a", "DPM2 ancestral", "KDPM2 a", "KDPM2 ancestral", "KDPM2 ancestral discrete"],
    className: "KDPM2AncestralDiscreteScheduler",
  },
  { names: ["LMS", "LMS Discrete"], className: "LMSDiscreteScheduler" },
  {
    names: ["DPM++ 2M", "DPM++", "DPM Solver++", "DPM Solver multistep"],
    className: "DPMSolverMultistepScheduler",
  },
  { names: ["DPM++ 2M SDE"], className: "DPMSolverMultistepScheduler", config: sde },
  {
    names: ["DPM++ 2M SDE Heun"],
    className: "DPMSolverMultistepScheduler",
    config: { ...sde, solver_type: "heun" },
  },
  { names: ["DPM++ 3M SDE"], className: "DPMSolverMultistepScheduler", config: { ...sde, solver_order: 3 } },
  { names: ["DPM++ SDE"], className: "DPMSolverSinglestepScheduler", config: sde },
  {
    names: ["DPM++ 2S a", "DPM++ 2S ancestral", "DPM++ 2S", "DPM Solver singlestep"],
    className: "DPMSolverSinglestepScheduler",
  },
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
  {
    names: ["Flow match Euler", "Flow match Euler discrete"],
    className: "FlowMatchEulerDiscreteScheduler",
  },
  { names: ["Flow match Heun", "Flow match Heun discrete"], className: "FlowMatchHeunDiscreteScheduler" },
];

/** Those of docs/schedulers.md, and what A1111's API and InvokeAI put behind a name for Karras. */
export const spreadNames: readonly SpreadName[] = [
  { names: ["Uniform", "normal"], config: { timestep_spacing: "linspace" } },
  { names: ["Karras", "ka", "k"], config: { use_karras_sigmas: true } },
  { names: ["Exponential"], config: { use_exponential_sigmas: true } },
  { names: ["SGM Uniform"], config: { timestep_spacing: "trailing" } },
  { names: ["Simple"], config: { timestep_spacing: "trailing" } },
  { names: ["ddim_uniform", "DDIM"], config: { timestep_spacing: "leading", steps_offset: 1 } },
  { names: ["Beta"], config: { use_beta_sigmas: true } },
];

/** A name without what its writers differ in: "DPM++ 2M Karras", "dpmpp_2m-karras" and "k_dpmpp_2m_karras". */
export function plainName(name: string): string {
  return name.trim().toLowerCase().replace(/^(sample|k)[_\s-]+/, "").replaceAll("+", "p")
    .replace(/[_\s-]gpu$/, "").replace(/[^a-z0-9]/g, "").replace(/scheduler$/, "").replace(/^kdpm2/, "dpm2");
}
