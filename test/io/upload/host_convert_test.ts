import assert from "node:assert/strict";
import {
  checkOnHost,
  convertOnHost,
  type HostDType,
  NOT_FINITE,
  TOO_LARGE,
} from "../../../src/io/upload/host_convert.ts";
import { nearestHalf, numberOf } from "../../support/halves.ts";

const CODES = Uint16Array.from({ length: 1 << 16 }, (_, code) => code);
const PLAIN = { inputs: CODES.length, taps: 1 };

for (const [from, exponent] of [["F16", 5], ["BF16", 8]] as const) {
  const want = Array.from(CODES, (code) => numberOf(code, exponent));

  Deno.test(`the host brings all 65,536 numbers of ${from} to f32`, () => {
    assert.deepEqual([...converted(CODES, from, "f32", PLAIN)], want);
  });

  Deno.test(`the host brings all 65,536 numbers of ${from} to f16`, () => {
    assert.deepEqual([...converted(CODES, from, "f16", PLAIN)], want.map(nearestHalf));
  });
}

Deno.test("the host rounds F32 to the nearest f16", () => {
  const values = Float32Array.from({ length: 60_000 }, (_, i) => {
    const near = numberOf(i * 7919 % 0x7c00, 5); // an f16 and what lies between it and the next
    return Math.fround(near * (1 + (i % 9) / 8 * 2 ** -10)) * (i % 2 ? -1 : 1);
  });
  const got = converted(values, "F32", "f16", { inputs: values.length, taps: 1 });
  assert.deepEqual([...got], Array.from(values, nearestHalf));
});

for (
  const [from, to] of [["F32", "f32"], ["F32", "f16"], ["F16", "f16"], ["F16", "f32"], [
    "BF16",
    "f32",
  ]] as const
) {
  Deno.test(`the host brings convolutions of ${from} to ${to} channels last`, () => {
    const [rows, inputs, taps] = [3, 5, 9];
    const index = Array.from({ length: rows * inputs * taps }, (_, i) => i);
    const source = stored(index, from);
    const want = index.map((i) => {
      const [row, tap, input] = [Math.floor(i / 45), Math.floor(i / inputs) % taps, i % inputs];
      return (row * inputs + input) * taps + tap;
    });
    assert.deepEqual([...converted(source, from, to, { inputs, taps })], want);
  });
}

Deno.test("the host tells what is not finite, and what is beyond f16", () => {
  const flags = (from: HostDType, to: "f32" | "f16", ...values: number[]) =>
    checkOnHost(new Uint8Array(stored(values, from).buffer), from, to);
  for (const from of ["F32", "F16", "BF16"] as const) {
    for (const to of ["f32", "f16"] as const) {
      assert.equal(flags(from, to, 1, -2, 0, 1e-30), 0);
      for (const odd of [NaN, Infinity, -Infinity]) {
        for (const values of [[1, odd, 3], [odd, 1, 3], [1, 3, odd]]) {
          assert.equal(flags(from, to, ...values), NOT_FINITE);
        }
      }
    }
  }
  assert.equal(flags("F32", "f16", 65504), 0);
  assert.equal(flags("F32", "f16", 65504.01), TOO_LARGE);
  assert.equal(flags("F32", "f16", 1, -1e9, NaN), TOO_LARGE | NOT_FINITE);
  assert.equal(flags("BF16", "f16", -65280), 0); // the last one below 65504
  assert.equal(flags("BF16", "f16", -65536), TOO_LARGE);
  assert.equal(flags("F32", "f32", 3.4e38, -3.4e38), 0);
  assert.equal(flags("F16", "f16", 65504, -65504), 0);
});

/** Small whole numbers and others that the type has. */
function stored(values: number[], dtype: HostDType): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  const floats = new Float32Array(values);
  if (dtype === "F32") return floats;
  if (dtype === "F16") return new Uint16Array(new Float16Array(values).buffer);
  return Uint16Array.from(new Uint32Array(floats.buffer), (word) => word >>> 16);
}

function converted(
  source: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>,
  from: HostDType,
  to: "f32" | "f16",
  order: { inputs: number; taps: number },
): Float32Array | Float16Array {
  const target = to === "f32" ? new Float32Array(source.length) : new Float16Array(source.length);
  convertOnHost(new Uint8Array(source.buffer), from, new Uint8Array(target.buffer), to, order);
  return target;
}
