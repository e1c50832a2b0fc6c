import { misfits, type Scheduler, type SchedulerUse } from "../schedulers/mod.ts";

/** What was said of the schedulers of a pipeline's parts. */
const told = new WeakMap<object, Set<string>>();

/** Says once for a pipeline's parts why their scheduler would draw badly. */
export function tellMisfits(
  parts: { readonly scheduler: Scheduler },
  use: SchedulerUse,
  onNotice: (line: string) => void = console.warn,
): void {
  const before = told.get(parts) ?? new Set();
  told.set(parts, before);
  for (const line of misfits(parts.scheduler, use)) {
    if (before.has(line)) continue;
    before.add(line);
    onNotice(line);
  }
}
