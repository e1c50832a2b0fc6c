/**
 * Measures the bench's cases and a step of the small models beside those of an older commit, in turns, and fails where a
 * case takes more than 5 % longer: once more by as many rounds, so that a busy moment does not decide.
 * Run: deno task against COMMIT
 */
import "../../scripts/plain_errors.ts";
import { join } from "node:path";
import { readArguments } from "../../scripts/command_line/arguments.ts";
import * as option from "../../scripts/command_line/options.ts";
import { run } from "../../scripts/setup/command.ts";
import { median } from "../turns.ts";
import { Checkout } from "./checkout.ts";

const MOST = 1.05;

const { commit, rounds, only } = readArguments(
  "bench/against/main.ts <commit>",
  "Measures kernels and steps beside those of an older commit, in turns; fails where one takes more than 5 % longer.",
  {
    commit: option.text("of this repository, or a folder with a checkout"),
    rounds: option.count("turns of each, or twice as many where it seems slower", 7),
    only: option.text("a part of the cases' names"),
  },
);
const here = join(import.meta.dirname!, "../..");
await using stack = new AsyncDisposableStack();
const base = await checkedOut(commit!);
const [before, now] = [await Checkout.start(base), await Checkout.start(here)];
stack.use(before);
stack.use(now);
console.log(
  `${now.adapter}; ${commit} beside what is here, milliseconds, × is the time here over the time there`,
);

const both = now.cases.filter((name) => before.cases.includes(name));
const names = both.filter((name) => name.includes(only ?? ""));
if (names.length === 0) {
  throw new Error(`Cannot measure --only ${only}: expected a part of a case's name, of ${both.join("; ")}`);
}
const slower: string[] = [];
for (const name of names) {
  const turns: [number, number][] = [];
  const ratio = () => median(turns.map(([a, b]) => b / a))!;
  const takeTurns = async () => {
    for (let i = 0; i < rounds; i++) {
      const pair = i % 2 ? [await now.turn(name), await before.turn(name)].reverse() : [
        await before.turn(name),
        await now.turn(name),
      ];
      turns.push(pair as [number, number]);
    }
  };
  await takeTurns();
  if (ratio() > MOST) await takeTurns();
  const [a, b] = [0, 1].map((i) => median(turns.map((pair) => pair[i]!))!.toPrecision(3));
  const sorted = turns.map(([a, b]) => b / a).sort((a, b) => a - b);
  const middle = [0.25, 0.75].map((part) => sorted[Math.floor(part * (sorted.length - 1))]!.toFixed(2)).join(
    "–",
  );
  const isSlower = ratio() > MOST;
  if (isSlower) slower.push(name);
  console.log(
    `${name.padEnd(42)} ${a!.padStart(7)} ${b!.padStart(7)}  × ${ratio().toFixed(2)} (${middle})${
      isSlower ? "  SLOWER" : ""
    }`,
  );
}
console.log(slower.length ? `${slower.length} slower: ${slower.join("; ")}` : "none is more than 5 % slower");
Deno.exitCode = slower.length ? 1 : 0;

/** The folder of a checkout; a commit's is made for as long as this runs. */
async function checkedOut(commit: string): Promise<string> {
  if (await Deno.stat(join(commit, "deno.json")).then(() => true, () => false)) {
    return await Deno.realPath(commit);
  }
  const folder = await Deno.makeTempDir({ prefix: "denoise-against-" });
  const git = (...args: string[]) => run("git", ["-C", here, ...args]);
  await git("worktree", "add", "--detach", "--force", folder, commit);
  stack.defer(async () => void await git("worktree", "remove", "--force", folder));
  await run(Deno.execPath(), ["install", "--quiet"], { cwd: folder });
  return folder;
}
