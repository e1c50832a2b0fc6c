import { join } from "node:path";
import type { Outcome } from "./child.ts";

const root = join(import.meta.dirname!, "../..");

/** Runs a script as a user would, in some folder, without the hub; Deno itself says nothing, e.g. of what it downloads. */
export function runScript(folder: string, script: string, ...args: string[]): Promise<Outcome> {
  return runScriptWith({}, folder, script, ...args);
}

/** The same with more in the environment; HF_HUB_OFFLINE "" lets it ask the hub. */
export async function runScriptWith(
  env: Record<string, string>,
  folder: string,
  script: string,
  ...args: string[]
): Promise<Outcome> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "--config", join(root, "deno.json"), join(root, "scripts", script), ...args],
    cwd: folder,
    env: { NO_COLOR: "1", HF_HUB_OFFLINE: "1", ...env },
    stdin: "null",
  });
  const { code, ...output } = await command.output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, stdout: stdout!, stderr: stderr! };
}

/** Gives a test a folder that is gone behind it. */
export async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "denoise-scripts-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
