import { RefusalError, type RefusalKind } from "../request/refusal.ts";
import type { RequestSettings } from "../request/request.ts";

/** What became of a request. */
export interface DrawnEvent {
  /** What was to be done for it. */
  readonly event: "drawing" | "profile";
  /** Refused for a reason, given up by its client, or drawn. */
  readonly outcome: RefusalKind | "cancelled" | "succeeded";
  /** The model's name, unless the request was refused at once. */
  readonly model?: string;
  /** The request without its pictures, unless it was refused at once. */
  readonly settings?: RequestSettings;
  /** Those that are done. */
  readonly pictures: number;
  /** Steps that were computed. */
  readonly steps: number;
  /** Seconds until its turn came, or it ended. */
  readonly waited: number;
  /** Seconds from its turn to its end. */
  readonly seconds: number;
}

/** What happens in a drawer, for metrics and logs. */
export type DrawerEvent = DrawnEvent | { readonly event: "device lost" };

/** What an error of drawing means for its request. */
export function outcomeOf(error: unknown, signal: AbortSignal | undefined): DrawnEvent["outcome"] {
  if (error instanceof RefusalError) return error.kind;
  return signal?.aborted && error === signal.reason ? "cancelled" : "failed";
}
