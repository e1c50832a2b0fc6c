import assert from "node:assert/strict";
import {
  bytesOf,
  dtypeOf,
  hostArray,
  isFloat,
  type PlainDType,
  promote,
  viewBytes,
} from "../../src/core/dtype.ts";

Deno.test("hostArray() rounds as the type rounds", () => {
  assert.deepEqual([...hostArray("f16", [2049, 2051, 1e5])], [2048, 2052, Infinity]);
  assert.deepEqual([...hostArray("f32", [0.1])], [Math.fround(0.1)]);
  assert.deepEqual([...hostArray("i32", [-1.9, 7])], [-1, 7]);
});

Deno.test("dtypes survive a round trip through host arrays and bytes", () => {
  for (const dtype of ["f32", "f16", "i32", "u32"] as const) {
    const array = hostArray(dtype, [1, 2, 3]);
    assert.equal(dtypeOf(array), dtype);
    assert.equal(array.BYTES_PER_ELEMENT, bytesOf(dtype));
    assert.deepEqual(viewBytes(dtype, array.buffer, 3), array);
  }
  assert.deepEqual(["f32", "f16", "i32", "u32"].filter((dtype) => isFloat(dtype as "f32")), ["f32", "f16"]);
});

Deno.test("promote() finds the type that torch.result_type finds", () => {
  const of = (dtype: PlainDType, rank = 1) => ({ dtype, rank });
  const cases: [ReturnType<typeof of>[], PlainDType][] = [ // torch 2.13
    [[of("bool"), of("bool")], "bool"],
    [[of("bool"), of("i32")], "i32"],
    [[of("i32"), of("f16")], "f16"],
    [[of("f16"), of("f32")], "f32"],
    [[of("f16"), of("f32", 0)], "f16"],
    [[of("f32"), of("f16", 0)], "f32"],
    [[of("i32"), of("f16", 0)], "f16"],
    [[of("bool"), of("i32", 0), of("f32", -1)], "f32"],
    [[of("i32", 0), of("f32", -1)], "f32"],
    [[of("f16", 0), of("f32", -1)], "f16"],
    [[of("i32"), of("bool", -1)], "i32"],
    [[of("bool"), of("i32", -1)], "i32"],
  ];
  for (const [operands, want] of cases) assert.equal(promote(operands), want, JSON.stringify(operands));
});
