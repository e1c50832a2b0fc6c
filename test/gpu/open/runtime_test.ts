import assert from "node:assert/strict";
import { expectRuntime } from "../../../src/gpu/open/runtime.ts";
import { runChild } from "../../support/child.ts";

Deno.test("older versions of Deno are refused by name, later ones and other runtimes are not", () => {
  for (const version of ["2.8.3", "2.5.6", "1.46.3", "0.1.0"]) {
    assert.throws(() => expectRuntime(version), {
      message: `Cannot run Denoise: expected Deno 2.9 or later, got ${version}; ` +
        "run `deno upgrade`, or write `npx -y deno@2.9.6` for `deno`",
    });
  }
  for (const version of ["2.9.0", "2.9.6", "2.10.0", "3.0.0", undefined]) expectRuntime(version);
});

Deno.test("openDevice() and every script refuse an older Deno, before anything else happens", async () => {
  const old = 'Object.defineProperty(Deno, "version", { value: { deno: "2.8.3" } });';
  const library = await runChild(`${old} await (await import("denoise")).openDevice();`);
  assert.match(library.stderr, /Cannot run Denoise: expected Deno 2\.9 or later, got 2\.8\.3; run/);
  const scripts = [...Deno.readDirSync("scripts")].filter(({ isFile, name }) =>
    isFile && name !== "plain_errors.ts"
  );
  for (const { name } of scripts) {
    const first = /^import .*$/m.exec(Deno.readTextFileSync(`scripts/${name}`));
    assert.equal(first?.[0], 'import "./plain_errors.ts";', name);
  }
  const script = await runChild(`${old} await import("./scripts/ddpm.ts");`);
  assert.match(script.stderr, /^Cannot run Denoise: [^\n]*\n$/);
  assert.equal(script.code, 1);
});
