import type { Context } from "hono";
import { answerError, openAIError } from "./openai/errors.ts";
import { answerSdapiError } from "./sdapi/errors.ts";

/** Answers what was thrown in the form of the API that an address belongs to; as a plain sentence where that is none. */
export function answerIn(error: unknown, context: Context): Response {
  const { path } = context.req;
  if (/^\/(sdapi|controlnet)\//.test(path)) return answerSdapiError(error, context);
  if (path.startsWith("/v1/")) return answerError(error, context);
  const { status, body } = openAIError(error);
  return context.text(body.error.message, status);
}
