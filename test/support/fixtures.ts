import { join } from "node:path";

const folder = join(import.meta.dirname!, "../fixtures");

/** Path of a file of test/fixtures. */
export function fixture(name: string): string {
  return join(folder, name);
}
