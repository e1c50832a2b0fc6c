import assert from "node:assert/strict";
import { interfaceOf } from "../../../src/gpu/shader/compiled.ts";

Deno.test("interfaceOf() reads bindings in the order of their numbers, and a workgroup of constants", () => {
  const parts = [
    {
      name: "a",
      text: "const TILE: u32 = 16;\n// @workgroup_size(1)\n@group(0) @binding(1) var<uniform> p: P;",
    },
    {
      name: "b",
      text: "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n" +
        "@compute @workgroup_size(2 * TILE, min(TILE, 4))\nfn main() {}",
    },
  ];
  assert.deepEqual(interfaceOf("k", parts), {
    bindings: [
      { name: "x", use: "read", type: "array<vec4<f32>>", binding: 0 },
      { name: "p", use: "uniform", type: "P", binding: 1 },
    ],
    workgroup: [32, 4, 1],
  });
  assert.throws(
    () => interfaceOf("k", [{ name: "a", text: "@compute @workgroup_size(N) fn main() {}" }]),
    /^Error: Cannot compose k: expected a whole number of constants, got N/,
  );
});
