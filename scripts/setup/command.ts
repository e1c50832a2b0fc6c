import { basename } from "node:path";

/** Options of running a command. */
export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
}

/** Runs a command without input and returns what it printed; throws with its error line if it fails. */
export async function run(command: string, args: string[], options: CommandOptions = {}): Promise<string> {
  const result = await new Deno.Command(command, { ...options, args, stdin: "null" }).output();
  const [output, errors] = [result.stdout, result.stderr].map((bytes) =>
    new TextDecoder().decode(bytes).trim()
  ) as [string, string];
  if (result.success) return output;
  const reason = /^E: .*/m.exec(errors)?.[0] ?? errors.split("\n").at(-1)?.trim(); // apt's first error, or the last line
  throw new Error(`${basename(command)} ended with ${result.signal ?? result.code}: ${reason}`);
}
