import type { Profile } from "../form.ts";

/** What a page shows. */
export interface Report {
  readonly profile: Profile;
  /** What the page is filtered by at first. */
  readonly only?: string | undefined;
  /** An earlier profile of the same work, and the tolerance of `compareProfiles`. */
  readonly compared?: {
    readonly before: Profile;
    readonly tolerance: number;
  };
}
