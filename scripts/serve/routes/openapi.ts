import { version } from "denoise";
import { z } from "zod";
import { requestSchema } from "../request/request.ts";
import { editSchema, generationSchema } from "./openai/params.ts";
import { pngInfoSchema } from "./sdapi/routes.ts";
import { extraSchema } from "./sdapi/extras.ts";
import { CONTROLNET_LISTS, LISTS, REFRESHED } from "./sdapi/lists.ts";
import { img2imgSchema, optionsSchema, txt2imgSchema } from "./sdapi/schema.ts";

/** A route as the document tells it. */
interface Operation {
  readonly summary: string;
  readonly body?: z.ZodType;
  /** Of the body; JSON by default. */
  readonly takes?: string;
  /** Of the answer; JSON by default. */
  readonly gives?: string;
  readonly status?: number;
}

const sdapi = (summary: string): Operation => ({ summary: `A1111: ${summary}` });

/** All routes of the API, by method and path. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  "GET /healthz": { summary: "Says that the server is there" },
  "GET /openapi.json": { summary: "This document" },
  "GET /metrics": { summary: "Numbers for Prometheus", gives: "text/plain" },
  "GET /pictures/{name}": { summary: "A picture, for an hour", gives: "image/*" },
  "GET /v1/offers": {
    summary:
      "The models with the settings they take and what may be named beside them, the LoRAs, and the limits",
  },
  "GET /v1/models": { summary: "The models, in OpenAI's form" },
  "GET /v1/models/{name}": { summary: "A model" },
  "POST /v1/images/generations": {
    summary: "Draws, as OpenAI's API has it",
    body: generationSchema,
  },
  "POST /v1/images/edits": {
    summary: "Changes a picture, as OpenAI's API has it",
    body: editSchema,
    takes: "multipart/form-data",
  },
  "POST /v1/jobs": { summary: "Begins to draw, and answers at once", body: requestSchema, status: 202 },
  "GET /v1/jobs/{id}": { summary: "A job" },
  "DELETE /v1/jobs/{id}": { summary: "Cancels a job, or forgets one that has ended" },
  "GET /v1/jobs/{id}/events": {
    summary: "Progress, previews and the end of a job, as server-sent events",
    gives: "text/event-stream",
  },
  "POST /v1/profiles": {
    summary: "Begins to profile a step, and answers at once with a job",
    body: requestSchema,
    status: 202,
  },
  "GET /profiles/{name}": { summary: "A profile's report or file, for an hour", gives: "text/html" },
  "POST /sdapi/v1/txt2img": { ...sdapi("draws"), body: txt2imgSchema },
  "POST /sdapi/v1/img2img": { ...sdapi("changes a picture"), body: img2imgSchema },
  "GET /sdapi/v1/progress": sdapi("how far the picture is that is drawn"),
  "POST /sdapi/v1/interrupt": sdapi("ends the pictures that are drawn, and gives them as far as they are"),
  "POST /sdapi/v1/skip": sdapi("ends the pictures that are drawn, and goes on with the next ones"),
  "POST /sdapi/v1/png-info": { ...sdapi("a PNG's settings"), body: pngInfoSchema },
  "GET /sdapi/v1/options": sdapi("the model that is drawn with"),
  "POST /sdapi/v1/options": { ...sdapi("sets the model that is drawn with"), body: optionsSchema },
  "POST /sdapi/v1/unload-checkpoint": sdapi("frees the weights of all models"),
  "POST /sdapi/v1/reload-checkpoint": sdapi("does nothing: weights come with the next request"),
  "POST /sdapi/v1/extra-single-image": { ...sdapi("makes a picture larger"), body: extraSchema },
  "POST /sdapi/v1/interrogate": sdapi("is refused: no model here puts pictures into words"),
  ...Object.fromEntries(
    Object.entries(LISTS).map(([name, { summary }]) => [`GET /sdapi/v1/${name}`, sdapi(summary)]),
  ),
  ...Object.fromEntries(
    Object.entries(CONTROLNET_LISTS).map((
      [name, { summary }],
    ) => [`GET /controlnet/${name}`, sdapi(summary)]),
  ),
  ...Object.fromEntries(
    REFRESHED.map((name) => [`POST /sdapi/v1/refresh-${name}`, sdapi(`does nothing: ${name} do not change`)]),
  ),
};

/** The API as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0) describes it; bodies follow from their zod schemas. */
export function openApi(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [route, operation] of Object.entries(OPERATIONS)) {
    const [method, path] = route.split(" ") as [string, string];
    (paths[path] ??= {})[method.toLowerCase()] = described(path, operation);
  }
  return {
    openapi: "3.1.0",
    info: { title: "Denoise", version, description: "Draws pictures with diffusion models." },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        basic: { type: "http", scheme: "basic", description: "The key as the password of any user" },
      },
    },
    security: [{ bearer: [] }, { basic: [] }, {}],
  };
}

function described(path: string, operation: Operation): object {
  const { summary, body, takes = "application/json", gives = "application/json", status = 200 } = operation;
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  return {
    summary,
    parameters: names.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
    ...body ? { requestBody: { required: true, content: { [takes]: { schema: schemaOf(body) } } } } : {},
    responses: {
      [status]: { description: "Done", content: { [gives]: {} } },
      default: { description: "One sentence on what is wrong", content: { "application/json": {} } },
    },
  };
}

/** JSON Schema of what is sent. */
function schemaOf(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", override });
  return rest;
}

type Override = Parameters<NonNullable<NonNullable<Parameters<typeof z.toJSONSchema>[1]>["override"]>>[0];

/** Leaves out what says nothing to who writes JSON: choices of bytes and bigints, and the bounds of exact numbers. */
function override({ zodSchema, jsonSchema }: Override): void {
  const { def } = zodSchema._zod;
  if (def.type === "union" && jsonSchema.anyOf) {
    jsonSchema.anyOf = jsonSchema.anyOf.filter((_, i) =>
      !["custom", "bigint"].includes(def.options[i]!._zod.def.type)
    );
  }
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
}
