import { Buffer } from "node:buffer";
import type { MiddlewareHandler } from "hono";
import { RefusalError } from "../request/refusal.ts";

/** The most that a body may be, and take. */
export interface BodyLimits {
  /** Of the whole body. */
  readonly bytes: number;
  /** Until it is there. */
  readonly seconds: number;
}

/** Reads bodies before anything else is done for a request. Refuses those that are too large, and those that take too long. */
export function readBody(limits: BodyLimits): MiddlewareHandler {
  return async (context, next) => {
    const { raw } = context.req;
    if (raw.body) {
      if (Number(raw.headers.get("content-length") ?? 0) > limits.bytes) throw tooLarge(limits);
      context.req.raw = new Request(raw, { body: await whole(raw.body, limits) });
    }
    await next();
  };
}

async function whole(
  body: ReadableStream<Uint8Array>,
  limits: BodyLimits,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  const end = () => reader.cancel().catch(() => {}); // the client may be gone
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, 1000 * limits.seconds);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (isLate) throw tooSlow(limits);
      if (done) return Buffer.concat(parts);
      bytes += value.length;
      if (bytes > limits.bytes) {
        end();
        throw tooLarge(limits);
      }
      parts.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
}

function tooLarge({ bytes }: BodyLimits): RefusalError {
  return new RefusalError(
    "too large",
    `Cannot read the request: expected a body of at most ${bytes} bytes`,
  );
}

function tooSlow({ seconds }: BodyLimits): RefusalError {
  return new RefusalError(
    "too slow",
    `Cannot read the request: expected its body within ${seconds} s, got a part`,
  );
}
