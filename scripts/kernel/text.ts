/** What the kernel script prints. */
import type { Device } from "denoise";
import { type Problem, shapeOf } from "../../src/graph/tuning/bench.ts";
import { decide, rightOnes } from "../../src/graph/tuning/choice.ts";
import type { Loop } from "../null_gpu/hot_loop.ts";
import type { Machine } from "../null_gpu/machine.ts";
import { table } from "../inspect/table.ts";
import { shortNames } from "../tune/table.ts";
import type { Binding, Constant, KernelDescription, PassDescription } from "./description.ts";
import { filesOf } from "./works.ts";

const REASONS: Readonly<Record<KernelDescription["why"], string>> = {
  only: "the only one that is right here",
  asked: "asked for",
  measured: "the fastest that was measured on this adapter",
  known: "the fastest on such an adapter, by measurements that come with Denoise",
  guess: "the best guess: none was measured here, `deno task tune` does",
};

const HEAD = 17; // columns of a line's head

/** All about a kernel but its text: candidates, then each pass. */
export function describeKernel(kernel: KernelDescription): string {
  const { passes } = kernel;
  return [
    headOf(kernel),
    ...candidatesOf(kernel),
    ...passes.flatMap((pass, i) => ["", ...describePass(pass, i, passes.length)]),
  ].join("\n");
}

/** The kernel's text, below comments that say the rest: each pass is a module of its own. */
export function dumpKernel(kernel: KernelDescription): string {
  const { passes } = kernel;
  return passes.map((pass, i) => {
    const about = [headOf(kernel), ...describePass(pass, i, passes.length)].join("\n");
    return `${about.replaceAll(/^/gm, "// ").replaceAll(/ +$/gm, "")}\n\n${pass.text}`;
  }).join("\n\n");
}

/**
 * E.g. "gemm 1×1×64×320 from f32, f32 to f32, which stores add(v,x1); 12 times, first in conv_in; 13.1 MFLOP,
 * 0.6 MB".
 */
function headOf({ operator, shape, fused, uses, path, flops, bytes }: KernelDescription): string {
  const stores = fused ? `, which stores ${fused}` : "";
  const where = path ? `; ${uses} ${uses === 1 ? "time" : "times"}, first in ${path}` : "";
  return `${operator} ${shape}${stores}${where}; ${scaled(flops)}FLOP, ${scaled(bytes)}B`;
}

function candidatesOf({ candidate, chosen, why, candidates, dropped }: KernelDescription): string[] {
  const names = shortNames(candidates.map(({ id }) => id));
  const list = candidates.map(({ id, ms }) =>
    `${names.get(id)}${ms === undefined ? "" : ` (${ms.toPrecision(3)} ms)`}`
  );
  return [
    `chosen: ${names.get(chosen)}, ${REASONS[why]}`,
    ...candidate === chosen ? [] : [`shown: ${names.get(candidate)}`],
    ...list.length > 1 ? [`right here, the best guess first: ${list.join(", ")}`] : [],
    ...dropped.map(({ id, why }) => `not used: ${id}, ${why}`),
  ];
}

function describePass(pass: PassDescription, number: number, of: number): string[] {
  const { name, parts, constants, bindings, uniforms, workgroupSize, workgroups, machine } = pass;
  const files = (reason: string) =>
    parts.filter((part) => part.reason === reason && part.name.startsWith("shaders/")).map(({ name }) =>
      name
    );
  const line = (head: string, text: string) => text ? [`  ${head.padEnd(HEAD)}${text}`] : [];
  return [
    `${name}${of > 1 ? `, pass ${number + 1} of ${of}` : ""}`,
    ...line("files", files("listed").join(" ")),
    ...line("they need", files("needed").join(" ")),
    ...line("set by the host", valuesOf(constants.filter(({ set }) => set))),
    ...line("which gives", valuesOf(constants.filter(({ set }) => !set))),
    ...bindings.map((binding, i) => `  ${(i ? "" : "bindings").padEnd(HEAD)}${bindingOf(binding)}`),
    ...uniforms.flatMap(({ name, fields }) =>
      line(name, fields.map(([name, , value]) => `${name} ${value}`).join(", "))
    ),
    ...line("a workgroup", `${workgroupSize.join(" × ")} invocations`),
    ...line("workgroups", workgroups.join(" × ")),
    ...machine ? machineOf(machine).flatMap(([head, text]) => line(head!, text!)) : [],
  ];
}

function valuesOf(constants: readonly Constant[]): string {
  return [...new Set(constants.map(({ name, value }) => `${name} = ${value}`))].join(", ");
}

function bindingOf({ binding, name, access, type, bytes }: Binding): string {
  return `${binding} ${access} ${name}: ${type}, ${bytes} bytes`;
}

/** Lines of what a compiler made of a pass, each with its head. */
function machineOf(machine: Machine): string[][] {
  const { family, driver, lanes, vgprs, sgprs, spilled, scratch, lds, occupancy, loop } = machine;
  const { subgroups, most, limit } = occupancy;
  const spills = spilled || scratch
    ? `${spilled} spilled, ${scratch} bytes of scratch memory`
    : "none spilled";
  const by = limit === "hardware" ? "as many as it holds" : `limited by ${limit}`;
  return [
    [`on ${family}`, `${driver}, ${lanes} lanes a subgroup`],
    ["registers", `${vgprs} VGPRs, ${sgprs} SGPRs, ${spills}`],
    ["LDS", `${lds} bytes a workgroup`],
    ["occupancy", `${subgroups} of ${most} subgroups a SIMD, ${by}`],
    ["code", `${machine.codeBytes} bytes, ${machine.instructions} instructions`],
    ["hottest loop", loop ? mixOf(loop) : noLoopOf(machine)],
  ];
}

function noLoopOf({ family, code }: Machine): string {
  return /^BB0:/m.test(code) ? "none that multiplies" : `not known: Mesa prints no machine code of ${family}`;
}

function mixOf({ counts, arithmetic }: Loop): string {
  const kinds = Object.entries(counts).filter(([, count]) => count > 0).map(([kind, n]) => `${n} ${kind}`);
  return `${kinds.join(", ")}; multiply-adds are ${(100 * arithmetic).toFixed(0)} % of issue cycles`;
}

/** The machine code of a kernel's passes, one after the other. */
export function codeOf({ passes }: KernelDescription): string {
  return passes.map(({ name, machine }) =>
    `; ${name} on ${machine!.family}, ${machine!.driver}\n${machine!.code}`
  ).join("\n");
}

/**
 * One line for each operator: its kernels, and at how many shapes it was met; then files that no kernel of
 * these has.
 */
export function describeList(device: Device, problems: readonly Problem[], files: readonly string[]): string {
  const rows = [...Map.groupBy(problems, ({ name }) => name)].map(([operator, list]) => {
    const chosen = new Set(list.map((problem) => decide(device, problem).candidate.name));
    const names = new Set(list.flatMap((problem) => rightOnes(device, problem).map(({ name }) => name)));
    const shapes = new Set(list.map(shapeOf)).size;
    return [operator, `${shapes}`, [...names].map((name) => chosen.has(name) ? `${name}*` : name).join(" ")];
  });
  const met = new Set(problems.flatMap(({ candidates }) => candidates.flatMap((one) => [...filesOf(one)])));
  const others = files.filter((file) => !/\/(lib|operands)\//.test(file) && !met.has(file));
  return [
    table([["operator", "shapes", "kernels that are right here; * is chosen for a shape"], ...rows]),
    ...others.length ? [`of no kernel at these shapes: ${others.join(" ")}`] : [],
  ].join("\n");
}

function scaled(value: number): string {
  const [letter, unit] = ([["G", 1e9], ["M", 1e6], ["k", 1e3]] as const).find(([, unit]) => value >= unit) ??
    ["", 1];
  return `${letter ? (value / unit).toPrecision(3) : value} ${letter}`;
}
