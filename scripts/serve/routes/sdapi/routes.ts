import { Hono } from "hono";
import type { Context } from "hono";
import { z } from "zod";
import type { Drawer } from "../../draw/drawer.ts";
import type { Drawing, DrawProgress } from "../../draw/drawing.ts";
import { Interruption } from "../../draw/interruption.ts";
import { RefusalError } from "../../request/refusal.ts";
import { enlargedPreview } from "../../http/formats.ts";
import { readJson } from "../body.ts";
import { answerSdapiError } from "./errors.ts";
import { extraSingleImage } from "./extras.ts";
import { infotextOf, pngInfoOf, variationIn, withInfotext } from "./infotext.ts";
import { CONTROLNET_LISTS, LISTS, REFRESHED } from "./lists.ts";
import { OWN_VAE, readSdapi, type SdapiParams, type Usual } from "./params.ts";
import { bytesOf, optionsSchema, parsed } from "./schema.ts";

const WATCHED = 10_000; // milliseconds for which previews are painted after a client asked for one

/** A request that waits or is drawn. */
interface UnderWay {
  readonly kind: "txt2img" | "img2img";
  readonly interruption: Interruption;
  /** A1111's n_iter. */
  readonly jobs: number;
  /** Pictures of each. */
  readonly batch: number;
  /** When its turn came. */
  begun?: Date;
  progress?: DrawProgress;
  /** When a client asked for a picture of it last, in milliseconds since 1970. */
  watched?: number;
  /** A pixel for each latent. */
  preview?: Uint8Array;
}

/** A request of png-info. */
export const pngInfoSchema = z.looseObject({ image: z.string() });

/** A1111's API, as its clients call it below /sdapi/v1. */
export function sdapiRoutes(drawer: Drawer): Hono {
  const underWay = new Set<UnderWay>();
  const usual: Usual = { model: drawer.models[0]!, clipSkip: 1, vae: "Automatic" };
  const app = new Hono();
  app.onError(answerSdapiError);
  app.post("/txt2img", (context) => draw("txt2img", context));
  app.post("/img2img", (context) => draw("img2img", context));
  app.get("/progress", (context) => {
    const wantsPicture = context.req.query("skip_current_image") !== "true";
    const own = running();
    if (own && wantsPicture) own.watched = Date.now();
    return context.json(progressOf(own, wantsPicture));
  });
  app.post("/interrupt", (context) => {
    running()?.interruption.interrupt();
    return context.json({});
  });
  app.post("/skip", (context) => {
    running()?.interruption.skip();
    return context.json(null);
  });
  app.post("/png-info", async (context) => {
    const { image } = parsed(pngInfoSchema, await readJson(context));
    return context.json(pngInfoOf(bytesOf("image", image.replace(/^data:image\/[\w.+-]+;base64,/, ""))));
  });
  app.get("/options", (context) =>
    context.json({
      sd_model_checkpoint: usual.model,
      CLIP_stop_at_last_layers: usual.clipSkip,
      sd_vae: usual.vae,
      samples_format: "png",
    }));
  app.post("/options", async (context) => {
    const options = parsed(optionsSchema, await readJson(context));
    const { sd_model_checkpoint: model = usual.model, sd_vae: vae = usual.vae } = options;
    if (!drawer.models.includes(model)) {
      throw new RefusalError("not found", `Cannot find the model ${model}`, "sd_model_checkpoint");
    }
    if (!OWN_VAE.includes(vae) && !drawer.offered("vae").some(({ name }) => name === vae)) {
      throw new RefusalError("not found", `Cannot find the autoencoder ${vae}`, "sd_vae");
    }
    Object.assign(usual, { model, vae, clipSkip: options.CLIP_stop_at_last_layers ?? usual.clipSkip });
    return context.json(null);
  });
  for (const [name, { of }] of Object.entries(LISTS)) {
    app.get(`/${name}`, (context) => context.json(of(drawer)));
  }
  for (const name of REFRESHED) app.post(`/refresh-${name}`, (context) => context.json(null));
  app.post("/unload-checkpoint", async (context) => {
    await drawer.unload();
    return context.json({});
  });
  app.post("/reload-checkpoint", (context) => context.json({})); // weights come with the next request
  app.post(
    "/extra-single-image",
    async (context) => context.json(await extraSingleImage(await readJson(context), drawer.limits.pixels)),
  );
  app.post("/interrogate", () => {
    throw new RefusalError(
      "not found",
      "Cannot describe a picture: no model here puts pictures into words",
      "model",
    );
  });
  return app;

  async function draw(kind: "txt2img" | "img2img", context: Context): Promise<Response> {
    const params = await readSdapi(kind, await readJson(context), { usual, drawer });
    const own: UnderWay = { kind, interruption: new Interruption(), ...params.jobs };
    underWay.add(own);
    try {
      const drawing = await drawer.draw(params.request, {
        signal: context.req.raw.signal,
        interruption: own.interruption,
        onProgress: (progress) => {
          if (progress.phase !== "waiting") own.begun ??= new Date();
          own.progress = progress;
        },
        onPreview: (png) => void (own.preview = png),
        wantsPreview: () => Date.now() - (own.watched ?? 0) < WATCHED,
      });
      Object.assign(usual, params.keep); // now that nothing of it was refused
      return context.json(await answerOf(params, drawing));
    } finally {
      underWay.delete(own);
    }
  }

  function running(): UnderWay | undefined {
    return [...underWay].find(({ begun }) => begun);
  }
}

/** What clients of the extension sd-webui-controlnet ask for below /controlnet. */
export function controlnetRoutes(drawer: Drawer): Hono {
  const app = new Hono();
  app.onError(answerSdapiError);
  for (const [name, { of }] of Object.entries(CONTROLNET_LISTS)) {
    app.get(`/${name}`, (context) => context.json(of(drawer)));
  }
  return app;
}

/** What was drawn, as A1111 tells it. */
async function answerOf(params: SdapiParams, { pictures, notices }: Drawing): Promise<object> {
  const { prompt, negative, sampler, request, send, echo, finish } = params;
  const infotexts = pictures.map((picture) => infotextOf(picture, params));
  const [first] = pictures;
  const subseeds = pictures.map(({ recipe }) => Number(variationIn(recipe)?.seed ?? -1));
  const info = {
    ...{ prompt, negative_prompt: negative },
    all_prompts: pictures.map(() => prompt),
    all_negative_prompts: pictures.map(() => negative),
    seed: Number(request.seed),
    all_seeds: pictures.map(({ recipe }) => Number(recipe["seed"])),
    subseed: subseeds[0] ?? -1,
    all_subseeds: subseeds,
    subseed_strength: first ? variationIn(first.recipe)?.strength ?? 0 : 0,
    ...{ width: first?.width, height: first?.height },
    sampler_name: sampler ?? first?.recipe["sampler"] ?? first?.recipe["schedulerClass"],
    cfg_scale: first?.recipe["guidance"],
    steps: first?.recipe["steps"],
    batch_size: pictures.length,
    restore_faces: false,
    sd_model_name: request.model,
    sd_model_hash: null,
    denoising_strength: request["hires-strength"] ?? request.strength ?? null,
    extra_generation_params: notices.length > 0 ? { notices } : {},
    index_of_first_image: 0,
    infotexts,
    ...{ styles: [], clip_skip: params.clipSkip, is_using_inpainting_conditioning: false },
  };
  return {
    images: send
      ? await Promise.all(
        pictures.map(async ({ png }, i) =>
          withInfotext(await finish?.(png) ?? png, infotexts[i]!).toBase64()
        ),
      )
      : [],
    parameters: echo,
    info: JSON.stringify(info),
  };
}

const NOTHING = { step: 0, steps: 0, drawn: 0, together: 0 };

/** How far the request is that is drawn, as A1111 tells it; all zeros where none is. */
function progressOf(own: UnderWay | undefined, wantsPicture: boolean): object {
  const [jobs, batch] = own ? [own.jobs, own.batch] : [0, 1];
  const { step, steps, drawn, together } = own?.progress?.phase === "drawing" ? own.progress : NOTHING;
  const part = own ? Math.min(1, 0.01 + (drawn + together * step / Math.max(1, steps)) / (jobs * batch)) : 0;
  const seconds = own?.begun ? (Date.now() - own.begun.getTime()) / 1000 : 0;
  const timestamp = own?.begun?.toISOString().replace(/\D|\d{3}Z$/g, "");
  return {
    progress: part,
    eta_relative: own ? seconds / part - seconds : 0,
    state: {
      skipped: own?.interruption.isSkipping ?? false,
      interrupted: own?.interruption.isOver ?? false,
      stopping_generation: false,
      job: own ? `scripts_${own.kind}` : "",
      ...{ job_count: jobs, job_no: Math.floor(drawn / batch), job_timestamp: timestamp ?? "0" },
      ...{ sampling_step: step, sampling_steps: steps },
    },
    current_image: wantsPicture && own?.preview ? enlargedPreview(own.preview).toBase64() : null,
    textinfo: null,
  };
}
