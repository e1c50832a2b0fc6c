import { sidesIn } from "../../../command_line/options.ts";
import type { Drawer } from "../../draw/drawer.ts";
import { enlargedPreview, inFormat } from "../../http/formats.ts";
import { type EventSource, frameOf } from "../event_stream.ts";
import { openAIError } from "./errors.ts";
import type { Answer, ImageParams } from "./params.ts";

/** Tokens that pictures cost, which are not sold here. */
const NOTHING = {
  ...{ input_tokens: 0, output_tokens: 0, total_tokens: 0 },
  input_tokens_details: { image_tokens: 0, text_tokens: 0 },
} as const;

/**
 * Draws a request, and tells it as OpenAI's API does: of each picture, one after the other, the small ones on the way and then
 * the picture. `event` is what they are called before their kind. Throws the RefusalError of a request that is not even queued.
 */
export async function drawnEvents(
  drawer: Drawer,
  event: string,
  { request, answer }: ImageParams,
  signal: AbortSignal,
): Promise<EventSource> {
  const leaving = new AbortController();
  const outbox = new Outbox();
  const { output_format: format, output_compression: quality } = answer;
  const send = async (kind: string, png: Uint8Array, more: object) => {
    const type = `${event}.${kind}`;
    const b64_json = (await inFormat(png, format, quality)).toBase64();
    outbox.put(frameOf(type, { type, created_at: now(), b64_json, ...about(answer), ...more }));
  };
  let partials = 0; // of the picture that is drawn
  const accepted = Promise.withResolvers<void>();
  const drawn = drawer.draw(request, {
    signal: AbortSignal.any([leaving.signal, signal]),
    onProgress: () => accepted.resolve(),
    wantsPreview: (step, steps) => stepsOf(answer.partial_images, steps).includes(step),
    onPreview: answer.partial_images === 0
      ? undefined
      : (png) =>
        send("partial_image", enlargedPreview(png), { partial_image_index: partials++, size: answer.size }),
    onPicture: (picture) => {
      partials = 0;
      return send("completed", picture.png, { size: sidesIn(picture), usage: NOTHING });
    },
  });
  drawn.catch((error) => {
    if (!leaving.signal.aborted && !signal.aborted) outbox.put(frameOf("error", openAIError(error).body));
  }).finally(() => outbox.close());
  await Promise.race([accepted.promise, drawn]); // what is wrong is answered by a status, not in the stream
  return { next: () => outbox.take(), end: () => leaving.abort() };
}

/** Steps whose small pictures are sent, counted from 0: so many if there are, evenly spread over those before the last. */
function stepsOf(most: number, steps: number): number[] {
  const count = Math.min(most, steps - 1);
  return Array.from({ length: count }, (_, i) => Math.floor((i + 1) * steps / (count + 1)) - 1);
}

/** Frames that nobody has taken yet. */
class Outbox {
  readonly #frames: Uint8Array[] = [];
  #isClosed = false;
  #change = Promise.withResolvers<void>();

  /** Adds a frame. */
  put(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.#tell();
  }

  /** Says that no more come. */
  close(): void {
    this.#isClosed = true;
    this.#tell();
  }

  /** Waits for the next; undefined where none comes any more. */
  async take(): Promise<Uint8Array | undefined> {
    while (this.#frames.length === 0 && !this.#isClosed) await this.#change.promise;
    return this.#frames.shift();
  }

  #tell(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

/** What each answer says of its pictures. */
export function about({ output_format }: Pick<Answer, "output_format">): object {
  return { output_format, background: "opaque", quality: "auto" };
}

/** Seconds since 1970. */
export function now(): number {
  return Math.floor(Date.now() / 1000);
}
