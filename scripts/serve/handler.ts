import { Hono } from "hono";
import { METHOD_NAME_ALL } from "hono/router";
import type { RouterRoute } from "hono/types";
import { Address } from "./http/address.ts";
import { readBody } from "./http/body.ts";
import type { Drawer } from "./draw/drawer.ts";
import { ownHost, withKey } from "./http/guard.ts";
import { Jobs } from "./http/jobs.ts";
import { BODY } from "./request/limits.ts";
import { type LogEntry, logEntry } from "./http/log.ts";
import { Metrics } from "./http/metrics.ts";
import { openApi } from "./routes/openapi.ts";
import type { Offers } from "./draw/offers.ts";
import { RefusalError } from "./request/refusal.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { openAIRoutes } from "./routes/openai/routes.ts";
import { answerIn } from "./routes/errors.ts";
import { pageRoutes } from "./routes/page.ts";
import { profileRoutes, reportRoutes } from "./routes/profiles.ts";
import { controlnetRoutes, sdapiRoutes } from "./routes/sdapi/routes.ts";
import { PictureStore } from "./http/store.ts";

/** Options of a handler. */
export interface HandlerOptions {
  /** A key that clients must send as a bearer token; without one everybody who reaches the server draws. */
  readonly key?: string | undefined;
  /** Names and addresses by which the server may be called, without port; any by default. `LOOPBACK` has those of this machine. */
  readonly hosts?: readonly string[] | undefined;
  /**
   * Where clients find it, if not as they call it: "https://example.org/draw" behind a proxy, "/draw" where it is mounted below
   * that path. Addresses in answers begin with it, and its host is one of `hosts`.
   */
  readonly address?: string | undefined;
  /** Bytes of a request's body; 64 MiB by default. */
  readonly body?: number | undefined;
  /** Seconds until a body must be there; 120 by default. */
  readonly bodySeconds?: number | undefined;
  /** Takes the lines of a log, without prompts. */
  readonly log?: ((entry: LogEntry) => void) | undefined;
  /** True if these lines have the prompts, too. */
  readonly logPrompts?: boolean | undefined;
}

const BODY_SECONDS = 120; // so many bytes at 4 Mbit/s
const METHODS = ["GET", "POST", "DELETE"]; // that routes have

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
  options: HandlerOptions = {},
): (request: Request) => Promise<Response> {
  const app = createApp(drawer, options);
  return async (request) => await app.fetch(request);
}

/** The same with its routes. */
export function createApp(
  drawer: Drawer,
  { key, hosts, address: text, body = BODY, bodySeconds = BODY_SECONDS, log, logPrompts = false }:
    HandlerOptions,
): Hono {
  const store = new PictureStore();
  const jobs = new Jobs(drawer, store);
  const metrics = new Metrics(drawer, jobs);
  if (log) drawer.listen((event) => log(logEntry(event, logPrompts)));
  const address = new Address(text);
  const app = new Hono({ getPath: (request) => address.pathOf(request) });
  app.onError(answerIn);
  app.notFound((context) => {
    const { method, path } = context.req;
    const methods = methodsAt(path);
    if (methods.length === 0) throw new RefusalError("not found", `Cannot find ${shown(path)}: no such path`);
    context.header("Allow", methods.join(", "));
    if (method === "OPTIONS") return context.body(null, 204);
    throw new RefusalError(
      "wrong method",
      `Cannot ${method} ${shown(path)}: expected ${methods.join(" or ")}`,
    );
  });
  app.use(async (context, next) => {
    const begun = performance.now();
    await next();
    context.header("X-Content-Type-Options", "nosniff");
    const [{ method, path }, { status }] = [context.req, context.res];
    const route = routesAt(path)[0]?.path ?? "unknown"; // of any method; there are as many as routes
    metrics.answered(method, route, status);
    const seconds = (performance.now() - begun) / 1000;
    log?.(logEntry({ event: "request", method, route, status, seconds }, false));
  });
  app.use(ownHost(hosts, address));
  if (address.base !== "") app.get(address.base, (context) => context.redirect(`${address.base}/`));
  app.route("/", pageRoutes());
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  const document = openApi();
  app.get("/openapi.json", (context) => context.json(document));
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
  app.route("/profiles", reportRoutes(store));
  if (key !== undefined) app.use(withKey(key));
  app.use(readBody({ bytes: body, seconds: bodySeconds }));
  app.get("/metrics", async (context) => {
    const { type, text } = await metrics.text();
    return context.body(text, 200, { "Content-Type": type });
  });
  let offers: Offers | undefined;
  app.get("/v1/offers", (context) => context.json(offers ??= drawer.offers()));
  app.route("/v1/jobs", jobRoutes(jobs, address));
  app.route("/v1/profiles", profileRoutes(jobs, address));
  app.route("/sdapi/v1", sdapiRoutes(drawer));
  app.route("/controlnet", controlnetRoutes(drawer));
  app.route("/v1", openAIRoutes(drawer, store, address));
  return app;

  /** Routes of an address, by whatever method. */
  function routesAt(path: string): readonly RouterRoute[] {
    return METHODS.flatMap((method) => app.router.match(method, path)[0].map(([[, route]]) => route))
      .filter(({ method }) => method !== METHOD_NAME_ALL); // those are of all addresses
  }

  /** Methods that an address takes; none where there is no such address. */
  function methodsAt(path: string): readonly string[] {
    const methods = new Set(routesAt(path).map(({ method }) => method));
    if (methods.has("GET")) methods.add("HEAD"); // as Hono answers it
    return methods.size > 0 ? [...methods, "OPTIONS"] : [];
  }
}

/** As much of a path as a message has. */
function shown(path: string): string {
  return path.length > 200 ? `${path.slice(0, 200)}…` : path;
}
