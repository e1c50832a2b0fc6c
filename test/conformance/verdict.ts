/** What became of one case. */
export interface Verdict {
  readonly family: string;
  readonly id: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly error?: number;
  readonly tolerance?: number;
  /** What failed, or why it was skipped. */
  readonly note?: string;
}

/** Runs the cases of one folder of a set. */
export type Family = (folder: string) => AsyncGenerator<Verdict, void, void>;

/** A verdict by an error and its bound. */
export function within(family: string, id: string, error: number, tolerance: number, note?: string): Verdict {
  const status = error <= tolerance ? "passed" : "failed";
  return { family, id, error, tolerance, status, note: status === "failed" ? note : undefined };
}

/** The verdict of `run`, a throw being a failure that carries the message. */
export async function attempt(family: string, id: string, run: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await run();
  } catch (error) {
    return { family, id, status: "failed", note: (error as Error).message };
  }
}
