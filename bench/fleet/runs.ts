/** Requests of the embedded model, and the scripts that draw them. */
import { join } from "node:path";
import { type CanonicalRequest, canonicalRequest } from "../../scripts/fleet/request_name.ts";
import { EMBEDDED_NAME } from "../../scripts/generate/usual.ts";

export { EMBEDDED_NAME as MODEL };

const root = join(import.meta.dirname!, "../..");

/** How a run with faults is made. */
export interface Plan {
  readonly requests: number;
  readonly workers: number;
}

/** A request of 4 steps at the model's own size. */
export function request(seed: number, steps = 4): CanonicalRequest {
  return canonicalRequest({ prompt: "a nice flower", seed, steps }, EMBEDDED_NAME);
}

/** Writes a file of requests. */
export async function write(path: string, requests: readonly CanonicalRequest[]): Promise<void> {
  await Deno.writeTextFile(path, requests.map((one) => `${JSON.stringify(one)}\n`).join(""));
}

/** Runs submit.ts. Throws where a request fails. */
export async function submit(...args: string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", join(root, "scripts/submit.ts"), ...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (code !== 0) throw new Error(`submit.ts ended with ${code}: ${new TextDecoder().decode(stderr)}`);
}

/** Waits. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
