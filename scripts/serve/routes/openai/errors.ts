import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { statusOf } from "../../http/status.ts";
import { asRefusal, type RefusalKind } from "../../request/refusal.ts";

/** An error as OpenAI's API answers it. */
interface OpenAIError {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** OpenAI's codes of the kinds of refusals that have one, and codes of ours in their place. */
const CODES: { readonly [Kind in RefusalKind]?: string } = {
  "unauthorized": "invalid_api_key",
  "no memory": "no_memory",
  "busy": "queue_full",
  "too many": "too_many_streams",
  "stopping": "stopping",
  "timeout": "timeout",
};

/** Our names of settings that OpenAI names otherwise. */
const PARAMS: Readonly<Record<string, string>> = { count: "n" };

/** Answers what was thrown, with its status; a client that has left gets nothing. */
export function answerError(error: unknown, context: Context): Response {
  if (context.req.raw.signal.aborted) return new Response(null, { status: 499 }); // as nginx logs it
  const { status, body } = openAIError(error);
  if (status === 429 || status === 503) context.header("Retry-After", "5");
  return context.json(body, status);
}

/** What was thrown, in OpenAI's form. */
export function openAIError(error: unknown): { status: ContentfulStatusCode; body: OpenAIError } {
  const { kind, message, param } = asRefusal(error);
  const status = statusOf(kind);
  const isModel = kind === "not found" && param === "model";
  return {
    status,
    body: {
      error: {
        message,
        type: typeOf(status),
        param: param === undefined ? null : PARAMS[param] ?? param,
        code: isModel ? "model_not_found" : CODES[kind] ?? null,
      },
    },
  };
}

function typeOf(status: number): string {
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
