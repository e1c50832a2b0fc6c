/** The oldest Deno on which Denoise runs: under 2.8 the first read of a tensor hangs, without a message. */
const OLDEST = [2, 9] as const;

/** Throws where this is a Deno that is known to fail; other runtimes are let through. */
export function expectRuntime(version: string | undefined = deno?.version?.deno): void {
  if (version === undefined) return;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return;
  throw new Error(
    `Cannot run Denoise: expected Deno ${OLDEST.join(".")} or later, got ${version}; ` +
      "run `deno upgrade`, or write `npx -y deno@2.9.6` for `deno`",
  );
}

const { Deno: deno } = globalThis as { Deno?: { version?: { deno?: string } } };
