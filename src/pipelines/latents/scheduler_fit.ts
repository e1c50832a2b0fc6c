import type { UNet2DConditionModel } from "../../models/mod.ts";
import { misfits, type Scheduler, type SchedulerUse } from "../../schedulers/mod.ts";

/** What was said of the schedulers that a model was drawn with. */
const told = new WeakMap<UNet2DConditionModel, Set<string>>();

/** Says once for a model why a pipeline's scheduler would draw badly with it. */
export function tellMisfits(
  { unet, scheduler }: { readonly unet: UNet2DConditionModel; readonly scheduler: Scheduler },
  use: SchedulerUse,
  onNotice: (line: string) => void = console.warn,
): void {
  const before = told.get(unet) ?? new Set();
  told.set(unet, before);
  for (const line of misfits(scheduler, use)) {
    if (before.has(line)) continue;
    before.add(line);
    onNotice(line);
  }
}
