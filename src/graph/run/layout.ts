import type { Device } from "../../gpu/device.ts";
import { type Lifetime, type Place, planArenas } from "./arena.ts";
import { fuse, type Group, reachable } from "../fusion/fuse.ts";
import { type Node, Scratch } from "../node.ts";
import { chooseFor } from "../tuning/choice.ts";
import { type Step, stepsOfGroup } from "../fusion/step.ts";

/** Memory of the results of steps: each one's buffer and first byte, and the sizes of the buffers. */
export interface Layout {
  readonly places: Map<Node, Place>;
  readonly sizes: number[];
}

/** The groups that compute `outputs`, fused, in order. */
export function groupsOf(device: Device, outputs: readonly Node[]): Group[] {
  return fuse(reachable(outputs), new Set(outputs), device.limits.maxStorageBuffersPerShaderStage);
}

/** The dispatches that compute `outputs`, in order. */
export function stepsOf(device: Device, outputs: readonly Node[]): Step[] {
  return stepsOfGroups(device, groupsOf(device, outputs));
}

/** The dispatches of groups, by the candidates that are chosen now. */
export function stepsOfGroups(device: Device, groups: readonly Group[]): Step[] {
  return groups.flatMap((group) => stepsOfGroup(group, chooseFor(device, group)));
}

/**
 * For each step, numbers of the inputs that its result depends on. What a kernel's first passes make is for its last one
 * alone: it is made in every run in which that is, so it counts as depending on as much, and is never kept.
 */
export function dependencies(steps: readonly Step[], inputs: readonly Node[]): ReadonlySet<number>[] {
  const depends = new Map<Node, ReadonlySet<number>>(inputs.map((node, i) => [node, new Set([i])]));
  for (const { inputs, output } of steps) {
    depends.set(output, new Set(inputs.flatMap((node) => [...(depends.get(node) ?? [])])));
  }
  for (const { inputs, output } of steps.toReversed()) {
    for (const node of inputs) if (node instanceof Scratch) depends.set(node, depends.get(output)!);
  }
  return steps.map(({ output }) => depends.get(output)!);
}

/**
 * Results that stay from one run to the next, where the inputs in `constant` are the same in both: of steps that depend on
 * no others, those that are read although these steps are left out, by the caller or by steps that depend on more inputs.
 */
export function keptResults(
  steps: readonly Step[],
  depends: readonly ReadonlySet<number>[],
  outputs: readonly Node[],
  constant: ReadonlySet<number>,
): Set<Node> {
  const outlives = ({ output }: Step, i: number) =>
    outputs.includes(output) ||
    steps.some((step, j) => step.inputs.includes(output) && !depends[j]!.isSubsetOf(depends[i]!));
  return new Set(
    steps.flatMap((step, i) => depends[i]!.isSubsetOf(constant) && outlives(step, i) ? [step.output] : []),
  );
}

/** For each value the last step that reads it. Outputs are copied behind the steps that make them. */
export function lastUses(steps: readonly Step[]): Map<Node, number> {
  const last = new Map<Node, number>();
  steps.forEach((step, i) => {
    for (const node of step.inputs) last.set(node, Math.max(last.get(node) ?? 0, i));
  });
  return last;
}

/** Bytes of results that are needed while each of so many steps runs, from the first to the last that needs them. */
export function liveBytes(
  steps: number,
  values: readonly { readonly bytes: number; readonly first: number; readonly last: number }[],
): number[] {
  const live: number[] = new Array(steps).fill(0);
  for (const { bytes, first, last } of values) {
    for (let i = first; i <= Math.min(last, steps - 1); i++) live[i]! += bytes;
  }
  return live;
}

/**
 * Gives every result a place. Those of `kept` have buffers of their own, where nothing else is ever placed.
 */
export function layOut(
  device: Device,
  steps: readonly Step[],
  kept: ReadonlySet<Node>,
): Layout {
  const end = steps.length;
  const last = lastUses(steps);
  const { minStorageBufferOffsetAlignment, maxBufferSize } = device.limits;
  const limits = { alignment: Math.max(16, minStorageBufferOffsetAlignment), maxBytes: maxBufferSize };
  const result: Layout = { places: new Map(), sizes: [] };
  for (const keeping of [false, true]) { // where more is to be kept, the others need no more room than before
    const lifetimes = new Map<Node, Lifetime>();
    steps.forEach((step, i) => {
      const node = step.output;
      if (kept.has(node) !== keeping) return;
      const reads = step.inputs.flatMap((input) => lifetimes.get(input) ?? []);
      lifetimes.set(node, {
        bytes: node.bytes,
        first: i,
        last: keeping ? end : last.get(node) ?? i,
        reads,
      });
    });
    const { places, sizes } = planArenas([...lifetimes.values()], limits);
    for (const [node, lifetime] of lifetimes) {
      const { arena, offset } = places.get(lifetime)!;
      result.places.set(node, { arena: arena + result.sizes.length, offset });
    }
    result.sizes.push(...sizes);
  }
  return result;
}

/**
 * Bytes that a first run of such a trace takes beside its weights: activations, what is made of weights alone and kept,
 * inputs, and results that are handed out.
 */
export function workspaceOf(
  device: Device,
  steps: readonly Step[],
  inputs: readonly Node[],
  outputs: readonly Node[],
): number {
  const kept = keptResults(steps, dependencies(steps, inputs), outputs, new Set());
  const { sizes } = layOut(device, steps, kept);
  return [...sizes, ...[...inputs, ...outputs].map(({ bytes }) => bytes)].reduce((a, b) => a + b, 0);
}

/** Throws where a value is larger than an adapter binds at once. */
export function expectBindable(device: Device, values: readonly Node[]): void {
  const { maxStorageBufferBindingSize: most } = device.limits;
  const large = values.find((node) => node.bytes > most);
  if (!large) return;
  throw new RangeError(
    `Cannot compute ${large.path || "a value"}: expected at most ${most} bytes in one tensor on ` +
      `${device.adapterName}, got ${large.bytes}; draw smaller pictures or fewer at once`,
  );
}
