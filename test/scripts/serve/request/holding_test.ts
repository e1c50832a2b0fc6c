import assert from "node:assert/strict";
import { PictureMemory } from "../../../../scripts/serve/request/holding.ts";
import { RefusalError } from "denoise/serve";

const HALF = 2 ** 29;

Deno.test("pictures of all requests together have a bound, those of one alone have none", () => {
  const memory = new PictureMemory();
  const large = memory.begin();
  for (let i = 0; i < 4; i++) large.add(HALF);
  const late = memory.begin();
  assert.throws(() => late.add(1), (error) => error instanceof RefusalError && error.kind === "busy");
  large[Symbol.dispose]();
  late.add(HALF);
  using third = memory.begin();
  third.add(HALF);
  assert.throws(() => late.add(1), {
    message: /pictures of requests in the queue fill it; try again later$/,
  });
  late[Symbol.dispose]();
  late[Symbol.dispose]();
  third.add(HALF);
});
