/**
 * The candidate that differs from `name` by the fewest edits, of at most `most`, for "nearest is …" in messages.
 */
export function nearest(name: string, candidates: Iterable<string>, most = Infinity): string | undefined {
  let best: string | undefined;
  let fewest = most + 1;
  for (const candidate of candidates) {
    const edits = editDistance(name, candidate, fewest);
    if (edits < fewest) [best, fewest] = [candidate, edits];
  }
  return best;
}

/**
 * The candidate that was probably meant: the same in another spelling, one that begins so, or is the beginning or the end
 * of the name (addedCond of added_cond_kwargs, dtype of torch_dtype), or nearly the same.
 */
export function probablyMeant(name: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string) => text.replaceAll(/[-_ ]/g, "").toLowerCase();
  const wanted = plain(name);
  const byPlain = new Map(candidates.map((candidate) => [plain(candidate), candidate]));
  const begun = (candidate: string) =>
    candidate.startsWith(wanted) || wanted.endsWith(candidate) || wanted.startsWith(candidate);
  const near = byPlain.has(wanted)
    ? wanted
    : (wanted.length < 3 ? undefined : [...byPlain.keys()].find(begun)) ??
      nearest(wanted, byPlain.keys(), Math.max(1, Math.floor(wanted.length / 3)));
  return near === undefined ? undefined : byPlain.get(near);
}

/**
 * Throws where options are no plain object, or have a name that is not known, so that none is ignored without a word;
 * what is undefined counts as left out. `elsewhere` says of a name where else it would do, instead of the nearest one.
 */
export function expectOptions(
  action: string,
  options: object,
  known: readonly string[],
  elsewhere: (name: string) => string | undefined = () => undefined,
): void {
  if (!isPlain(options)) {
    throw new TypeError(
      `Cannot ${action}: expected options in an object, as in { ${known[0]}: … }, got ${nameOfKind(options)}`,
    );
  }
  const odd = Object.entries(options).find(([name, value]) => value !== undefined && !known.includes(name));
  if (!odd) return;
  const [name] = odd;
  const near = probablyMeant(name, known);
  const advice = elsewhere(name) ?? (near ? `did you mean ${near}?` : `expected some of ${known.join(", ")}`);
  throw new TypeError(`Cannot ${action} with ${name}: no such option; ${advice}`);
}

/** Neither a list nor of a class, whose members would be taken for options. */
function isPlain(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Name of a value's kind, for messages: a list, an object with its keys or of a class, else the value. */
export function nameOfKind(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "function") return "a function";
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "object" || value === null) return String(value);
  return isPlain(value)
    ? `an object with ${Object.keys(value).join(", ") || "nothing"}`
    : `a ${value.constructor.name}`;
}

/**
 * The number of letters that are missing, surplus, wrong or swapped (stpes) between two words (Damerau 1964);
 * `limit` once it is sure to reach that.
 */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const other = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next.push(Math.min(other, row[j]! + 1, next[j - 1]! + 1, swapped ? before[j - 2]! + 1 : Infinity));
    }
    if (Math.min(...row, ...next) >= limit) return limit; // a swap goes two rows back
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
