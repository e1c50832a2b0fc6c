import assert from "node:assert/strict";
import { packFields, packParams, structBody } from "../../../src/gpu/shader/params.ts";

const WGSL = `
struct Params {
  rows: u32, // beside a comment: not_a_field: u32
  shift: i32,
  eps: f32, // the last
}
struct Other { x: u32 }`;

Deno.test("packParams() writes values in the order of the shader's struct, each as its type", () => {
  const bytes = packParams("kernel", WGSL, { eps: 0.5, rows: 7, shift: -3 });
  const view = new DataView(bytes.buffer);
  assert.deepEqual([view.getUint32(0, true), view.getInt32(4, true), view.getFloat32(8, true)], [7, -3, 0.5]);
  assert.equal(bytes.length, 16);
});

Deno.test("packParams() names what is missing and what is too much", () => {
  assert.throws(() => packParams("norm", WGSL, { rows: 1, shift: 0 }), /Cannot run norm: no value for "eps"/);
  assert.throws(
    () => packParams("norm", WGSL, { rows: 1, shift: 0, eps: 1, cols: 2 }),
    /Cannot run norm: .* "cols"/,
  );
});

Deno.test("packFields() wraps negative offsets and pads to whole vectors", () => {
  const fields = [["a", "u32", -1], ["b", "f32", 1], ["c", "u32", 2], ["d", "u32", 3], [
    "e",
    "u32",
    4,
  ]] as const;
  const bytes = packFields(fields);
  assert.equal(bytes.length, 32);
  assert.equal(new DataView(bytes.buffer).getUint32(0, true), 2 ** 32 - 1);
  assert.equal(structBody(fields.slice(0, 2)), "  a: u32,\n  b: f32,");
});
