import assert from "node:assert/strict";
import type { PlainDType } from "../../src/core/dtype.ts";
import { exactArray, type NestedValues, unnested, type Values } from "../../src/core/host_values.ts";

Deno.test("typed arrays of any kind have a type, and keep their numbers", () => {
  const cases: [Values, PlainDType, number[]][] = [
    [Float32Array.of(0.1), "f32", [Math.fround(0.1)]],
    [Float64Array.of(0.1, 1e300), "f32", [Math.fround(0.1), Infinity]],
    [Float16Array.of(0.5), "f16", [0.5]],
    [Int32Array.of(2 ** 31 - 1), "i32", [2 ** 31 - 1]],
    [Uint32Array.of(2 ** 32 - 1), "u32", [2 ** 32 - 1]],
    [Uint8Array.of(255), "i32", [255]],
    [Uint8ClampedArray.of(255), "i32", [255]],
    [Int8Array.of(-128), "i32", [-128]],
    [Int16Array.of(-32768), "i32", [-32768]],
    [Uint16Array.of(65535), "i32", [65535]],
    [BigInt64Array.of(-(2n ** 31n)), "i32", [-(2 ** 31)]],
    [BigUint64Array.of(7n), "i32", [7]],
  ];
  for (const [data, dtype, want] of cases) {
    const flat = unnested(data);
    assert.deepEqual([flat.dtype, flat.shape], [dtype, [want.length]], data.constructor.name);
    assert.deepEqual([...exactArray(dtype, flat.values)], want, data.constructor.name);
    if (Number.isInteger(want[0])) {
      assert.deepEqual([...exactArray("f32", flat.values)], want.map(Math.fround));
    }
  }
});

Deno.test("lists may be nested, of numbers, booleans and bigints", () => {
  const cases: [NestedValues, number[], PlainDType, number[]][] = [
    [[[1, 2], [3, 4], [5, 6]], [3, 2], "f32", [1, 2, 3, 4, 5, 6]],
    [[[[1.5]]], [1, 1, 1], "f32", [1.5]],
    [[], [0], "f32", []],
    [[[], []], [2, 0], "f32", []],
    [3, [], "f32", [3]],
    [true, [], "bool", [1]],
    [[[true], [false]], [2, 1], "bool", [1, 0]],
    [[true, 2], [2], "f32", [1, 2]],
    [[1n, -2n], [2], "i32", [1, -2]],
    [[true, 2n], [2], "i32", [1, 2]],
  ];
  for (const [data, shape, dtype, want] of cases) {
    const flat = unnested(data);
    assert.deepEqual([flat.shape, flat.dtype], [shape, dtype]);
    assert.deepEqual([...exactArray(dtype, flat.values)], want);
  }
  assert.deepEqual([...exactArray("bool", [0, -2, NaN, 1])], [0, 1, 1, 1]);
});

Deno.test("what is ragged, no number, or not exact is refused in one line", () => {
  const cases: [() => unknown, RegExp][] = [
    [
      () => unnested([[1], [2, 3]]),
      /^RangeError: Cannot make a tensor \[2, 1\]: expected lists of 1, got a list of 2$/,
    ],
    [() => unnested([[1, 2], 3]), /^RangeError: Cannot make a tensor \[2, 2\]: expected lists of 2, got 3$/],
    [
      () => unnested([1, [2]]),
      /^TypeError: Cannot make a tensor: expected numbers, booleans or bigints, got a list of 1$/,
    ],
    [() => unnested(["1"] as never), /^TypeError: .* got "1"$/],
    [() => unnested([1, null] as never), /^TypeError: .* got null$/],
    [() => unnested(undefined as never), /^TypeError: .* got undefined$/],
    [() => unnested([Float32Array.of(1)] as never), /^TypeError: .* got a Float32Array$/],
    [() => exactArray("i32", [1, 2.5]), /^RangeError: Cannot make a tensor of i32: .* got 2.5$/],
    [() => exactArray("i32", [NaN]), /^RangeError: .* got NaN$/],
    [() => exactArray("i32", BigInt64Array.of(2n ** 31n)), /^RangeError: .* got 2147483648$/],
    [
      () => exactArray("u32", [-1]),
      /^RangeError: Cannot make a tensor of u32: expected whole numbers from 0 to 4294967295, got -1$/,
    ],
  ];
  for (const [run, message] of cases) assert.throws(run, message);
});
