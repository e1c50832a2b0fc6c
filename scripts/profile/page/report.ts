import type { Change } from "../compare.ts";
import type { Profile } from "../form.ts";

/** What a page shows. */
export interface Report {
  readonly profile: Profile;
  /** An earlier profile of the same work, and what changed since. */
  readonly compared?: {
    readonly before: Profile;
    readonly changes: readonly Change[];
    readonly tolerance: number;
  };
}
