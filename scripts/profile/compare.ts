/** What changed between two profiles. Runs in browsers, too. */
import { isWanted, spreadOf } from "./figures.ts";
import type { Profile, ProfileRow, Spread } from "./form.ts";

/** A kernel at a size, or other rows as one, before and now. */
export interface Change {
  readonly name: string;
  /** ms of a step, or outside steps of a run; undefined where it did not run. */
  readonly before: Spread | undefined;
  readonly now: Spread | undefined;
  /** Slower or faster by more than the tolerance, and by more than the quartiles of both vary. */
  readonly verdict: "slower" | "faster" | "same" | "new" | "gone";
}

/**
 * What changed from one profile to another of the same work, the largest change first; rows of one name by `nameOf` count
 * together. Throws where the profiles are not comparable.
 */
export function compareProfiles(
  before: Profile,
  now: Profile,
  tolerance: number,
  only?: string,
  nameOf: (row: ProfileRow) => string = kernelAtSize,
): Change[] {
  expectAlike(before, now);
  const [old, recent] = [timesOf(before, only, nameOf), timesOf(now, only, nameOf)];
  const changes = [...new Set([...old.keys(), ...recent.keys()])].map((name) => {
    const [a, b] = [old.get(name), recent.get(name)];
    return { name, before: a, now: b, verdict: verdictOf(a, b, tolerance) };
  });
  const size = ({ before, now }: Change) => Math.abs((now?.median ?? 0) - (before?.median ?? 0));
  return changes.sort((a, b) => size(b) - size(a));
}

function verdictOf(
  before: Spread | undefined,
  now: Spread | undefined,
  tolerance: number,
): Change["verdict"] {
  if (!before) return "new";
  if (!now) return "gone";
  if (now.median > before.median * (1 + tolerance) && now.low > before.high) return "slower";
  if (before.median > now.median * (1 + tolerance) && before.low > now.high) return "faster";
  return "same";
}

/** Name of a kernel at a size, with where it runs. */
export function kernelAtSize({ kernel, model, shape, flops, mark }: ProfileRow): string {
  const where = [model, mark].filter(Boolean).join(" ");
  return `${kernel} [${shape.join(", ")}]${flops ? ` ${(flops / 1e6).toPrecision(3)} MFLOP` : ""}` +
    (where && `, ${where}`);
}

/** Times by name, of `only` some rows: of each step, or outside steps of each run. */
function timesOf(
  { rows, dispatches }: Profile,
  only: string | undefined,
  nameOf: (row: ProfileRow) => string,
): Map<string, Spread> {
  const names = rows.map(nameOf);
  const times = new Map<string, Map<string, number>>();
  for (const [row, occurrence, , ms] of dispatches) {
    if (!isWanted(rows[row]!, only)) continue;
    const name = names[row]!;
    let own = times.get(name);
    if (!own) times.set(name, own = new Map());
    own.set(occurrence, (own.get(occurrence) ?? 0) + ms);
  }
  return new Map([...times].map(([name, own]) => [name, spreadOf([...own.values()])]));
}

function expectAlike(before: Profile, now: Profile): void {
  const facts = ({ adapter, subject }: Profile) => ({
    adapter: adapter.name,
    engine: adapter.engine,
    class: subject.className,
    work: subject.work,
    dtype: subject.dtype,
  });
  const [a, b] = [facts(before), facts(now)];
  const odd = (Object.keys(a) as (keyof typeof a)[]).find((name) => a[name] !== b[name]);
  if (!odd) return;
  throw new TypeError(
    `Cannot compare profiles: expected the same ${odd}, "${a[odd]}", got "${
      b[odd]
    }"; profile the same work there`,
  );
}
