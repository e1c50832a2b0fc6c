import { Hono } from "hono";
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Drawer } from "../drawer.ts";
import type { DrawnPicture } from "../drawing.ts";
import { type Format, inFormat } from "../formats.ts";
import { RefusalError } from "../refusal.ts";
import type { PictureStore } from "../store.ts";
import { expectType, readJson } from "./body.ts";
import { answerError, openAIError } from "./openai_errors.ts";
import { type ImageParams, readEditForm, readImageParams } from "./openai_params.ts";

/** OpenAI's images API, as its clients call it below /v1. */
export function openAIRoutes(drawer: Drawer, store: PictureStore): Hono {
  const created = now();
  const modelOf = (id: string) => ({ id, object: "model", created, owned_by: "denoise" });
  const app = new Hono();
  app.onError(answerError);
  app.get("/models", (context) => context.json({ object: "list", data: drawer.models.map(modelOf) }));
  app.get("/models/:name{.+}", (context) => {
    const name = context.req.param("name");
    if (drawer.models.includes(name)) return context.json(modelOf(name));
    throw new RefusalError("not found", `Cannot find the model ${name}`, "model");
  });
  app.post("/images/generations", async (context) => {
    return await answer(context, "image_generation", readImageParams(await readJson(context)));
  });
  app.post("/images/edits", async (context) => {
    expectType(context, "multipart/form-data");
    const form = await context.req.raw.formData().catch(() => {
      throw new RefusalError("invalid", "Cannot edit: expected a form with files, got something else");
    });
    return await answer(context, "image_edit", await readEditForm(form));
  });
  return app;

  async function answer(context: Context, event: string, params: ImageParams): Promise<Response> {
    const { request, answer } = params;
    const { signal } = context.req.raw;
    const { output_format: format, output_compression: quality } = answer;
    const textOf = async (png: Uint8Array) => (await inFormat(png, format, quality)).toBase64();
    if (!answer.stream) {
      const { pictures } = await drawer.draw(request, { signal });
      const data = await Promise.all(
        pictures.map(async ({ png }) =>
          answer.response_format === "url"
            ? { url: addressOf(context, await inFormat(png, format, quality), format) }
            : { b64_json: await textOf(png) }
        ),
      );
      return context.json({ created: now(), data, ...about(format), size: sizeOf(pictures[0]!) });
    }
    await drawer.expect(request); // what is wrong is answered by a status, not in the stream
    return streamSSE(context, async (stream) => {
      const leaving = new AbortController();
      stream.onAbort(() => leaving.abort());
      const send = (kind: string, more: object) => {
        const data = JSON.stringify({ type: `${event}.${kind}`, created_at: now(), ...more });
        return stream.writeSSE({ event: `${event}.${kind}`, data });
      };
      const partials = partialsOf(answer.partial_images);
      try {
        const { pictures: [picture] } = await drawer.draw(request, {
          signal: AbortSignal.any([leaving.signal, signal]),
          onProgress: (progress) => progress.phase === "drawing" && partials.plan(progress.steps),
          onPreview: answer.partial_images === 0 ? undefined : async (png, step) => {
            const index = partials.take(step);
            if (index === undefined) return;
            await send("partial_image", {
              b64_json: await textOf(png),
              partial_image_index: index,
              ...about(format),
            });
          },
        });
        const b64_json = await textOf(picture!.png);
        await send("completed", { b64_json, ...about(format), size: sizeOf(picture!), usage: NOTHING });
      } catch (error) {
        if (leaving.signal.aborted || signal.aborted) return;
        await stream.writeSSE({ event: "error", data: JSON.stringify(openAIError(error).body) });
      }
    });
  }

  function addressOf(context: Context, bytes: Uint8Array, format: Format): string {
    return new URL(`/pictures/${store.put(bytes, format)}`, context.req.url).href;
  }
}

const NOTHING = { input_tokens: 0, output_tokens: 0, total_tokens: 0 } as const; // pictures here are not sold

function about(output_format: Format): object {
  return { output_format, background: "opaque", quality: "auto" };
}

function sizeOf({ width, height }: DrawnPicture): string {
  return `${width}x${height}`;
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}

/** Which steps' previews are sent: so many, evenly spread over the steps before the last. */
function partialsOf(count: number) {
  let due: number[] = [];
  return {
    plan: (steps: number) => {
      due = Array.from({ length: count }, (_, i) => Math.floor((i + 1) * steps / (count + 1)) - 1);
    },
    /** The number of a step's preview; undefined where it is not sent. */
    take: (step: number) => {
      const index = due.indexOf(step);
      return index < 0 ? undefined : index;
    },
  };
}
