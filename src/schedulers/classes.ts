// A line for each scheduler: `schedulerClasses`, the package's exports and the conformance runner follow from it.
export { type CMStochasticIterativeConfig, CMStochasticIterativeScheduler } from "./consistency.ts";
export { type DDIMConfig, DDIMScheduler, type DDIMStepOptions } from "./ddim.ts";
export { type DDIMInverseConfig, DDIMInverseScheduler } from "./ddim_inverse.ts";
export { type DDPMConfig, DDPMScheduler } from "./ddpm.ts";
export { type DEISMultistepConfig, DEISMultistepScheduler } from "./deis.ts";
export { type DPMSolverMultistepConfig, DPMSolverMultistepScheduler } from "./dpm_solver.ts";
export { type DPMSolverSinglestepConfig, DPMSolverSinglestepScheduler } from "./dpm_solver.ts";
export {
  type DPMSolverSDEConfig,
  DPMSolverSDEScheduler,
  type DPMSolverSDEStepOptions,
} from "./dpm_solver_sde.ts";
export { type EDMDPMSolverMultistepConfig, EDMDPMSolverMultistepScheduler } from "./edm_dpm_solver.ts";
export { type EDMEulerConfig, EDMEulerScheduler } from "./edm_euler.ts";
export { type EulerConfig, EulerDiscreteScheduler } from "./euler.ts";
export { type EulerAncestralConfig, EulerAncestralDiscreteScheduler } from "./euler_ancestral.ts";
export { type FlowMatchEulerConfig, FlowMatchEulerDiscreteScheduler } from "./flow_match.ts";
export { FlowMatchHeunDiscreteScheduler } from "./flow_match.ts";
export { type FlowMatchLCMConfig, FlowMatchLCMScheduler } from "./flow_match_lcm.ts";
export { type HeunConfig, HeunDiscreteScheduler } from "./heun.ts";
export { type IPNDMConfig, IPNDMScheduler } from "./ipndm.ts";
export { KDPM2AncestralDiscreteScheduler, type KDPM2Config, KDPM2DiscreteScheduler } from "./kdpm2.ts";
export { type KDiffusionConfig, KDiffusionScheduler } from "./k_diffusion.ts";
export { type LCMConfig, LCMScheduler } from "./lcm.ts";
export { type LMSConfig, LMSDiscreteScheduler, type LMSStepOptions } from "./lms.ts";
export { type PNDMConfig, PNDMScheduler } from "./pndm.ts";
export { type SASolverConfig, SASolverScheduler } from "./sa_solver.ts";
export { TCDScheduler, type TCDStepOptions, type TCDStepOutput } from "./tcd.ts";
export { type UniPCMethod, type UniPCMultistepConfig, UniPCMultistepScheduler } from "./unipc.ts";
