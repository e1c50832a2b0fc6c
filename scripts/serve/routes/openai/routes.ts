import { Hono } from "hono";
import type { Context } from "hono";
import { sidesIn } from "../../../command_line/options.ts";
import type { Address } from "../../http/address.ts";
import type { Drawer } from "../../draw/drawer.ts";
import { type Format, inFormat } from "../../http/formats.ts";
import { RefusalError } from "../../request/refusal.ts";
import type { PictureStore } from "../../http/store.ts";
import { expectType, readJson } from "../body.ts";
import { answerEvents } from "../event_stream.ts";
import { about, drawnEvents, now } from "./events.ts";
import { answerError } from "./errors.ts";
import { type ImageParams, readEditForm, readImageParams } from "./params.ts";

/** OpenAI's images API, as its clients call it below /v1. */
export function openAIRoutes(drawer: Drawer, store: PictureStore, address: Address): Hono {
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
    return await answer(context, "image_edit", await readEditForm(form, drawer));
  });
  return app;

  async function answer(context: Context, event: string, params: ImageParams): Promise<Response> {
    const { request, answer } = params;
    const { signal } = context.req.raw;
    const { output_format: format, output_compression: quality } = answer;
    if (answer.stream) return answerEvents(context, await drawnEvents(drawer, event, params, signal));
    const { pictures } = await drawer.draw(request, { signal });
    const data = await Promise.all(pictures.map(async ({ png }) => {
      const bytes = await inFormat(png, format, quality);
      return answer.response_format === "url"
        ? { url: addressOf(context, bytes, format) }
        : { b64_json: bytes.toBase64() };
    }));
    return context.json({ created: now(), data, ...about(answer), size: sidesIn(pictures[0]!) });
  }

  function addressOf(context: Context, bytes: Uint8Array, format: Format): string {
    return address.of(`/pictures/${store.put(bytes, format)}`, context.req.raw);
  }
}
