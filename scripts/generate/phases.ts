const times = new Map<string, number>(); // ms by phase

/** Waits for a phase and adds its time to those of its name. */
export async function phase<T>(name: string, work: Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work;
  times.set(name, (times.get(name) ?? 0) + performance.now() - start);
  return result;
}

/** Time of each phase so far, in one line. */
export function phases(): string {
  return [...times].map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)} s`).join(", ");
}
