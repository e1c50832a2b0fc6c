const FIRST_MS = 1000; // to the second try
const LONGEST_MS = 30_000; // between two
const GRACE_MS = 5000; // for work that is under way when the signal comes

/** Waits, or until a signal comes. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const end = () => resolve();
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  await promise;
  signal.removeEventListener("abort", end);
  clearTimeout(timer);
}

/**
 * Does what may fail for a while, as a store or a queue that does not answer, again and again until it is done. Once the signal
 * comes it has a few seconds left; undefined then. Errors are told in a line that begins with "Cannot" and `deed`.
 */
export async function patiently<T>(
  deed: string,
  work: () => Promise<T>,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<T | undefined> {
  for (let ms = FIRST_MS;; ms = Math.min(2 * ms, LONGEST_MS)) {
    try {
      return await withinGrace(work(), signal);
    } catch (error) {
      onLine(`Cannot ${deed}: ${(error as Error).message.split("\n")[0]}; tries again in ${ms / 1000} s`);
    }
    await pause(ms, signal);
    if (signal.aborted) return undefined;
  }
}

/** A result; undefined where it is not there a few seconds after a signal. */
async function withinGrace<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise: over, resolve } = Promise.withResolvers<undefined>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = () => timer = setTimeout(() => resolve(undefined), GRACE_MS);
  signal.addEventListener("abort", begin);
  if (signal.aborted) begin();
  try {
    return await Promise.race([work, over]);
  } finally {
    signal.removeEventListener("abort", begin);
    clearTimeout(timer);
  }
}
