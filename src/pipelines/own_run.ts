import type { Scheduler } from "../schedulers/mod.ts";

const atWork = new WeakSet<Scheduler>();

/**
 * Does a run with the parts as they are now: what is exchanged meanwhile is of the next. A scheduler remembers the steps
 * of one run, so that a second run beside it gets a copy.
 */
export async function ownRun<Parts extends { scheduler: Scheduler }, T>(
  parts: Parts,
  run: (parts: Parts) => Promise<T>,
): Promise<T> {
  const { scheduler } = parts;
  if (atWork.has(scheduler)) return await run({ ...parts, scheduler: scheduler.clone() });
  atWork.add(scheduler);
  try {
    return await run({ ...parts });
  } finally {
    atWork.delete(scheduler);
  }
}
