import { Hono } from "hono";
import type { Context } from "hono";
import type { Address } from "../http/address.ts";
import type { Job, JobEvent, Jobs } from "../http/jobs.ts";
import { RefusalError } from "../request/refusal.ts";
import { readRequest } from "../request/request.ts";
import { readJson } from "./body.ts";
import { answerEvents, frameOf } from "./event_stream.ts";
import { answerError, openAIError } from "./openai/errors.ts";

/** Jobs below /v1/jobs, in OpenAI's manner: a request in our own words is begun, asked for, followed and cancelled. */
export function jobRoutes(jobs: Jobs, address: Address): Hono {
  const previews = new WeakMap<JobEvent, Uint8Array>();
  const app = new Hono();
  app.onError(answerError);
  app.post("/", async (context) => {
    return begun(await jobs.add(readRequest(await readJson(context))), context, address);
  });
  app.get("/:id", (context) => context.json(told(found(context), context, address)));
  app.delete("/:id", async (context) => {
    const job = found(context);
    if (job.ended) jobs.forget(job);
    else await job.cancel();
    return context.json(told(job, context, address));
  });
  app.get("/:id/events", (context) => {
    const job = found(context);
    let last = Number(context.req.header("last-event-id")) || 0;
    if (job.ended && job.after(last).length === 0) return context.body(null, 204); // which ends an EventSource
    if (context.req.method === "HEAD") {
      return context.body(null, 200, { "Content-Type": "text/event-stream" });
    }
    const end = jobs.follow(job);
    return answerEvents(context, {
      end,
      next: async () => {
        while (job.after(last).length === 0 && !job.ended) await job.change;
        const [event] = job.after(last);
        last = event?.id ?? last;
        return event && framed(event, context, job);
      },
    });
  });
  return app;

  /** An event in bytes; those of previews, which are large, are made once for all who follow. */
  function framed(event: JobEvent, context: Context, job: Job): Uint8Array {
    if (event.kind === "progress") return frameOf("progress", event.progress, event.id);
    if (event.kind === "end") return frameOf(job.status, told(job, context, address), event.id);
    const known = previews.get(event);
    if (known) return known;
    const { id, png, step } = event;
    const frame = frameOf("preview", { b64_json: png.toBase64(), step: step + 1 }, id);
    previews.set(event, frame);
    return frame;
  }

  function found(context: Context): Job {
    const job = jobs.get(context.req.param("id")!);
    if (job) return job;
    throw new RefusalError("not found", "Cannot find the job: it never was, or was forgotten");
  }
}

/** Tells a client of the job that it began. One that has left by now does not know its name, so nobody waits for it. */
export function begun(job: Job, context: Context, address: Address): Response {
  if (context.req.raw.signal.aborted) job.cancel();
  context.header("Location", address.of(`/v1/jobs/${job.id}`, context.req.raw));
  return context.json(told(job, context, address), 202);
}

/** A job as it is told to clients. */
function told(job: Job, { req }: Context, address: Address): object {
  const { id, created, status, progress = null, pictures, profile, notices, error } = job;
  const addressOf = (path: string) => address.of(path, req.raw);
  return {
    id,
    object: "job",
    created_at: Math.floor(created / 1000),
    status,
    progress: job.ended ? null : progress,
    pictures: pictures.map(({ name, width, height, seed }) => ({
      url: addressOf(`/pictures/${name}`),
      ...{ width, height, seed: String(seed) },
    })),
    profile: profile
      ? {
        ...{ ms: profile.ms, bound: profile.bound },
        url: addressOf(`/profiles/${profile.names.html}`),
        json_url: addressOf(`/profiles/${profile.names.json}`),
      }
      : null,
    notices,
    error: error ? openAIError(error).body.error : null,
  };
}
