import * as denoise from "../../src/mod.ts";
import { Tensor, tensor } from "../../src/mod.ts";
import * as ops from "../../src/ops/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { camelCased, readJson } from "./json.ts";
import { bind } from "./tensor_signatures.ts";
import { attempt, compare, EXACT, refused, type Verdict, worst } from "./verdict.ts";

/** A call of torch, and what came of it. */
interface TensorCase {
  readonly id: string;
  readonly op: string;
  readonly args: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** Tensors of the result by their place in it: "out", "out.values", "out.0", "out.real". */
  readonly outputs?: readonly string[];
  /** The result itself, where it is no tensor. */
  readonly result?: unknown;
  /** torch's refusal. */
  readonly raises?: string;
}

/** By a result's type, of the largest number expected; what is not listed is exact. */
const BOUNDS: Record<string, number> = { f32: 1e-5, f16: 1e-3 };
/** Of the largest number given: what sums of such numbers lose in f32 where they cancel out. */
const LOST = 3e-7;

/** Types of results, and their names in files; torch's 64-bit integers are 32-bit ones here. */
const TYPES: Record<string, string> = { F32: "f32", F16: "f16", I64: "i32", I32: "i32", BOOL: "bool" };
const DTYPES: Record<string, string> = {
  float32: "f32",
  float16: "f16",
  int64: "i32",
  int32: "i32",
  bool: "bool",
};

/** Tensor operations against torch: `tensor/expected/tensor.safetensors`, described by its meta.json. */
export async function* tensorOperations(folder: string): AsyncGenerator<Verdict, void, void> {
  const { cases } = await readJson<{ cases: TensorCase[] }>(`${folder}/expected/meta.json`);
  const tensors = await readTensors(`${folder}/expected/tensor.safetensors`);
  for (const one of cases) yield await judge(one, tensors);
}

async function judge(one: TensorCase, tensors: Map<string, HostTensor>): Promise<Verdict> {
  if (!one.raises) return await attempt(one.id, () => check(one, tensors));
  try {
    await check(one, tensors);
  } catch (error) {
    return refused(one.id, error);
  }
  return { id: one.id, status: "failed", note: `gives a result, want a refusal: ${one.raises}` };
}

async function check(one: TensorCase, tensors: Map<string, HostTensor>): Promise<Verdict> {
  const { id, outputs = [] } = one;
  using _freed = denoise.scope();
  const inputs: HostTensor[] = [];
  const result = await run(one, (name) => {
    const input = tensors.get(`${id}/${name}`)!;
    inputs.push(input);
    return input;
  });
  if ("result" in one) {
    const same = JSON.stringify(result) === JSON.stringify(one.result);
    return { id, status: same ? "passed" : "failed", note: `got ${JSON.stringify(result)}` };
  }
  const verdicts: Verdict[] = [];
  for (const output of outputs) {
    const [, ...path] = output.split(".");
    const got = path.reduce((value, key) => (value as Record<string, unknown>)[key], result as unknown);
    const want = tensors.get(`${id}/${output}`)!;
    verdicts.push(await compareOutput(output, got as Tensor, want, LOST * largest(inputs)));
  }
  return worst(id, verdicts);
}

/** Calls the method of this name where its first argument has one, else the function; of where() the function. */
function run({ op, args, kwargs = {} }: TensorCase, stored: (name: string) => HostTensor): unknown {
  const decoded = (value: unknown) => decode(value, stored);
  const { positional, options } = bind(
    op,
    args.map(decoded),
    Object.fromEntries(Object.entries(kwargs).map(([name, value]) => [name, decoded(value)])),
  );
  const renamed = Object.entries(options).filter(([, value]) => value !== undefined).map(([name, value]) =>
    name === "dim" ? [Array.isArray(value) ? "axes" : "axis", value] : [name, value]
  );
  if (renamed.length > 0) positional.push(camelCased(Object.fromEntries(renamed)));
  while (positional.length > 0 && positional.at(-1) === undefined) positional.pop();

  const [name] = Object.keys(camelCased({ [op]: 0 }));
  const [first, ...rest] = positional;
  if (first instanceof Tensor && name! in first && op !== "where") {
    const member = (first as unknown as Record<string, unknown>)[name!];
    return typeof member === "function" ? member.apply(first, rest) : member;
  }
  const found = ({ ...ops, ...denoise } as Record<string, unknown>)[name!];
  if (typeof found !== "function") throw new Error(`Denoise has no ${name}`);
  return found(...positional);
}

/** An argument: tensors, types and numbers that JSON lacks are objects of one key. */
function decode(value: unknown, stored: (name: string) => HostTensor): unknown {
  if (Array.isArray(value)) return value.map((one) => decode(one, stored));
  if (value === null) return undefined;
  if (typeof value !== "object") return value;
  const { tensor: name, complex, dtype, number } = value as Record<string, string>;
  if (name !== undefined) return uploaded(stored(name));
  if (complex !== undefined) {
    return { real: uploaded(stored(`${complex}.real`)), imag: uploaded(stored(`${complex}.imag`)) };
  }
  if (dtype !== undefined) return DTYPES[dtype];
  return Number(number!.replace("inf", "Infinity"));
}

function uploaded({ data, shape, dtype }: HostTensor): Tensor {
  return tensor([...data], shape, { dtype: TYPES[dtype] as denoise.PlainDType });
}

/** The largest finite magnitude. */
function largest(tensors: readonly HostTensor[]): number {
  return tensors.flatMap(({ data }) => [...data]).filter(Number.isFinite)
    .reduce((most, x) => Math.max(most, Math.abs(x)), 0);
}

async function compareOutput(id: string, got: Tensor, want: HostTensor, lost: number): Promise<Verdict> {
  if (!(got instanceof Tensor)) return { id, status: "failed", note: `got ${got}, want a tensor` };
  const expected = `[${want.shape}] ${TYPES[want.dtype]}`;
  const found = `[${got.shape}] ${got.dtype}`;
  if (found !== expected) return { id, status: "failed", note: `got ${found}, want ${expected}` };
  const part = BOUNDS[got.dtype];
  const bound = part === undefined ? EXACT : { abs: Math.max(part * largest([want]), lost) };
  return compare(id, Array.from(await got.data(), Number), want.data, bound);
}
