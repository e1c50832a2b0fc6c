import { z } from "zod";

/** A token that is found in a text as it stands, before the text is taken apart. */
export interface AddedToken {
  /** Its text. */
  content: string;
  /** Takes the spaces before it with it. */
  lstrip: boolean;
  /** Takes the spaces behind it with it. */
  rstrip: boolean;
  /** Found in whole words only. */
  single_word: boolean;
  /** Searched for in the normalized text, so in any case of letters. */
  normalized: boolean;
  /** Left out by `decode` on request. */
  special: boolean;
}

/** A token as files describe it; where nothing is said, special tokens are not searched for in normalized text. */
export type DescribedToken = Omit<AddedToken, "normalized"> & { normalized?: boolean | undefined };

/** A token in a config: described, or its text alone, which makes it special. */
export type TokenEntry = string | DescribedToken;

const described = z.looseObject({
  content: z.string().min(1),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
  normalized: z.boolean().optional(),
  special: z.boolean().default(false),
});

/** The schema of DescribedToken. */
export const describedToken: z.ZodType<DescribedToken> = described;

/** A token as tokenizer.json lists it. */
export type NumberedToken = DescribedToken & { id: number };

/** The schema of NumberedToken. */
export const numberedToken: z.ZodType<NumberedToken> = described.extend({ id: z.int().nonnegative() });

/** The schema of TokenEntry. */
export const tokenEntry: z.ZodType<TokenEntry> = z.union([z.string(), describedToken]);

/** Tokens added to the vocabulary, put together from all files of a tokenizer. */
export interface TokenListing {
  /** Tokens by their roles, "eos_token" or one of a model's own, in the order in which transformers adds them. */
  readonly roles: ReadonlyMap<string, TokenEntry>;
  /** Further special tokens. */
  readonly extras: readonly TokenEntry[];
  /** Tokens with the ids that the files give them. */
  readonly listed: ReadonlyMap<number, DescribedToken>;
}

/** The text of a token. */
export function contentOf(token: TokenEntry): string {
  return typeof token === "string" ? token : token.content;
}

/** The tokens in the roles of a class, which has some of its own. */
export function rolesOf<Role extends string>(
  { roles }: TokenListing,
  defaults: Readonly<Record<Role, string>>,
): Record<Role, TokenEntry> {
  const found = Object.entries<string>(defaults).map(([role, token]) => [role, roles.get(role) ?? token]);
  return Object.fromEntries(found) as Record<Role, TokenEntry>;
}

/**
 * The tokens that transformers adds, in its order: what is listed, by ids; then, unless listed, roles and
 * extras. A token may come twice in different descriptions, of which AddedVocabulary takes the last.
 */
export function tokensToAdd({ roles, extras, listed }: TokenListing): AddedToken[] {
  const byId = [...listed].sort(([a], [b]) => a - b).map(([, token]) => token);
  const known = new Set(byId.map(contentOf));
  const unlisted = new Map<string, TokenEntry>();
  for (const token of [...roles.values(), ...extras]) {
    const key = typeof token === "string" ? token : JSON.stringify(completeToken(token));
    if (!known.has(contentOf(token)) && !unlisted.has(key)) unlisted.set(key, token);
  }
  const named = new Set([...roles.values()].map(contentOf));
  return [...byId, ...unlisted.values()].map((token) =>
    named.has(contentOf(token)) ? completeToken(token, true) : completeToken(token)
  );
}

/** A token with all its properties. A plain text is a special token, unless `special` says otherwise. */
export function completeToken(
  token: TokenEntry,
  special = typeof token === "string" || token.special,
): AddedToken {
  const { content, lstrip, rstrip, single_word, normalized } = typeof token === "string"
    ? plainToken(token)
    : token;
  return { content, lstrip, rstrip, single_word, normalized: normalized ?? !special, special };
}

function plainToken(content: string): Omit<DescribedToken, "special"> {
  return { content, lstrip: false, rstrip: false, single_word: false };
}
