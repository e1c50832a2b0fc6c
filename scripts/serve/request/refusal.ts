/** Reasons why a request is not drawn. */
export type RefusalKind =
  /** The request is wrong, or asks for more than is allowed. */
  | "invalid"
  /** Its body is too large. */
  | "too large"
  /** Its body does not come in time. */
  | "too slow"
  /** It has no key, or a wrong one. */
  | "unauthorized"
  /** It comes from where none may come. */
  | "forbidden"
  /** The GPU has no memory left for it. */
  | "no memory"
  /** What it names is not there. */
  | "not found"
  /** What it names is there for other methods. */
  | "wrong method"
  /** As many requests wait as may. */
  | "busy"
  /** As many follow jobs as may. */
  | "too many"
  /** The server ends. */
  | "stopping"
  /** It took longer than it may. */
  | "timeout"
  /** The server itself is to blame. */
  | "failed";

/** A request that is not drawn, for a reason that its client may know: the message is one sentence, without paths. */
export class RefusalError extends Error {
  /** Stands before the message where the error is printed. */
  override name = "RefusalError";

  /** `param` is the setting that is wrong, where it is one. */
  constructor(readonly kind: RefusalKind, message: string, readonly param?: string) {
    super(message);
  }
}

/**
 * What was thrown, as its client may know it: a refusal tells its reason; of any other error only the server's log tells more,
 * as its message may name files.
 */
export function asRefusal(error: unknown): RefusalError {
  if (error instanceof RefusalError) return error;
  console.error(error);
  return new RefusalError("failed", "Cannot answer: the server failed; its log says more");
}
