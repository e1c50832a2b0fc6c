import type { Device } from "../../../gpu/device.ts";
import type { Checkpoint } from "../../../io/formats/checkpoint.ts";
import type { Weights } from "../weights.ts";
import type { Applied } from "./merge_groups.ts";
import { MergedWeights } from "./merged.ts";

/** Parts of a model that its weights are changed with. */
interface MergingParts {
  readonly device: Device;
  readonly weights: Weights;
  /** Opens the files of the weights. */
  readonly open: () => Promise<Checkpoint>;
  /** Drops all traces. */
  readonly forget: () => void;
}

/** Options of `Merging.become`. */
interface BecomeOptions {
  /** Changes that the weights get if these fail. */
  before?: readonly Applied[];
  signal?: AbortSignal | undefined;
}

/** Brings a model's weights in memory to what adapters change in them, and knows while they are between two states. */
export class Merging {
  readonly #merged: MergedWeights;
  readonly #forget: () => void;
  /** Number of changes that are not finished. */
  #running = 0;
  #isStale = false;

  /** For weights without changes. */
  constructor({ device, weights, open, forget }: MergingParts) {
    this.#merged = new MergedWeights(device, weights, open);
    this.#forget = forget;
  }

  /** True after a change that failed, until another one is done. */
  get isStale(): boolean {
    return this.#isStale;
  }

  /** Gives weights in memory these changes and no others, in this order. */
  async become(changes: readonly Applied[], { before, signal }: BecomeOptions = {}): Promise<void> {
    let started = false;
    const begin = () => {
      if (started) return;
      started = true;
      this.#running++;
      this.#forget();
    };
    try {
      await this.#merged.become(changes, begin, signal);
      this.#isStale = false;
    } catch (error) {
      this.#isStale = !before;
      if (started && before) await this.#merged.become(before, begin);
      throw error;
    } finally {
      if (started) this.#running--;
    }
  }

  /** Notes weights that were loaded as their file has them, or all that were freed. */
  forget(loaded?: ReadonlySet<unknown>): void {
    this.#merged.forget(loaded);
  }

  /** Throws while weights are being changed. */
  expectDone(model: string): void {
    if (this.#running === 0) return;
    throw new Error(
      `Cannot run ${model}: adapters are being merged into its weights; await what sets, loads or removes them`,
    );
  }
}
