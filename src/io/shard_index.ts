import { dirname, join } from "node:path";
import { readJson } from "./config.ts";
import { damaged, quote } from "./refusal.ts";

/** The index of a checkpoint in several files: which tensors each shard holds. */
export type ShardIndex = Map<string, string[]>;

/** Reads `*.index.json` and checks that its shards lie beside it; the keys are their paths. */
export async function readShardIndex(path: string): Promise<ShardIndex> {
  const index = await readJson(path) as { weight_map?: unknown } | null;
  const names = Object.entries(index?.weight_map ?? {});
  if (names.length === 0) throw damaged(path, "a weight_map from tensors to files", quote(index?.weight_map));
  const shards: ShardIndex = new Map();
  for (const [name, file] of names) {
    if (typeof file !== "string" || !isInside(file)) {
      throw damaged(path, `the file of ${quote(name)} to lie in its folder`, quote(file));
    }
    const shard = join(dirname(path), file);
    const list = shards.get(shard);
    if (list) {
      list.push(name);
    } else {
      await checkFile(shard, path);
      shards.set(shard, [name]);
    }
  }
  return shards;
}

async function checkFile(shard: string, index: string): Promise<void> {
  const found = await Deno.stat(shard).then(({ isFile }) => isFile, () => false);
  if (!found) throw damaged(index, `its shard ${shard}`, "no such file");
}

/** True where a relative path stays in its folder: no root, no drive, no way up. */
function isInside(path: string): boolean {
  return !/[\\:\0]/.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
