import type { Context } from "hono";
import { RefusalError } from "../request/refusal.ts";

/** Refuses other types of bodies: browsers send those of forms to other sites without asking. */
export function expectType({ req }: Context, type: string): void {
  const got = req.header("content-type") ?? "none";
  if (got.split(";")[0]!.trim().toLowerCase() === type) return;
  throw new RefusalError("invalid", `Cannot draw: expected a body of type ${type}, got ${got}`);
}

/** A body's JSON. */
export async function readJson(context: Context): Promise<unknown> {
  expectType(context, "application/json");
  const text = await context.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    const [, line, column] = /line (\d+) column (\d+)/.exec((error as Error).message) ?? [];
    const place = line === undefined ? "" : ` in line ${line}, column ${column}`;
    throw new RefusalError("invalid", `Cannot draw: expected JSON, got something else${place}`);
  }
}
