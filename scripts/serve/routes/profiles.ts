import { Hono } from "hono";
import type { Address } from "../http/address.ts";
import type { Jobs } from "../http/jobs.ts";
import { RefusalError } from "../request/refusal.ts";
import { readRequest } from "../request/request.ts";
import type { PictureStore } from "../http/store.ts";
import { readJson } from "./body.ts";
import { begun } from "./jobs.ts";
import { answerError } from "./openai/errors.ts";

/** Profiles below /v1/profiles: each is begun as a job, which is followed and cancelled as others are. */
export function profileRoutes(jobs: Jobs, address: Address): Hono {
  const app = new Hono();
  app.onError(answerError);
  app.post("/", async (context) => {
    return begun(await jobs.profile(readRequest(await readJson(context))), context, address);
  });
  return app;
}

/** What a report may do: run its own scripts, and reach nothing, as if it were of another site. */
const POLICY = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; " +
  "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Reports and their files below /profiles: they need no key, as a name is as good as one. */
export function reportRoutes(store: PictureStore): Hono {
  const app = new Hono();
  app.get("/:name{[0-9a-f]+\\.(html|json)}", (context) => {
    const name = context.req.param("name");
    const file = store.get(name);
    if (!file) throw new RefusalError("not found", "Cannot find the profile: it is kept for an hour at most");
    return context.body(file as Uint8Array<ArrayBuffer>, 200, {
      "Content-Type": name.endsWith(".html") ? "text/html; charset=utf-8" : "application/json",
      "Content-Security-Policy": POLICY,
      "Cache-Control": "private, max-age=3600, immutable",
      "Referrer-Policy": "no-referrer",
    });
  });
  return app;
}
