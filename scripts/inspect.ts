/**
 * Says what a folder, a repository, a single file or a LoRA is: family, parts, types, sizes, keys that are
 * not used and the memory that it takes. Tensors are not read, and those of a repository not fetched.
 * `--help` lists the options.
 * Run: deno run -A scripts/inspect.ts PATH_OR_REPO
 */
import "./plain_errors.ts";
import { parseArgs } from "node:util";
import { resolveRepo } from "../src/io/hub.ts";
import { findLora } from "../src/io/lora/find.ts";
import { openSingleFile } from "../src/io/single_file/file.ts";
import { isSingleFile } from "../src/io/single_file/options.ts";
import { describeLora, isLora } from "./inspect/lora.ts";
import { describeModel, describePipeline, describeSingleFile } from "./inspect/models.ts";
import { describeMemory } from "./inspect/plan.ts";

const usage = `Usage: deno run -A scripts/inspect.ts PATH_OR_REPO [options]

  --model PATH_OR_REPO   for a LoRA: the model that it is to fit
  --memory 16G           of the GPU, to plan for; default: nine tenths of the adapter's
  --config PATH_OR_REPO  for one file: whose configs it has
  --base PATH_OR_REPO    for one file: what it lacks`;

const { values: options, positionals: [target] } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string" },
    memory: { type: "string" },
    config: { type: "string" },
    base: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});
if (options.help) {
  console.log(usage);
  Deno.exit(0);
}
if (!target) {
  throw new Error("Cannot inspect: expected a path or repository, got none; e.g. models/emoji-diffusion");
}
const memory = options.memory === undefined ? undefined : Number(options.memory.replace(/G$/, "")) * 1e9;
if (memory !== undefined && !(memory > 0)) {
  throw new Error(`Cannot plan for --memory ${options.memory}: expected a number of GB above 0, e.g. 24G`);
}
const { config, base, model } = options;

for await (const text of describe(target)) console.log(text);

async function* describe(target: string): AsyncGenerator<string> {
  if (isSingleFile(target)) {
    const file = await openSingleFile(target, { headersOnly: true });
    if (isLora(file.tensors.keys())) return yield await describeLora(file.path, model);
    yield await describeSingleFile(file);
    if (file.family) yield await describeMemory(target, { config, base, memory });
    return;
  }
  const names = await namesOf(target);
  if (names.includes("model_index.json")) {
    yield await describePipeline(target);
    yield await describeMemory(target, { memory });
  } else if (names.includes("config.json")) yield await describeModel(target);
  else if (names.some((name) => name.endsWith(".gguf"))) yield describeFiles(target, names);
  else yield await describeLora(await findLora(target), model);
}

/** Files of which each is a model. */
function describeFiles(target: string, names: readonly string[]): string {
  const files = names.filter(isSingleFile).map((name) => `  ${target}/${name}`);
  return [`${target}: single files; inspect or load one of`, ...files].join("\n");
}

/** The files of a folder or repository. */
async function namesOf(target: string): Promise<readonly string[]> {
  let names: readonly string[] = [];
  await resolveRepo(target, { files: (listing) => (names = listing, []) });
  return names;
}
