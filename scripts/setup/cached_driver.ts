/** Puts a Vulkan driver into the user's cache folder, where `useCachedDriver()` finds it. */
import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type CachedDriver, driverFolder } from "../../src/gpu/open/driver.ts";

/**
 * Lets `fill` unpack a driver into a new folder; once complete, that becomes the cached driver in one rename.
 */
export async function cacheDriver(fill: (folder: string) => Promise<void>): Promise<void> {
  const cached = driverFolder();
  Deno.mkdirSync(dirname(cached), { recursive: true });
  const folder = Deno.makeTempDirSync({ dir: dirname(cached), prefix: "vulkan-" });
  try {
    await fill(folder);
    Deno.writeTextFileSync(join(folder, "driver.json"), JSON.stringify(describe(folder)));
    if (existsSync(cached)) Deno.removeSync(cached, { recursive: true });
    Deno.renameSync(folder, cached);
  } catch (error) {
    Deno.removeSync(folder, { recursive: true });
    throw error;
  }
}

/** Every file and link below a folder, as paths relative to it. */
export function filesIn(folder: string, below = folder): string[] {
  return [...Deno.readDirSync(below)].flatMap((entry) => {
    const path = join(below, entry.name);
    return entry.isDirectory ? filesIn(folder, path) : [relative(folder, path)];
  });
}

function describe(folder: string): CachedDriver {
  const files = filesIn(folder);
  const manifests = files.filter((file) => /_icd[^/]*\.json$/.test(file));
  if (manifests.length === 0) throw new Error("nothing that was unpacked is a Vulkan driver");
  return { libraries: inOrder(files.filter((file) => /\.so\.\d/.test(file)), folder), manifests };
}

/** The libraries, each after those that it needs: found by opening them. One that never opens is left out. */
function inOrder(libraries: string[], folder: string): string[] {
  const opened = libraries.filter((library) => opens(join(folder, library)));
  const waiting = libraries.filter((library) => !opened.includes(library));
  return opened.length > 0 && waiting.length > 0 ? [...opened, ...inOrder(waiting, folder)] : opened;
}

function opens(library: string): boolean {
  try {
    Deno.dlopen(library, {});
    return true;
  } catch {
    return false;
  }
}
