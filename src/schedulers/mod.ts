/** Schedulers: which noise levels to visit, and the step from one to the next. @module */
export * from "./classes.ts";
export { type AlphaConfig, AlphaScheduler } from "./alpha_scheduler.ts";
export type { BetaConfig, BetaSchedule } from "./betas.ts";
export type { SchedulerSource } from "./config.ts";
export type { ClippedConfig, DPMSolverConfig, DPMSolverStepOptions } from "./dpm_solver.ts";
export type { DPMSolverMethod, StepWeights } from "./dpm_weights.ts";
export { type EDMConfig, EDMScheduler } from "./edm_scheduler.ts";
export type { ChurnOptions } from "./euler.ts";
export type { AncestralStep } from "./euler_ancestral.ts";
export {
  type FlowConfig,
  type FlowLevelsConfig,
  FlowLevelsScheduler,
  FlowScheduler,
  isFlow,
} from "./flow_match.ts";
export type { DistilledConfig, DistilledOptions } from "./lcm.ts";
export { expectOfFlows, misfits, type SchedulerUse } from "./misfits.ts";
export type { PredictionType, ThresholdConfig } from "./model_output.ts";
export { type NamedScheduler, type SchedulerClass, schedulerClasses, schedulerNamed } from "./named.ts";
export { Scheduler, type SchedulerState } from "./scheduler.ts";
export type { NoiseWeights, StepOptions, StepOutput } from "./step.ts";
export {
  SigmaScheduler,
  type SigmaSchedulerConfig,
  type VarianceExplodingConfig,
} from "./sigma_scheduler.ts";
export { type Call, PlannedScheduler, type StepNoise } from "./planned_scheduler.ts";
export {
  SIGMA_SCHEDULES,
  sigmaSchedule,
  type SigmaScheduleName,
  type SigmaScheduleOptions,
} from "./sigma_schedules.ts";
export type { Evaluation, SamplerSettings, Step } from "./k_diffusion/plan.ts";
export {
  type DpmAdaptiveOptions,
  type DpmAdaptiveResult,
  sampleDpmAdaptive,
} from "./k_diffusion/dpm_adaptive.ts";
export { type SamplerName, SAMPLERS } from "./k_diffusion/samplers.ts";
export type { FinalSigmas, Levels, NoiseLevel, SigmaConfig, SigmaTable } from "./sigmas.ts";
export { type SolverConfig, type SolverLevelsConfig, SolverScheduler } from "./solver_scheduler.ts";
export { UNBUILT, whyUnbuilt } from "./unbuilt.ts";
export type { Schedule, TimestepConfig, TimestepSpacing } from "./timesteps.ts";
export type { Progress } from "../io/hub/resolve_repo.ts";
export type { SingleFileOptions } from "../io/single_file/options.ts";
