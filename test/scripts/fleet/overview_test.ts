import assert from "node:assert/strict";
import { linesOf } from "../../../scripts/fleet/overview.ts";
import { rateOf } from "../../../scripts/fleet/rate.ts";

const MINUTE = 60_000;

Deno.test("the rate is that of the last five minutes, of which the present one is a part", () => {
  const begin = 100 * MINUTE;
  const none = { count: 0, prevTS: 0, prevCount: 0, lately: [] };
  assert.equal(rateOf(none, begin), 0);
  const first = { ...none, count: 10, prevTS: begin + MINUTE / 4 };
  assert.equal(rateOf(first, begin + 3 * MINUTE / 4), 20); // 10 in half a minute
  const steady = { count: 640, prevTS: begin + 1000, prevCount: 630, lately: [20, 20, 20, 20, 50, 500] };
  assert.equal(rateOf(steady, begin + MINUTE / 2), 20);
  assert.equal(rateOf(steady, begin + 3 * MINUTE), 30 / 4); // three minutes in which the last ten were done, and one of 20
  assert.equal(rateOf(steady, begin + 5 * MINUTE), 0);
  assert.equal(rateOf({ ...steady, lately: [0, 0, 0, 0] }, begin - 500), 10 / 4.1); // a clock that lags
});

Deno.test("workers and queues fit into a terminal; the device's name gives way first", () => {
  const device = "Dawn on NVIDIA H100 80GB HBM3, driver 580, 32 lanes a subgroup";
  const worker = {
    id: "gpu-17:1234-ab12",
    device,
    offers: {},
    model: "sdxl",
    seconds: 12,
    done: 345,
    failed: 0,
  };
  const state = {
    workers: [{ ...worker, request: "0123456789abcdef" }, { ...worker, id: "b:1" }],
    queues: [
      { model: "sdxl", waiting: 1000, active: 2, delayed: 1, failed: 0, done: 9, rate: 10 },
      { model: "xl", waiting: 0, active: 0, delayed: 0, failed: 3, done: 9, rate: 0 },
      { model: "flux", waiting: 5, active: 0, delayed: 0, failed: 0, done: 0, rate: 0 },
    ],
  };
  assert.deepEqual(linesOf(state, 80), [
    "worker            device                 model  draws         for   done  failed",
    "gpu-17:1234-ab12  Dawn on NVIDIA H100 8  sdxl   0123456789ab  12 s  345   0",
    "b:1               Dawn on NVIDIA H100 8  sdxl   nothing             345   0",
    "",
    "queue  waiting  active  again later  failed  done  a minute  left",
    "sdxl   1000     2       1            0       9     10.0      100 min",
    "xl     0        0       0            3       9     0.0",
    "flux   5        0       0            0       0     0.0       ?",
  ]);
  assert.equal(linesOf(state)[1]!.split("  ")[1], device.slice(0, 40));
  assert.ok(linesOf(state, 30).every((line) => line.length <= 30));
});
