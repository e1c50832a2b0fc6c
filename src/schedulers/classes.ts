import { DDIMScheduler } from "./ddim.ts";
import { DDPMScheduler } from "./ddpm.ts";
import { DEISMultistepScheduler } from "./deis.ts";
import { DPMSolverMultistepScheduler } from "./dpm_solver_multistep.ts";
import { DPMSolverSinglestepScheduler } from "./dpm_solver_singlestep.ts";
import { EulerDiscreteScheduler } from "./euler.ts";
import { EulerAncestralDiscreteScheduler } from "./euler_ancestral.ts";
import { HeunDiscreteScheduler } from "./heun.ts";
import { KDPM2DiscreteScheduler } from "./kdpm2.ts";
import { KDPM2AncestralDiscreteScheduler } from "./kdpm2_ancestral.ts";
import { LMSDiscreteScheduler } from "./lms.ts";
import { LCMScheduler } from "./lcm.ts";
import { TCDScheduler } from "./tcd.ts";
import { FlowMatchEulerDiscreteScheduler } from "./flow_match_euler.ts";
import { FlowMatchHeunDiscreteScheduler } from "./flow_match_heun.ts";
import { PNDMScheduler } from "./pndm.ts";
import type { Scheduler, SchedulerSource } from "./scheduler.ts";
import { UniPCMultistepScheduler } from "./unipc.ts";

/** A scheduler's class, where it does not matter which. */
export interface SchedulerClass {
  /** Reads a config from a folder or a repository. */
  fromPretrained(pathOrRepo: string, source?: SchedulerSource): Promise<Scheduler>;
  /** Takes over another scheduler's config. */
  fromConfig(config: object, overrides?: Record<string, unknown>): Scheduler;
}

/** Every scheduler, by the name that configs and model_index.json use. */
export const schedulerClasses: Readonly<Record<string, SchedulerClass>> = {
  DDPMScheduler: DDPMScheduler as unknown as SchedulerClass,
  DDIMScheduler: DDIMScheduler as unknown as SchedulerClass,
  PNDMScheduler: PNDMScheduler as unknown as SchedulerClass,
  UniPCMultistepScheduler: UniPCMultistepScheduler as unknown as SchedulerClass,
  DPMSolverMultistepScheduler: DPMSolverMultistepScheduler as unknown as SchedulerClass,
  DPMSolverSinglestepScheduler: DPMSolverSinglestepScheduler as unknown as SchedulerClass,
  DEISMultistepScheduler: DEISMultistepScheduler as unknown as SchedulerClass,
  EulerDiscreteScheduler: EulerDiscreteScheduler as unknown as SchedulerClass,
  EulerAncestralDiscreteScheduler: EulerAncestralDiscreteScheduler as unknown as SchedulerClass,
  HeunDiscreteScheduler: HeunDiscreteScheduler as unknown as SchedulerClass,
  KDPM2DiscreteScheduler: KDPM2DiscreteScheduler as unknown as SchedulerClass,
  KDPM2AncestralDiscreteScheduler: KDPM2AncestralDiscreteScheduler as unknown as SchedulerClass,
  LMSDiscreteScheduler: LMSDiscreteScheduler as unknown as SchedulerClass,
  LCMScheduler: LCMScheduler as unknown as SchedulerClass,
  TCDScheduler: TCDScheduler as unknown as SchedulerClass,
  FlowMatchEulerDiscreteScheduler: FlowMatchEulerDiscreteScheduler as unknown as SchedulerClass,
  FlowMatchHeunDiscreteScheduler: FlowMatchHeunDiscreteScheduler as unknown as SchedulerClass,
};
