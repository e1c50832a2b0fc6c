import { DDIMScheduler } from "./ddim.ts";
import { DDPMScheduler } from "./ddpm.ts";
import { isFlow } from "./flow_match.ts";
import { HeunDiscreteScheduler } from "./heun.ts";
import { LCMScheduler } from "./lcm.ts";
import { SASolverScheduler } from "./sa_solver.ts";
import type { Scheduler } from "./scheduler.ts";

/** The use that a scheduler is meant for. */
export interface SchedulerUse {
  /** True where the model predicts the velocity of a flow, as FLUX does, instead of noise. */
  readonly flow: boolean;
  /** True where it works in the latent space of a VAE instead of on pixels in [-1, 1]. */
  readonly latents: boolean;
}

/** The classes that keep x̂_0 within bounds where clip_sample says so. */
const CLIPPING = [DDPMScheduler, DDIMScheduler, LCMScheduler, HeunDiscreteScheduler];

/** Why a scheduler would draw badly with a model, a line for each reason; none where it fits. */
export function misfits(scheduler: Scheduler, { flow, latents }: SchedulerUse): string[] {
  const { name } = scheduler.constructor;
  const config = scheduler.config as { clip_sample?: boolean; thresholding?: boolean };
  const lines: string[] = [];
  if (flow && !isFlow(scheduler)) {
    lines.push(
      `${name} does not fit: it is for models that predict noise, this one predicts the velocity of a flow; ` +
        "the picture will be noise; take FlowMatchEulerDiscreteScheduler, or a solver with use_flow_sigmas",
    );
  }
  if (!flow && isFlow(scheduler)) {
    lines.push(
      `${name} does not fit: it is for models that predict the velocity of a flow, this one predicts noise; ` +
        "the picture will be noise; take EulerDiscreteScheduler or another",
    );
  }
  const clips = config.clip_sample && CLIPPING.some((type) => scheduler instanceof type);
  const key = config.thresholding ? "thresholding" : clips ? "clip_sample" : undefined;
  if (latents && key) {
    lines.push(
      `${name} does not fit as it is: its ${key} keeps pictures within ±1, but these are latents, which are ` +
        `larger; set ${key} to false in its config`,
    );
  }
  return lines;
}

const SERVING =
  "FlowMatchEulerDiscreteScheduler, or a solver with use_flow_sigmas, such as DPM++ 2M, UniPC or DEIS";

/** Throws for schedulers that cannot follow a flow, or not by the shift for each picture's size that the config has. */
export function expectOfFlows(scheduler: Scheduler): void {
  const refuse = (expected: string, got: string) => {
    const { name } = scheduler.constructor;
    throw new TypeError(`Cannot draw with ${name}: expected ${expected}, got ${got}; take ${SERVING}`);
  };
  if (!isFlow(scheduler)) refuse("a scheduler for flows", "one for noise");
  const { use_dynamic_shifting } = scheduler.config as { use_dynamic_shifting?: boolean };
  if (use_dynamic_shifting && scheduler instanceof SASolverScheduler) {
    refuse(
      "one that takes a shift for each picture's size, as use_dynamic_shifting says",
      "one of flow_shift alone",
    );
  }
}
