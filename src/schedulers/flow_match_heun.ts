import { z } from "zod";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { CHURN_OPTIONS, churned, type ChurnOptions } from "./churn.ts";
import { doubled } from "./doubled.ts";
import { type FlowConfig, flowConfig, FlowScheduler } from "./flow_scheduler.ts";
import { checkedCount, checkedFalling, readSchedule } from "./schedule.ts";
import type { Schedule, StepOutput } from "./scheduler.ts";

const f32 = Math.fround;

const schema = z.looseObject(flowConfig);

/** Heun's method along the velocity of a flow: two model calls a step, and one for the last. */
export class FlowMatchHeunDiscreteScheduler extends FlowScheduler<FlowConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<FlowConfig> = {}) {
    super(schema, config);
  }

  /** Two model calls a step. */
  override get order(): number {
    return 2;
  }

  /**
   * Spreads so many noise levels; the model is called twice at each but the first. Or takes a list of them,
   * which FLUX's pipeline has, and shifts them as FlowMatchEulerDiscreteScheduler does; diffusers' class
   * takes none.
   */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, sigmas: chosen, mu } = readSchedule(schedule, ["steps", "sigmas", "mu"]);
    if (!chosen && mu !== undefined) {
      throw new TypeError("Cannot set timesteps with mu: expected sigmas beside it, got steps");
    }
    const T = this.config.num_train_timesteps;
    const levels = chosen
      ? checkedFalling(chosen, "sigmas", { most: 1, least: 0 }).map((sigma) => this.shiftedBy(sigma, mu))
      : this.evenSigmas(checkedCount(steps, T), (sigma) => this.shifted(sigma)).map((sigma) =>
        this.shifted(sigma)
      );
    const sigmas = levels.map(f32);
    this.timesteps = doubled(sigmas.map((sigma) => f32(sigma * T)));
    this.sigmas = [...doubled(sigmas), 0];
  }

  /**
   * One half of a step:
   * Euler's step to σ', then, from the same sample, the step by the mean of both velocities.
   */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: ChurnOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, CHURN_OPTIONS);
    const index = this.enter(t);
    const half = this.isSecondHalf(index) ? 1 : 0;
    const [sigma, next] = this.sigmas.slice(index - half) as [number, number];
    const from = churned(sample, sigma, this.sigmas.length - 1, options);
    const [at, raised] = half === 0 ? [sigma, from.sigma] as const : [next, next] as const; // without and with new noise
    const x0 = weightedSum([1, from.sample], [-at, modelOutput]);
    const derivative = from.sample.sub(x0).div(raised);
    const dt = next - from.sigma;
    if (half === 0) {
      const prevSample = weightedSum([1, from.sample], [dt, derivative]);
      this.advance([from.sample, derivative]);
      return { prevSample, predOriginalSample: x0 };
    }
    const [before, slope] = this.memory.tensors as readonly [Tensor, Tensor]; // of the first half
    const prevSample = weightedSum([1, before], [dt / 2, slope], [dt / 2, derivative]);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }
}
