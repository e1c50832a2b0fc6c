import { expectOptions } from "../../core/error.ts";
import { expectNumber } from "../run_options.ts";
import { CachedModel, type CacheState, Kept, relativeChange, type StepCache } from "./step_cache.ts";

/** Options of `firstBlockCache`. */
export interface FirstBlockCacheOptions {
  /** Relative change of what the first block adds, up to which the other blocks are left out; 0.05 by default. */
  threshold?: number | undefined;
}

/**
 * First Block Cache, diffusers' FirstBlockCacheConfig, for transformers: the first block runs at every step. While what it
 * adds to the picture's tokens is near to what it added at the last whole step, the other blocks are taken to add what they
 * added then.
 */
export function firstBlockCache(options: FirstBlockCacheOptions = {}): StepCache {
  expectOptions("cache steps by the first block", options, ["threshold"]);
  const { threshold = 0.05 } = options;
  expectNumber("threshold", threshold);
  return { begin: (model) => new CachedModel(model, firstBlockState(threshold)) };
}

function firstBlockState(threshold: number): CacheState {
  /** The first block's results at this step; what it, and the others, added at the last whole one. */
  const kept = new Kept<"text" | "image" | "residual" | "first" | "rest">();
  return {
    look({ parts }) {
      const { text, image, residual } = parts().first();
      for (const [name, x] of Object.entries({ text, image, residual })) {
        if (x) kept.put(name as "text" | "image" | "residual", x);
      }
      const before = kept.get("first");
      return before && relativeChange(residual, before);
    },
    computes: (change) => change > threshold,
    compute({ parts, cut }) {
      const [text, image, residual] = [kept.get("text"), kept.get("image")!, kept.get("residual")!];
      const { sample, residual: rest } = parts().rest({ ...(text && { text }), image, residual });
      kept.put("first", residual);
      kept.put("rest", rest);
      kept.drop("text", "image", "residual");
      return cut(sample);
    },
    reuse({ parts, cut }) {
      const sample = parts().behind(kept.get("image")!, kept.get("rest")!);
      kept.drop("text", "image", "residual");
      return cut(sample);
    },
    rehearse({ parts, cut }) {
      const apart = parts();
      const first = apart.first();
      const { sample, residual } = apart.rest(first);
      apart.behind(first.image, residual);
      return { sample: cut(sample), kept: 2 * 4 * residual.size }; // f32
    },
    forget: () => kept.drop(),
  };
}
