import { DDIMScheduler } from "./ddim.ts";
import { DDPMScheduler } from "./ddpm.ts";
import type { Scheduler, SchedulerSource } from "./scheduler.ts";

/** A scheduler's class, where it does not matter which. */
export interface SchedulerClass {
  /** Reads a config from a folder or a repository. */
  fromPretrained(pathOrRepo: string, source?: SchedulerSource): Promise<Scheduler>;
  /** Takes over another scheduler's config. */
  fromConfig(config: object): Scheduler;
}

/** Every scheduler, by the name that configs and model_index.json use. */
export const schedulerClasses: Readonly<Record<string, SchedulerClass>> = {
  DDPMScheduler: DDPMScheduler as unknown as SchedulerClass,
  DDIMScheduler: DDIMScheduler as unknown as SchedulerClass,
};
