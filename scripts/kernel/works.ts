/** Finds kernels by name at the shapes of a model, or at a given one. */
import { type Device, embeddedModel } from "denoise";
import { inOrder } from "../../src/gpu/shader/compose.ts";
import type { Candidate } from "../../src/graph/node.ts";
import { fusedText, type Problem, problemOf, shapeOf } from "../../src/graph/tuning/bench.ts";
import { decide, rightOnes, watchKernels } from "../../src/graph/tuning/choice.ts";
import type { Size } from "../command_line/options.ts";
import { usualDType } from "../doctor/cases.ts";
import { componentsOf, openOneModel, pipelineFacts } from "../inspect/find_model.ts";
import { usualCall } from "../profile/calls.ts";
import { type GroupedKernel, kernelsOf } from "../tune/measure.ts";
import { kernelsOfShape } from "./shapes.ts";

/** A kernel that is looked at or worked on, at one shape, with its candidate. */
export interface Work {
  readonly problem: Problem;
  readonly candidate: Candidate;
  /** How often the model runs it. */
  readonly uses: number;
}

/**
 * Where kernels come from: a model's work, or an operator on a shape; by default the embedded models' work.
 */
export interface Origin {
  /** A pipeline, or one model. */
  readonly model?: string | undefined;
  /** Of a pipeline the one model that counts, e.g. "vae"; all by default. */
  readonly part?: string | undefined;
  readonly shape?: string | undefined;
  /** Of the pictures that the model makes. */
  readonly size?: Size | undefined;
  readonly dtype?: "f32" | "f16" | undefined;
  /** As if the model's matrices were stored in fewer bits. */
  readonly quantize?: "int8" | "int4" | undefined;
}

/** The kernels of an origin, in order; those of models with what is fused into them. Weights are not read. */
export async function problemsOf(device: Device, origin: Origin): Promise<Problem[]> {
  expectOneOrigin(origin);
  const { model, part, shape, size, dtype = usualDType(device), quantize } = origin;
  if (shape !== undefined) return kernelsOfShape(device, shape, dtype);
  const models = model === undefined
    ? await Promise.all((["emoji-ddpm", "emoji-diffusion"] as const).map((name) => embeddedModel(name)))
    : [model];
  const problems: Problem[] = [];
  for (const one of models) {
    const isWhole = part === undefined && await componentsOf(one, {}) !== undefined;
    const kernels = isWhole
      ? await kernelsOf(device, one, { size, dtype, quantize })
      : await kernelsOfCall(device, one, { part, size, dtype, quantize });
    problems.push(...kernels.map(({ kernel, group }) => problemOf(kernel, group)));
  }
  return problems;
}

/** Throws where both a model and a shape are given, or a model's options without it. */
export function expectOneOrigin({ model, part, shape, quantize }: Origin): void {
  if (shape !== undefined && quantize !== undefined) {
    throw new TypeError(
      `Cannot take --quantize ${quantize} with --shape: expected a model, which has weights`,
    );
  }
  if (model === undefined && part !== undefined) {
    throw new TypeError(
      `Cannot take --part ${part} without --model: expected a pipeline that has it, got none`,
    );
  }
  if (shape === undefined || model === undefined) return;
  throw new TypeError("Cannot take --shape with --model: a model has its own; leave one of both out");
}

/** The kernels of the call that pipelines make of one model. */
async function kernelsOfCall(
  device: Device,
  target: string,
  { part, size, ...weights }: Pick<Origin, "part" | "size" | "dtype" | "quantize">,
): Promise<GroupedKernel[]> {
  using model = await openOneModel("show kernels of", target, { part }, {
    ...weights,
    headersOnly: true,
  });
  const kernels: GroupedKernel[] = [];
  using _watch = watchKernels(device, (kernel, group) => kernels.push({ kernel, group }));
  const facts = await pipelineFacts(target, {});
  model.measure(() => usualCall(model, size, facts).record(0));
  return kernels;
}

/** How many works are taken, and of which size. */
export interface Limit {
  /** Works at most. */
  readonly most: number;
  /** Arithmetic operations of each at most; where all have more, the smallest is taken. */
  readonly flops?: number | undefined;
}

/**
 * Of kernels those that a name means, the `most` that take the most operations: an operator, a part of a
 * candidate's name, or a file of `shaders/`. Of several candidates the one that the device chooses is taken,
 * else its first. Throws UnknownKernel where none is meant.
 */
export function worksOf(
  device: Device,
  problems: readonly Problem[],
  name: string,
  { most, flops = Infinity }: Limit,
): { works: Work[]; others: number } {
  const works = [...Map.groupBy(problems, keyOf).values()].flatMap(([problem, ...more]) => {
    const candidate = meantOf(device, problem!, name);
    return candidate ? [{ problem: problem!, candidate, uses: 1 + more.length }] : [];
  });
  if (works.length === 0) throw unknown(problems, name);
  const cost = ({ problem, uses }: Work) => problem.flops * uses;
  const small = works.filter(({ problem }) => problem.flops <= flops);
  const least = works.toSorted((a, b) => a.problem.flops - b.problem.flops).slice(0, 1);
  const taken = (small.length ? small : least).toSorted((a, b) => cost(b) - cost(a)).slice(0, most);
  return { works: taken, others: works.length - taken.length };
}

/** Equal for problems that are equal but for the place in the model. */
export function keyOf(problem: Problem): string {
  const operands = problem.fused?.operands.map((operand) => operand && [operand.dtype, operand.strides]);
  return [problem.name, shapeOf(problem), fusedText(problem), JSON.stringify(operands ?? [])].join(" ");
}

/** Files of `shaders/` that a candidate is made of, and the names of what is written for it. */
export function filesOf(candidate: Candidate): Set<string> {
  const passes = [...candidate.before ?? [], candidate];
  return new Set(passes.flatMap(({ name, code }) => inOrder(name, code).map((snippet) => snippet.name)));
}

/** The candidate of a problem that a name means, if any. */
function meantOf(device: Device, problem: Problem, name: string): Candidate | undefined {
  const path = `shaders/${name.replace(/^(\.\/)?shaders\//, "").replace(/\.wgsl$/, "")}.wgsl`;
  const meant = (candidate: Candidate) =>
    problem.name === name || candidate.name.includes(name) || filesOf(candidate).has(path);
  return [decide(device, problem).candidate, ...rightOnes(device, problem)].find(meant);
}

/** Refuses a name that is part of all names. */
export function expectName(name: string | undefined): void {
  if (name?.trim() !== "") return;
  throw new TypeError(
    `Cannot work on ${
      JSON.stringify(name)
    }: expected a file of shaders/ or part of a kernel's name, e.g. gemm`,
  );
}

/** No kernel at the shapes at hand is meant by a name. */
export class UnknownKernel extends TypeError {
  override name = "UnknownKernel";
}

function unknown(problems: readonly Problem[], name: string): UnknownKernel {
  const names = new Set(problems.flatMap(({ candidates }) => candidates.map((candidate) => candidate.name)));
  return new UnknownKernel(
    `Cannot work on ${name}: expected a file of shaders/ or part of a kernel's name among ${
      [...names].toSorted().join(", ") || "none"
    }; --model or --shape names others`,
  );
}
