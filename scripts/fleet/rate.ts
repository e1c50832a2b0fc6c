const MINUTE = 60_000; // ms
const MINUTES = 5; // over which a rate is taken

/** What BullMQ counts of the requests that were done. */
export interface Done {
  /** Ever. */
  readonly count: number;
  /** When the first request of the last minute in which there were some was done, in ms since 1970. */
  readonly prevTS: number;
  /** Requests before that minute. */
  readonly prevCount: number;
  /** Requests of the minutes before, each of the clock's, the newest first. */
  readonly lately: readonly number[];
}

/** Requests a minute over the last minutes, of which the present one is not over yet; 0 where none was done in them. */
export function rateOf({ count, prevTS, prevCount, lately }: Done, now: number): number {
  const minuteOf = (time: number) => Math.floor(time / MINUTE);
  const since = Math.max(0, minuteOf(now) - minuteOf(prevTS)); // minutes in which none was done
  if (count === 0 || since >= MINUTES) return 0;
  const before = lately.slice(0, MINUTES - 1 - since);
  const begin = lately.length === 0 ? prevTS : MINUTE * minuteOf(prevTS);
  const minutes = Math.max(0.1, (now - begin) / MINUTE) + before.length;
  return before.reduce((sum, one) => sum + one, count - prevCount) / minutes;
}
