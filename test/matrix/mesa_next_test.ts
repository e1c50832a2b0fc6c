import assert from "node:assert/strict";
import { join } from "node:path";
import { denoOnMesaNext, MesaNextMissing } from "../../bench/mesa_next/mesa.ts";

const root = join(import.meta.dirname!, "../..");

/** How Deno runs on an adapter with matrix units; where it cannot, that is told, and nothing runs. */
const deno = await denoOnMesaNext().catch((error) => {
  if (!(error instanceof MesaNextMissing)) throw error;
  console.log(`Skipped, as no adapter here has matrix units: ${error.message}`);
  return undefined;
});

/** Runs Deno there, shows the end of what it prints where it fails, and returns all. */
async function runThere(args: string[], env: Record<string, string> = {}): Promise<string> {
  const command = new Deno.Command(deno!.command, {
    args: [...deno!.args, ...args],
    cwd: root,
    env: { ...deno!.env, NO_COLOR: "1", ...env },
    stdin: "null",
  });
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout);
  assert.ok(success, `${text.slice(-4000)}\n${new TextDecoder().decode(stderr).slice(-2000)}`);
  return text;
}

Deno.test({
  name: "every kernel for matrix units is right at all edges",
  ignore: !deno,
  async fn() {
    const filter = "/matrix units|of f16 by/";
    const text = await runThere(["test", "-A", "--no-check", "--filter", filter, "test/ops"], {
      CANDIDATE: "matrix",
    });
    assert.doesNotMatch(text, /has no matrix units/);
    console.log(text.trim().split("\n").at(-1));
  },
});

Deno.test({
  name: "operators, a UNet and FLUX conform in f16 by kernels for matrix units wherever these are right",
  ignore: !deno,
  async fn() {
    const set = ["test/fixtures", "--only", "ops,ddpm,flux"];
    const how = ["--dtype", "f16", "--candidate", "matrix"];
    const text = await runThere(["run", "-A", "--no-check", "scripts/conformance.ts", ...set, ...how]);
    const [counts, dispatches] = text.trim().split("\n").slice(-2) as [string, string];
    assert.match(counts, /^\d+ passed, 0 failed/);
    assert.match(dispatches, /^[1-9]/);
    console.log(`${counts}; ${dispatches}`);
  },
});
