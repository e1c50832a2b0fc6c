import { type CachedModel, easyCache, firstBlockCache, type StepCache, teaCache } from "denoise/pipelines";

/** Step caches by their names on the command line. */
const CACHES: Readonly<Record<string, (options: { threshold?: number }) => StepCache>> = {
  "first-block": firstBlockCache,
  tea: teaCache,
  easy: easyCache,
};

/** Reads `KIND[:threshold]`, e.g. `first-block:0.1`; the threshold is the kind's own where none is given. */
export function readCache(text: string): StepCache {
  const [, kind = "", threshold] = /^([^:]*)(?::(.*))?$/.exec(text) ?? [];
  const isThreshold = threshold === undefined ||
    threshold.trim() !== "" && Number.isFinite(Number(threshold)) && Number(threshold) >= 0;
  if (Object.hasOwn(CACHES, kind) && isThreshold) {
    return CACHES[kind]!(threshold === undefined ? {} : { threshold: Number(threshold) });
  }
  const names = Object.keys(CACHES);
  throw new TypeError(
    `expected ${names.slice(0, -1).join(", ")} or ${names.at(-1)}, or e.g. first-block:0.1`,
  );
}

/** A cache of `--cache` that also counts what its runs computed and left out. */
export function counting(text: string): StepCache & { describe(): string } {
  const cache = readCache(text);
  const begun: Pick<CachedModel<never>, "computed" | "reused">[] = [];
  return {
    begin(model, steps) {
      const cached = cache.begin(model, steps);
      begun.push(cached);
      return cached;
    },
    describe() {
      const sum = (of: "computed" | "reused") => begun.reduce((total, cached) => total + cached[of], 0);
      const [computed, reused] = [sum("computed"), sum("reused")];
      return `--cache ${text}: ${reused} of ${computed + reused} calls of the model left out`;
    },
  };
}
