import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
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

/** The status of each kind of refusal, with OpenAI's type and code. */
const KINDS: Readonly<
  Record<RefusalKind, [status: ContentfulStatusCode, type: string, code: string | null]>
> = {
  "invalid": [400, "invalid_request_error", null],
  "too large": [413, "invalid_request_error", null],
  "too slow": [408, "invalid_request_error", null],
  "unauthorized": [401, "invalid_request_error", "invalid_api_key"],
  "forbidden": [403, "invalid_request_error", null],
  "no memory": [400, "invalid_request_error", "no_memory"],
  "not found": [404, "invalid_request_error", null],
  "wrong method": [405, "invalid_request_error", null],
  "busy": [429, "rate_limit_error", "queue_full"],
  "too many": [429, "rate_limit_error", "too_many_streams"],
  "stopping": [503, "server_error", "stopping"],
  "timeout": [504, "server_error", "timeout"],
  "failed": [500, "server_error", null],
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
  const [status, type, code] = KINDS[kind];
  const isModel = kind === "not found" && param === "model";
  return {
    status,
    body: {
      error: {
        message,
        type,
        param: param === undefined ? null : PARAMS[param] ?? param,
        code: isModel ? "model_not_found" : code,
      },
    },
  };
}
