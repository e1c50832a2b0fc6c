import { dirname, join } from "node:path";
import { readJson } from "../config.ts";
import { damaged, quote } from "../files/errors.ts";

/** Names of tensors by the path of the shard that holds them. */
export type ShardIndex = Map<string, string[]>;

/** Reads `*.index.json`, the index of a checkpoint in several files. */
export async function readShardIndex(path: string): Promise<ShardIndex> {
  const shards: ShardIndex = new Map();
  for (const [file, names] of await readWeightMap(path)) shards.set(join(dirname(path), file), names);
  return shards;
}

/** The shards of all indices among `names`; names and shards are relative to `folder`. */
export async function shardsOf(folder: string, names: readonly string[]): Promise<string[]> {
  const shards = new Set<string>();
  for (const name of names.filter(isIndex)) {
    for (const file of (await readWeightMap(join(folder, name))).keys()) {
      shards.add(join(dirname(name), file));
    }
  }
  return [...shards];
}

/** Names of tensors by file, as the index has it. */
async function readWeightMap(path: string): Promise<Map<string, string[]>> {
  const index = await readJson(path) as { weight_map?: unknown } | null;
  const names = Object.entries(index?.weight_map ?? {});
  if (names.length === 0) throw damaged(path, "a weight_map from tensors to files", quote(index?.weight_map));
  const wrong = names.find(([, file]) => typeof file !== "string" || !isInside(file));
  if (wrong) throw damaged(path, `the file of ${quote(wrong[0])} to lie in its folder`, quote(wrong[1]));
  const files = Map.groupBy(names as [string, string][], ([, file]) => file);
  return new Map([...files].map(([file, entries]) => [file, entries.map(([name]) => name)]));
}

/** True for names of an index. */
export function isIndex(name: string): boolean {
  return /\.index(\.[\w-]+)?\.json$/.test(name);
}

/** True where a relative path stays in its folder: no root, no drive, no `..`. */
export function isInside(path: string): boolean {
  return !/[\\:\0]/.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
