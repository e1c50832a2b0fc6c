import { cat, type Tensor, watchedToo, zeros } from "../../tensor/mod.ts";
import type { Tensors } from "./traces.ts";

/** The streams behind a transformer's first block. */
export interface FirstBlock {
  /** The text's tokens, where the block has them apart. [B, N, D] */
  readonly text?: Tensor;
  /** The picture's tokens, or all of them. [B, L, D] */
  readonly image: Tensor;
  /** The sum that the block added to these. [B, L, D] */
  readonly residual: Tensor;
}

/** Paths of lists of blocks, by their names and lengths, in order. */
export function blockPaths(lists: Record<string, number>): string[] {
  return Object.entries(lists).flatMap(([name, count]) =>
    Array.from({ length: count }, (_, i) => `${name}.${i}`)
  );
}

/** Records a part of a call under a name, from the call's inputs and others. */
type RecordPart = (
  name: string,
  others: Tensors,
  part: (all: Tensors, run: () => Tensor) => Tensors,
) => Tensors;

/**
 * A call of a transformer, cut behind its first block and behind its last: for step caches, which leave out what is between.
 * Each part is a trace of its own. It records the model's whole function; what stands in for a block's result cuts off all
 * that only this result needs, so that a part runs no more than its name says.
 */
export class BlockParts {
  readonly #record: RecordPart;
  readonly #first: string;
  readonly #last: string;

  /** For `Model.inBlocks`, with the paths of all blocks that the picture goes through, in order. */
  constructor(label: string, blocks: readonly string[], record: RecordPart) {
    if (blocks.length < 2) {
      throw new RangeError(
        `Cannot cache steps of ${label}: expected at least two blocks, got ${blocks.length}`,
      );
    }
    [this.#record, this.#first, this.#last] = [record, blocks[0]!, blocks.at(-1)!];
  }

  /** Runs all up to the first block, and this block. */
  first(): FirstBlock {
    return this.#record("first block", {}, (_all, run) => {
      const seen: Tensors = {};
      this.#watch(run, {
        [`${this.#first}.0`]: (text) => seen["text"] = text,
        [this.#first]: (image, inputs) => {
          seen["residual"] = image.sub(inputs.at(-1)!);
          return seen["image"] = image;
        },
      });
      return seen;
    }) as unknown as FirstBlock;
  }

  /** Runs the blocks behind the first. → the prediction, and what these blocks added to the picture's tokens [B, L, D] */
  rest({ text, image }: FirstBlock): { sample: Tensor; residual: Tensor } {
    const given = { ...(text && { text }), image };
    return this.#record("blocks behind the first", given, (all, run) => {
      let residual: Tensor | undefined;
      const sample = this.#watch(run, {
        [`${this.#first}.0`]: () => all["text"]!,
        [this.#first]: () => all["image"]!,
        [this.#last]: (out) => {
          residual = imageOf(out, all["image"]!).sub(all["image"]!);
          return out;
        },
      });
      return { sample, residual: residual! };
    }) as { sample: Tensor; residual: Tensor };
  }

  /** Runs what is behind the blocks, as if they had given the picture's tokens image + residual. [B, L, D] both */
  behind(image: Tensor, residual: Tensor): Tensor {
    return this.#record("behind the blocks", { image, residual }, (all, run) => {
      const sum = all["image"]!.add(all["residual"]!);
      const sample = this.#watch(run, {
        [`${this.#last}.0`]: (text) => zeros(text.shape), // nothing reads it from here on
        [this.#last]: (out) => {
          const [B, tokens, D] = out.shape as [number, number, number];
          const N = tokens - sum.shape[1]!; // texts in front
          return N === 0 ? sum : cat([zeros([B, N, D]), sum], 1);
        },
      });
      return { sample };
    })["sample"]!;
  }

  /** Runs what is in front of the blocks. → the picture's tokens [B, L, D], and the first block's norm of them, modulated */
  front(): { image: Tensor; modulated: Tensor } {
    return this.#record("in front of the blocks", {}, (_all, run) => {
      const seen: Tensors = {};
      this.#watch(run, {
        [`${this.#first}.norm1.0`]: (modulated) => seen["modulated"] = modulated,
        [this.#first]: (out, inputs) => {
          seen["image"] = inputs.at(-1)!;
          return out;
        },
      });
      return seen;
    }) as { image: Tensor; modulated: Tensor };
  }

  /** Runs all of it. → the prediction, and what all blocks added to the picture's tokens [B, L, D] */
  whole(): { sample: Tensor; residual: Tensor } {
    return this.#record("whole", {}, (_all, run) => {
      let [image, residual]: Tensor[] = [];
      const sample = this.#watch(run, {
        [this.#first]: (out, inputs) => {
          image = inputs.at(-1)!;
          return out;
        },
        [this.#last]: (out) => {
          residual = imageOf(out, image!).sub(image!);
          return out;
        },
      });
      return { sample, residual: residual! };
    }) as { sample: Tensor; residual: Tensor };
  }

  /** Runs the model's function; results of parts at these paths go through the functions. */
  #watch(
    run: () => Tensor,
    at: Record<string, (output: Tensor, inputs: readonly Tensor[]) => Tensor>,
  ): Tensor {
    return watchedToo((path, output, inputs) => at[path]?.(output, inputs) ?? output, run);
  }
}

/** The picture's tokens, which are the last of a stream's. [B, N + L, D] → [B, L, D] */
function imageOf(stream: Tensor, { shape }: Tensor): Tensor {
  return stream.slice(1, stream.shape[1]! - shape[1]!);
}
