import { dirname, join } from "node:path/posix";
import { z } from "zod";
import { isInside } from "./hub_cache.ts";
import { parseJson } from "./json.ts";
import { damaged, quote, unreadable } from "./refusal.ts";

const Index = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Whether a name is that of an index of sharded weights. */
export function isIndex(name: string): boolean {
  return /\.index(\.[\w-]+)?\.json$/.test(name);
}

/** The files that the indices among `names` point to, relative to `folder` as the names are. */
export async function shardsOf(folder: string, names: string[]): Promise<string[]> {
  const shards = new Set<string>();
  for (const name of names.filter(isIndex)) {
    const path = join(folder, name);
    const index = Index.safeParse(parseJson(await read(path), path));
    if (!index.success) throw damaged(path, "a weight_map from keys to files", "none");
    for (const shard of Object.values(index.data.weight_map)) {
      if (!isInside(shard)) throw damaged(path, "shards in its own folder", quote(shard));
      shards.add(join(dirname(name), shard));
    }
  }
  return [...shards];
}

async function read(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}
