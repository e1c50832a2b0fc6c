import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Drawer } from "./drawer.ts";
import { ownHost, withKey } from "./guard.ts";
import { Jobs } from "./jobs.ts";
import { RefusalError } from "./refusal.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { openAIRoutes } from "./routes/openai.ts";
import { answerError } from "./routes/openai_errors.ts";
import { sdapiRoutes } from "./routes/sdapi.ts";
import { answerSdapiError } from "./routes/sdapi_errors.ts";
import { PictureStore } from "./store.ts";

/** Options of a handler. */
export interface HandlerOptions {
  /** A key that clients must send as a bearer token; without one everybody who reaches the server draws. */
  readonly key?: string | undefined;
  /** Names and addresses by which the server may be called, without port; any by default. `LOOPBACK` has those of this machine. */
  readonly hosts?: readonly string[] | undefined;
  /** Bytes of a request's body; 64 MiB by default. */
  readonly body?: number | undefined;
}

/** Bytes of a body where an operator says nothing else. */
export const BODY: number = 2 ** 26;

/**
 * A server's function from requests to responses, for `Deno.serve`, or to mount in a server of one's own:
 *
 * ```ts ignore
 * const handler = createHandler(drawer, { key: Deno.env.get("KEY"), hosts: LOOPBACK });
 * Deno.serve({ hostname: "127.0.0.1", port: 7860 }, handler);
 * ```
 */
export function createHandler(
  drawer: Drawer,
  { key, hosts, body = BODY }: HandlerOptions = {},
): (request: Request) => Promise<Response> {
  const store = new PictureStore();
  const app = new Hono();
  app.onError((error, context) =>
    context.req.path.startsWith("/sdapi/") ? answerSdapiError(error, context) : answerError(error, context)
  );
  app.notFound(({ req }) => {
    throw new RefusalError("not found", `Cannot find ${req.method} ${req.path}`);
  });
  app.use(async (context, next) => {
    await next();
    context.header("X-Content-Type-Options", "nosniff");
  });
  app.use(ownHost(hosts));
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  app.get("/pictures/:name", (context) => { // which is as good as a key
    const name = context.req.param("name");
    const picture = store.get(name);
    if (!picture) {
      throw new RefusalError("not found", "Cannot find the picture: it is kept for an hour at most");
    }
    return context.body(picture as Uint8Array<ArrayBuffer>, 200, {
      "Content-Type": `image/${name.split(".")[1]}`,
      "Cache-Control": "private, max-age=3600, immutable",
    });
  });
  if (key !== undefined) app.use(withKey(key));
  app.use(bodyLimit({
    maxSize: body,
    onError: () => {
      throw new RefusalError(
        "too large",
        `Cannot read the request: expected a body of at most ${body} bytes`,
      );
    },
  }));
  app.route("/v1/jobs", jobRoutes(new Jobs(drawer, store)));
  app.route("/sdapi/v1", sdapiRoutes(drawer));
  app.route("/v1", openAIRoutes(drawer, store));
  return async (request) => await app.fetch(request);
}
