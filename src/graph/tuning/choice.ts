import { bytesOf } from "../../core/dtype.ts";
import { hash } from "../../core/hash.ts";
import { size } from "../../core/shape.ts";
import { inOrder } from "../../gpu/shader/compose.ts";
import type { Device } from "../../gpu/device.ts";
import type { Snippet } from "../../gpu/shader/snippet.ts";
import type { Group } from "../fusion/fuse.ts";
import type { Candidate, Kernel, KernelSpec, Pass } from "../node.ts";

/** The candidate that computes a kernel on a device, and the reason for it. */
export interface Choice {
  readonly candidate: Candidate;
  /**
   * "only": it is the only one that is right there; "asked": by the device's options; "measured": the fastest on this adapter;
   * "known": the fastest on such an adapter, as measured before Denoise was shipped; "guess": nothing was measured.
   */
  readonly why: "only" | "asked" | "measured" | "known" | "guess";
  /** Milliseconds of the candidates that were measured, by their ids. */
  readonly ms: Readonly<Record<string, number>>;
}

/**
 * The candidate that computes a kernel on a device: of those that are right there the one asked for, else the fastest that
 * was measured on this adapter for such shapes, else the best guess.
 */
export function choose(device: Device, { spec }: Pick<Kernel, "spec">): Candidate {
  return spec.candidates.length === 1 ? spec.candidates[0]! : decide(device, spec).candidate;
}

/** The same with the reason. */
export function decide(device: Device, spec: Pick<KernelSpec, "name" | "shapeClass" | "candidates">): Choice {
  const right = rightOnes(device, spec);
  const ids = right.map(idOf);
  const { tunings } = device;
  const ms = tunings.times(classOf(spec), ids) ?? {};
  const { candidate: asked } = device.choice;
  const named = right.find(({ name }) => asked && name.includes(asked));
  if (named) return { candidate: named, why: "asked", ms };
  if (right.length === 1) return { candidate: right[0]!, why: "only", ms };
  const measured = right.filter((_, i) => ids[i]! in ms);
  const [fastest] = measured.toSorted((a, b) => ms[idOf(a)]! - ms[idOf(b)]!);
  if (!fastest) return { candidate: right[0]!, why: "guess", ms };
  return { candidate: fastest, why: tunings.isKnown(classOf(spec), ids) ? "known" : "measured", ms };
}

/** Candidates that were not found wrong on a device, and whose passes hand no more to each other than it binds at once. */
export function rightOnes(device: Device, { candidates }: Pick<KernelSpec, "candidates">): Candidate[] {
  const { maxStorageBufferBindingSize: most } = device.limits;
  const right = candidates.filter((candidate) =>
    (candidate.before ?? []).every(({ axes, dtype }) => size(axes) * bytesOf(dtype) <= most) &&
    device.tunings.dropped(idOf(candidate), () => hashOf(candidate, device.pipelines.texts)) === undefined
  );
  return right.length ? right : [...candidates];
}

/** Kernels and shapes for which the same candidate is taken to be the fastest. */
export function classOf({ name, shapeClass }: Pick<KernelSpec, "name" | "shapeClass">): string {
  return `${name} ${shapeClass}`;
}

/** Tells choices apart that are measured apart: by the class of shapes and the candidates. */
export function choiceId(spec: Pick<KernelSpec, "name" | "shapeClass" | "candidates">): string {
  return [classOf(spec), ...spec.candidates.map(idOf)].join("; ");
}

/** Tells candidates of a kernel apart, in files of tunings too: names and constants of all passes. */
export function idOf(candidate: Candidate): string {
  const words = ({ name, set }: Pass) =>
    [name, ...Object.entries(set).map(([key, value]) => `${key}=${value}`)].join(" ");
  return [...candidate.before ?? [], candidate].map(words).join(", ");
}

/** Hash of a candidate's texts, or of `texts` in place of them. */
export function hashOf(candidate: Candidate, texts?: ReadonlyMap<Snippet, string>): string {
  const passes = [...candidate.before ?? [], candidate];
  return hash(
    passes.flatMap(({ name, code }) => inOrder(name, code, texts).map(({ text }) => text)).join("\n"),
  );
}

/** Called with every kernel, and the group in which it runs. */
type Watcher = (kernel: Kernel, group: Group) => void;

class Watching {
  watcher: Watcher | undefined;
}

/**
 * Tells `watch` of every kernel of a device when its candidate is chosen, those that have but one among them, with what is
 * fused into it, until it is disposed.
 */
export function watchKernels(device: Device, watch: Watcher): Disposable {
  const watching = device.attached(Watching);
  watching.watcher = watch;
  return { [Symbol.dispose]: () => watching.watcher = undefined };
}

/** Chooses for a group's kernel, and tells the watcher of it. */
export function chooseFor(device: Device, group: Group): (kernel: Kernel) => Candidate {
  return (kernel) => {
    device.attached(Watching).watcher?.(kernel, group);
    return choose(device, kernel);
  };
}
