import assert from "node:assert/strict";
import { Drawer } from "denoise/serve";
import { createApp } from "../../../../scripts/serve/handler.ts";
import { openApi } from "../../../../scripts/serve/routes/openapi.ts";
import { requestKeys } from "../../../../scripts/serve/request/request.ts";
import { emoji } from "../../../support/emoji.ts";
import { Served } from "../../../support/served.ts";

// deno-lint-ignore no-explicit-any -- what a test expects of it
const document = openApi() as any;
const OPEN = /^\/(v1|sdapi|controlnet|healthz|metrics|openapi\.json|pictures|profiles)\b/;

Deno.test("each route of the API stands in the OpenAPI document, which has no others, and is answered", async () => {
  await using drawer = await Drawer.open({ models: [{ name: "emoji", path: emoji }] });
  const routes = createApp(drawer, {}).routes.filter(({ method, path }) =>
    method !== "ALL" && OPEN.test(path)
  )
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}").replace(/\/$/, "")}`);
  const described = Object.entries(document.paths as Record<string, object>).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`)
  );
  assert.deepEqual([...new Set(routes)].toSorted(), described.toSorted());
  await using served = new Served(drawer);
  const { json } = await served.call("GET", "/openapi.json");
  assert.deepEqual(json, document);
});

Deno.test("the document's bodies follow from the schemas", () => {
  const { schema } = document.paths["/v1/jobs"].post.requestBody.content["application/json"];
  assert.deepEqual(Object.keys(schema.properties), requestKeys);
  const { steps, image, seed } = schema.properties;
  assert.deepEqual([steps.type, steps.exclusiveMinimum], ["integer", 0]);
  assert.deepEqual(image.anyOf[0].anyOf.map(({ format }: { format: string }) => format), ["base64"]);
  assert.deepEqual(seed.anyOf.map(({ type }: { type: string }) => type), ["integer", "string"]);
  const edit = document.paths["/v1/images/edits"].post.requestBody.content["multipart/form-data"].schema;
  assert.deepEqual(edit.required, ["image"]);
  assert.equal(edit.properties.mask.format, "binary");
});
