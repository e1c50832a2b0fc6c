import { type Device, embeddedModel } from "denoise";
import { Bar } from "../../src/core/bar.ts";
import type { Group } from "../../src/graph/fusion/fuse.ts";
import type { Kernel } from "../../src/graph/node.ts";
import { type Problem, problemOf } from "../../src/graph/tuning/bench.ts";
import { choiceId, watchKernels } from "../../src/graph/tuning/choice.ts";
import { isMeasured, type Outcome, tune } from "../../src/graph/tuning/tuner.ts";
import { memoryBudget } from "../../src/pipelines/memory/acquire.ts";
import type { DrawingSize } from "../../src/pipelines/memory/stage.ts";
import { stagesOf } from "../../src/pipelines/memory/stages.ts";
import { openModels } from "../inspect/open_models.ts";

/** At which models' sizes kernels are measured. */
export interface MeasureOptions {
  readonly model?: readonly string[] | undefined;
  readonly size?: { readonly width: number; readonly height: number } | undefined;
  readonly batch?: number | undefined;
  readonly dtype?: "f32" | "f16" | undefined;
  readonly quantize?: "int8" | "int4" | undefined;
}

/** The kernels of models' work for which there is a choice, one of each class of shapes; of none given, of the embedded ones'. */
export async function problemsOfModels(device: Device, options: MeasureOptions): Promise<Problem[]> {
  const models = options.model ??
    await Promise.all((["emoji-ddpm", "emoji-diffusion"] as const).map((name) => embeddedModel(name)));
  const problems = new Map<string, Problem>();
  for (const model of models) {
    const kernels = (await kernelsOf(device, model, options)).map(({ kernel }) => problemOf(kernel));
    const chosen = kernels.filter(({ candidates }) => candidates.length > 1);
    for (const problem of chosen.toReversed()) problems.set(choiceId(problem), problem); // the first of each class
  }
  return [...problems.values()];
}

/** Measures those of some kernels that were not measured yet, with a bar. */
export async function measureProblems(device: Device, problems: readonly Problem[]): Promise<Outcome[]> {
  const due = problems.filter((problem) => !isMeasured(device, problem))
    .sort((a, b) => a.flops - b.flops); // so that something is there soon
  console.error(`${problems.length} kernels with a choice, ${due.length} of them not measured yet`);
  if (due.length === 0) return [];
  const bar = new Bar(due.length, { label: "measuring" });
  let done = 0;
  const memory = await memoryBudget({});
  try {
    return await tune(device, due, { onOutcome: () => bar.update(++done), memory });
  } finally {
    bar.end();
  }
}

/** A kernel, and the group with which it runs: what is fused into it. */
export interface GroupedKernel {
  readonly kernel: Kernel;
  readonly group: Group;
}

/** The kernels of a model's, or of a pipeline's work in order; weights are not read. */
export async function kernelsOf(
  device: Device,
  model: string,
  { size, batch, dtype, quantize }: Omit<MeasureOptions, "model">,
): Promise<GroupedKernel[]> {
  const kernels: GroupedKernel[] = [];
  using _watch = watchKernels(device, (kernel, group) => kernels.push({ kernel, group }));
  using stack = new DisposableStack();
  const parts = await openModels(model, { dtype, quantize }, stack); // which traces them at their usual sizes
  const drawing: DrawingSize = { width: size?.width, height: size?.height, batch };
  kernels.length = 0;
  for (const part of Object.values(parts)) part.retrace();
  for (const name of ["textEncoder", "textEncoder2"]) parts[name]?.prepare();
  stagesOf(parts, drawing);
  return kernels;
}
