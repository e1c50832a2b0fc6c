/** Reasons why a request is not drawn. */
export type RefusalKind =
  /** The request is wrong, or asks for more than is allowed. */
  | "invalid"
  /** Its body is too large. */
  | "too large"
  /** It has no key, or a wrong one. */
  | "unauthorized"
  /** It comes from where none may come. */
  | "forbidden"
  /** What it names is not there. */
  | "not found"
  /** As many requests wait as may. */
  | "busy"
  /** The server ends. */
  | "stopping"
  /** It took longer than it may. */
  | "timeout";

/** A request that is not drawn, for a reason that its client may know: the message is one sentence, without paths. */
export class RefusalError extends Error {
  /** Stands before the message where the error is printed. */
  override name = "RefusalError";

  /** `param` is the setting that is wrong, where it is one. */
  constructor(readonly kind: RefusalKind, message: string, readonly param?: string) {
    super(message);
  }
}
