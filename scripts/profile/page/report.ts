import type { Change } from "../compare.ts";
import type { Profile } from "../form.ts";

/** What a page shows. */
export interface Report {
  readonly profile: Profile;
  /** What the page is filtered by at first. */
  readonly only?: string | undefined;
  /**
   * An earlier profile of the same work, what changed by kernel and size, and the tolerance of
   * `compareProfiles`.
   */
  readonly compared?: {
    readonly before: Profile;
    readonly changes: readonly Change[];
    readonly tolerance: number;
  };
}
