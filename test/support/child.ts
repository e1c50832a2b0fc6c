import { join } from "node:path";

/** How a child process ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const root = join(import.meta.dirname!, "../..");

/**
 * Runs TypeScript in a process of its own, in the project's root:
 * for what could end the tests, or must come first.
 */
export async function runChild(
  code: string,
  { env = {}, flags = ["-A"] }: { env?: Record<string, string>; flags?: string[] } = {},
): Promise<Outcome> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-prompt", "--no-check", ...flags, "-"],
    cwd: root,
    env: { ...env, NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const process = command.spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(code));
  await writer.close();
  const output = await process.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}
