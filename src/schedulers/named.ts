import { nearest } from "../core/error.ts";
import * as classes from "./classes.ts";
import type { SchedulerSource } from "./config.ts";
import { FlowScheduler, isFlow } from "./flow_match.ts";
import { expectOfFlows } from "./misfits.ts";
import { plainName, type Sampler, samplers, type SpreadName, spreadNames } from "./names.ts";
import type { Scheduler } from "./scheduler.ts";
import { whyUnbuilt, whyUnbuiltSampler } from "./unbuilt.ts";

/** A scheduler's class, where it does not matter which. */
export interface SchedulerClass {
  /** Reads a config from a folder or a repository. */
  fromPretrained(pathOrRepo: string, source?: SchedulerSource): Promise<Scheduler>;
  /** Takes over another scheduler's config. */
  fromConfig(config: object, overrides?: Record<string, unknown>): Scheduler;
}

/** Every scheduler, by the name that configs and model_index.json use. */
export const schedulerClasses: Readonly<Record<string, SchedulerClass>> = {
  ...classes as unknown as Record<string, SchedulerClass>,
};

type Config = NamedScheduler["config"];

/** A scheduler that was asked for by a name. */
export interface NamedScheduler {
  /** Its class: a key of `schedulerClasses`. */
  readonly className: string;
  /** The keys of its config that differ from the model's own scheduler. */
  readonly config: Readonly<Record<string, unknown>>;
  /**
   * The scheduler itself, with the rest of its config from the model's own. For a model of a flow "euler" and
   * "heun" are the classes for flows, and the solvers get `use_flow_sigmas`; those that follow none are refused.
   */
  from(own: Scheduler): Scheduler;
}

/**
 * A scheduler by its class, or by a name that it has elsewhere, however that is written, with a spread of the
 * steps behind it: "EulerDiscreteScheduler", "euler a", "dpmpp_2m", "DPM++ 2M Karras". docs/schedulers.md has
 * them all. Throws a TypeError with the nearest name where there is none, and where the class does not know
 * the spread.
 *
 * ```ts ignore
 * pipeline.parts.scheduler = schedulerNamed("DPM++ 2M Karras").from(pipeline.parts.scheduler);
 * ```
 */
export function schedulerNamed(name: string): NamedScheduler {
  if (Object.hasOwn(schedulerClasses, name)) return named(name, { names: [], className: name });
  const wanted = plainName(name);
  for (const sampler of samplers) {
    for (const front of sampler.names.map(plainName)) {
      if (wanted === front) return named(name, sampler);
      const spread = spreadNames.find(({ names }) => names.some((end) => wanted === front + plainName(end)));
      if (spread) return named(name, sampler, spread);
    }
  }
  const reason = whyUnbuilt(name) ?? whyUnbuiltSampler(wanted);
  if (reason) throw new TypeError(`Cannot draw with ${name}: it is not built, as ${reason}`);
  throw new TypeError(
    `Cannot find the scheduler "${name}": expected a class or a name of docs/schedulers.md, got neither; ` +
      `did you mean "${nearestName(wanted)}"?`,
  );
}

function named(name: string, sampler: Sampler, spread?: SpreadName): NamedScheduler {
  const { className, config } = withSpread(name, sampler, spread);
  return {
    className,
    config,
    from(own) {
      const flow = isFlow(own);
      const { className, config } = withSpread(name, flow ? ofFlow(sampler, spread) : sampler, spread);
      if (flow && spread) expectOfFlow(name, spread, className);
      const overrides = { ...alone(config), ...flow ? flowConfig(className, own) : {}, ...config };
      const made = schedulerClasses[className]!.fromConfig(own.config, overrides);
      if (flow) expectOfFlows(made);
      return made;
    },
  };
}

/**
 * A sampler by its class for models of flows: that of its own, or KDiffusionScheduler where the other is for noise alone,
 * or spreads the steps over levels of noise, which lie outside a flow's.
 */
function ofFlow(sampler: Sampler, spread?: SpreadName): Sampler {
  const { className, flowClassName, kDiffusion } = sampler;
  if (flowClassName) return { ...sampler, className: flowClassName };
  if (!kDiffusion || knows(className, "use_flow_sigmas") && !spread) return sampler;
  return { ...sampler, className: "KDiffusionScheduler", config: { sampler: kDiffusion } };
}

/** Spreads that are lists of σ of models of noise, which begin far over 1, where flows do. */
const OF_NOISE = /^(?:align_your_steps_\w+|gits|vp)$/;

/** Throws for spreads whose σ, in this class, are not a flow's: over 1 its α is below 0, and pictures are NaN. */
function expectOfFlow(name: string, { schedule, config = {} }: SpreadName, className: string): void {
  const refuse = (expected: string, got: string) => {
    throw new TypeError(
      `Cannot take the scheduler "${name}" for a model of flows: expected ${expected}, got ${got}; ` +
        "leave the end of the name out",
    );
  };
  if (OF_NOISE.test(schedule)) refuse("σ up to 1", `those of "${schedule}" for noise`);
  const key = Object.keys(config).find((key) => SPREADS.includes(key));
  const isSolver = className !== "KDiffusionScheduler" && knows(className, "use_flow_sigmas");
  const brings = className === "UniPCMultistepScheduler" && key === "use_karras_sigmas"; // them to a flow's, as in diffusers
  if (key && isSolver && !brings) refuse(`a class that knows ${key} of flows`, className);
}

/** A class and its keys for a sampler with a spread: KDiffusionScheduler where the class that is meant does not know it. */
function withSpread(
  name: string,
  { className, config = {}, kDiffusion }: Sampler,
  spread: SpreadName | undefined,
): { className: string; config: Config } {
  if (!spread) return { className, config };
  const knowsSpread = spread.config && Object.keys(spread.config).every((key) => knows(className, key));
  if (knowsSpread && className !== "KDiffusionScheduler") {
    return { className, config: { ...config, ...spread.config } };
  }
  if (kDiffusion) {
    return {
      className: "KDiffusionScheduler",
      config: { sampler: kDiffusion, sigma_schedule: spread.schedule },
    };
  }
  const wanted = spread.config ? Object.keys(spread.config)[0] : `the schedule "${spread.schedule}"`;
  throw new TypeError(
    `Cannot take the scheduler "${name}": expected a class that knows ${wanted}, got ${className}; ` +
      "leave the end of the name out",
  );
}

/** The keys of another class of scheduler for the flow that `own` describes. */
function flowConfig(className: string, own: Scheduler): Config {
  if (own instanceof FlowScheduler) {
    if (!knows(className, "use_flow_sigmas")) return {};
    return { use_flow_sigmas: true, prediction_type: "flow_prediction", flow_shift: own.config.shift };
  }
  return knows(className, "shift") ? { shift: (own.config as Config)["flow_shift"] } : {};
}

const SPREADS = ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"];

/** A spread with those that it replaces turned off. */
function alone(config: Config): Config {
  if (!SPREADS.some((key) => key in config)) return {};
  return Object.fromEntries(SPREADS.map((key) => [key, false]));
}

function knows(className: string, key: string): boolean {
  return Object.hasOwn(schedulerClasses[className]!.fromConfig({}).config, key);
}

/** The class, sampler, or sampler with a spread, that is written most like it. */
function nearestName(wanted: string): string {
  const classes = Object.keys(schedulerClasses);
  const shown = samplers.map(({ names }) => names[0]!);
  const all = [
    ...classes.map((name) => [name.toLowerCase(), name] as const),
    ...shown.flatMap((name) => spreadNames.map(({ names: [end] }) => `${name} ${end}`)).map(byPlain),
    ...shown.map(byPlain),
  ];
  const names = new Map(all);
  return names.get(nearest(wanted, names.keys())!)!;
}

function byPlain(name: string): readonly [string, string] {
  return [plainName(name), name];
}
