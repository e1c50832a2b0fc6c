import { bytesOf } from "../../core/dtype.ts";
import { hash } from "../../core/hash.ts";
import { size } from "../../core/shape.ts";
import { inOrder } from "../../gpu/shader/compose.ts";
import type { Device } from "../../gpu/device.ts";
import type { Snippet } from "../../gpu/shader/snippet.ts";
import type { Candidate, Kernel, KernelSpec, Pass } from "../node.ts";

/**
 * The candidate that computes a kernel on a device: of those that are right there the one asked for, else the fastest that
 * was measured on this adapter for such shapes, else the best guess.
 */
export function choose(device: Device, kernel: Kernel): Candidate {
  device.attached(Watching).watcher?.(kernel);
  const { candidates } = kernel.spec;
  if (candidates.length === 1) return candidates[0]!;
  const right = rightOnes(device, kernel.spec);
  const { candidate: asked } = device.choice;
  const named = right.find(({ name }) => asked && name.includes(asked));
  if (named) return named;
  const ids = right.map(idOf);
  const times = device.tunings.times(classOf(kernel.spec), ids) ?? {};
  const measured = right.filter((_, i) => ids[i]! in times);
  return measured.toSorted((a, b) => times[idOf(a)]! - times[idOf(b)]!)[0] ?? right[0]!;
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

/** Called with every kernel. */
type Watcher = (kernel: Kernel) => void;

class Watching {
  watcher: Watcher | undefined;
}

/** Tells `watch` of every kernel of a device when its candidate is chosen, those that have but one among them, until it is disposed. */
export function watchKernels(device: Device, watch: Watcher): Disposable {
  const watching = device.attached(Watching);
  watching.watcher = watch;
  return { [Symbol.dispose]: () => watching.watcher = undefined };
}
