/** Finds what a null GPU takes, and builds the layer above it (`null_gpu.c`) where that is not done yet. */
import { homedir } from "node:os";
import { join } from "node:path";
import { run } from "../setup/command.ts";
import { type CachedDriver, driverFolder } from "../../src/gpu/open/driver.ts";

/** GPUs by Mesa's names: Vega 10, RX 5700, RX 6800, RX 7900, RX 9070. */
export const FAMILIES = ["vega10", "navi10", "navi21", "navi31", "gfx1201"] as const;

/** One of them. */
export type Family = typeof FAMILIES[number];

/** The machine lacks what null GPUs take. */
export class NullGpuMissing extends Error {
  override name = "NullGpuMissing";
}

const NEEDS =
  "Linux with Mesa's RADV up to 25.1 (later ones have no null device), a C compiler and libvulkan-dev";
const MANIFEST = /^radeon_icd[^/]*\.json$/;

/** The environment in which a program finds a GPU of this family and no other. Throws NullGpuMissing. */
export async function nullGpu(family: Family): Promise<Record<string, string>> {
  const driver = findDriver();
  if (!driver) throw new NullGpuMissing(`Cannot open a null ${family}: no RADV here; it takes ${NEEDS}`);
  const folder = await buildLayer().catch((cause) => {
    const message =
      `Cannot open a null ${family}: its layer does not build (${cause.message}); it takes ${NEEDS}`;
    throw new NullGpuMissing(message, { cause });
  });
  return {
    RADV_FORCE_FAMILY: family,
    RADV_DEBUG: Deno.env.get("RADV_DEBUG") ?? "nocache", // what comes from a cache has no statistics
    VK_DRIVER_FILES: driver,
    VK_LAYER_PATH: folder,
    VK_INSTANCE_LAYERS: LAYER.layer.name,
  };
}

/** True in a program that was started above a null GPU. */
export function isOnNullGpu(): boolean {
  return Deno.env.get("VK_INSTANCE_LAYERS")?.includes(LAYER.layer.name) ?? false;
}

/** RADV's manifest, of the system or in the user's cache. */
function findDriver(): string | undefined {
  for (const folder of ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"]) {
    const found = ifThere(() => [...Deno.readDirSync(folder)].find(({ name }) => MANIFEST.test(name)));
    if (found) return join(folder, found.name);
  }
  const cached = ifThere(() => JSON.parse(Deno.readTextFileSync(join(driverFolder(), "driver.json")))) as
    | CachedDriver
    | undefined;
  const manifest = cached?.manifests.find((path) => MANIFEST.test(path.split("/").at(-1)!));
  return manifest && join(driverFolder(), manifest);
}

/** Compiles the layer into the user's cache, unless it is there and newer than its text. Returns its folder. */
async function buildLayer(): Promise<string> {
  const text = join(import.meta.dirname!, "null_gpu.c");
  const folder = join(Deno.env.get("XDG_CACHE_HOME") || join(homedir(), ".cache"), "denoise", "null-gpu");
  const library = join(folder, "libnull_gpu.so");
  const built = ifThere(() => Deno.statSync(library))?.mtime;
  if (built && built > Deno.statSync(text).mtime!) return folder;
  Deno.mkdirSync(folder, { recursive: true });
  const parts = await Deno.makeTempDir({ dir: folder }); // renamed into place, as others may load it meanwhile
  try {
    await run("cc", ["-shared", "-fPIC", "-O1", "-Wall", "-o", join(parts, "library"), text, "-lpthread"]);
    await Deno.writeTextFile(join(parts, "manifest"), JSON.stringify(LAYER));
    await Deno.rename(join(parts, "manifest"), join(folder, "null_gpu.json"));
    await Deno.rename(join(parts, "library"), library);
  } finally {
    await Deno.remove(parts, { recursive: true });
  }
  return folder;
}

/** What the Vulkan loader reads of the layer. */
const LAYER = {
  file_format_version: "1.2.0",
  layer: {
    name: "VK_LAYER_null_gpu",
    type: "GLOBAL",
    library_path: "./libnull_gpu.so",
    api_version: "1.3.0",
    implementation_version: "1",
    description: "runs nothing",
  },
};

function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
