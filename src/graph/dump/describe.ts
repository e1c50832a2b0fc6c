import { version } from "../../core/version.ts";
import type { DumpForm } from "../../gpu/device.ts";
import { graphDot } from "./dot.ts";
import type { Graph } from "./graph.ts";
import { graphText } from "./text.ts";

/** Result of `device.dump("json")`. */
export interface GraphDump {
  /** Tells it from other JSON. */
  readonly format: "denoise-graph";
  /** Another for each change that readers must know of. */
  readonly version: 1;
  /** Version of Denoise. */
  readonly denoise: string;
  /** One for each traced call of each model. */
  readonly graphs: readonly Graph[];
}

/** Graphs in a form of `Device.dump`. */
export function describeGraphs(graphs: readonly Graph[], form: DumpForm): string {
  switch (form) {
    case "text":
      return graphs.map(graphText).join("\n\n");
    case "json": {
      const dump: GraphDump = { format: "denoise-graph", version: 1, denoise: version, graphs };
      return JSON.stringify(dump);
    }
    case "dot":
      return graphDot(graphs);
    default:
      throw new TypeError(
        `Cannot dump graphs: expected "text", "json" or "dot", got ${JSON.stringify(form)}`,
      );
  }
}
