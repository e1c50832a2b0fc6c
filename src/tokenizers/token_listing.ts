import { z } from "zod";
import {
  completeToken,
  contentOf,
  type DescribedToken,
  describedToken,
  type NumberedToken,
  type TokenEntry,
  tokenEntry,
  type TokenListing,
} from "./added_tokens.ts";

/**
 * The keys of a tokenizer_config.json and of a special_tokens_map.json that list tokens; beside them any key
 * that ends in "_token" names one.
 */
export interface TokenKeys {
  /** Stands in front of every text. */
  bos_token?: TokenEntry | null | undefined;
  /** Stands behind every text. */
  eos_token?: TokenEntry | undefined;
  /** Stands for what the vocabulary lacks. */
  unk_token?: TokenEntry | null | undefined;
  /** No tokenizer here uses it, but it is found in texts. */
  sep_token?: TokenEntry | null | undefined;
  /** Fills rows up. */
  pad_token?: TokenEntry | undefined;
  /** As sep_token. */
  cls_token?: TokenEntry | null | undefined;
  /** As sep_token. */
  mask_token?: TokenEntry | null | undefined;
  /** Tokens by the ids that they are to have. */
  added_tokens_decoder?: Record<string, DescribedToken> | null | undefined;
  /** Further special tokens, by the name that the key had before transformers 5. */
  additional_special_tokens?: TokenEntry[] | null | undefined;
  /** Further special tokens, in a list or by names. */
  extra_special_tokens?: TokenEntry[] | Record<string, TokenEntry> | null | undefined;
}

/** A schema for each key of an object. */
export type Shape<T> = { [Key in keyof T]-?: z.ZodType<T[Key]> };

/** The schemas of TokenKeys. */
export const tokenKeys: Shape<TokenKeys> = {
  bos_token: tokenEntry.nullish(),
  eos_token: tokenEntry.optional(),
  unk_token: tokenEntry.nullish(),
  sep_token: tokenEntry.nullish(),
  pad_token: tokenEntry.optional(),
  cls_token: tokenEntry.nullish(),
  mask_token: tokenEntry.nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/, "an id"), describedToken).nullish(),
  additional_special_tokens: z.array(tokenEntry).nullish(),
  extra_special_tokens: z.union([z.array(tokenEntry), z.record(z.string(), tokenEntry)]).nullish(),
};

/** The schema of special_tokens_map.json. */
export const tokenMap: z.ZodType<TokenKeys> = z.looseObject(tokenKeys);

/** A tokenizer's files, as far as they describe tokens. */
export interface TokenFiles<Config extends TokenKeys = TokenKeys> {
  /** tokenizer_config.json. */
  readonly config: Config;
  /** special_tokens_map.json, which versions of transformers before 5 also wrote. */
  readonly map: TokenKeys;
  /** added_tokens.json of versions before 4.34: ids by texts. */
  readonly added: Readonly<Record<string, number>>;
}

/** Tokens of a class of tokenizers, for files that name no others. */
export interface TokenDefaults {
  /** Texts of tokens by their roles. */
  readonly roles: Readonly<Record<string, string>>;
  /** Further special tokens, such as "<extra_id_0>". */
  readonly extras?: readonly TokenEntry[] | undefined;
}

/** The roles that any tokenizer may have, in the order in which transformers adds them. */
const ROLES = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

/**
 * Puts together the tokens that a tokenizer's files list besides its vocabulary, as transformers 5 does.
 * `added_tokens_decoder` of tokenizer_config.json stands for the other files. Where it is absent,
 * special_tokens_map.json overrides the config, and added_tokens.json and tokenizer.json (`listed`) name ids. What
 * transformers itself fails at, tokens described where it wants texts, is read like other descriptions.
 */
export function tokenListing(
  { config, map, added }: TokenFiles,
  listed: readonly NumberedToken[],
  defaults: TokenDefaults,
): TokenListing {
  const { added_tokens_decoder: decoder } = config;
  const later = decoder ? {} : allSpecial(map);
  const { extras, names } = extrasIn(config, later, defaults.extras ?? []);
  const roles = new Map<string, TokenEntry>();
  const known = { ...defaults.roles, ...config, ...later } as Record<string, TokenEntry | null | undefined>;
  for (const role of ROLES) if (known[role]) roles.set(role, known[role]);
  for (const [name, token] of ownRoles(config, later)) roles.set(name, token);
  for (const [name, token] of names) roles.set(name, token);

  const ids = new Map<number, DescribedToken>();
  if (decoder) {
    for (const [id, token] of Object.entries(decoder)) ids.set(Number(id), token);
    return { roles, extras, listed: ids };
  }
  const special = specialTexts(config, later);
  for (const [content, id] of Object.entries(added)) {
    ids.set(id, completeToken(content, special.has(content)));
  }
  for (const { id, ...token } of listed) ids.set(id, token);
  return { roles, extras, listed: ids };
}

/** Marks every token that special_tokens_map.json describes as special, whatever else it says. */
function allSpecial(map: TokenKeys): TokenKeys {
  const marked = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(marked);
    return isDescribed(value) ? { ...value, special: true } : value;
  };
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, marked(value)]));
}

/** Further special tokens in a list, and those that have names, which are roles. */
function extrasIn(
  config: TokenKeys,
  later: TokenKeys,
  defaults: readonly TokenEntry[],
): { extras: readonly TokenEntry[]; names: [string, TokenEntry][] } {
  const { extra, additional } = newNames(config);
  const names: [string, TokenEntry][] = [];
  let list: TokenEntry[] | undefined;
  for (const said of [extra, later.extra_special_tokens]) {
    if (said === undefined) continue;
    if (said === null || Array.isArray(said)) list = [...list ?? [], ...said ?? []];
    else {
      names.push(...Object.entries(said));
      list = undefined;
    }
  }
  if (list) return { extras: list, names };
  const others = later.additional_special_tokens ?? additional ?? [];
  const sentinels = others.some((token) => contentOf(token).includes("<extra_id_"));
  return { extras: sentinels ? others : [...others, ...defaults], names };
}

/** additional_special_tokens is the older name of extra_special_tokens, and stands for it where that is empty. */
function newNames({ extra_special_tokens: extra, additional_special_tokens: additional }: TokenKeys) {
  const isOlder = additional !== undefined && Object.keys(extra ?? {}).length === 0;
  return isOlder ? { extra: additional } : { extra, additional };
}

/** Roles of a model's own, "image_token" or the like. */
function ownRoles(config: TokenKeys, later: TokenKeys): [string, TokenEntry][] {
  const own = (keys: TokenKeys) =>
    Object.entries(keys).filter((entry): entry is [string, TokenEntry] => {
      const [key, value] = entry;
      return key.endsWith("_token") && !(ROLES as readonly string[]).includes(key) &&
        (typeof value === "string" || isDescribed(value));
    });
  const texts = own(config).filter(([, token]) => typeof token === "string");
  return [...own(config).filter(([, token]) => typeof token !== "string"), ...own(later), ...texts];
}

/**
 * Texts of tokens that are special if added_tokens.json lists them. transformers compares texts, so that tokens
 * which tokenizer_config.json describes as objects do not count.
 */
function specialTexts(config: TokenKeys, later: TokenKeys): ReadonlySet<string> {
  const { extra } = newNames(config);
  const inConfig = [
    ROLES.map((role) => role in later ? undefined : config[role]),
    Array.isArray(extra) ? extra : [],
  ];
  const { extra_special_tokens: more } = later;
  const inMap = [ROLES.map((role) => later[role]), Array.isArray(more) ? more : []];
  return new Set([
    ...inConfig.flat().filter((token) => typeof token === "string"),
    ...inMap.flat().filter((token) => token != null).map(contentOf),
  ]);
}

function isDescribed(value: unknown): value is DescribedToken {
  return typeof (value as DescribedToken | null | undefined)?.content === "string";
}
