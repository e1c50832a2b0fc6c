/**
 * The Vulkan driver that `deno task setup` keeps in the user's cache folder, for Linux without a driver and
 * without root: how a process comes to use it.
 */
import { homedir } from "node:os";
import { join } from "node:path";

/** The file `driver.json` of the cached driver; paths are relative to its folder. */
export interface CachedDriver {
  /** Shared libraries that the system lacks, each after those that it needs. */
  libraries: string[];
  /** The Vulkan loader's manifests, one per driver. */
  manifests: string[];
}

/** The folder of the cached driver; it need not exist. */
export function driverFolder(): string {
  return join(Deno.env.get("XDG_CACHE_HOME") || join(homedir(), ".cache"), "denoise", "vulkan");
}

/** The driver that the user chose through the Vulkan loader's own variables, as `NAME=value`. */
export function chosenDriver(): string | undefined {
  const name = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].find((name) => Deno.env.get(name));
  return name && `${name}=${Deno.env.get(name)}`;
}

/**
 * Adds the cached driver, if there is one, to those that the system has. Must run before Dawn's `create()`;
 * the adapters of a GPU still come first, since Dawn lists software adapters last.
 */
export function useCachedDriver(): void {
  if (Deno.build.os !== "linux" || chosenDriver()) return;
  const folder = driverFolder();
  try {
    const driver: CachedDriver = JSON.parse(Deno.readTextFileSync(join(folder, "driver.json")));
    // LD_LIBRARY_PATH counts only at the start of a process, but a library that is open is found by its name.
    for (const library of driver.libraries) Deno.dlopen(join(folder, library), {});
    const manifests = driver.manifests.map((manifest) => join(folder, manifest));
    const others = Deno.env.get("VK_ADD_DRIVER_FILES")?.split(":") ?? [];
    Deno.env.set("VK_ADD_DRIVER_FILES", [...new Set([...manifests, ...others])].join(":"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return; // nothing is cached
    if (error instanceof Deno.errors.NotCapable) return; // Deno may not look there: the system's own may do
    throw new Error(
      `Cannot use the driver in ${folder}: ${(error as Error).message}; run \`deno task setup\``,
    );
  }
}
