import type { Recording } from "./records.ts";

/** A recording as a trace that Perfetto and Chrome open; GPU and host are on one clock, see ClockOffset. */
export function traceEvents({ dispatches, host, clock }: Recording): { traceEvents: object[] } {
  const offset = clock?.offset ?? 0;
  const first = Math.min(host[0]?.start ?? Infinity, (dispatches[0]?.start ?? Infinity) + offset);
  return {
    traceEvents: dispatches.map(({ kernel, path, start, ms, flops, bytes, model, mark, turn, shape }) => ({
      name: path ? `${path} ${kernel}` : kernel,
      cat: kernel,
      ph: "X",
      ts: (start + offset - first) * 1000, // µs
      dur: ms * 1000,
      pid: 1,
      tid: 1,
      args: {
        kernel,
        path,
        ...model && { model },
        ...mark && { mark, turn },
        shape: shape.join("x"),
        gflops: ms ? flops / ms / 1e6 : 0,
        gbytes: ms ? bytes / ms / 1e6 : 0,
      },
    })),
  };
}
