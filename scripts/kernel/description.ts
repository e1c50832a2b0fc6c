/**
 * All that a kernel is at a shape: the form in which `--json` has it, and in which it goes from one process
 * to another.
 */
import type { Device } from "denoise";
import { foldGrid } from "../../src/gpu/shader/grid.ts";
import { interfaceOf } from "../../src/gpu/shader/compiled.ts";
import { type Field, unpackFields } from "../../src/gpu/shader/params.ts";
import { codeOf, type Snippet, type SourcePart } from "../../src/gpu/shader/snippet.ts";
import { Constants } from "../../src/gpu/shader/unroll.ts";
import { type Step, stepsOfGroup } from "../../src/graph/fusion/step.ts";
import { benchBytes, fusedText, recordingOf, shapeOf } from "../../src/graph/tuning/bench.ts";
import { type Choice, decide, hashOf, idOf, rightOnes } from "../../src/graph/tuning/choice.ts";
import type { Machine } from "../null_gpu/machine.ts";
import type { Work } from "./works.ts";

/** A kernel at a shape, as a device runs it. */
export interface KernelDescription {
  /** The operator, e.g. "gemm". */
  readonly operator: string;
  /** Its axes and types. */
  readonly shape: string;
  /**
   * What its `store` computes of its value v and further operands, e.g. "add(v,x1)"; "" where it stores v.
   */
  readonly fused: string;
  /** Module path of the first one in the model, and how often the model runs it. */
  readonly path: string;
  readonly uses: number;
  /** Arithmetic operations and bytes of one run. */
  readonly flops: number;
  readonly bytes: number;
  /** Id of the candidate that is described: its name and constants. */
  readonly candidate: string;
  /** The one that the device runs, and the reason. */
  readonly chosen: string;
  readonly why: Choice["why"];
  /** All that are right on the device, the best guess first. */
  readonly candidates: readonly { readonly id: string; readonly ms?: number | undefined }[];
  /** Those that were found wrong on it. */
  readonly dropped: readonly { readonly id: string; readonly why: string }[];
  /** The dispatches, in order. */
  readonly passes: readonly PassDescription[];
}

/** A dispatch. */
export interface PassDescription {
  readonly name: string;
  /** The whole text as compiled: a module of its own. */
  readonly text: string;
  /** Its parts in order, and why each is there (see SourcePart). */
  readonly parts: readonly { readonly name: string; readonly reason: string }[];
  /** Its `const` and `alias` lines. */
  readonly constants: readonly Constant[];
  readonly bindings: readonly Binding[];
  /** The members of its uniforms. */
  readonly uniforms: readonly { readonly name: string; readonly fields: readonly Field[] }[];
  /** Invocations of a workgroup. */
  readonly workgroupSize: readonly [number, number, number];
  /** Workgroups along x and y. */
  readonly workgroups: readonly [number, number];
  /** What a GPU's compiler made of it, where that is known. */
  readonly machine?: Machine | undefined;
}

/** A `const` or `alias` line. */
export interface Constant {
  readonly name: string;
  readonly value: string;
  /** The file that has it. */
  readonly file: string;
  /** True if the host set it; else it follows from the choice of files. */
  readonly set: boolean;
}

/** A variable that is bound in group 0. */
export interface Binding {
  readonly binding: number;
  readonly name: string;
  readonly access: "read" | "read_write" | "uniform";
  readonly type: string;
  readonly bytes: number;
}

/** Describes a kernel as a device would run it; nothing runs. `texts` stand in place of files' own. */
export function describeWork(
  device: Device,
  { problem, candidate, uses }: Work,
  texts?: ReadonlyMap<Snippet, string>,
): KernelDescription {
  const { candidate: chosen, why, ms } = decide(device, problem);
  const ids = rightOnes(device, problem).map(idOf);
  return {
    operator: problem.name,
    shape: shapeOf(problem),
    fused: fusedText(problem),
    path: problem.path,
    uses,
    flops: problem.flops,
    bytes: benchBytes(problem),
    candidate: idOf(candidate),
    chosen: idOf(chosen),
    why,
    candidates: ids.map((id) => ({ id, ...id in ms && { ms: ms[id] } })),
    dropped: problem.candidates.flatMap((other) => {
      const why = device.tunings.dropped(idOf(other), () => hashOf(other, device.pipelines.texts));
      return why === undefined ? [] : [{ id: idOf(other), why }];
    }),
    passes: stepsOfWork({ problem, candidate }).map((step) => describePass(device, step, texts)),
  };
}

/** The dispatches of a kernel, without memory. */
export function stepsOfWork({ problem, candidate }: Pick<Work, "problem" | "candidate">): Step[] {
  return stepsOfGroup(recordingOf(problem).group, () => candidate);
}

function describePass(device: Device, step: Step, texts?: ReadonlyMap<Snippet, string>): PassDescription {
  const { pipeline, inputs, output, uniforms, workgroups } = step;
  const parts = device.pipelines.sourceOf(pipeline, texts);
  const { bindings, workgroup } = interfaceOf(pipeline.label, parts);
  const bytes = { read: inputs.map((node) => node.bytes).values(), write: [output.bytes].values() };
  const blocks = uniforms.values();
  const text = parts.map((part) => part.text).join("\n");
  const told: PassDescription["uniforms"][number][] = [];
  const bound = bindings.map(({ binding, name, use, type }): Binding => {
    if (use !== "uniform") {
      const access = use === "read" ? "read" : "read_write";
      return { binding: binding!, name, access, type, bytes: bytes[use].next().value ?? 0 };
    }
    const block = blocks.next().value ?? new Uint8Array();
    told.push({ name, fields: block.length ? unpackFields(text, type, block) : [] });
    return { binding: binding!, name, access: use, type, bytes: block.length };
  });
  return {
    name: pipeline.label,
    text,
    parts: parts.map(({ name, reason = "written" }) => ({ name, reason })),
    constants: constantsOf(pipeline.label, parts),
    bindings: bound,
    uniforms: told,
    workgroupSize: workgroup,
    workgroups: foldGrid(workgroups, device.limits.maxComputeWorkgroupsPerDimension),
  };
}

/** The lines `const NAME… = …;` and `alias NAME = …;` of a shader's files, whole numbers worked out. */
function constantsOf(label: string, parts: readonly SourcePart[]): Constant[] {
  const code = parts.map(({ text }) => codeOf(text));
  const numbers = new Constants(label, code.join("\n"));
  return parts.flatMap(({ name: file, reason, set = [] }, i) => {
    if (reason === "written") return [];
    return [...code[i]!.matchAll(/^(const|alias) (\w+)[^=;]*= ([^;]*);/gm)].map(([, kind, name, text]) => {
      const value = kind === "alias" ? text! : String(wholeOf(numbers, text!) ?? text!);
      return { name: name!, value: value.replaceAll(/\s+/g, " "), file, set: set.includes(name!) };
    });
  });
}

/** The value of an expression of whole numbers and constants; undefined of any other. */
function wholeOf(numbers: Constants, expression: string): number | undefined {
  try {
    return numbers.valueOf(expression);
  } catch {
    return undefined;
  }
}
