/**
 * Says what a folder, a repository, a single file or a LoRA is: family, parts, types, sizes, keys that are
 * not used and the memory that it takes. Tensors are not read, and those of a repository not fetched. With
 * --graph it draws what a model runs.
 * `--help` lists the options.
 * Run: deno run -A scripts/inspect.ts PATH_OR_REPO
 */
import "./plain_errors.ts";
import { expectWritable } from "../src/io/files/whole_file.ts";
import { resolveRepo } from "../src/io/hub/resolve_repo.ts";
import { findLora } from "../src/io/lora/find.ts";
import { openSingleFile } from "../src/io/single_file/file.ts";
import { isSingleFile } from "../src/io/single_file/options.ts";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";
import { GRAPH_FILE, writeGraphs } from "./inspect/graph/write.ts";
import { describeLora, isLora } from "./inspect/lora.ts";
import { describeFolder, describeModel, describePipeline, describeSingleFile } from "./inspect/models.ts";
import { describeMemory } from "./inspect/plan.ts";

const options = readArguments(
  "scripts/inspect.ts <target>",
  "Says what a folder, a repository, a single file or a LoRA is, and the memory that it takes.",
  {
    target: option.model("what it is about, e.g. models/emoji-diffusion"),
    model: option.model("for a LoRA: the model that it is to fit"),
    memory: option.memory("of the GPU, to plan for; default: nine tenths of the adapter's"),
    config: option.model("for one file: whose configs it has"),
    base: option.model("for one file: what it lacks"),
    variant: option.text("of the weights of a folder or repository, e.g. fp16"),
    graph: option.output(
      "what a model runs at its usual size, or target, a .json of device.dump(); .html, .dot, .json or .txt",
      GRAPH_FILE,
      "graph.html",
    ),
    part: option.text("of a pipeline, for --graph; default: its UNet or transformer"),
    dtype: option.choice("for --graph; default: f16 on a GPU that computes in it", ["f32", "f16"]),
  },
);

const { target, config, base, model, memory, variant, graph, part, dtype } = options;

if (graph === undefined) {
  for await (const text of describe(target!)) console.log(text);
} else {
  expectOnly("of which --graph draws what it runs", "graph", "part", "dtype", "config", "base", "variant");
  expectWritable(graph, `take --graph ${graph}`);
  console.log(await writeGraphs(target!, graph, { part, dtype, config, base, variant }));
}

/** Throws where an option is given that says nothing about what `what` is. */
function expectOnly(what: string, ...names: readonly (keyof typeof options)[]): void {
  const odd = Object.entries(options).find(([name, value]) =>
    value !== undefined && name !== "target" && !names.includes(name as keyof typeof options)
  );
  if (!odd) return;
  const known = names.length ? `--${names.join(", --")}` : "no option";
  throw new TypeError(`Cannot take --${odd[0]} for ${target}, ${what}: expected ${known}; leave it out`);
}

async function* describe(target: string): AsyncGenerator<string> {
  if (isSingleFile(target)) return yield* describeFile(target);
  const names = await namesOf(target);
  if (names.includes("model_index.json")) {
    expectOnly("which is a pipeline", "memory", "variant");
    yield await describePipeline(target, variant);
    yield await describeMemory(target, { memory, variant });
  } else if (names.includes("config.json")) {
    expectOnly("which is one model", "variant");
    yield await describeModel(target, variant);
  } else if (names.some((name) => /\/(model_index|config)\.json$/.test(name))) {
    expectOnly("a folder of models");
    yield await describeFolder(target, names);
  } else if (names.filter(isSingleFile).length > 1) {
    expectOnly("a folder of single files");
    yield describeFiles(target, names);
  } else if (names.some(isSingleFile)) yield* describeFile(await findLora(target));
  else {
    const got = names.slice(0, 8).join(", ") || "nothing";
    throw new Error(
      `Cannot inspect ${target}: expected model_index.json, config.json or weights, got ${got}`,
    );
  }
}

async function* describeFile(target: string): AsyncGenerator<string> {
  const file = await openSingleFile(target, { headersOnly: true });
  if (file.parts.size === 0 && isLora(file.tensors.keys())) {
    expectOnly("which is a LoRA", "model");
    return yield await describeLora(target, file, model);
  }
  expectOnly("which is one file", ...file.family ? ["config", "base", "memory"] as const : []);
  yield await describeSingleFile(file);
  if (file.family) yield await describeMemory(target, { config, base, memory });
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
