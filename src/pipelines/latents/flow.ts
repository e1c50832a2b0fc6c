import { linspace } from "../../core/math.ts";
import {
  expectOfFlows,
  FlowMatchEulerDiscreteScheduler,
  type Scheduler,
  type SolverConfig,
} from "../../schedulers/mod.ts";
import { expectCount } from "../run_options.ts";

/** Options of the steps of a flow from noise to a picture. */
export interface FlowStepsOptions {
  /** Steps of the scheduler. */
  numInferenceSteps?: number | undefined;
  /** The noise levels themselves, falling from 1, instead of numInferenceSteps. */
  sigmas?: readonly number[] | undefined;
}

/** The noise levels before the scheduler shifts them: those that are given, else from 1 to 1 / N. */
export function sigmasOf(
  { sigmas, numInferenceSteps }: FlowStepsOptions,
  usualSteps: number,
): readonly number[] {
  if (sigmas && numInferenceSteps !== undefined && numInferenceSteps !== sigmas.length) {
    throw new TypeError(
      `Cannot draw in ${numInferenceSteps} steps: expected as many as sigmas, ${sigmas.length}; leave it out`,
    );
  }
  const steps = numInferenceSteps ?? usualSteps;
  if (!sigmas) expectCount("numInferenceSteps", steps);
  return sigmas ?? linspace(1, 1 / steps, steps);
}

/**
 * Sets noise levels, which the scheduler shifts: where its config says so by `mu`, which is asked for then. Throws where
 * the scheduler is not for flows.
 */
export function setFlowTimesteps(scheduler: Scheduler, sigmas: readonly number[], mu: () => number): void {
  expectOfFlows(scheduler);
  const { use_flow_sigmas, use_dynamic_shifting } = scheduler.config as Partial<SolverConfig>;
  const shift = { mu: use_dynamic_shifting ? mu() : undefined };
  scheduler.setTimesteps(use_flow_sigmas ? { steps: sigmas.length, ...shift } : { sigmas, ...shift });
}

/** The mu of dynamic shifting for a picture of so many tokens, by the scheduler's config. */
export function muFor({ config }: Scheduler, imageSeqLen: number): number {
  return FlowMatchEulerDiscreteScheduler.fromConfig(config).muFor(imageSeqLen);
}

/**
 * The timesteps that are left of `steps` where a share of a picture is replaced; as in diffusers their number is rounded up,
 * in Stable Diffusion down.
 */
export function sliceFlowByStrength(scheduler: Scheduler, strength: number, steps: number): number[] {
  if (!(strength > 0 && strength <= 1)) {
    throw new RangeError(`Cannot slice by strength: expected more than 0 and at most 1, got ${strength}`);
  }
  const start = scheduler.indexOfStep(Math.floor(steps - steps * strength));
  scheduler.setBeginIndex(start);
  return scheduler.timesteps.slice(start);
}
