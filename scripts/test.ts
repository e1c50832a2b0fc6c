/**
 * Runs the tests, each file in a process of its own and as many side by side as there is room for, and closes
 * with what the failures were and the sum of what passed and failed.
 * Run: deno task test io ops
 */
import "./plain_errors.ts";
import { readArguments } from "./command_line/arguments.ts";
import { choice, count, list } from "./command_line/options.ts";

const root = `${import.meta.dirname}/..`;
/** Bytes of memory that are kept free for a file: the largest takes 2 GB. */
const ROOM = 4e9;
/** Characters of a failure that are told again in the end. */
const LONGEST = 3000;
/** The folders of test/ whose files take longest, which come first, so that no core is idle in the end. */
const SLOW = ["models", "ops", "pipelines", "compiled", "matrix", "package", "scripts"];

const files = [...filesIn("test")].sort();
const tierOf = (file: string) => file.split("/")[1]!.replace("_test.ts", "");
const tiers = [...new Set([...SLOW, ...files.map(tierOf)])];
const { tier: chosen = tiers, jobs } = readArguments("scripts/test.ts [tier]", "Runs the tests.", {
  tier: list(choice("folders of test/, all where none is given", tiers)),
  jobs: count("files that run side by side, by default as the machine's cores and memory allow"),
});

const queue = tiers.filter((tier) => chosen.includes(tier))
  .flatMap((tier) => files.filter((file) => tierOf(file) === tier));
const tunings = await Deno.makeTempDir({ prefix: "denoise-test-" });
let [passed, failed] = [0, 0];
/** What was printed of the failures, which a reader of a log's end is to find there. */
const failures: string[] = [];
const types = run("types", ["check", "-q", ...queue]);
const roomFor = Math.floor(Deno.systemMemoryInfo().available / ROOM);
const workers = jobs ?? Math.max(1, Math.min(navigator.hardwareConcurrency, roomFor));
await Promise.all(Array.from({ length: workers }, work));
const checked = await types;
if (checked.code !== 0) {
  failed++;
  failures.push(checked.errors.slice(0, LONGEST));
}
await Deno.remove(tunings, { recursive: true });
for (const failure of failures) console.log(`\n${failure}`);
console.log(`\n${passed} passed, ${failed} failed`);
Deno.exit(failed > 0 || passed === 0 ? 1 : 0);

/** Takes one file after the other from the queue. */
async function work(): Promise<void> {
  for (let file; (file = queue.shift());) {
    const { code, signal, text, errors } = await run(file, ["test", "-A", "--no-check", file]);
    const closing = [...text.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm)].at(-1);
    const [, ok = 0, bad = 0] = closing ?? [];
    passed += Number(ok);
    // A crash behind the closing line, in exit handlers of the GPU's driver, is told, but is no test's failure.
    const broke = closing ? code !== 0 && !signal : true;
    const worse = Math.max(Number(bad), broke ? 1 : 0);
    failed += worse;
    const told = text.split(" ERRORS \n")[1] ?? `${text.slice(-LONGEST)}${errors}`;
    if (worse > 0) failures.push(`${file}\n${told.slice(0, LONGEST)}`);
  }
}

/** Runs Deno and shows what it printed when it has ended. */
async function run(
  what: string,
  args: string[],
): Promise<{ code: number; signal: string | null; text: string; errors: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    // Kernels are chosen by guess, not by what the user or another file measured.
    env: { DENOISE_TUNINGS: `${tunings}/${what.replaceAll("/", "_")}` },
    stdin: "null",
  });
  const { code, signal, ...output } = await command.output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (stdout) console.log(stdout);
  if (stderr) console.error(stderr);
  if (signal) console.log(`${what}: its process was ended by ${signal}`);
  return { code, signal, text: plain(stdout!), errors: plain(stderr!) };
}

/** A text without a terminal's colours. */
function plain(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/\x1b\[[\d;]*m/g, "");
}

/** The tests in a folder, those that are no fixtures. */
function* filesIn(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(`${root}/${folder}`)) {
    const path = `${folder}/${name}`;
    if (isDirectory && name !== "fixtures") yield* filesIn(path);
    else if (name.endsWith("_test.ts")) yield path;
  }
}
