import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import type { Recording, TimedDispatch } from "../../../src/gpu/profiling/records.ts";
import { traceEvents } from "../../../src/gpu/profiling/trace.ts";
import { linear } from "../../../src/ops/mod.ts";
import { randn } from "../../../src/random/mod.ts";
import { named, progress, scope } from "../../../src/tensor/mod.ts";
import { readTrace } from "../../support/perfetto.ts";

const dispatch = {
  kernel: "gemm",
  path: "",
  shape: [1, 1, 2, 2],
  dtype: "f32",
  inputs: [{ name: "conv.weight", shape: [2, 2], dtype: "f16" }],
  fused: "silu(v)",
  flops: 16,
  bytes: 48,
  model: "UNet2DModel",
  mark: "step",
  turn: 1,
  dispatches: 1,
  workgroups: [1, 1],
  live: 16,
} as unknown as TimedDispatch;

function recordingOf(
  dispatches: readonly Partial<TimedDispatch>[],
  rest: Partial<Recording> = {},
): Recording {
  return {
    dispatches: dispatches.map((one) => ({ ...dispatch, ...one })),
    stretches: [],
    host: [],
    clock: { offset: 100, slack: 0 },
    memory: [],
    ...rest,
  };
}

Deno.test("a trace has a slice for each module around its dispatches, with lists and numbers as one", () => {
  const { slices } = readTrace(traceEvents(recordingOf([
    { path: "conv_in", start: 1, ms: 1 },
    { path: "down_blocks.0.resnets.1.conv1", start: 2, ms: 1 },
    { path: "down_blocks.0.resnets.1", start: 3, ms: 1 },
    { path: "down_blocks.1.resnets.0", start: 5, ms: 1 },
    { path: "down_blocks.1.resnets.0", start: 6, ms: 1, turn: 2 },
    { path: "", start: 8, ms: 1, turn: 0, mark: "", model: "" },
  ])));
  assert.deepEqual(slices.map(({ path, ts, dur }) => [path.join(" > "), ts, dur]), [
    ["step", 0, 5000],
    ["step > UNet2DModel", 0, 5000],
    ["step > UNet2DModel > conv_in", 0, 1000],
    ["step > UNet2DModel > conv_in > gemm", 0, 1000],
    ["step > UNet2DModel > down_blocks.0", 1000, 2000],
    ["step > UNet2DModel > down_blocks.0 > resnets.1", 1000, 2000],
    ["step > UNet2DModel > down_blocks.0 > resnets.1 > conv1", 1000, 1000],
    ["step > UNet2DModel > down_blocks.0 > resnets.1 > conv1 > gemm", 1000, 1000],
    ["step > UNet2DModel > down_blocks.0 > resnets.1 > gemm", 2000, 1000],
    ["step > UNet2DModel > down_blocks.1", 4000, 1000],
    ["step > UNet2DModel > down_blocks.1 > resnets.0", 4000, 1000],
    ["step > UNet2DModel > down_blocks.1 > resnets.0 > gemm", 4000, 1000],
    ["step", 5000, 1000],
    ["step > UNet2DModel", 5000, 1000],
    ["step > UNet2DModel > down_blocks.1", 5000, 1000],
    ["step > UNet2DModel > down_blocks.1 > resnets.0", 5000, 1000],
    ["step > UNet2DModel > down_blocks.1 > resnets.0 > gemm", 5000, 1000],
    ["outside marks", 7000, 1000],
    ["outside marks > loop", 7000, 1000],
    ["outside marks > loop > gemm", 7000, 1000],
  ]);
  assert.deepEqual(slices[3]!.args, {
    ms: 1,
    path: "conv_in",
    result: "f32 [1, 1, 2, 2]",
    "input 0": "conv.weight f16 [2, 2]",
    fused: "silu(v)",
    flops: 16,
    bytes: 48,
    gflops: 16 / 1e6,
    gbytes: 48 / 1e6,
    workgroups: "1×1",
  });
});

Deno.test("dispatches that overlap are shown one after the other, with their own times beside", () => {
  const { slices } = readTrace(traceEvents(recordingOf([
    { path: "a", start: 0, ms: 2 },
    { path: "b", start: 1, ms: 3 },
    { path: "c", start: 1.5, ms: 1 },
  ])));
  const kernels = slices.filter(({ path }) => path.at(-1) === "gemm");
  assert.deepEqual(kernels.map(({ ts, dur, args }) => [ts, dur, args!["ms"]]), [
    [0, 2000, 2],
    [2000, 2000, 3],
    [4000, 0, 1],
  ]);
});

Deno.test("the host's spans nest on their tracks, also where they overlap", () => {
  const { slices, tracks } = readTrace(traceEvents(recordingOf([{ start: 0, ms: 1 }], {
    stretches: [
      { mark: "step", turn: 1, start: 90, end: 95 },
      { mark: "step/guidance", turn: 1, start: 92, end: 97 }, // ended behind the one around it
    ],
    host: [
      { kind: "submit", start: 96, end: 98 },
      { kind: "encode", start: 95, end: 99 },
      { kind: "wait", start: 98, end: 104 },
    ],
    memory: [[95, 1024], [96, 2048]],
  })));
  const of = (track: string) =>
    slices.filter(({ tid }) => tracks.get(tid) === track).map(({ path, ts, dur }) => [
      path.join(" > "),
      ts,
      dur,
    ]);
  assert.deepEqual(of("marks"), [["step", 0, 5000], ["step > guidance", 2000, 3000]]);
  assert.deepEqual(of("work"), [["encode", 5000, 4000], ["encode > submit", 6000, 2000]]);
  assert.deepEqual(of("waits"), [["wait", 8000, 6000]]);
});

Deno.test("a loop's trace holds each dispatch within its module, its step and the run, and its memory", async () => {
  using device = await openDevice({ profile: true });
  const weight = randn([64, 64]);
  let x = randn([8, 64]);
  for await (const _ of progress([0, 1, 2], { write: false })) {
    using _mark = device.mark("step");
    using made = scope(x);
    x = made.keep(named("block", () => named("0", () => linear(x, { weight }).relu())));
  }
  const recording = await device.profiler!.recording();
  const { slices, counters, tracks } = readTrace(JSON.parse(JSON.stringify(traceEvents(recording))));
  const dispatches = slices.filter(({ tid, cat }) => tracks.get(tid) === "modules" && cat === "kernel");
  assert.equal(dispatches.length, recording.dispatches.length);
  const steps = dispatches.filter(({ path }) => path[2] === "block.0");
  assert.equal(steps.length, 3);
  assert.ok(steps.every(({ path }) => path[0] === "step" && path[1] === "loop"));
  for (const [i, { dur, args }] of dispatches.entries()) {
    assert.equal(args!["ms"], recording.dispatches[i]!.ms);
    assert.ok(dur <= recording.dispatches[i]!.ms * 1000 + 0.001);
  }
  const bytes = counters.filter(({ name }) => name === "device memory").map(({ args }) => args!["bytes"]);
  assert.deepEqual(bytes, recording.memory.map(([, bytes]) => bytes));
  const submits = slices.filter(({ path }) => path.at(-1) === "submit");
  assert.ok(submits.length >= 3);
  assert.ok(dispatches.every(({ ts }) => ts >= submits[0]!.ts));
});

Deno.test("a trace that does not nest is found", () => {
  const { traceEvents: events } = traceEvents(recordingOf([{ path: "a", start: 1, ms: 1 }]));
  const without = (i: number) => ({ traceEvents: events.filter((_, j) => j !== i) });
  const end = events.findIndex(({ ph }) => ph === "E");
  assert.throws(() => readTrace(without(end)), /open/);
  assert.throws(() => readTrace(without(end - 1)), /no slice/);
  const late = events.map((event, i) => i === end ? { ...event, ts: -1 } : event);
  assert.throws(() => readTrace({ traceEvents: late }), /before/);
  assert.throws(() => readTrace({ traceEvents: [{ ph: "B", ts: 0, pid: 1, tid: 1 }] }), /name/);
});
