/**
 * Runs the tests tier by tier, each tier in a process of its own, and closes with the sum of what passed and
 * failed.
 * Run: deno task test pure ops
 */
import "./plain_errors.ts";
import { readArguments } from "./command_line/arguments.ts";
import { choice, list } from "./command_line/options.ts";

const tiers: Record<string, string[]> = { // folders of test/
  pure: [], // every file and folder that no other tier names
  ops: ["gpu", "graph", "tensor", "ops", "nn", "schedulers"],
  models: ["models", "pipelines"],
  scripts: ["scripts"],
  package: ["package"],
  compiled: ["compiled"],
  matrix: ["matrix"],
};

const root = `${import.meta.dirname}/../test`;
const tests = [...Deno.readDirSync(root)]
  .filter(({ name, isDirectory }) => isDirectory ? name !== "fixtures" : name.endsWith("_test.ts"))
  .map(({ name }) => name).sort();
const named = Object.values(tiers).flat();
tiers["pure"] = tests.filter((name) => !named.includes(name));

const names = Object.keys(tiers);
const { tier: chosen } = readArguments("scripts/test.ts [tier]", "Runs the tests, tier by tier.", {
  tier: list(choice("all where none is given", names)),
});

const tunings = await Deno.makeTempDir({ prefix: "denoise-test-" });
let passed = 0;
let failed = 0;
for (const tier of chosen ?? names) {
  const paths = tests.filter((name) => tiers[tier]!.includes(name)).map((name) => `test/${name}`);
  if (paths.length === 0) continue;
  console.log(`\n${tier}`);
  const counts = await runTests(paths);
  passed += counts.passed;
  failed += counts.failed;
}
await Deno.remove(tunings, { recursive: true });
console.log(`\n${passed} passed, ${failed} failed`);
Deno.exit(failed > 0 || passed === 0 ? 1 : 0);

/**
 * Runs Deno's tests, shows what they print, and counts by their closing line; a crash counts as a failure.
 */
async function runTests(paths: string[]): Promise<{ passed: number; failed: number }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", ...paths],
    cwd: `${root}/..`,
    env: { DENOISE_TUNINGS: tunings }, // kernels are chosen by guess, not by what the user measured
    stdin: "null",
    stdout: "piped",
  });
  const process = command.spawn();
  const [shown, counted] = process.stdout.tee();
  const showing = shown.pipeTo(Deno.stdout.writable, { preventClose: true }).catch(() => {}); // `| head` ends no test
  const text = await new Response(counted).text();
  await showing;
  const { success } = await process.status;
  // deno-lint-ignore no-control-regex
  const plain = text.replaceAll(/\x1b\[[\d;]*m/g, "");
  const [, passed, failed] =
    [...plain.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm)].at(-1) ?? [];
  return { passed: Number(passed ?? 0), failed: Math.max(Number(failed ?? 0), success ? 0 : 1) };
}
