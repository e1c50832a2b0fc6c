import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { runChild } from "../../support/child.ts";

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

Deno.test("a machine without a driver gets one line that names the set-up", async () => {
  if (Deno.build.os !== "linux") return; // elsewhere a GPU needs no Vulkan
  const { code, stdout, stderr } = await runChild(open("dawn"), { env: NO_DRIVER });
  assert.deepEqual([code, stdout], [3, ""]);
  const line = stderr.trim().split("\n").at(-1)!; // Dawn has its own say before
  assert.match(
    line,
    /^NoAdapterError: Cannot open a GPU: expected an adapter, got none \(.+\); run `deno task setup`$/,
  );
});

Deno.test("an uncaught NoAdapterError ends the process with a code that is not 0", async () => {
  const code =
    'import { openDevice } from "denoise"; await openDevice({ engine: "dawn" }); console.log("open");';
  if (Deno.build.os !== "linux") return;
  const outcome = await runChild(code, { env: NO_DRIVER });
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
  for (const engine of ["dawn", "auto"]) { // Deno's own engine knows no names: it is not taken instead
    const code = open(engine).replace(`engine: "${engine}"`, `engine: "${engine}", adapter: "abacus"`);
    const { stderr } = await runChild(code);
    assert.match(
      stderr,
      /^NoAdapterError: Cannot open a GPU: expected an adapter named like "abacus", got ".+"; name a part of it/m,
    );
  }
  await assert.rejects(openDevice({ engine: "deno", adapter: "abacus" }), {
    message: /^Cannot open a GPU with adapter abacus and engine deno: only Dawn takes one by its name; /,
  });
});

Deno.test("a device is not opened with an option that there is not", async () => {
  await assert.rejects(openDevice({ engin: "deno" } as never), {
    message: "Cannot open a device with engin: no such option; did you mean engine?",
  });
});
