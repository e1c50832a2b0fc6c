import { join } from "node:path/posix";
import { z } from "zod";
import { parseConfig, readJson } from "../io/config.ts";
import { neededFiles } from "../io/hub/needed_files.ts";
import { type Progress, resolveRepo } from "../io/hub/resolve_repo.ts";
import { expectLoadOptions } from "../io/load_options.ts";
import { readSingleFileScheduler } from "../io/single_file/contents.ts";
import { isSingleFile, type SingleFileOptions } from "../io/single_file/options.ts";

/** Options of fromPretrained(). */
export interface SchedulerSource extends SingleFileOptions {
  /** Folder of scheduler_config.json; where the repository has no such folder, its root is searched. */
  subfolder?: string | undefined;
  /** Branch, tag or commit; "main" by default. */
  revision?: string | undefined;
  /** Instead of HF_TOKEN. */
  token?: string | undefined;
  /** Use what the cache holds and ask nobody. */
  localFilesOnly?: boolean | undefined;
  /** Told how far the download is. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** Reads scheduler_config.json as it is; that of a single file is its family's. */
export async function readSchedulerConfig(
  pathOrRepo: string,
  { subfolder = "scheduler", ...options }: SchedulerSource,
): Promise<Record<string, unknown>> {
  expectLoadOptions(pathOrRepo, options);
  if (isSingleFile(pathOrRepo)) return await readSingleFileScheduler(pathOrRepo, options);
  const { folder, files: [file] } = await resolveRepo(pathOrRepo, {
    ...options,
    files: (listing) => neededFiles(listing, { kind: "scheduler", subfolder }),
  });
  const path = join(folder, file!);
  return parseConfig(z.looseObject({}), await readJson(path), path);
}

const filledIn = Symbol("the defaults that a config was completed with");

/** A config that knows which of its keys are defaults. */
interface Completed {
  [filledIn]?: Record<string, unknown>;
}

/** The config as the conditions below read it: of any class. */
type AnyConfig = Readonly<Record<string, unknown>>;

const withoutBetas = ({ trained_betas, beta_schedule }: AnyConfig) =>
  Boolean(trained_betas) || ["squaredcos_cap_v2", "exp", "laplace"].includes(beta_schedule as string);

/** Conditions under which nothing reads a key, so that its null does not matter to Python. */
const whenUnread: Readonly<Record<string, (config: AnyConfig) => boolean>> = {
  beta_start: withoutBetas,
  beta_end: withoutBetas,
  beta_schedule: ({ trained_betas }) => Boolean(trained_betas),
  steps_offset: ({ timestep_spacing }) => timestep_spacing !== "leading",
  clip_sample_range: ({ clip_sample, thresholding }) => !clip_sample || Boolean(thresholding),
  dynamic_thresholding_ratio: ({ thresholding }) => !thresholding,
  flow_shift: ({ use_flow_sigmas }) => !use_flow_sigmas,
  shift: ({ use_dynamic_shifting }) => Boolean(use_dynamic_shifting),
  time_shift_type: ({ use_dynamic_shifting, use_flow_sigmas }) =>
    !use_dynamic_shifting || use_flow_sigmas === false,
};

/** Checks and completes a config. A key may be null where the rest of the config says that nothing reads it. */
export function completeConfig<C extends object>(
  schema: z.ZodType<C>,
  given: Record<string, unknown>,
  where: string,
): C {
  const nulls = Object.keys(whenUnread).filter((key) => given[key] === null);
  const said = Object.fromEntries(Object.entries(given).filter(([key]) => !nulls.includes(key)));
  const config = parseConfig(schema, said, where);
  const read = nulls.filter((key) => Object.hasOwn(config, key) && !whenUnread[key]!(config as AnyConfig));
  if (read.length === 0) return config;
  return parseConfig(schema, { ...said, ...Object.fromEntries(read.map((key) => [key, null])) }, where);
}

/**
 * The keys of a config that somebody gave. The others were defaults of the class that completed it, and
 * another class has its own: diffusers drops them likewise (`_use_default_values`). A key that was changed
 * since counts as given.
 */
export function givenKeys(config: object & Completed): Record<string, unknown> {
  const defaults = config[filledIn] ?? {};
  return Object.fromEntries(
    Object.entries(config).filter(([key, value]) =>
      value !== undefined && !(Object.hasOwn(defaults, key) && defaults[key] === value)
    ),
  );
}

/** Marks which keys of a completed config were not given. The mark survives `{ ...config }`. */
export function markDefaults<C extends object>(config: C, given: Record<string, unknown>): C {
  const defaults = Object.fromEntries(Object.entries(config).filter(([key]) => !Object.hasOwn(given, key)));
  return { ...config, [filledIn]: defaults };
}

/**
 * The schema of a key with few values, the first by default. Configs of other solvers have values of their own
 * for it, which `otherNames` maps to these.
 */
export function choice<const T extends string>(
  values: readonly [T, ...T[]],
  otherNames: Readonly<Record<string, T>>,
): z.ZodType<T> {
  const translate = (value: unknown) => otherNames[value as string] ?? value;
  return z.preprocess(translate, z.enum(values).default(values[0])) as unknown as z.ZodType<T>;
}
