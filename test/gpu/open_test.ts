import assert from "node:assert/strict";
import { runChild } from "../support/child.ts";

const open = (engine: string) => `
  import { openDevice, tensor } from "denoise";
  try {
    using device = await openDevice({ engine: "${engine}" });
    console.log(device.engine, await tensor([1]).add(1).item());
  } catch (error) {
    console.error(error.name + ": " + error.message);
    Deno.exit(3);
  }`;

const NO_DRIVER = { VK_DRIVER_FILES: "/nowhere/driver.json", VK_ICD_FILENAMES: "/nowhere/driver.json" };

for (const engine of ["dawn", "auto"]) {
  Deno.test(`a machine without a driver gets one line that names the set-up (${engine})`, async () => {
    const { code, stdout, stderr } = await runChild(open(engine), { env: NO_DRIVER });
    if (code === 0) { // a GPU that needs no Vulkan
      assert.notEqual(Deno.build.os, "linux");
      return;
    }
    assert.deepEqual([code, stdout], [3, ""]);
    const lines = stderr.trim().split("\n").filter((line) => !line.startsWith("Warning:"));
    assert.match(lines.join("\n"), /^NoAdapterError: Cannot open a GPU: expected an adapter, got none \(.+\); run `deno task setup`$/);
  });
}

Deno.test("an uncaught NoAdapterError ends the process with a code of its own accord", async () => {
  const code = 'import { openDevice } from "denoise"; await openDevice({ engine: "dawn" }); console.log("open");';
  const outcome = await runChild(code, { env: NO_DRIVER });
  if (Deno.build.os !== "linux") return;
  assert.notEqual(outcome.code, 0);
  assert.equal(outcome.stdout, "");
});

Deno.test("a process without --allow-ffi is told the flag", async () => {
  const flags = ["--allow-env", "--allow-read", "--allow-sys"];
  const { code, stderr } = await runChild(open("dawn"), { flags });
  assert.equal(code, 3, stderr);
  assert.match(stderr, /^\w+: Cannot .*--allow-ffi/m);
});

Deno.test("an adapter that does not exist is named", async () => {
  const code = open("dawn").replace('engine: "dawn"', 'engine: "dawn", adapter: "abacus"');
  const { stderr } = await runChild(code);
  assert.match(stderr, /NoAdapterError: .*no adapter named like "abacus"/);
});
