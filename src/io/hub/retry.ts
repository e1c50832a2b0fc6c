/** What helps where no more is known. */
export const CHECK_NETWORK = "check the network and HF_ENDPOINT";

/** A failure that may pass: no network, a server that is busy or broken, a connection that was cut. */
export class PassingError extends Error {
  /** What the server asks to wait, in ms. */
  readonly wait: number | undefined;
  /** What helps. */
  readonly advice: string;
  /**
   * "always": to try again does not help, though a later run may. "unreached": nor does it, unless the server has
   * answered before.
   */
  readonly lasts: "always" | "unreached" | undefined;

  /** Takes the line for users, and what is known about its end. */
  constructor(
    message: string,
    options: ErrorOptions & Partial<Pick<PassingError, "wait" | "advice" | "lasts">> = {},
  ) {
    super(message, options);
    this.wait = options.wait;
    this.advice = options.advice ?? CHECK_NETWORK;
    this.lasts = options.lasts;
  }
}

/** How often and how patiently to try. */
export interface RetryOptions {
  /** Tries in a row that may fail. */
  tries: number;
  /** Pause after the first failure, doubled after each, in ms. */
  pause: number;
  /** Ends the wait between two tries. */
  signal?: AbortSignal | undefined;
  /** The server has answered before. */
  reached?: boolean | undefined;
  /** A number that grows with what was achieved; a failed try that raised it starts the count again. */
  achieved?: (() => number) | undefined;
}

const longestPause = 60_000; // a server that asks for more is not waited for

/** Repeats `attempt` while its failures may pass. */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { tries, pause, signal, reached = false, achieved = () => 0 } = options;
  let failures = 0;
  const begin = achieved();
  let best = begin;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof PassingError) || error.lasts === "always") throw error;
      if (error.lasts === "unreached" && !reached && achieved() === begin) throw error;
      failures = achieved() > best ? 1 : failures + 1;
      best = Math.max(best, achieved());
      const wait = error.wait ?? Math.min(pause * 2 ** (failures - 1), longestPause);
      if (failures >= tries || wait > longestPause) throw error;
      await sleep(wait, signal);
    }
  }
}

/** Waits; an abort ends the wait with its reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
