/** Reads a description of cases. */
export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** Python's names of arguments in camelCase. */
export function camelCased(args: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(args).map((
      [name, value],
    ) => [name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()), value]),
  );
}
