import assert from "node:assert/strict";

const SECONDS = 300; // which only what hangs takes

/**
 * Waits until something is so, or is there: it is looked for again and again. Fails where that never comes, and says `what` was
 * expected.
 */
export async function until<T>(
  look: () => T | Promise<T>,
  what = String(look),
): Promise<Exclude<T, false | undefined>> {
  const end = performance.now() + 1000 * SECONDS;
  for (;;) {
    const found = await look();
    if (found !== false && found !== undefined) return found as Exclude<T, false | undefined>;
    assert.ok(performance.now() < end, `expected ${what} within ${SECONDS} s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
