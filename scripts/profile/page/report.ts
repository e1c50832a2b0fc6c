import type { Profile } from "../form.ts";

/** What a page shows. */
export interface Report {
  readonly profile: Profile;
  /** An earlier profile of the same work, and how the two are compared, see `compareProfiles`. */
  readonly compared?: {
    readonly before: Profile;
    readonly tolerance: number;
    readonly only?: string | undefined;
  };
}
