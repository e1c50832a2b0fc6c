import { samplers, type SpreadName, spreadNames } from "./names.ts";
import type { Scheduler } from "./scheduler.ts";

/** A scheduler by A1111's names. */
export interface SamplerNames {
  /** The sampler's, or another program's where A1111 has none. */
  readonly sampler: string;
  /** That of the spread of its steps, where it has one. */
  readonly schedule: string | undefined;
}

/** The names of a scheduler, by its class and config; undefined for one that no program calls otherwise. */
export function samplerNamesOf({ constructor: { name }, config }: Scheduler): SamplerNames | undefined {
  const has = (keys: Readonly<Record<string, unknown>> = {}) =>
    Object.entries(keys).every(([key, value]) => (config as Record<string, unknown>)[key] === value);
  const [best] = samplers.filter((sampler) =>
    (sampler.className === name || sampler.flowClassName === name) && has(sampler.config) ||
    name === "KDiffusionScheduler" && sampler.kDiffusion !== undefined && has({ sampler: sampler.kDiffusion })
  ).toSorted((a, b) => keysOf(b.config) - keysOf(a.config));
  const isSpread = ({ schedule, config = {} }: SpreadName) =>
    name === "KDiffusionScheduler"
      ? has({ sigma_schedule: schedule })
      : Object.keys(config).some((key) => key.startsWith("use_")) && has(config);
  return best && { sampler: best.names[0]!, schedule: spreadNames.find(isSpread)?.names[0] };
}

function keysOf(config: object = {}): number {
  return Object.keys(config).length;
}
