import { openDevice } from "denoise";
import { describePlan, planMemory } from "../../src/pipelines/memory/plan.ts";
import { memoryBudget } from "../../src/pipelines/memory/acquire.ts";
import type { DrawingSize } from "../../src/pipelines/memory/stage.ts";
import { stagesOf } from "../../src/pipelines/memory/stages.ts";
import { type BesideKind, openBeside, partsBeside } from "../../src/pipelines/open_beside.ts";
import { limitText } from "../../src/pipelines/text_states.ts";
import { openModels } from "./open_models.ts";

/** Options of planning a pipeline's memory. */
export interface PlanOptions extends DrawingSize {
  /** Configs of a single file, and what it lacks. */
  readonly config?: string | undefined;
  readonly base?: string | undefined;
  /** Variant of the weights, e.g. "fp16". */
  readonly variant?: string | undefined;
  /** Bytes; by default nine tenths of what the adapter has. */
  readonly memory?: number | undefined;
  /** Type of weights and activations. */
  readonly dtype?: "f32" | "f16" | undefined;
  /** Another autoencoder than the pipeline's own. */
  readonly vae?: string | undefined;
  /** ControlNets beside the UNet or the transformer. */
  readonly controlnet?: readonly string[] | undefined;
  /** T2I-Adapters of the UNet. */
  readonly adapter?: readonly string[] | undefined;
  /** IP-Adapters, whose own files are downloaded: they are small beside their vision model. */
  readonly ipAdapters?: readonly string[] | undefined;
}

/**
 * Describes the memory that a pipeline takes, or why it is not known, and names files that it does not use.
 */
export async function describeMemory(pathOrRepo: string, options: PlanOptions): Promise<string> {
  const notices: string[] = [];
  const onNotice = (line: string) => notices.push(line);
  const plan = await planMemoryOf(pathOrRepo, { ...options, onNotice })
    .catch((error) => `no memory plan: ${(error as Error).message}`);
  return [...notices, plan].join("\n");
}

/** A small table of the memory that a pipeline takes, found by tracing it without its weights. */
export async function planMemoryOf(
  pathOrRepo: string,
  options: PlanOptions & { onNotice?: (line: string) => void },
): Promise<string> {
  const { memory, config, base, variant, dtype, vae, controlnet, adapter, ipAdapters, ...others } = options;
  const { onNotice, ...drawing } = others;
  using device = await openDevice();
  using stack = new DisposableStack();
  const source = { config, base, variant, dtype, onNotice };
  const parts: Record<string, unknown> = await openModels(pathOrRepo, { ...source, vae }, stack);
  limitText(parts);
  const open = (kind: BesideKind, paths: readonly string[] = []) =>
    Promise.all(paths.map(async (path) => {
      const models = await openBeside(kind, parts, path, { dtype, onNotice, headersOnly: true });
      for (const model of models) stack.use(model);
      return models;
    }));
  const beside = {
    controlnet: await open("controlnet", controlnet),
    adapter: await open("adapter", adapter),
    ipAdapter: await open("ipAdapter", ipAdapters),
  };
  const plan = planMemory(stagesOf(partsBeside(parts, beside), drawing), await memoryBudget({ memory }));
  return describePlan(plan, `${pathOrRepo} on ${device.adapterName}`);
}
