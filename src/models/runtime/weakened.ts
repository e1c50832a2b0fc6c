import { sameNumbers } from "../../core/shape.ts";
import { type Tensor, watchedToo } from "../../tensor/mod.ts";
import type { Tensors } from "./traces.ts";

/** A model's function. */
type Run<Out> = (inputs: Tensors) => Out;

/**
 * The function of a transformer in which blocks at these paths give what they take: for skip layer guidance. What only they
 * need is not computed.
 */
export function withoutBlocks<Out>(label: string, blocks: readonly string[], run: Run<Out>): Run<Out> {
  if (blocks.length === 0) return run;
  return (inputs) => {
    const left = new Set(blocks);
    const same = (taken: Tensor | undefined, output: Tensor) => {
      if (taken && sameNumbers(taken.shape, output.shape)) return taken;
      throw new RangeError(
        `Cannot skip parts of ${label}: expected paths of blocks, which give what they take`,
      );
    };
    const skip = (path: string, output: Tensor, taken: readonly Tensor[]) => {
      const block = blocks.find((block) => path === block || path === `${block}.0` && taken.length > 1);
      if (block === undefined) return output;
      left.delete(block);
      return same(path === block ? taken.at(-1) : taken[0], output); // the text's tokens come first
    };
    const result = watchedToo(skip, () => run(inputs));
    for (const block of left) {
      throw new RangeError(
        `Cannot skip "${block}" of ${label}: no such block; expected a path such as transformer_blocks.0`,
      );
    }
    return result;
  };
}

/**
 * The function of a model in which self-attention of layers is the identity: each token sees itself alone, for perturbed
 * attention guidance. As in diffusers, a layer is any module whose path one of the patterns is found in.
 */
export function withIdentityAttention<Out>(
  label: string,
  layers: readonly string[],
  run: Run<Out>,
): Run<Out> {
  if (layers.length === 0) return run;
  const patterns = layers.map(patternOf);
  return (inputs) => {
    const found = new Set<RegExp>();
    const seen: string[] = [];
    const result = watchedToo((path, output, [query, key, value]) => {
      const [, module] = /^(.*\battn1)\.attention$/.exec(path) ?? [];
      if (module === undefined || key!.shape[2] !== query!.shape[2]) return output; // the prompt's
      seen.push(module);
      const own = patterns.filter((pattern) => pattern.test(module));
      for (const pattern of own) found.add(pattern);
      return own.length > 0 ? value! : output;
    }, () => run(inputs));
    for (const [i, pattern] of patterns.entries()) {
      if (found.has(pattern)) continue;
      throw new RangeError(
        `Cannot perturb attention of ${label} in "${
          layers[i]
        }": no self-attention has it in its path; there is ${seen.join(", ") || "none"}`,
      );
    }
    return result;
  };
}

function patternOf(layer: string): RegExp {
  try {
    return new RegExp(layer);
  } catch {
    throw new SyntaxError(
      `Cannot perturb attention in "${layer}": expected a part of a path, or a regular expression`,
    );
  }
}
