import { basename, dirname, join } from "node:path/posix";
import { z } from "zod";
import { parseConfig, readJson } from "../config.ts";
import { quote } from "../files/errors.ts";
import { parseJson } from "../files/json.ts";
import { isFile } from "../hub/cache.ts";
import { unwrapped } from "../names/lora.ts";

/** A value for the layers whose names a pattern is of. */
interface Pattern {
  readonly expression: RegExp;
  readonly value: number;
}

const patterns = z.record(z.string(), z.number()).transform((all): readonly Pattern[] =>
  Object.entries(all).map(([pattern, value]) => ({ expression: expressionOf(pattern), value }))
);

/** The config that peft writes beside an adapter, or diffusers into its header. */
const schema = z.looseObject({
  peft_type: z.string().nullish(),
  lora_alpha: z.number().nullish(),
  /** The same of LoHa and LoKr. */
  alpha: z.number().nullish(),
  r: z.number().nullish(),
  /** Alphas and ranks of layers whose names end so: by regular expressions. */
  alpha_pattern: patterns.nullish(),
  rank_pattern: patterns.nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
  /** Ends of names of modules that the file has as a whole, under their own names. */
  modules_to_save: z.array(z.string()).nullish(),
  /** The file has biases of the model: of adapted layers, or "all". */
  bias: z.string().nullish(),
  // of OFT
  use_cayley_neumann: z.boolean().nullish(),
  num_cayley_neumann_terms: z.int().min(1).max(64).nullish(),
  block_share: z.boolean().nullish(),
  coft: z.boolean().nullish(),
});

/** The values of such a config. */
export type PeftConfig = z.output<typeof schema>;

/** Kinds of adapters that are built, as peft_type names them. */
const TYPES = ["LORA", "LOHA", "LOKR", "OFT"];

/** Options of peft that change what is computed, and are not built. */
const UNBUILT = [
  "use_qalora",
  "use_bdlora",
  "alora_invocation_tokens",
  "arrow_config",
  "kasa_config",
  "monteclora_config",
  "layer_replication",
  "trainable_token_indices",
  "target_parameters",
];

/** Ways to begin a training that change the weights of the model, so that the adapter fits only these. */
const CHANGING = /^(?:pissa|corda|olora|loftq|lora_ga)/i;

const CONFIG = "adapter_config.json";

/** True for the files that peft writes, which have their config beside them. */
export function isPeftFile(path: string): boolean {
  return /^adapter_model\./.test(basename(path));
}

/** The path that the config beside a file of peft has. */
export function configBeside(path: string): string {
  return join(dirname(path), CONFIG);
}

/** The name of the config beside a file of peft, if a listing has it. */
export function adapterConfigOf(listing: readonly string[], path: string): string[] {
  const config = configBeside(path);
  return isPeftFile(path) && listing.includes(config) ? [config] : [];
}

/** Reads the config beside a file of peft; undefined where there is none. */
export async function readAdapterConfig(path: string): Promise<PeftConfig | undefined> {
  const config = configBeside(path);
  if (!isPeftFile(path) || !await isFile(config)) return undefined;
  return expectBuilt(parseConfig(schema, await readJson(config), config), config);
}

const COMPONENTS = ["unet", "transformer", "text_encoder", "text_encoder_2"];

/** Configs in a header by component, as `unet.lora_alpha`; of a component that was saved alone, by "". */
export function readHeaderConfigs(text: string | undefined, where: string): Map<string, PeftConfig> {
  if (text === undefined) return new Map();
  const what = `the lora_adapter_metadata of ${where}`;
  const json = Object.entries(parseJson(text, what) as Record<string, unknown>);
  const configs = [...COMPONENTS, ""].map((component) => {
    const front = component && `${component}.`;
    const own = json.filter(([key]) => key.startsWith(front) && !key.slice(front.length).includes("."));
    const entries = own.map(([key, value]) => [key.slice(front.length), value]);
    return [component, expectBuilt(parseConfig(schema, Object.fromEntries(entries), what), what)] as const;
  });
  return new Map(configs.filter(([, config]) => Object.keys(config).length > 0));
}

/** Throws for kinds and options that are not built. */
function expectBuilt(config: PeftConfig, where: string): PeftConfig {
  const { peft_type: type, init_lora_weights: begin } = config;
  const refuse = (what: string, advice = "") => {
    throw new Error(`Cannot load ${where}: expected LoRA, LoHa, LoKr or OFT of peft, got ${what}${advice}`);
  };
  if (type && !TYPES.includes(type)) refuse(`${type}, which is not built`);
  const isOft = type === "OFT" || "use_cayley_neumann" in config; // its r is 0 beside a block size; headers name no type
  const ranks = isOft ? [] : [config.r, ...(config.rank_pattern ?? []).map(({ value }) => value)];
  const wrong = ranks.find((rank) =>
    !(rank === undefined || rank === null || Number.isInteger(rank) && rank > 0)
  );
  if (wrong !== undefined) {
    throw new RangeError(
      `Cannot load ${where}: expected ranks (r, rank_pattern) from 1, got ${wrong}; the config is damaged`,
    );
  }
  const odd = UNBUILT.find((name) => isSet(config[name]));
  if (odd) refuse(`one with ${odd}, which is not built`);
  if (typeof begin === "string" && CHANGING.test(begin)) {
    refuse(
      `one that began by ${quote(begin)}, which changes the model's weights`,
      "; save it with peft's path_initial_model_for_weight_conversion",
    );
  }
  return config;
}

function isSet(value: unknown): boolean {
  return !(value === undefined || value === null || value === false ||
    Object.keys(Object(value)).length === 0 && typeof value === "object");
}

/** True for a tensor of the model itself, which a training changed as a whole. */
export function isSavedWhole({ modules_to_save: modules, bias }: PeftConfig, key: string): boolean {
  const [, layer, end] = /^(.*)\.(weight|bias)$/.exec(unwrapped(key)) ?? [];
  if (layer === undefined) return false;
  if (bias === "all" && end === "bias") return true;
  const names = layer.split(".").map((_, i, all) => all.slice(0, i + 1).join("."));
  return modules?.some((module) => names.some((name) => name === module || name.endsWith(`.${module}`))) ??
    false;
}

/** The value for a layer: of the first pattern that the whole name or its end, behind a dot, is of. */
export function patternOf(
  patterns: readonly Pattern[] | null | undefined,
  layer: string,
): number | undefined {
  if (patterns?.length && layer.length > LONGEST) {
    throw new RangeError(
      `Cannot match ${
        quote(layer)
      } with the patterns of peft's config: expected names of layers of at most ` +
        `${LONGEST} letters, got ${layer.length}`,
    );
  }
  return patterns?.find(({ expression }) => expression.test(layer))?.value;
}

const LONGEST = 200; // letters of a pattern, and of the name of a layer
const RUNS = 2; // of any length: `*`, `+`, `{1,9}`; each multiplies the time by the length of the name
const REPEATS = 4; // these and `?`
const CHOICES = 8; // these, groups and alternatives

/** A pattern of Python as a regular expression; those that might take forever are refused. */
function expressionOf(pattern: string): RegExp {
  const plain = pattern.replaceAll(/\\./g, "_");
  const count = (mark: RegExp) => plain.match(mark)?.length ?? 0;
  const runs = count(/[*+]|\{\d*,\d*\}/g);
  const repeats = runs + count(/(?<!\()\?/g);
  const isShort = pattern.length <= LONGEST && runs <= RUNS && repeats <= REPEATS &&
    repeats + count(/[(|]/g) <= CHOICES;
  try {
    if (isShort && !/\)[*+{]/.test(plain)) {
      return new RegExp(`^(?:.*\\.)?(?:${pattern})$`);
    }
  } catch { /* below */ }
  throw new SyntaxError(
    `Cannot read the pattern ${
      quote(pattern)
    } of peft's config: expected a short regular expression with few repeats ` +
      "and groups, and no repeated groups",
  );
}
