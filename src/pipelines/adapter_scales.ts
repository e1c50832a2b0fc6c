import type { AdapterScale, LoraModels, Model } from "../models/mod.ts";

/** Strength of a LoRA in a step, counted from 0, of so many. */
export type ScaleSchedule = (step: number, steps: number) => AdapterScale;

/**
 * A schedule of `scale` between two parts of the steps, 0 to 1, and of 0 outside: as a ControlNet counts in diffusers, in the
 * steps that lie between them as a whole. Throws in the first of so few steps that none does.
 */
export function scaleBetween(scale: AdapterScale, from = 0, to = 1): ScaleSchedule {
  if (!(0 <= from && from < to && to <= 1)) {
    throw new RangeError(
      `Cannot scale an adapter from ${from} to ${to}: expected two parts of the steps from 0 to 1, in order`,
    );
  }
  return (step, steps) => {
    if (step === 0 && !hasStepBetween(from, to, steps)) {
      throw new RangeError(
        `Cannot scale an adapter from ${from} to ${to} of ${steps} steps: expected a whole step between them, got none; ` +
          "take more steps, or parts that are further apart",
      );
    }
    return isBetween(from, to, step, steps) ? scale : 0;
  };
}

/** True where one of so many steps lies between two parts of them as a whole. */
export function hasStepBetween(from: number, to: number, steps: number): boolean {
  for (let step = 0; step < steps; step++) if (isBetween(from, to, step, steps)) return true;
  return false;
}

function isBetween(from: number, to: number, step: number, steps: number): boolean {
  return step / steps >= from && (step + 1) / steps <= to;
}

/** Scales of a denoiser's LoRAs that change from step to step of a run. */
export class ScheduledScales {
  readonly #model: Model;
  readonly #schedules: readonly (readonly [name: string, ScaleSchedule])[];
  /** Those that are merged into weights keep their scales from step to step. */
  readonly #merged: ReadonlySet<string>;
  /** Their scales when the run began. */
  readonly #before: Readonly<Record<string, AdapterScale>>;

  /** For a run of these parts; names that no LoRA of its denoiser has are refused. */
  constructor({ unet, transformer }: LoraModels, schedules: Readonly<Record<string, ScaleSchedule>>) {
    this.#model = (unet ?? transformer)!;
    this.#schedules = Object.entries(schedules);
    const { adapters } = this.#model;
    this.#merged = new Set(this.#schedules.flatMap(([name]) => adapters.isMerged(name) ? [name] : []));
    this.#before = Object.fromEntries([...this.#merged].map((name) => [name, adapters.scales[name]!]));
    for (const [name, schedule] of this.#schedules) {
      if (typeof schedule === "function") continue;
      throw new TypeError(
        `Cannot scale adapter "${name}" in each step: expected a function of the step, got ${typeof schedule}`,
      );
    }
  }

  /** Records a step with its scales; other runs of the model do not see those of low-rank products. */
  async during<T>(step: number, steps: number, work: () => T): Promise<T> {
    const { adapters } = this.#model;
    const wanted = this.#schedules.map(([name, schedule]) => [name, schedule(step, steps)] as const);
    const merged = wanted.filter(([name]) => this.#merged.has(name));
    if (merged.length > 0) await adapters.set({ ...adapters.scales, ...Object.fromEntries(merged) });
    const before = adapters.scales;
    void adapters.set({ ...before, ...Object.fromEntries(wanted) }); // from here on nothing is awaited
    try {
      return work();
    } finally {
      void adapters.set(before);
    }
  }

  /** Gives merged adapters the scales back that they had. */
  async end(): Promise<void> {
    const { adapters } = this.#model;
    if (this.#merged.size > 0) await adapters.set({ ...adapters.scales, ...this.#before });
  }
}
