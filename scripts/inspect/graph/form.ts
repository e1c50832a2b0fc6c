import { z } from "zod";
import type { GraphDump } from "../../../src/graph/dump/describe.ts";
import type { Graph } from "../../../src/graph/dump/graph.ts";
import { readJson } from "../../../src/io/config.ts";

const leaf = z.strictObject({
  id: z.int(),
  kind: z.enum(["input", "weight"]),
  name: z.string(),
  dtype: z.string(),
  count: z.int(),
});

const step = z.strictObject({
  id: z.int(),
  kernel: z.string(),
  path: z.string(),
  shape: z.array(z.int()),
  dtype: z.string(),
  count: z.int(),
  fused: z.string(),
  inputs: z.array(z.strictObject({ id: z.int(), as: z.string().optional(), shape: z.array(z.int()) })),
  workgroups: z.int(),
  flops: z.number(),
  bytes: z.number(),
  arena: z.int(),
  offset: z.int(),
  isKept: z.boolean(),
});

/** What `device.dump("json")` gives; `GraphDump` and `Graph` say what its keys mean. */
export const graphForm: z.ZodType<GraphDump> = z.strictObject({
  format: z.literal("denoise-graph"),
  version: z.literal(1),
  denoise: z.string(),
  graphs: z.array(
    z.strictObject({
      label: z.string(),
      arenas: z.array(z.number()),
      leaves: z.array(leaf),
      steps: z.array(step),
      outputs: z.array(z.int()),
    }).refine(isWhole, "values that are read but not there"),
  ),
});

/** True if each value that is read or handed out is a leaf, or was computed before. */
function isWhole({ leaves, steps, outputs }: Graph): boolean {
  const known = new Set(leaves.map(({ id }) => id));
  const isThere = (id: number) => known.has(id);
  return steps.every(({ id, inputs }) => inputs.every(({ id }) => isThere(id)) && known.add(id)) &&
    outputs.every(isThere);
}

/** Reads what `device.dump("json")` gave. */
export async function readGraphs(path: string): Promise<GraphDump> {
  const parsed = graphForm.safeParse(await readJson(path));
  if (parsed.success) return parsed.data;
  const { path: at, message } = parsed.error.issues[0]!;
  throw new TypeError(
    `Cannot read ${path}: expected what device.dump("json") of this version gives, got another at ` +
      `"${at.join(".")}" (${message})`,
  );
}
