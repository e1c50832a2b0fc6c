import type { Device } from "denoise";
import { Input, Leaf } from "../../src/graph/node.ts";
import { liveBytes } from "../../src/graph/run/layout.ts";
import type { Plan } from "../../src/graph/run/plan.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import type { Profile } from "./form.ts";

type PlanForm = Profile["memory"]["plans"][number];

/** The memory of all plans that ran on a device. */
export function plansOf(device: Device): PlanForm[] {
  return streamOf(device).plans.map(formOf).filter(({ values }) => values.length > 0);
}

function formOf(plan: Plan): PlanForm {
  const { label, arenas, values } = plan.memory();
  const weights = weightsOf(plan);
  const live = liveBytes(plan.steps.length, values);
  const peaks = new Map<string, number>();
  for (const { path, first } of values) peaks.set(path, Math.max(peaks.get(path) ?? 0, live[first]!));
  const paths = [...new Set([...peaks.keys(), ...weights.keys()])].sort();
  return {
    label,
    arenas: [...arenas],
    values: values.map((value) => ({ ...value })),
    modules: paths.map((path) => ({ path, weights: weights.get(path) ?? 0, peak: peaks.get(path) ?? 0 })),
  };
}

/** Bytes of the weights that a plan reads, by the modules that they are of. */
function weightsOf({ steps }: Plan): Map<string, number> {
  const leaves = new Set(
    steps.flatMap(({ inputs }) => inputs)
      .filter((node) => node instanceof Leaf && !(node instanceof Input) && node.label !== ""),
  );
  const bytes = new Map<string, number>();
  for (const leaf of leaves) {
    const path = (leaf as Leaf).label.replace(/\.?[^.]*$/, "");
    bytes.set(path, (bytes.get(path) ?? 0) + leaf.bytes);
  }
  return bytes;
}
