/** Schedulers: which noise levels to visit, and the step from one to the next. @module */
export { AlphaScheduler } from "./alpha_scheduler.ts";
export { type SchedulerClass, schedulerClasses } from "./classes.ts";
export type { BetaConfig, BetaSchedule } from "./betas.ts";
export type { AlphaConfig, PredictionType } from "./config.ts";
export { type DDIMConfig, DDIMScheduler, type DDIMStepOptions } from "./ddim.ts";
export { type DDPMConfig, DDPMScheduler } from "./ddpm.ts";
export { DPMSolverScheduler, type DPMSolverStepOptions } from "./dpm_solver.ts";
export type { DPMSolverMethod, StepWeights } from "./dpm_weights.ts";
export { type DEISMultistepConfig, DEISMultistepScheduler } from "./deis.ts";
export { type DPMSolverMultistepConfig, DPMSolverMultistepScheduler } from "./dpm_solver_multistep.ts";
export { type DPMSolverSinglestepConfig, DPMSolverSinglestepScheduler } from "./dpm_solver_singlestep.ts";
export type { ChurnOptions } from "./churn.ts";
export type { DistilledConfig, DistilledOptions } from "./distilled_timesteps.ts";
export { type EulerConfig, EulerDiscreteScheduler } from "./euler.ts";
export { type EulerAncestralConfig, EulerAncestralDiscreteScheduler } from "./euler_ancestral.ts";
export { type FlowMatchEulerConfig, FlowMatchEulerDiscreteScheduler } from "./flow_match_euler.ts";
export { FlowMatchHeunDiscreteScheduler } from "./flow_match_heun.ts";
export { type FlowConfig, FlowScheduler } from "./flow_scheduler.ts";
export { type HeunConfig, HeunDiscreteScheduler } from "./heun.ts";
export { KDPM2DiscreteScheduler } from "./kdpm2.ts";
export { KDPM2AncestralDiscreteScheduler } from "./kdpm2_ancestral.ts";
export { type LCMConfig, LCMScheduler } from "./lcm.ts";
export { type LMSConfig, LMSDiscreteScheduler, type LMSStepOptions } from "./lms.ts";
export { type KDPM2Config, MidpointScheduler, type Target } from "./midpoint_scheduler.ts";
export { NoiseLevelScheduler } from "./noise_level_scheduler.ts";
export { type PNDMConfig, PNDMScheduler } from "./pndm.ts";
export { type UniPCMultistepConfig, UniPCMultistepScheduler } from "./unipc.ts";
export type { UniPCMethod } from "./unipc_weights.ts";
export type { Level } from "./level.ts";
export { misfits, type SchedulerUse } from "./misfits.ts";
export { isFlow, type NamedScheduler, schedulerNamed } from "./named.ts";
export { Memory } from "./memory.ts";
export type { FinalSigmas, SigmaConfig, SigmaTable } from "./sigmas.ts";
export { SolverScheduler, type Spread } from "./solver_scheduler.ts";
export type { DPMSolverConfig, SolverConfig } from "./solver_config.ts";
export {
  type Schedule,
  Scheduler,
  type SchedulerSource,
  type SchedulerState,
  type StepOptions,
  type StepOutput,
} from "./scheduler.ts";
export type { ThresholdConfig } from "./threshold.ts";
export { type Levels, SigmaScheduler, type VarianceExplodingConfig } from "./sigma_scheduler.ts";
export { TCDScheduler, type TCDStepOptions, type TCDStepOutput } from "./tcd.ts";
export type { TimestepConfig, TimestepSpacing } from "./timesteps.ts";
export type { Progress } from "../io/hub/resolve_repo.ts";
export type { SingleFileOptions } from "../io/single_file/options.ts";
