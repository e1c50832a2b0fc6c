import type { Context } from "hono";
import { statusOf } from "../../http/status.ts";
import { asRefusal } from "../../request/refusal.ts";

/** Answers what was thrown in A1111's form. */
export function answerSdapiError(error: unknown, context: Context): Response {
  if (context.req.raw.signal.aborted) return new Response(null, { status: 499 });
  const { kind, message } = asRefusal(error);
  const status = kind === "invalid" || kind === "no memory" ? 422 : statusOf(kind); // as A1111 answers
  if (status === 401) context.header("WWW-Authenticate", 'Basic realm="Denoise"');
  if (status === 429 || status === 503) context.header("Retry-After", "5");
  return context.json({ error: "HTTPException", detail: message, body: "", errors: message }, status);
}
