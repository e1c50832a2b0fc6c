import assert from "node:assert/strict";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname!, "..");
const FOLDERS = ["src", "shaders", "scripts", "bench", "docs", "models", "test"];

function* pathsIn(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(join(root, folder))) {
    const path = folder ? `${folder}/${name}` : name;
    if (isDirectory) yield `${path}/`;
    else yield path;
    if (isDirectory && (folder || FOLDERS.includes(name))) yield* pathsIn(path);
  }
}

const paths = [...pathsIn("")];
/** All ends of paths, in which a document may name a file: "select.ts", "gemm/select.ts" … */
const ends = new Set(paths.flatMap((path) => {
  const parts = path.split(/(?<=\/)/);
  return parts.map((_, first) => parts.slice(first).join(""));
}));

const exists = (name: string) => {
  const path = name.replace(/^\.\//, "");
  if (!path.includes("*")) return ends.has(path) || ends.has(`${path}/`);
  const pattern = new RegExp(`(^|/)${path.replaceAll(".", "\\.").replaceAll("*", "[^/]*")}$`);
  return paths.some((one) => pattern.test(one.replace(/\/$/, "")));
};

const documents = ["README.md", "CONTRIBUTING.md"]
  .concat([...Deno.readDirSync(join(root, "docs"))].map(({ name }) => `docs/${name}`))
  .filter((path) => path.endsWith(".md"));

/** Files of the reader's own, and places to fill in. */
const OWN = /^(flower\.ts|gamma\.wgsl|swirl\.wgsl|(my_|[A-Z]{3}).*)$/;
const FOLDER = new RegExp("`((?:" + FOLDERS.join("|") + ")/[\\w*./-]*)", "g");
const FILE = /(?<![\w*./{}-])[\w*][\w*./-]*\.(?:ts|wgsl|c)\b/g;

/** Files and folders of the repository that a text names, and that are not there. */
function missingIn(text: string): string[] {
  const named = [...text.matchAll(FOLDER)].map(([, path]) => path!).concat(text.match(FILE) ?? []);
  return [...new Set(named)].filter((name) => !OWN.test(name) && !exists(name));
}

for (const document of documents) {
  const text = Deno.readTextFileSync(join(root, document));

  Deno.test(`${document} names files and folders that exist`, () => {
    assert.deepEqual(missingIn(text.replaceAll(/^```[^]*?^```/gm, "")), []);
  });

  Deno.test(`${document} links to files that exist`, () => {
    const linked = [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, path]) => path!);
    const missing = linked.filter((path) => !/^https?:/.test(path))
      .map((path) => join(dirname(document), path))
      .filter((path) => !paths.includes(path) && !paths.includes(`${path}/`));
    assert.deepEqual(missing, []);
  });
}

Deno.test("comments name files that exist", () => {
  const sources = paths.filter((path) => /^(src|shaders|scripts|bench|test)\/.*\.(ts|wgsl)$/.test(path));
  const missing = sources.flatMap((path) => {
    const text = Deno.readTextFileSync(join(root, path));
    const comments = text.match(/(^|\s)\/\/ .*|^\s*(\/\*)?\* .*/gm) ?? [];
    return missingIn(comments.join("\n")).map((name) => `${name} in ${path}`);
  });
  assert.deepEqual(missing, []);
});
