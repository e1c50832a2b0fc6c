import { resolve } from "node:path";
import { shadersIn } from "../../src/gpu/shader/shaders_folder.ts";

const SETTLES_MS = 30; // a save is several events
const AGAIN_MS = 200; // what cannot be read in the middle of a save can be then

/** Texts of a folder of shaders, as `shadersIn` reads them. */
type Texts = ReadonlyMap<string, string>;

/**
 * Texts of a folder of shaders whenever they are others than before, at first than `known`; the folder may be
 * removed and made again meanwhile. What cannot be read is told to `onTrouble`, once, and the texts before
 * stay.
 */
export async function* savesIn(
  folder: string,
  known: Texts,
  onTrouble: (message: string) => void,
): AsyncGenerator<Texts> {
  let trouble = "";
  const read = async (): Promise<Texts | undefined> => {
    try {
      const texts = await shadersIn(folder).catch(() => wait(AGAIN_MS).then(() => shadersIn(folder)));
      trouble = "";
      if (sameTexts(known, texts)) return undefined;
      return known = texts;
    } catch (error) {
      const { message } = error as Error;
      if (message !== trouble) onTrouble(message);
      trouble = message;
      return undefined;
    }
  };
  for (;;) {
    using watcher = watch(folder);
    const missed = await read(); // until it was watched
    if (missed) yield missed;
    if (!watcher) await wait(AGAIN_MS);
    for await (const { kind, paths } of watcher ?? []) {
      if (kind === "access") continue; // such as ours
      await wait(SETTLES_MS);
      const texts = await read();
      if (texts) yield texts;
      if (/^(remove|rename)$/.test(kind) && paths.some((path) => resolve(path) === resolve(folder))) break;
    }
  }
}

/** Tells of what happens in a folder; undefined where there is none. */
function watch(folder: string): Deno.FsWatcher | undefined {
  try {
    return Deno.watchFs(folder);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function sameTexts(one: Texts, other: Texts): boolean {
  return one.size === other.size && [...one].every(([path, text]) => other.get(path) === text);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
