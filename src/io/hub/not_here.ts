import { basename, dirname, join } from "node:path/posix";
import { nearest } from "../../core/error.ts";
import { BinaryFile } from "../files/binary_file.ts";
import { HEAD, kindOf } from "../files/file_kinds.ts";
import { quote } from "../files/errors.ts";

/** Errors for names of neither a folder of this machine nor a repository, with what was perhaps meant. */

/** The nearest candidate, if it differs by few letters only. */
function close(name: string, candidates: Iterable<string>): string | undefined {
  return nearest(name, candidates, Math.min(3, Math.floor(name.length / 4)));
}

/** The error for a file in place of a folder or repository. */
export async function notFolder(path: string): Promise<Error> {
  using file = await BinaryFile.open(path);
  const found = kindOf(await file.read(0, Math.min(file.size, HEAD)));
  const { kind = "another file", advice = "name the folder or the weights" } = found ?? {};
  const isWeights = /^a (safetensors|GGUF|zip) /.test(kind);
  return new Error(
    `Cannot open ${path}: expected a folder, owner/name or a file of weights (.safetensors, .ckpt, .gguf), ` +
      `got ${kind}; ${isWeights ? "give its name the ending that it should have" : advice}`,
  );
}

/** The error for a path where nothing is. */
export async function nothingThere(path: string): Promise<Error> {
  const near = close(basename(path), await foldersIn(dirname(path)));
  const advice = near ? `; did you mean ${join(dirname(path), near)}` : "";
  return new Error(`Cannot open ${path}: expected a folder, got nothing there${advice}`);
}

/** The error for a name that no repository can have. */
export async function notRepository(name: string): Promise<Error> {
  const shown = name === "" || /\s/.test(name) ? quote(name) : name;
  const near = await nearestHere(name);
  const advice = near ? `; did you mean ${near}` : "";
  return new Error(
    `Cannot open ${shown}: expected a folder that is here or a repository as owner/name${advice}`,
  );
}

/** The folder of this machine that a name may mean, e.g. models/emoji-diffusion for emoji-diffusion. */
export async function nearestHere(name: string): Promise<string | undefined> {
  const places = [".", "models", dirname(name)];
  const known = await Promise.all(
    places.map(async (place) => (await foldersIn(place)).map((folder) => join(place, folder))),
  );
  const found = known.flat();
  const same = found.find((path) => basename(path) === basename(name));
  if (same || !name) return same;
  const near = close(basename(name), found.map((path) => basename(path)));
  return found.find((path) => basename(path) === near);
}

async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.filter(({ isDirectory, name }) => isDirectory && !name.startsWith(".")).map(({ name }) =>
      name
    ).sort();
  } catch {
    return []; // it is not there, or may not be read
  }
}
