import { MidpointScheduler, type Target } from "./midpoint_scheduler.ts";

/** DPM-Solver-2 of Karras et al. 2022, "DPM2" (k-diffusion's sample_dpm_2). */
export class KDPM2DiscreteScheduler extends MidpointScheduler {
  /** Straight to the next σ. */
  protected override target(_sigma: number, next: number): Target {
    return { down: next, up: 0 };
  }
}
