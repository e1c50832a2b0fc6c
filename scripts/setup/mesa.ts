/** Mesa's Vulkan drivers from apt: for the system as root, else for the user's cache folder. */
import { basename, dirname, join, relative } from "node:path";
import { backportsFile, type SourcesFile } from "./apt_sources.ts";
import { run } from "./command.ts";
import { cacheDriver, filesIn } from "./cached_driver.ts";
import { distribution } from "./distribution.ts";

const packages = ["mesa-vulkan-drivers", "libvulkan1"];
const systemSources = "/etc/apt/sources.list.d";
const { codename } = distribution();
const needsBackports = codename === "bookworm"; // its own Mesa 22.3.6 gives Dawn no adapter

/** Installs the drivers, and on bookworm the apt source that they come from. */
export async function installMesa(): Promise<void> {
  const backports = needsBackports ? backportsFile(readSources(), codename) : undefined;
  const added = backports && join(systemSources, backports.name);
  if (backports && added) Deno.writeTextFileSync(added, backports.text);
  try {
    await aptInstall(["--option", "DPkg::Lock::Timeout=300"]);
  } catch (error) {
    if (added) Deno.removeSync(added);
    throw error;
  }
}

/**
 * Downloads the drivers with the libraries that the system lacks,
 * and unpacks them into the user's cache folder.
 */
export function cacheMesa(): Promise<void> {
  return cacheDriver(async (folder) => {
    const apt = join(folder, "apt");
    for (const name of ["sources", "lists", "cache"]) Deno.mkdirSync(join(apt, name), { recursive: true });
    const sources = readSources();
    const backports = needsBackports ? backportsFile(sources, codename) : undefined;
    for (const { name, text } of backports ? [...sources, backports] : sources) {
      Deno.writeTextFileSync(join(apt, "sources", name), text);
    }
    const places = {
      "Dir::Etc::SourceList": "/dev/null",
      "Dir::Etc::SourceParts": join(apt, "sources"),
      "Dir::State::Lists": join(apt, "lists"),
      "Dir::Cache": join(apt, "cache"),
      "Debug::NoLocking": "true", // the locks are root's, and nothing here needs them
    };
    const options = Object.entries(places).flatMap(([name, value]) => ["--option", `${name}=${value}`]);
    await aptInstall(["--download-only", ...options]);
    for (const file of filesIn(apt)) {
      if (file.endsWith(".deb")) await run("dpkg-deb", ["--extract", join(apt, file), folder]);
    }
    Deno.removeSync(apt, { recursive: true });
    pointManifests(folder);
  });
}

/**
 * Updates the lists, then installs; a list that fails to update matters only if the installation fails too.
 */
async function aptInstall(options: string[]): Promise<void> {
  const release = needsBackports ? ["--target-release", `${codename}-backports`] : [];
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const update = ["update", "--option", "APT::Update::Error-Mode=any", ...options]; // else a failure is a warning
  const stale = await run("apt-get", update, { env }).then(() => undefined, (error) => error);
  const install = ["install", "--yes", "--no-install-recommends", ...release, ...options, ...packages];
  await run("apt-get", install, { env }).catch((error) => {
    throw stale ?? error;
  });
}

/** Makes each manifest name its unpacked library, by a path relative to the manifest. */
function pointManifests(folder: string) {
  const files = filesIn(folder);
  for (const file of files.filter((file) => /_icd[^/]*\.json$/.test(file))) {
    const manifest = JSON.parse(Deno.readTextFileSync(join(folder, file)));
    const name = basename(manifest.ICD.library_path);
    const library = files.find((other) => basename(other) === name);
    if (!library) continue;
    manifest.ICD.library_path = relative(dirname(file), library);
    Deno.writeTextFileSync(join(folder, file), JSON.stringify(manifest));
  }
}

/** Every file of apt sources that this user may read. */
export function readSources(): SourcesFile[] {
  const parts = [...Deno.readDirSync(systemSources)].map(({ name }) => join(systemSources, name));
  return ["/etc/apt/sources.list", ...parts].filter((path) => /\.(list|sources)$/.test(path)).flatMap(
    (path) => {
      try {
        return [{ name: basename(path), text: Deno.readTextFileSync(path) }];
      } catch {
        return []; // absent, or closed to this user
      }
    },
  );
}
