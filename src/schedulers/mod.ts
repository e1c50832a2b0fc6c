/** Schedulers: which noise levels to visit, and the step from one to the next. @module */
export { AlphaScheduler } from "./alpha_scheduler.ts";
export { type SchedulerClass, schedulerClasses } from "./classes.ts";
export type { BetaConfig, BetaSchedule } from "./betas.ts";
export type { AlphaConfig, PredictionType } from "./config.ts";
export { type DDIMConfig, DDIMScheduler, type DDIMStepOptions } from "./ddim.ts";
export { type DDPMConfig, DDPMScheduler } from "./ddpm.ts";
export { Scheduler, type SchedulerSource, type StepOptions, type StepOutput } from "./scheduler.ts";
export type { TimestepConfig, TimestepSpacing } from "./timesteps.ts";
export type { Progress } from "../io/hub.ts";
