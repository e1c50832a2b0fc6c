import { openDevice } from "denoise";
import { describePlan, planMemory } from "../../src/pipelines/memory_plan.ts";
import { memoryBudget } from "../../src/pipelines/residency.ts";
import { type DrawingSize, stagesOf } from "../../src/pipelines/stages.ts";
import { openModels } from "./open_models.ts";

/** What may be said about a pipeline that is planned for. */
export interface PlanOptions extends DrawingSize {
  /** Configs of a single file, and what it lacks. */
  readonly config?: string;
  readonly base?: string;
  /** Bytes; by default nine tenths of what the adapter has. */
  readonly memory?: number;
  /** Of weights and activations. */
  readonly dtype?: "f32" | "f16";
}

/** How much memory a pipeline takes, and what of its files it does not use, found by tracing it without its weights. */
export async function describeMemory(
  pathOrRepo: string,
  { memory, ...options }: PlanOptions,
): Promise<string> {
  const notices: string[] = [];
  try {
    using device = await openDevice();
    using stack = new DisposableStack();
    const onNotice = (line: string) => notices.push(line);
    const models = await openModels(pathOrRepo, { ...options, onNotice }, stack);
    const plan = planMemory(stagesOf(models, options), await memoryBudget({ memory }));
    return [...notices, describePlan(plan, `${pathOrRepo} on ${device.adapterName}`)].join("\n");
  } catch (error) {
    return [...notices, `no memory plan: ${(error as Error).message}`].join("\n");
  }
}
