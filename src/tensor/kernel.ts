import type { PlainDType } from "../core/dtype.ts";
import { expectOptions } from "../core/error.ts";
import { contiguousStrides, formatShape, type Shape } from "../core/shape.ts";
import { GRID } from "../gpu/shader/grid.ts";
import { paramFields } from "../gpu/shader/params.ts";
import { expectKernelText } from "./kernel_text.ts";
import { recordKernel } from "./record.ts";
import type { Tensor } from "./tensor.ts";
import { plainType } from "./tensor_base.ts";

/** Options of `kernel`. */
export interface CustomKernel {
  /** As errors, profiles and dumps call it, e.g. the name of its file, "swirl.wgsl". */
  name?: string | undefined;
  /**
   * A compute shader. It declares a `var<storage, read>` for each input, in their order, and `var<uniform> params`, and
   * hands every result to `store(batch, row, column, value)`.
   */
  wgsl: string;
  /** Tensors that it reads, each dense in row-major order. */
  inputs: readonly Tensor[];
  /** Shape of the result. */
  shape: Shape;
  /** Type of the result in memory; "f32" by default. `store` takes f16 as f32. */
  dtype?: PlainDType | undefined;
  /** Values of its `struct Params`, whose members are u32, i32 or f32. */
  params?: Readonly<Record<string, number>> | undefined;
  /** Values for its lines `alias NAME = …;` and `const NAME: type = …;`. Each set is compiled by itself. */
  set?: Readonly<Record<string, string | number>> | undefined;
  /** Number of workgroups that run. */
  workgroups: number;
  /** Adjacent columns that one call of `store` takes: 4 for values in a vec4; 1 by default. */
  width?: 1 | 4 | undefined;
  /** Arithmetic operations in one run, for profiles. */
  flops?: number | undefined;
}

const OPTIONS = ["name", "wgsl", "inputs", "shape", "dtype", "params", "set", "workgroups", "width", "flops"];

/**
 * Records one run of your own compute shader, which is then fused, planned, replayed and profiled like those that
 * are built in; see docs/custom_kernels.md. Its text is compiled when it first runs.
 *
 * ```ts
 * import { kernel, openDevice, tensor } from "denoise";
 * using _device = await openDevice();
 * const x = tensor([1, 2, 3]);
 * const wgsl = `
 *   struct Params { count: u32, amount: f32 }
 *   var<storage, read> x: array<f32>;
 *   var<uniform> params: Params;
 *   @compute @workgroup_size(64)
 *   fn main(@builtin(global_invocation_id) id: vec3u) {
 *     if (id.x < params.count) { store(0u, 0u, id.x, params.amount * x[id.x]); }
 *   }`;
 * const y = kernel({ name: "amplify", wgsl, inputs: [x], shape: [3], params: { count: 3, amount: 2 }, workgroups: 1 });
 * await y.add(1).data(); // 3, 5, 7 in one dispatch
 * ```
 */
export function kernel(options: CustomKernel): Tensor {
  const { name = "kernel.wgsl", wgsl, inputs, shape, dtype = "f32", params = {}, set = {}, workgroups } =
    options;
  const { width = 1, flops = 0 } = options;
  expectOptions(`run ${name}`, options, OPTIONS);
  if (!Number.isSafeInteger(workgroups) || workgroups < 1) {
    throw new RangeError(
      `Cannot run ${name}: expected a whole number of workgroups from 1, got ${workgroups}`,
    );
  }
  if (width === 4 && shape.at(-1)! % 4 !== 0) {
    throw new RangeError(
      `Cannot run ${name}: expected columns in fours at width 4, got shape ${formatShape(shape)}`,
    );
  }
  expectKernelText(name, wgsl, inputs.map(plainType), set);
  expectParams(name, wgsl, params);
  const [rows, columns] = [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
  const inner = shape.at(-3) ?? 1;
  const outer = shape.slice(0, -3).reduce((product, n) => product * n, 1);
  return recordKernel(name, {
    inputs: inputs.map((x) => x.contiguous()),
    shape,
    dtype,
    layout: contiguousStrides(shape),
    code: [{ name, text: wgsl, needs: [GRID] }],
    set,
    params,
    axes: [outer, inner, rows, columns],
    width,
    workgroups,
    flops,
  });
}

/** Throws unless there is a value of its type for each member of `struct Params`, and no other. */
function expectParams(name: string, wgsl: string, params: Readonly<Record<string, number>>): void {
  const fields = paramFields(wgsl);
  const known = fields.map(([field]) => field);
  const surplus = Object.keys(params).find((param) => !known.includes(param));
  if (surplus !== undefined) {
    throw new TypeError(
      `Cannot run ${name}: expected params ${
        known.join(", ") || "of a struct Params, which it lacks"
      }, got "${surplus}"`,
    );
  }
  for (const [field, type] of fields) {
    const value = params[field];
    const fits = type === "f32"
      ? Number.isFinite(value)
      : Number.isInteger(value) && (type === "i32" ? value === (value! | 0) : value === value! >>> 0);
    if (fits) continue;
    throw new TypeError(`Cannot run ${name}: expected ${field} to be a ${type}, got ${value ?? "none"}`);
  }
}
