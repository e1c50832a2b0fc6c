import assert from "node:assert/strict";
import * as denoise from "../../src/mod.ts";
import { Tensor } from "../../src/mod.ts";

const page = await Deno.readTextFile(new URL("../../docs/tensors.md", import.meta.url));

Deno.test("docs/tensors.md names methods and functions that there are", () => {
  const rows = page.split("\n").filter((line) => line.startsWith("|")).map((line) =>
    line.split(" | ")[1] ?? ""
  );
  const methods = rows.flatMap((row) => [...row.matchAll(/[`x]\.(\w+)\(/g)].map(([, name]) => name!));
  const functions = rows.flatMap((row) => [...row.matchAll(/`(\w+)\(/g)].map(([, name]) => name!));
  for (const name of methods) assert.ok(name in Tensor.prototype, `there is no method ${name}`);
  for (const name of functions) assert.ok(name in denoise, `there is no function ${name}`);
  assert.ok(methods.length > 120 && functions.length > 20, `${methods.length} and ${functions.length} names`);
});

Deno.test("docs/tensors.md leaves out no method of Tensor that torch has", () => {
  const own = new Set<string>();
  for (let type = Tensor.prototype; type !== Object.prototype; type = Object.getPrototypeOf(type)) {
    for (const name of Object.getOwnPropertyNames(type)) own.add(name);
  }
  const ours = ["constructor", "cast", "channelsLast", "isDense", "label", "rank", "toString"]; // torch has others or none
  const missing = [...own].filter((name) =>
    !ours.includes(name) && !new RegExp(`[x\`]\\.${name}\\b`).test(page)
  );
  assert.deepEqual(missing, []);
});
