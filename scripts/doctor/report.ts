import type { AdapterReport } from "./adapter.ts";
import type { KernelRow } from "./kernels.ts";
import type { Speeds } from "./speeds.ts";
import type { StepRow } from "./steps.ts";

/** All that the doctor found: what `--json` keeps. */
export interface Report {
  readonly format: "denoise doctor";
  readonly version: 1;
  readonly date: string;
  readonly adapter?: AdapterReport | undefined;
  readonly speeds?: Speeds | undefined;
  readonly kernels: readonly KernelRow[];
  /** The file of what was measured before, and how much it knows. */
  readonly tunings?: undefined | {
    readonly path: string;
    readonly kernels: number;
    readonly dropped: Readonly<Record<string, string>>;
  };
  readonly steps: readonly StepRow[];
  /** Engine and version of torch, where there is one. */
  readonly torch?: string | undefined;
  /** Parts that failed, and why. */
  readonly failures: readonly { readonly part: string; readonly error: string }[];
  readonly seconds: number;
}
