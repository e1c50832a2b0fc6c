import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dirname!, "..");

/** What each folder of src/ may import, beside itself. */
const LAYERS = ["core", "gpu", "graph", "tensor", "ops", "nn", "models", "pipelines"];
const below = (layer: string) => LAYERS.slice(0, LAYERS.indexOf(layer));
const ALLOWED: Record<string, string[]> = {
  ...Object.fromEntries(LAYERS.map((layer) => [layer, below(layer)])),
  io: below("ops"),
  random: ["core", "gpu", "tensor"],
  schedulers: ["core", "tensor", "ops", "io", "random"],
  tokenizers: ["core", "io"],
};
ALLOWED["models"]!.push("io", "random");
ALLOWED["pipelines"]!.push("io", "random", "schedulers", "tokenizers");

function* filesIn(folder: string, ending: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(join(root, folder))) {
    if (isDirectory) yield* filesIn(`${folder}/${name}`, ending);
    else if (name.endsWith(ending)) yield `${folder}/${name}`;
  }
}

const read = (file: string) => Deno.readTextFileSync(join(root, file));
const sources = [...filesIn("src", ".ts")];

/** The files that a file imports, from the root; packages are left out. */
function importsOf(file: string): string[] {
  const named = read(file).matchAll(
    /^(?:import|export|\} from)\b[^"';]*["']([^"']+)["']|\bimport\(["']([^"']+)["']\)/gm,
  );
  return [...named].map(([, fixed, lazy]) => fixed ?? lazy).filter((path) => path!.startsWith("."))
    .map((path) => relative(root, join(root, dirname(file), path!)));
}

const layerOf = (file: string) => file.split("/")[1];

Deno.test("layers import only what stands below them", () => {
  let imports = 0;
  for (const file of sources) {
    const layer = layerOf(file)!;
    if (layer === "mod.ts") continue; // re-exports what scripts need
    assert.ok(ALLOWED[layer], `${file} is in no layer that this test knows`);
    for (const imported of importsOf(file)) {
      imports++;
      if (!imported.startsWith("src/")) continue;
      const allowed = [layer, ...ALLOWED[layer]].includes(layerOf(imported)!);
      assert.ok(
        allowed,
        `${file} imports ${imported}: ${layer} may import ${ALLOWED[layer].join(", ") || "nothing"}`,
      );
    }
  }
  assert.ok(imports > 100, `only ${imports} imports were found`);
});

Deno.test("folders of scripts/serve import only those below them", () => {
  const order = ["request", "models", "draw", "http", "routes"];
  const folderOf = (file: string) => order.indexOf(/^scripts\/serve\/(\w+)\//.exec(file)?.[1] ?? "");
  for (const file of order.flatMap((folder) => [...filesIn(`scripts/serve/${folder}`, ".ts")])) {
    for (const imported of importsOf(file).filter((path) => folderOf(path) >= 0)) {
      assert.ok(folderOf(imported) <= folderOf(file), `${file} imports ${imported}, which is above it`);
    }
  }
});

/**
 * The one circle that stands: the methods of Tensor record work whose results are tensors, so that the files of its methods,
 * and those of the functions behind them, need the class as it needs them.
 */
const METHODS = ["arithmetic", "functions", "moves", "order", "views"].map((name) => `tensor_${name}`);
const FUNCTIONS = [
  "arg_reduce",
  "create",
  "gather",
  "join",
  "moves",
  "operators",
  "pointwise",
  "quantile",
  "ranges",
];
FUNCTIONS.push("record", "reduce", "rows", "scan", "scatter", "sort", "statistics");
const TENSOR = [...FUNCTIONS, "tensor", ...METHODS].map((name) => `src/tensor/${name}.ts`);

Deno.test("no files import each other in a circle, types among them", () => {
  assert.deepEqual(circles(new Map(sources.map((file) => [file, importsOf(file)]))), [TENSOR]);
});

/** Sets of files each of which leads to all others of its set (Tarjan 1972); `graph` has the imports of each file. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const numbers = new Map<string, number>();
  const open: string[] = [];
  const found: string[][] = [];
  /** The lowest number of an open file to which `file` leads. */
  const visit = (file: string): number => {
    const number = numbers.size;
    numbers.set(file, number);
    open.push(file);
    const lowest = (graph.get(file) ?? []).reduce((low, imported) => {
      const known = numbers.get(imported);
      if (known === undefined) return Math.min(low, visit(imported));
      return open.includes(imported) ? Math.min(low, known) : low;
    }, number);
    if (lowest === number) {
      const members = open.splice(open.indexOf(file));
      if (members.length > 1) found.push(members.sort());
    }
    return lowest;
  };
  for (const file of graph.keys()) if (!numbers.has(file)) visit(file);
  return found;
}

/** Folders and files of src/io, each of which imports only those in front of it. */
const IO = [
  "files",
  "config.ts",
  "formats",
  "upload",
  "hub",
  "names",
  "images",
  "single_file",
  "lora",
  "terminal",
];
IO.push("load_options.ts", "embedded_models.ts");

Deno.test("folders of io import only those in front of them", () => {
  const places = (files: string[]) =>
    files.filter((file) => /^src\/io\/.*ts$/.test(file)).map((file) => file.split("/")[2]!);
  for (const file of sources) {
    const [own] = places([file]);
    if (!own) continue;
    assert.ok(IO.includes(own), `${file} is in no folder that this test knows`);
    const later = places(importsOf(file)).find((place) => IO.indexOf(place) > IO.indexOf(own));
    assert.equal(later, undefined, `${file} imports from ${later}`);
  }
});

Deno.test("files of src/ import nothing of the scripts and tests", () => {
  for (const file of sources) {
    for (const imported of importsOf(file)) {
      if (imported === "deno.json" && file === "src/core/version.ts") continue;
      assert.match(imported, /^(src|shaders)\//, `${file} imports ${imported}`);
    }
  }
});

Deno.test("outside io and gpu no source names Deno, so that a browser can run the rest", () => {
  for (const file of sources) {
    if (["io", "gpu"].includes(layerOf(file)!)) continue;
    assert.doesNotMatch(read(file), /\bDeno\.(?!customInspect)/, file); // that one is a symbol's name
  }
});

Deno.test("every shader is imported, and every imported shader exists", () => {
  const used = new Set(sources.flatMap(importsOf).filter((file) => file.endsWith(".wgsl")));
  assert.deepEqual([...used].sort(), [...filesIn("shaders", ".wgsl")].sort());
});

Deno.test("no file is longer than 500 lines", () => {
  const files = [
    ...["src", "scripts", "test", "bench"].flatMap((folder) => [...existing(folder, ".ts")]),
    ...filesIn("shaders", ".wgsl"),
  ];
  for (const file of files) {
    const lines = read(file).split("\n").length;
    assert.ok(lines <= 500, `${file} has ${lines} lines`);
  }
});

function existing(folder: string, ending: string): string[] {
  try {
    return [...filesIn(folder, ending)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
