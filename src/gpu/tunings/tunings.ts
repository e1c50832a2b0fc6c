import type { Engine } from "../traits.ts";

/** An adapter with its driver, which measurements belong to, in the words of GPUAdapterInfo. */
export interface TunedAdapter {
  /** Which implementation of WebGPU opened it. */
  readonly engine: Engine;
  /** E.g. "nvidia". */
  readonly vendor: string;
  /** E.g. "hopper". */
  readonly architecture: string;
  /** The adapter's own name. */
  readonly device: string;
  /** The driver with its version. */
  readonly description: string;
}

/** Times of one kernel's candidates on one shape. */
export interface Measured {
  /** The kernel's axes and dtypes, for people to read. */
  readonly shape: string;
  /** Milliseconds by the candidate's id, the fastest first. */
  readonly ms: Readonly<Record<string, number>>;
}

/** A candidate that is never taken: it computed something else than the plain one, or does not compile. */
export interface Dropped {
  /** Hash of its texts: a corrected one is tried again. */
  readonly code: string;
  /** The expected result and the one it gave. */
  readonly why: string;
}

/** A file of tunings: measurements on one adapter with one driver. */
export interface TuningsData {
  /** Tells such files from others. */
  readonly format: "denoise tunings";
  /** Version of the file's form. */
  readonly version: 1;
  /** The adapter and driver of the measurements. */
  readonly adapter: TunedAdapter;
  /** By kernel and class of shapes. */
  readonly kernels: Readonly<Record<string, readonly Measured[]>>;
  /** By the candidate's id. */
  readonly dropped: Readonly<Record<string, Dropped>>;
}

/** The adapter of a device, as files of tunings name it. */
export function tunedAdapter(engine: Engine, info: GPUAdapterInfo): TunedAdapter {
  const { vendor, architecture, device, description } = info;
  return { engine, vendor, architecture, device, description };
}

/** True if two adapters are the same, with the same driver. */
export function sameAdapter(a: TunedAdapter, b: TunedAdapter): boolean {
  return (Object.keys(a) as (keyof TunedAdapter)[]).every((key) => a[key] === b[key]);
}

/** One line for people. */
export function describeTuned({ engine, vendor, device, description }: TunedAdapter): string {
  return `${engine}: ${[vendor, device, description].filter(Boolean).join(", ")}`;
}

/**
 * Measurements of kernels on one adapter: the times of each kernel's candidates, and which of these are
 * wrong. Candidates go by ids, their names and constants (`idOf` in graph/tuning/choice.ts).
 */
export class Tunings {
  readonly #kernels = new Map<string, Measured[]>();
  readonly #dropped = new Map<string, Dropped>();

  /** Nothing measured yet; `known` ships with Denoise, and counts where nothing else does. */
  constructor(readonly adapter: TunedAdapter, readonly known?: Tunings) {}

  /** The times that cover most of these candidates; undefined where none of them was measured. */
  times(kernel: string, ids: readonly string[]): Measured["ms"] | undefined {
    const covers = ({ ms }: Measured) => ids.filter((id) => id in ms).length;
    const list = this.#kernels.get(kernel)?.toSorted((a, b) => covers(b) - covers(a)) ?? [];
    return list[0] && covers(list[0]) > 0 ? list[0].ms : this.known?.times(kernel, ids);
  }

  /** True if the times of these candidates, if any, are those that ship with Denoise. */
  isKnown(kernel: string, ids: readonly string[]): boolean {
    return !this.#kernels.get(kernel)?.some(({ ms }) => ids.some((id) => id in ms));
  }

  /** Why a candidate is not to be taken, if it is not. */
  dropped(id: string, code: () => string): string | undefined {
    const own = this.#dropped.get(id);
    return own && own.code === code() ? own.why : this.known?.dropped(id, code);
  }

  /** Adds times. Earlier times of the same candidates stay, so that a choice once made stays. */
  add(kernel: string, measured: Measured): void {
    const ids = Object.keys(measured.ms);
    const list = this.#kernels.get(kernel) ?? [];
    if (ids.length === 0 || list.some(({ ms }) => ids.every((id) => id in ms))) return;
    const telling = list.filter(({ ms }) => !Object.keys(ms).every((id) => id in measured.ms));
    const ms = Object.fromEntries(Object.entries(measured.ms).sort(([, a], [, b]) => a - b));
    this.#kernels.set(kernel, [...telling, { ...measured, ms }]);
  }

  /** Adds a candidate that is never to be taken. */
  drop(id: string, dropped: Dropped): void {
    this.#dropped.set(id, dropped);
  }

  /**
   * Takes over the measurements of another file. Where both measured a kernel, its decision counts; where
   * both dropped a candidate, the one at hand, as the file may speak of an older text.
   */
  merge({ kernels, dropped }: Pick<TuningsData, "kernels" | "dropped">): this {
    const own = this.data;
    this.#kernels.clear();
    for (const all of [kernels, own.kernels]) {
      for (const [kernel, list] of Object.entries(all)) {
        for (const measured of list) this.add(kernel, measured);
      }
    }
    for (const [id, why] of Object.entries({ ...dropped, ...own.dropped })) this.drop(id, why);
    return this;
  }

  /** Forgets all but what ships. */
  clear(): void {
    this.#kernels.clear();
    this.#dropped.clear();
  }

  /** All of it but what ships, as a file has it. */
  get data(): TuningsData {
    const sorted = <T>(map: ReadonlyMap<string, T>): Record<string, T> =>
      Object.fromEntries([...map].sort(([a], [b]) => a < b ? -1 : 1));
    return {
      format: "denoise tunings",
      version: 1,
      adapter: this.adapter,
      kernels: sorted(this.#kernels),
      dropped: sorted(this.#dropped),
    };
  }
}
