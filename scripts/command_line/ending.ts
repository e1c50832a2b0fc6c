const APART = 1000; // milliseconds: `deno task` passes on a signal that the terminal sent to its script, too

/** Calls a listener at each signal to end (Ctrl-C, SIGTERM) with its number from 1; those of the same second are one. */
export function onEnd(listener: (count: number) => void): void {
  let count = 0;
  let last = -Infinity;
  const told = () => {
    const now = performance.now();
    if (now - last < APART) return;
    last = now;
    listener(++count);
  };
  Deno.addSignalListener("SIGINT", told);
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", told);
}
