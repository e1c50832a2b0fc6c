import { openDevice } from "denoise";
import { describePlan, planMemory } from "../../src/pipelines/memory/plan.ts";
import { memoryBudget } from "../../src/pipelines/memory/acquire.ts";
import { type DrawingSize, stagesOf } from "../../src/pipelines/memory/stages.ts";
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
  { memory, width, height, batch, tokens, steps, ...options }: PlanOptions & {
    onNotice?: (line: string) => void;
  },
): Promise<string> {
  using device = await openDevice();
  using stack = new DisposableStack();
  const models = await openModels(pathOrRepo, options, stack);
  limitText(models);
  const plan = planMemory(
    stagesOf(models, { width, height, batch, tokens, steps }),
    await memoryBudget({ memory }),
  );
  return describePlan(plan, `${pathOrRepo} on ${device.adapterName}`);
}
