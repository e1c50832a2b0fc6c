import assert from "node:assert/strict";
import { runChild } from "../../support/child.ts";

Deno.test("opening a device writes nothing to standard error", async () => {
  const { stderr, code } = await runChild(`
    import { openDevice } from "denoise";
    using device = await openDevice();
  `);
  assert.deepEqual([stderr, code], ["", 0]);
});

Deno.test("what else native code writes meanwhile still comes, and the result too", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  const { stdout, stderr } = await runChild(`
    import { withoutKnownWarnings } from "./src/gpu/open/quiet.ts";
    const libc = Deno.dlopen("libc.so.6", { write: { parameters: ["i32", "buffer", "usize"], result: "isize" } });
    const write = (text) => {
      const bytes = new TextEncoder().encode(text);
      libc.symbols.write(2, bytes, BigInt(bytes.length));
    };
    const result = withoutKnownWarnings(() => {
      write("Warning: maxDynamicStorageBuffersPerPipelineLayout artificially reduced from 9 to 1 to fit it.\\n");
      write("é: another\\n".repeat(2000));
      return 5;
    });
    write("after\\n");
    console.log(result);
  `);
  assert.equal(stdout, "5\n");
  assert.equal(stderr, "é: another\n".repeat(2000) + "after\n");
});
