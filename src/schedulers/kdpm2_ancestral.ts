import { ancestral } from "./ancestral.ts";
import { MidpointScheduler, type Target } from "./midpoint_scheduler.ts";

/** DPM-Solver-2 with new noise at each step, "DPM2 a" (k-diffusion's sample_dpm_2_ancestral). */
export class KDPM2AncestralDiscreteScheduler extends MidpointScheduler {
  /** Below the next σ, and up again. */
  protected override target(sigma: number, next: number): Target {
    return ancestral(sigma, next);
  }
}
