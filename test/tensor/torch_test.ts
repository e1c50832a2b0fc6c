import assert from "node:assert/strict";
import type { PlainDType } from "../../src/core/dtype.ts";
import * as denoise from "../../src/mod.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import { testOnBothEngines } from "../support/engines.ts";

// Calls with what torch makes of them; see generator/tensor_methods.py.

type Host = { dtype: PlainDType; shape: number[]; data: (number | boolean | string)[] };
type Argument = Host | { options: Record<string, unknown> } | number | boolean | string | null | Argument[];
type Case = [name: string, args: Argument[], results: Host[]];

const file = new URL("../fixtures/tensor_methods.json", import.meta.url);
const cases: Case[] = JSON.parse(await Deno.readTextFile(file));

/** An argument as Denoise takes it: tensors on the GPU, words as the numbers that JSON lacks. */
function argument(value: Argument): unknown {
  if (Array.isArray(value)) return value.map(argument);
  if (typeof value === "string" && /^-?Infinity$|^NaN$/.test(value)) return Number(value);
  if (typeof value !== "object" || value === null) return value ?? undefined;
  if ("options" in value) return value.options;
  return tensor(value.data.map(Number), value.shape, { dtype: value.dtype });
}

function call(name: string, args: unknown[]): unknown {
  const [owner, member] = name.startsWith("denoise.") ? [denoise, name.slice(8)] : [args[0], name];
  const fn = (owner as Record<string, unknown>)[member];
  assert.ok(typeof fn === "function", `there is no ${name}`);
  return owner === denoise ? fn(...args) : fn.apply(owner, args.slice(1));
}

/** Fails unless each number is what torch has, but for a hundred-thousandth of floats. */
function assertNumbers(got: ArrayLike<number>, { dtype, data }: Host, what: string): void {
  const want = data.map(Number);
  const part = dtype === "f32" ? 1e-5 : dtype === "f16" ? 1e-3 : 0;
  assert.equal(got.length, want.length, what);
  want.forEach((v, i) => {
    const near = Number.isFinite(v) && Math.abs(got[i]! - v) <= 1e-7 + part * Math.abs(v);
    assert.ok(
      near || got[i] === v || (Number.isNaN(v) && Number.isNaN(got[i])),
      `${what}: at ${i} got ${got[i]}, want ${v}`,
    );
  });
}

for (const name of new Set(cases.map(([name]) => name))) {
  testOnBothEngines(`${name} equals torch's`, async (device) => {
    for (const [i, [, args, want]] of cases.filter((c) => c[0] === name).entries()) {
      if (!device.traits.f16 && JSON.stringify([args, want]).includes('"f16"')) continue;
      const what = `${name} ${i}(${args.map((a) => JSON.stringify(a)).join(", ").slice(0, 300)})`;
      const results = [call(name, args.map(argument))].flat() as Tensor[];
      assert.equal(results.length, want.length, what);
      for (const [j, result] of results.entries()) {
        assert.deepEqual([result.dtype, ...result.shape], [want[j]!.dtype, ...want[j]!.shape], what);
        assertNumbers(await result.data(), want[j]!, what);
      }
    }
  });
}
