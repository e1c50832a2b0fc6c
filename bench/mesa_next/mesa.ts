/** Unpacks the newest Mesa of Debian, whose software adapter has matrix units, without installing it. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { suiteFile } from "../../scripts/setup/apt_sources.ts";
import { filesIn } from "../../scripts/setup/cached_driver.ts";
import { run } from "../../scripts/setup/command.ts";
import { distribution } from "../../scripts/setup/distribution.ts";
import { readSources } from "../../scripts/setup/mesa.ts";

/** The newest Mesa cannot be had on this machine. */
export class MesaNextMissing extends Error {
  override name = "MesaNextMissing";
}

const SUITE = "sid"; // Debian unstable
const PACKAGES = ["mesa-vulkan-drivers", "libvulkan1", "libc6", "libstdc++6"]; // a newer Mesa takes a newer C library
const FOLDERS = {
  x86_64: { libraries: "usr/lib/x86_64-linux-gnu", loader: "ld-linux-x86-64.so.2" },
  aarch64: { libraries: "usr/lib/aarch64-linux-gnu", loader: "ld-linux-aarch64.so.1" },
};

/** The command that runs this Deno on the newest Mesa, to be followed by Deno's arguments. Throws MesaNextMissing. */
export async function denoOnMesaNext(): Promise<
  { command: string; args: string[]; env: Record<string, string> }
> {
  const root = join(Deno.env.get("XDG_CACHE_HOME") || join(homedir(), ".cache"), "denoise", "mesa-next");
  if (!existsSync(root)) {
    await unpack(root).catch((cause: Error) => {
      const message =
        `Cannot unpack the newest Mesa: it takes Debian with apt and its archive; ${cause.message}`;
      throw new MesaNextMissing(message, { cause });
    });
  }
  const { libraries, loader } = FOLDERS[Deno.build.arch];
  const folder = join(root, libraries);
  return {
    command: join(folder, loader),
    args: ["--library-path", folder, Deno.execPath()],
    env: { VK_DRIVER_FILES: join(root, "usr/share/vulkan/icd.d/lvp_icd.json") },
  };
}

/** Downloads the packages with all that they need, as if nothing were installed, and unpacks them: 250 MB. */
async function unpack(root: string): Promise<void> {
  const parts = `${root}-${crypto.randomUUID()}`; // renamed once complete, as others may unpack it meanwhile
  const apt = join(parts, "apt");
  try {
    for (const name of ["lists/partial", "cache/archives/partial", "sources"]) {
      Deno.mkdirSync(join(apt, name), { recursive: true });
    }
    Deno.writeTextFileSync(join(apt, "status"), "");
    const { name, text } = suiteFile(readSources(), distribution().codename, SUITE);
    Deno.writeTextFileSync(join(apt, "sources", name), text);
    const settings = {
      "Dir::Etc::SourceList": "/dev/null",
      "Dir::Etc::SourceParts": join(apt, "sources"),
      "Dir::State::Lists": join(apt, "lists"),
      "Dir::State::Status": join(apt, "status"),
      "Dir::Cache": join(apt, "cache"),
      "Debug::NoLocking": "true", // the locks are root's, and nothing here needs them
      "APT::Sandbox::User": "", // which could not read these folders
      "APT::Install-Recommends": "false",
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ["--option", `${name}=${value}`]);
    await run("apt-get", ["update", "--option", "APT::Update::Error-Mode=any", ...options]);
    await run("apt-get", ["install", "--yes", "--download-only", ...options, ...PACKAGES]);
    for (const file of filesIn(apt)) {
      if (file.endsWith(".deb")) await run("dpkg-deb", ["--extract", join(apt, file), parts]);
    }
    Deno.removeSync(apt, { recursive: true });
    if (!existsSync(root)) Deno.renameSync(parts, root);
  } finally {
    if (existsSync(parts)) Deno.removeSync(parts, { recursive: true });
  }
}
