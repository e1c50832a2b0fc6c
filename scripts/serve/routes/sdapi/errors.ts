import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { asRefusal, type RefusalKind } from "../../request/refusal.ts";

/** The status of each kind of refusal, as A1111's API has it where it knows the kind. */
const STATUS: Readonly<Record<RefusalKind, ContentfulStatusCode>> = {
  "invalid": 422,
  "too large": 413,
  "too slow": 408,
  "unauthorized": 401,
  "forbidden": 403,
  "no memory": 422,
  "not found": 404,
  "wrong method": 405,
  "busy": 429,
  "too many": 429,
  "stopping": 503,
  "timeout": 504,
  "failed": 500,
};

/** Answers what was thrown in A1111's form. */
export function answerSdapiError(error: unknown, context: Context): Response {
  if (context.req.raw.signal.aborted) return new Response(null, { status: 499 });
  const { kind, message } = asRefusal(error);
  const status = STATUS[kind];
  if (status === 401) context.header("WWW-Authenticate", 'Basic realm="Denoise"');
  if (status === 429 || status === 503) context.header("Retry-After", "5");
  return context.json({ error: "HTTPException", detail: message, body: "", errors: message }, status);
}
