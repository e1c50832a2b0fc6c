import assert from "node:assert/strict";

/** Fails unless a promise is rejected with one line, which is such as `line`. */
export async function assertRefused(promise: Promise<unknown>, line: RegExp): Promise<void> {
  await assert.rejects(promise, ({ message }: Error) => {
    assert.match(message, line);
    return !message.includes("\n");
  });
}
