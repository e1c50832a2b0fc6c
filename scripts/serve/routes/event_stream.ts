import type { Context } from "hono";

const ALIVE = 15_000; // milliseconds between signs of life, without which proxies would end a stream
const STALLED = 60_000; // milliseconds until a client that takes nothing has left

const encoder = new TextEncoder();
const sign = encoder.encode(":\n\n"); // a comment

/** A server-sent event in bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export function frameOf(event: string, data: object, id?: number): Uint8Array {
  const last = id === undefined ? "" : `id: ${id}\n`;
  return encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n${last}\n`);
}

/** What a stream tells. */
export interface EventSource {
  /** Waits for the next frame; undefined where none comes any more. */
  next(): Promise<Uint8Array | undefined>;
  /** Called once, when the stream ends, whoever ended it. */
  end(): void;
}

/**
 * Answers with a stream of events that is as fast as its client: a frame is asked for when the last was taken, so that slow
 * clients take no memory. It ends where the client leaves, or takes nothing for a minute.
 */
export function answerEvents(context: Context, source: EventSource): Response {
  return context.body(streamOf(source), 200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no", // nginx would hold events back
  });
}

function streamOf(source: EventSource): ReadableStream<Uint8Array> {
  let coming: Promise<Uint8Array | undefined> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const end = () => {
    clearTimeout(timer);
    if (!ended) source.end();
    ended = true;
  };
  return new ReadableStream({
    async pull(controller) {
      clearTimeout(timer);
      const alive = Promise.withResolvers<Uint8Array>();
      timer = setTimeout(() => alive.resolve(sign), ALIVE);
      coming ??= source.next();
      const frame = await Promise.race([coming, alive.promise]);
      if (ended) return;
      clearTimeout(timer);
      if (!frame) {
        end();
        return controller.close();
      }
      if (frame !== sign) coming = undefined;
      controller.enqueue(frame);
      timer = setTimeout(() => {
        end();
        controller.error(new Error("Cannot send events: the client takes none"));
      }, STALLED);
    },
    cancel: end,
  }, { highWaterMark: 0 });
}
