import { Hono } from "hono";
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Job, JobEvent, Jobs } from "../jobs.ts";
import { RefusalError } from "../refusal.ts";
import { readRequest } from "../request.ts";
import { readJson } from "./body.ts";
import { answerError, openAIError } from "./openai_errors.ts";

const ALIVE = 15_000; // milliseconds between signs of life in a stream, which proxies would end otherwise

/** Jobs below /v1/jobs, in OpenAI's manner: a request in our own words is begun, asked for, followed and cancelled. */
export function jobRoutes(jobs: Jobs): Hono {
  const app = new Hono();
  app.onError(answerError);
  app.post("/", async (context) => {
    const job = await jobs.add(readRequest(await readJson(context)));
    context.header("Location", new URL(`/v1/jobs/${job.id}`, context.req.url).href);
    return context.json(told(job, context), 202);
  });
  app.get("/:id", (context) => context.json(told(found(context), context)));
  app.delete("/:id", async (context) => {
    const job = found(context);
    if (job.ended) jobs.forget(job);
    else await job.cancel();
    return context.json(told(job, context));
  });
  app.get("/:id/events", (context) => {
    const job = found(context);
    let last = Number(context.req.header("last-event-id")) || 0;
    if (job.ended && job.after(last).length === 0) return context.body(null, 204); // which ends an EventSource
    if (context.req.method === "HEAD") {
      return context.body(null, 200, { "Content-Type": "text/event-stream" });
    }
    context.header("X-Accel-Buffering", "no"); // nginx would hold events back
    return streamSSE(context, async (stream) => {
      const left = Promise.withResolvers<void>();
      stream.onAbort(left.resolve);
      const alive = setInterval(() => stream.write(":\n\n"), ALIVE);
      try {
        while (!stream.aborted) {
          const events = job.after(last);
          for (const event of events) {
            await stream.writeSSE({ id: String(event.id), ...eventOf(event, context, job) });
            last = event.id;
          }
          if (events.length > 0) continue; // more may have come while these were written
          if (job.ended) return;
          await Promise.race([job.change, left.promise]);
        }
      } finally {
        clearInterval(alive);
      }
    });
  });
  return app;

  function found(context: Context): Job {
    const job = jobs.get(context.req.param("id")!);
    if (job) return job;
    throw new RefusalError("not found", "Cannot find the job: it never was, or was forgotten");
  }
}

function eventOf(event: JobEvent, context: Context, job: Job): { event: string; data: string } {
  switch (event.kind) {
    case "progress":
      return { event: "progress", data: JSON.stringify(event.progress) };
    case "preview": {
      const data = { b64_json: event.png.toBase64(), step: event.step + 1 };
      return { event: "preview", data: JSON.stringify(data) };
    }
    case "end":
      return { event: job.status, data: JSON.stringify(told(job, context)) };
  }
}

/** A job as it is told to clients. */
function told(job: Job, { req }: Context): object {
  const { id, created, status, progress = null, pictures, notices, error } = job;
  return {
    id,
    object: "job",
    created_at: Math.floor(created / 1000),
    status,
    progress,
    pictures: pictures.map(({ name, width, height, seed }) => ({
      url: new URL(`/pictures/${name}`, req.url).href,
      ...{ width, height, seed: String(seed) },
    })),
    notices,
    error: error ? openAIError(error).body.error : null,
  };
}
