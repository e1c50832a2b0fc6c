import type { Drawer } from "../serve/draw/drawer.ts";
import { readRequest } from "../serve/request/request.ts";
import { type CanonicalRequest, filesOf } from "./request_name.ts";
import type { Results } from "./results.ts";

/** A way to do what may fail for a while, e.g. once, or until it is done. */
export type Way = <T>(deed: string, work: () => Promise<T>) => Promise<T | undefined>;

/**
 * Draws a request and puts its pictures, unless they are there already. True if it drew. With a signal drawing ends, with the
 * signal's reason.
 */
export async function drawOnce(
  drawer: Drawer,
  results: Results,
  request: CanonicalRequest,
  { way, signal }: { way: Way; signal?: AbortSignal },
): Promise<boolean> {
  const files = filesOf(request);
  const there = await way("look for a picture", () => Promise.all(files.map((file) => results.has(file))));
  signal?.throwIfAborted();
  if (there?.every(Boolean)) return false;
  const { pictures } = await drawer.draw(readRequest(request), { signal });
  for (const [i, file] of files.entries()) {
    await way("put a picture", () => results.put(file, pictures[i]!.png));
    signal?.throwIfAborted();
  }
  return true;
}
