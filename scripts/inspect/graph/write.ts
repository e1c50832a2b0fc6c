import { openDevice } from "denoise";
import type { LoadOptions } from "denoise/models";
import type { GraphDump } from "../../../src/graph/dump/describe.ts";
import { graphDot } from "../../../src/graph/dump/dot.ts";
import { graphText } from "../../../src/graph/dump/text.ts";
import { writeWholeFile } from "../../../src/io/files/whole_file.ts";
import { openOneModel } from "../find_model.ts";
import { graphForm, readGraphs } from "./form.ts";
import { graphPage } from "./page.ts";

/** Names of files that graphs are written to. */
export const GRAPH_FILE = /\.(html|dot|json|txt)$/;

/**
 * Writes the graphs of a model's calls at their usual sizes, or those in a .json that `device.dump("json")`
 * gave, in the form that the file's name says. Weights are not read. Returns a line about them.
 */
export async function writeGraphs(
  target: string,
  file: string,
  { part, ...options }: LoadOptions & { part: string | undefined },
): Promise<string> {
  const dump = target.endsWith(".json")
    ? await readGraphs(target)
    : await tracedGraphs(target, part, options);
  const form = GRAPH_FILE.exec(file)![1]!;
  await writeWholeFile(file, await inForm(dump, form, target));
  const parts = dump.graphs.map(({ label, steps }) => `${label} with ${steps.length} dispatches`);
  return `${file}: ${parts.join(", ")}`;
}

async function tracedGraphs(
  target: string,
  part: string | undefined,
  options: LoadOptions,
): Promise<GraphDump> {
  using device = await openDevice();
  using _model = await openOneModel("inspect", target, { part }, { ...options, headersOnly: true });
  return graphForm.parse(JSON.parse(device.dump("json")));
}

function inForm(dump: GraphDump, form: string, title: string): string | Promise<string> {
  switch (form) {
    case "html":
      return graphPage(dump, title);
    case "dot":
      return graphDot(dump.graphs);
    case "json":
      return JSON.stringify(dump);
    default:
      return dump.graphs.map(graphText).join("\n\n");
  }
}
