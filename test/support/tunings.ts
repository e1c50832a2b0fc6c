/** Keeps tunings in a folder of their own while `run` does its work, which gets the folder's path. */
export async function withTunings(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "denoise-tunings-" });
  const before = Deno.env.get("DENOISE_TUNINGS");
  Deno.env.set("DENOISE_TUNINGS", folder);
  try {
    await run(folder);
  } finally {
    if (before === undefined) Deno.env.delete("DENOISE_TUNINGS");
    else Deno.env.set("DENOISE_TUNINGS", before);
    await Deno.remove(folder, { recursive: true });
  }
}

/** What `console.warn` is told while `work` runs. */
export async function warnings(work: () => unknown): Promise<string[]> {
  const lines: string[] = [];
  const { warn } = console;
  console.warn = (line: string) => lines.push(line);
  try {
    await work();
  } finally {
    console.warn = warn;
  }
  return lines;
}
