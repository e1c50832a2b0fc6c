import { manualSeed, randn, type TorchGenerator } from "../../src/mod.ts";
import { type HostTensor, readTensors } from "../support/arrays.ts";
import { attempt, type Bound, compare, compareTensor, EXACT, type Verdict, within } from "./verdict.ts";

type Draw = "randn" | "rand" | "randint" | "randperm";
type Like = "cpu" | "cuda";

const dtypes = { float32: "f32", float64: "f64", float16: "f16" } as const;
type TorchFloat = keyof typeof dtypes;

/** torch makes fewer normal values than this one by one, in f64, and more by a vector library of its own. */
const BLOCK = 16;
const BLOCK_BOUND = { float32: 5e-7, float64: 2 ** -50 }; // an f64 below 8 has steps of 2^-50
const CUDA_BOUND = { abs: 1e-6 }; // a card's fast sine is not rounded as ours

/** Random numbers against torch: `random/expected`, whose keys say how to draw. */
export async function* random(folder: string): AsyncGenerator<Verdict, void, void> {
  for (const [file, like] of [["cpu", "cpu"], ["cuda_philox_UNVERIFIED", "cuda"]] as const) {
    const tensors = await readTensors(`${folder}/expected/${file}.safetensors`);
    const streams = new Map<string, TorchGenerator>(); // of the sequences
    for (const [key, want] of [...tensors].sort(([a], [b]) => a < b ? -1 : 1)) {
      yield await attempt(`${like}/${key}`, () => judge(like, key, want, streams));
    }
  }
}

async function judge(
  like: Like,
  key: string,
  want: HostTensor,
  streams: Map<string, TorchGenerator>,
): Promise<Verdict> {
  const id = `${like}/${key}`;
  const [kind, ...rest] = key.split("/") as [string, ...string[]];
  switch (kind) {
    case "latents":
      return await compareTensor(id, latents(rest[0]!, want.shape), want, { abs: BLOCK_BOUND.float32 });
    case "randint": {
      const [seed, range] = rest as [string, string];
      const [low, high] = range.split("_").map(Number) as [number, number];
      return compare(id, seeded(seed, like).randint(low, high, want.data.length), want.data, EXACT);
    }
    case "randperm":
      return compare(id, seeded(rest[0]!, like).randperm(count(rest[1]!)), want.data, EXACT);
    case "sequence": {
      const [seed, step] = rest as [string, string];
      const stream = streams.get(seed) ?? seeded(seed, like);
      streams.set(seed, stream);
      return nextOf(id, stream, step, want, like);
    }
    default: { // randn/float32/seed0/n100000/head256; like cuda without the type
      const dtype = (like === "cuda" ? "float32" : rest.shift()) as TorchFloat;
      const [seed, n, part] = rest as [string, string, string];
      const draw = kind.startsWith("randn") ? "randn" : "rand";
      const values = seeded(seed, like)[draw](count(n), dtypes[dtype]);
      return judgeFloats(id, pick(values, part), want, { draw, dtype, like, n: count(n), part });
    }
  }
}

/**
 * One draw of several from one stream, e.g. "03_rand_5_float32", "07_randint_9_0_100"; like cuda "0_n100".
 */
function nextOf(id: string, stream: TorchGenerator, step: string, want: HostTensor, like: Like): Verdict {
  if (like === "cuda") return compare(id, stream.randn(count(step.split("_")[1]!)), want.data, CUDA_BOUND);
  const [, draw, size, ...rest] = step.split("_") as [string, Draw, string, ...string[]];
  const n = Number(size);
  if (draw === "randint") {
    return compare(id, stream.randint(Number(rest[0]), Number(rest[1]), n), want.data, EXACT);
  }
  if (draw === "randperm") return compare(id, stream.randperm(n), want.data, EXACT);
  const dtype = rest[0] as TorchFloat;
  return judgeFloats(id, stream[draw](n, dtypes[dtype]), want, { draw, dtype, like, n });
}

interface FloatDraw {
  draw: "randn" | "rand";
  dtype: TorchFloat;
  like: Like;
  n: number;
  part?: string | undefined;
}

function judgeFloats(id: string, got: ArrayLike<number>, want: HostTensor, how: FloatDraw): Verdict {
  const { draw, dtype, like, n, part } = how;
  if (like === "cuda") return compare(id, got, want.data, CUDA_BOUND);
  if (draw === "rand" || n < BLOCK) return compare(id, got, want.data, EXACT);
  if (part === "sum64") return compare(id, got, want.data, sumBound(dtype, n));
  if (dtype !== "float16") return compare(id, got, want.data, { abs: BLOCK_BOUND[dtype] });
  const steps = Math.max(...want.data.map((value, i) => Math.abs(got[i]! - value) / f16Step(value)));
  return within(id, steps, 1, "the error is counted in steps of f16");
}

function sumBound(dtype: TorchFloat, n: number): Bound {
  return { abs: n * (dtype === "float64" ? BLOCK_BOUND.float64 : BLOCK_BOUND.float32) };
}

/** Distance from a value to the next f16. */
function f16Step(value: number): number {
  return 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), -14) - 10);
}

function latents(how: string, shape: readonly number[]) {
  const list = how === "list_of_generators";
  const generator = list ? Array.from({ length: shape[0]! }, (_, i) => manualSeed(i)) : manualSeed(0);
  return randn(shape, { generator });
}

/** The generator of "seed42". */
function seeded(seed: string, like: Like): TorchGenerator {
  return manualSeed(BigInt(seed.replace("seed", "")), { like });
}

/** The number of "n100". */
function count(n: string): number {
  return Number(n.replace("n", ""));
}

/** All values, or of many only "head256", "tail64" or "sum64". */
function pick(values: ArrayLike<number>, part: string | undefined): number[] {
  const all = Array.from(values);
  const [, what, size] = /^(head|tail|sum)(\d+)$/.exec(part ?? "") ?? [];
  switch (what) {
    case "head":
      return all.slice(0, Number(size));
    case "tail":
      return all.slice(-Number(size));
    case "sum":
      return [all.reduce((total, x) => total + x, 0)];
  }
  return all;
}
