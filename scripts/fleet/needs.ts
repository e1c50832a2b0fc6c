import { type Addition, placeIn } from "../generate/contents.ts";
import type { CanonicalRequest } from "./request_name.ts";
import { versionIn, type WorkerState } from "./roster.ts";

/** Keys of requests under which they name what workers offer. */
const KINDS = ["model", "vae", "lora", "controlnet", "t2i-adapter", "ip-adapter", "embedding"];

/** What a request needs: a kind of which workers offer some, and a name. */
export type Need = readonly [kind: string, name: string];

/** All that a request names of what workers offer. */
export function needsOf(request: CanonicalRequest): readonly Need[] {
  return KINDS.flatMap((kind): Need[] => {
    const named = request[kind];
    if (typeof named === "string") return [[kind, named]];
    return Array.isArray(named) ? named.map((text) => [kind, placeIn(kind as Addition, String(text))]) : []; // as style:0.8
  });
}

/** The workers that offer all of it. */
export function offering(needs: readonly Need[], workers: readonly WorkerState[]): readonly WorkerState[] {
  return workers.filter((worker) =>
    needs.every(([kind, name]) => versionIn(worker, kind, name) !== undefined)
  );
}

/** Says what of it no worker offers, or no worker together, and what they offer instead; undefined where one offers all. */
export function lackOf(needs: readonly Need[], workers: readonly WorkerState[]): string | undefined {
  if (offering(needs, workers).length > 0) return undefined;
  const alone = needs.filter((need) => offering([need], workers).length === 0);
  const lacking = alone.length > 0 ? alone : needs;
  const offered = lacking.map(([kind]) => `${kind}: ${namesOf(kind, workers)}`);
  const instead = workers.length === 0
    ? "no worker is there"
    : `offered are ${[...new Set(offered)].join("; ")}`;
  return `No worker offers ${
    lacking.map(([kind, name]) => `the ${kind} ${name}`).join(" with ")
  }; ${instead}`;
}

function namesOf(kind: string, workers: readonly WorkerState[]): string {
  const names = new Set(workers.flatMap(({ offers }) => Object.keys(offers[kind] ?? {})));
  return [...names].sort().join(", ") || "none";
}
