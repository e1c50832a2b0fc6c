import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { Stretch } from "../../gpu/profiling/records.ts";
import type { Encoding } from "../../gpu/encoding.ts";
import type { Node } from "../node.ts";
import { pagedWeights } from "../run/chunks.ts";
import type { Work } from "../run/work.ts";
import { countingPipelines, Counts } from "./counts.ts";
import { causeOf, causeOfKernel, passesOn } from "./cause.ts";
import { describeInputs, errorOf, resultOf } from "./describe.ts";
import { Recomputation } from "./recomputation.ts";
import { readValues } from "./values.ts";

/** Work that ran and was not checked yet. */
export interface Checked {
  readonly work: Work;
  /** In which it was recorded. */
  readonly stretch: Stretch | undefined;
}

/**
 * Checks that what a device computes is finite. Dispatches that count follow the others; their counts are
 * read once for each run of a model. Where one is not 0, the run is repeated up to that dispatch, and its
 * inputs are looked at.
 */
export class FiniteCheck {
  readonly #device: Device;

  /** For the stream of a device that was opened with `check: "finite"`. */
  constructor(device: Device) {
    this.#device = device;
  }

  /** Must end before work that is checked is encoded: kernels that count. */
  get preparing(): Promise<void>[] {
    return countingPipelines(this.#device).filter(({ gpu }) => !gpu).map(({ ready }) => ready);
  }

  /**
   * Submits what was encoded and waits for it. Throws a NonFiniteError where a result is not finite. Of the
   * works only the last may be a call of a plan, as another would overwrite its inputs.
   */
  async verify(works: readonly Checked[], encoding: Encoding): Promise<void> {
    const eager = works.filter(({ work }) => !work.counts);
    const ran = eager.flatMap((checked) =>
      checked.work.ran.map((ran, index) => ({ ...checked, ran, index }))
    );
    const counts = ran.length ? new Counts(this.#device, "loop", ran.map(({ ran }) => ran)) : undefined;
    for (const count of counts?.dispatches ?? []) if (count) encoding.dispatch(count);
    encoding.submit();
    try {
      const calls = works.filter(({ work }) => work.counts); // behind the others
      const found = await Promise.all(
        [counts, ...calls.map(({ work }) => work.counts!)].map((c) => c?.found() ?? []),
      );
      const [own = [], ...others] = found;
      const all = [
        ...own.map((i) => ran[i]!),
        ...others.flatMap((some, i) => some.map((index) => ({ ...calls[i]!, index }))),
      ];
      for (const one of all) await this.#refuse(one, encoding);
    } finally {
      counts?.release();
      encoding.free();
    }
  }

  /** Throws what is to say of a result, unless it only passes on -infinity, by which masks hide places. */
  async #refuse({ work, stretch, index }: Checked & { index: number }, encoding: Encoding): Promise<void> {
    const { ran } = work;
    const { step, output } = ran[index]!;
    await this.#again(work, index, encoding);
    const values = await readValues(this.#device, output, step.output);
    const result = resultOf(step, values);
    const inputs = await describeInputs(this.#device, ran, index);
    const { origin, record: { kernel } } = step;
    const isLast = step.output === origin.group.output; // else it is a first pass, in which nothing is fused
    if (passesOn(result.result, inputs, isLast ? origin.group.scalars : [])) return;
    const byKernel = () => causeOfKernel(kernel, inputs, Number.isNaN(result.value));
    const cause = isLast
      ? await this.#cause(
        work,
        index,
        encoding,
        (again) => causeOf(again, origin.group, result.result.first, inputs, byKernel),
      )
      : byKernel();
    const { mark = "", turn = 0 } = stretch ?? {};
    throw errorOf(work, index, { ...result, inputs, cause, mark, turn });
  }

  /** Calls `find` with what computes parts of a dispatch again, of the values that it was computed of. */
  async #cause<T>(
    work: Work,
    index: number,
    encoding: Encoding,
    find: (again: Recomputation) => Promise<T>,
  ): Promise<T> {
    const { origin } = work.ran[index]!.step;
    const first = work.ran.findIndex(({ step }) => step.origin === origin);
    const storages = new Map<Node, Storage>();
    using copies = new DisposableStack();
    for (const { step, reads } of work.ran.slice(first, index + 1)) {
      step.inputs.forEach((node, i) => storages.set(node, reads[i]!));
      if (first === index) continue;
      for (const leaf of pagedWeights(step)) { // others take their place below
        const copy = this.#device.buffers.allocate("checking", leaf.bytes);
        copies.defer(() => copy.release());
        encoding.copy(storages.get(leaf)!, copy);
        storages.set(leaf, copy);
      }
    }
    if (first < index) await this.#again(work, first - 1, encoding); // later passes may overwrite what the first one reads
    using again = new Recomputation(this.#device, origin, storages);
    return await find(again);
  }

  /** Runs work again up to a dispatch. */
  async #again(work: Work, last: number, encoding: Encoding): Promise<void> {
    for (const fetch of work.again(encoding, last)) {
      encoding.submit();
      await fetch();
    }
    encoding.submit();
    work.counts?.clear(); // they were counted before
  }
}
