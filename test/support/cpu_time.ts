import { cpuUsage } from "node:process";

/** Milliseconds of the processor that work takes in this process, all threads together. A busy machine changes them little. */
export async function cpuMs(work: () => unknown): Promise<number> {
  const before = cpuUsage();
  await work();
  const { user, system } = cpuUsage(before);
  return (user + system) / 1000;
}
