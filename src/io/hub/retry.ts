/** Advice where nothing more is known. */
export const CHECK_NETWORK = "check the network and HF_ENDPOINT";

/** A failure after which another try may succeed: no network, a busy server, a connection that was cut. */
export class PassingError extends Error {
  /** Time that the server asks to wait, in ms. */
  readonly wait: number | undefined;
  /** Advice to the user. */
  readonly advice: string;
  /** "always": another try will not help. "unreached": the same, unless the server has answered before. */
  readonly lasts: "always" | "unreached" | undefined;

  /** `message` is for users. */
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

/** Number of tries, and the pauses between them. */
export interface RetryOptions {
  /** Tries in a row that may fail. */
  tries: number;
  /** Pause after the first failure, doubled after each, in ms. */
  pause: number;
  /** Ends the wait between two tries. */
  signal?: AbortSignal | undefined;
  /** The server has answered before. */
  reached?: boolean | undefined;
  /** A measure of progress; a failed try that raised it starts the count of tries again. */
  achieved?: (() => number) | undefined;
}

const longestPause = 60_000; // a server that asks for more is not waited for

/** Repeats `attempt` as long as it fails with PassingErrors that another try may mend. */
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

/** Waits; an abort rejects with its reason. */
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
