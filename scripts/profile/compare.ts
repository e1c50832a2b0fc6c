/** What changed between two profiles. Runs in browsers, too. */
import { fullPath, isWanted, spreadOf } from "./figures.ts";
import type { Profile, ProfileRow, Spread } from "./form.ts";

/** A kernel at a size, or other rows as one, before and now. */
export interface Change {
  readonly name: string;
  /** ms of a step, or outside steps of a run; undefined where it did not run. */
  readonly before: Spread | undefined;
  readonly now: Spread | undefined;
  /** Module in which it takes longest, and how many others there are. */
  readonly where: string;
  /**
   * Slower or faster by more than the tolerance, and in each step than in any of the other profile; unconfirmed if it was slower
   * at first, but not whenever it was measured again.
   */
  readonly verdict: "slower" | "unconfirmed" | "faster" | "same" | "new" | "gone";
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
    const found = verdictOf(a, b, tolerance);
    const holds = nameOf !== kernelAtSize || now.again.every((times) => {
      return verdictOf(a, times[name], tolerance) === "slower";
    });
    const verdict = found === "slower" && !holds ? "unconfirmed" : found;
    const where = whereOf((b ? now : before).rows.filter((row) => nameOf(row) === name));
    return { name, before: a && spreadOf(a), now: b && spreadOf(b), where, verdict };
  });
  const size = ({ before, now }: Change) => Math.abs((now?.median ?? 0) - (before?.median ?? 0));
  return changes.sort((a, b) => size(b) - size(a));
}

function verdictOf(
  before: readonly number[] | undefined,
  now: readonly number[] | undefined,
  tolerance: number,
): Change["verdict"] {
  if (!before) return "new";
  if (!now) return "gone";
  if (isAbove(now, before, tolerance)) return "slower";
  return isAbove(before, now, tolerance) ? "faster" : "same";
}

/** True if all of some times are above all others, and their median above the others' by more than the tolerance. */
function isAbove(times: readonly number[], others: readonly number[], tolerance: number): boolean {
  if (spreadOf(times).median <= spreadOf(others).median * (1 + tolerance)) return false;
  const most = others.reduce((a, b) => Math.max(a, b));
  return times.every((time) => time > most);
}

/** A profile with times of the same work that was measured again: what is called slower must be so in all of them. */
export function measuredAgain(profile: Profile, again: Profile): Profile {
  return {
    ...profile,
    again: [...profile.again, Object.fromEntries(timesOf(again, undefined, kernelAtSize))],
  };
}

function whereOf([longest, ...others]: readonly ProfileRow[]): string {
  const path = longest!.path || fullPath(longest!);
  return others.length > 0 ? `${path} and ${others.length} more` : path;
}

/** Name of a kernel at a size, with where it runs. */
export function kernelAtSize({ kernel, model, shape, flops, mark }: ProfileRow): string {
  const where = [model, mark].filter(Boolean).join(" ");
  return `${kernel} [${shape.join(", ")}]${flops ? ` ${(flops / 1e6).toPrecision(3)} MFLOP` : ""}` +
    (where && `, ${where}`);
}

/** Times in ms by name, of `only` some rows: of each step, or outside steps of each run. */
function timesOf(
  { rows, dispatches }: Profile,
  only: string | undefined,
  nameOf: (row: ProfileRow) => string,
): Map<string, number[]> {
  const names = rows.map(nameOf);
  const times = new Map<string, Map<string, number>>();
  for (const [row, occurrence, , ms] of dispatches) {
    if (!isWanted(rows[row]!, only)) continue;
    const name = names[row]!;
    let own = times.get(name);
    if (!own) times.set(name, own = new Map());
    own.set(occurrence, (own.get(occurrence) ?? 0) + ms);
  }
  return new Map([...times].map(([name, own]) => [name, [...own.values()]]));
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
    `Cannot compare profiles: expected the same ${odd}, ${JSON.stringify(a[odd])}, got ` +
      `${JSON.stringify(b[odd])}; profile the same work there`,
  );
}
