import assert from "node:assert/strict";
import { join } from "node:path";
import { openDevice, replaceShader } from "denoise";
import { buildProfile } from "../../scripts/profile/build.ts";
import { type Change, compareProfiles, measuredAgain } from "../../scripts/profile/compare.ts";
import { spreadOf } from "../../scripts/profile/figures.ts";
import { type Profile, profileForm } from "../../scripts/profile/form.ts";
import { measure, stepTimes } from "../../scripts/profile/measure.ts";
import { openModel, openPipeline, type Subject } from "../../scripts/profile/subject.ts";
import { describeChanges, describeProfile } from "../../scripts/profile/text.ts";
import { inFolder, runScript } from "../support/script.ts";
import { until } from "../support/until.ts";

const root = join(import.meta.dirname!, "../..");
const emoji = join(root, "models/emoji-diffusion");
const flux = join(root, "test/fixtures/flux/pipeline");
const shown = { only: undefined, depth: 2, rows: 30 };
const speeds = { f32: 0.03, f16: 0.03, copy: 6, upload: 1, readback: 1 };
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

async function profileOf(
  open: (device: Awaited<ReturnType<typeof openDevice>>) => Promise<Subject>,
  { pipeline = false, steps = 2, runs = 1, engine = "auto" as "auto" | "deno" } = {},
): Promise<Profile> {
  using device = await openDevice({ profile: true, engine });
  using subject = await open(device);
  const measured = await measure(device, subject, { steps, runs });
  const { className, work, models } = subject;
  const facts = { model: "a model", className, work, dtype: models[0]!.dtype, steps, runs, pipeline };
  return buildProfile(device, facts, speeds, measured);
}

/** What must hold in every profile. */
function expectWhole(profile: Profile): void {
  assert.deepEqual(profileForm.parse(JSON.parse(JSON.stringify(profile))), profile);
  const { rows, dispatches, memory, gpuMs, subject } = profile;
  const allMs = sum(dispatches.map(([, , , ms]) => ms));
  assert.ok(allMs > 0);
  for (const [i, { ms, totalMs, calls, count }] of rows.entries()) {
    const own = Map.groupBy(dispatches.filter(([row]) => row === i), ([, occurrence]) => occurrence);
    const times = [...own.values()].map((list) => sum(list.map(([, , , ms]) => ms)));
    assert.deepEqual(ms, spreadOf(times));
    assert.ok(Math.abs(totalMs - ms.median * count / calls) <= 1e-9 * totalMs);
  }
  assert.ok(Math.abs(sum(rows.map(({ share }) => share)) - 1) < 1e-6);
  if (subject.runs === 1) assert.ok(Math.abs(gpuMs.dispatches.median - allMs) < 1e-6 * allMs);
  assert.equal(sum(rows.map(({ count }) => count)), dispatches.length);
  for (const [i, row] of rows.entries()) {
    assert.equal(dispatches.filter(([number]) => number === i).length, row.count);
    assert.ok(row.ms.low <= row.ms.median && row.ms.median <= row.ms.high);
    assert.ok(
      Math.abs(row.gflops * row.totalMs * 1e6 - row.flops * row.count) <= 1e-6 * row.flops * row.count,
    );
  }
  for (const { kernel, text } of rows) assert.equal(profile.kernels[text]!.name, kernel);
  for (const { parts, bindings, workgroup } of profile.kernels) {
    assert.deepEqual(bindings.map(({ binding }) => binding), [...bindings.keys()]);
    assert.equal(bindings.filter(({ use }) => use === "write").length, 1);
    assert.ok(workgroup[0] >= 1);
    assert.ok(parts.some(({ reason }) => reason === "written"));
    for (const { set, text } of parts) {
      for (const name of set) assert.match(text, new RegExp(`^(const|alias) ${name}\\b.*;`, "m"));
    }
  }
  const { host, stretches, runMs, hostMs, clockSlackMs } = profile;
  if (subject.runs === 1) { // the host's time is told whole, once, in order
    const end = host.reduce((at, [, , start, ms]) => {
      assert.ok(Math.abs(start - at) < 1e-6 && ms > 0);
      return start + ms;
    }, 0);
    assert.ok(Math.abs(end - runMs.dispatches.median) < 1e-6 * end);
  }
  assert.ok(Math.abs(sum(Object.values(hostMs)) / runMs.plain.median - 1) < (subject.runs === 1 ? 1e-6 : 1));
  const steps = stretches.filter(([name]) => name === "step").map(([, occurrence]) => occurrence);
  const extra = steps.length - subject.steps * subject.runs;
  assert.ok(extra === 0 || subject.pipeline && extra === subject.runs); // PNDM's loop has a step more than is asked for
  for (const step of steps) {
    const work = host.filter(([, occurrence]) => occurrence === step);
    const [first] = work;
    for (const [, occurrence, start] of dispatches) if (occurrence === step) assert.ok(start >= first![2]);
    for (const kind of ["record", "encode", "submit"]) {
      assert.ok(work.some(([found]) => found === kind), kind);
    }
  }
  assert.ok(clockSlackMs >= 0 && clockSlackMs < runMs.dispatches.high);
  const arenaBytes = Math.max(...memory.plans.map(({ arenas }) => sum(arenas)));
  assert.ok(
    dispatches.every(([, , , , live]) => live <= arenaBytes) && dispatches.some(([, , , , live]) => live > 0),
  );
  assert.ok(memory.device.every(([, bytes]) => bytes <= memory.peak));
  for (const { arenas, values, modules } of memory.plans) {
    assert.ok(values.every(({ arena, offset, bytes }) => offset + bytes <= arenas[arena]!));
    assert.ok(Math.max(...modules.map(({ peak }) => peak)) <= sum(arenas));
  }
}

for (
  const [part, className] of [["unet", "UNet2DConditionModel"], ["vae", "AutoencoderKL"], [
    "text_encoder",
    "CLIPTextModel",
  ]] as const
) {
  Deno.test(`a profile of ${className} adds up`, async () => {
    const profile = await profileOf((device) => openModel(device, emoji, { part, size: undefined }));
    expectWhole(profile);
    assert.equal(profile.subject.className, className);
    assert.ok(profile.rows.every(({ mark }) => mark === "step"));
    const [plan] = profile.memory.plans;
    assert.equal(plan!.label, className);
    assert.ok(sum(plan!.modules.map(({ weights }) => weights)) > 1e5);
    const text = describeProfile(profile, shown);
    assert.match(
      text,
      /\nhost +record [\d.]+, fuse [\d.]+, encode [\d.]+, submit [\d.]+, prepare [\d.]+, wait /,
    );
    assert.match(text, /(GPU-bound|CPU-bound|bound by neither alone)/);
    assert.throws(
      () => describeProfile(profile, { ...shown, only: "no_such_block" }),
      /^TypeError: Cannot show only no_such_block: /,
    );
  });
}

Deno.test("a profile on Deno's own engine adds up", async () => {
  const profile = await profileOf(() => openPipeline(emoji, { size: undefined, prompt: "the sun" }), {
    pipeline: true,
    engine: "deno",
  });
  expectWhole(profile);
  assert.equal(profile.adapter.engine, "deno");
  assert.ok(describeProfile(profile, shown).startsWith("Deno's WebGPU on "));
});

Deno.test("a profile of a whole pipeline has its texts, its steps and its VAE", async () => {
  const size = { width: 32, height: 32 };
  const profile = await profileOf(() => openPipeline(flux, { size, prompt: "a flower" }), {
    pipeline: true,
    runs: 2,
  });
  expectWhole(profile);
  const models = new Map(profile.rows.map(({ model, mark }) => [model, mark]));
  assert.ok(profile.rows.some(({ model, mark }) => model === "FluxTransformer2DModel" && mark === "step"));
  for (const model of ["CLIPTextModel", "T5EncoderModel", "AutoencoderKL"]) {
    assert.equal(models.get(model), "");
  }
  const steps = profile.dispatches.map(([, occurrence]) => occurrence);
  assert.equal(new Set(steps).size, 2 * (2 + 1)); // of each run its steps, and what is outside
  const text = describeProfile(profile, { ...shown, only: "AutoencoderKL.decoder" });
  assert.match(text, /\n {2}decoder +\d+/);
  assert.doesNotMatch(text, /FluxTransformer2DModel\.\S+ gemm/);
});

Deno.test("a step of a short run is told without texts and VAE, and rows rank by medians", async () => {
  const dispatch = (turn: number, start: number, ms: number) => ({ turn, start, ms });
  const recording = (steps: number) => ({
    clock: { offset: 100, slack: 0 },
    stretches: Array.from({ length: steps }, (_, i) => ({ mark: "step", turn: i + 1, start: 105 + i })),
    dispatches: [
      dispatch(0, 1, 10), // texts, until 111
      ...Array.from(
        { length: steps },
        (_, i) => [dispatch(i + 1, 12 + 20 * i, 5), dispatch(i + 1, 20 + 20 * i, 8)],
      )
        .flat(),
      dispatch(0, 200, 500), // VAE
    ],
  });
  const timed = (steps: number) => [{ start: 0, end: 1000, host: [], recording: recording(steps) as never }];
  const times = (steps: number) => stepTimes({ plain: timed(steps), passes: timed(steps) });
  assert.deepEqual(times(1), [17]); // from the texts' end to its own
  assert.deepEqual(times(2), [17, 20]);
  assert.deepEqual(times(4), [1, 1]); // by the host, the first left out
  const open = () => openPipeline(emoji, { size: undefined, prompt: "the sun" });
  await until(async () => { // a busy machine may hold up the step alone
    const { step, runMs } = await profileOf(open, { pipeline: true, steps: 1 });
    return step.median > 0 && step.median < 0.9 * runMs.passes.median;
  }, "the step to take less than the run");
});

Deno.test("a UNet is profiled with the tokens of its pipeline's texts", async () => {
  using device = await openDevice();
  using subject = await openModel(device, emoji, { part: undefined, size: undefined });
  assert.match(subject.work, /, 32 tokens$/);
});

Deno.test("what GPU and host do in a run adds up to its time within 3 %", async () => {
  let best = 0;
  for (let turn = 0; turn < 50 && best < 0.97; turn++) { // a busy machine wakes those that wait late
    const { dispatches, host, runMs } = await profileOf((device) =>
      openModel(device, emoji, { part: "unet", size: undefined })
    );
    const gaps = dispatches.slice(1).flatMap(([, occurrence, start], i) => {
      const [, before, from, ms] = dispatches[i]!;
      return before === occurrence ? [[from + ms, start] as const] : [];
    });
    const parts = [
      ...dispatches.map(([, , start, ms]) => [start, start + ms] as const),
      ...gaps,
      ...host.filter(([kind]) => kind !== "wait").map(([, , start, ms]) => [start, start + ms] as const),
    ];
    const wall = runMs.dispatches.median;
    assert.ok(parts.every(([from, to]) => from >= 0 && to <= wall));
    let [sum, end] = [0, 0];
    for (const [from, to] of parts.toSorted(([a], [b]) => a - b)) {
      sum += Math.max(0, to - Math.max(from, end));
      end = Math.max(end, to);
    }
    best = Math.max(best, sum / wall);
  }
  assert.ok(best >= 0.97, `${(100 * best).toFixed(1)} % of the time is told`);
});

Deno.test("quartiles lie between the values where there is none at the place", () => {
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, low: 1.5, high: 2.5 });
  assert.deepEqual(spreadOf([4]), { median: 4, low: 4, high: 4 });
});

Deno.test("of two profiles a kernel is slower only beyond the tolerance and its own spread", async () => {
  const now = await profileOf(
    (device) => openModel(device, emoji, { part: "text_encoder", size: undefined }),
    {
      steps: 4,
    },
  );
  const withTimes = (time: (row: number, i: number) => number): Profile => ({
    ...now,
    dispatches: now.dispatches.map((
      [row, occurrence, start, , live],
      i,
    ) => [row, occurrence, start, time(row, i), live]),
  });
  const [kernel] = now.rows.map(({ kernel }) => kernel);
  const slowed = (row: number, by: number) => now.rows[row]!.kernel === kernel ? by : 1;
  const verdicts = (before: Profile, after: Profile) => {
    const changes = compareProfiles(before, after, 0.1);
    return new Set(
      changes.flatMap(({ name, verdict }) => verdict === "same" ? [] : `${name.split(" ")[0]} ${verdict}`),
    );
  };
  const same = withTimes(() => 1);
  assert.deepEqual(verdicts(same, same), new Set());
  assert.deepEqual(verdicts(same, withTimes((row) => slowed(row, 1.2))), new Set([`${kernel} slower`]));
  assert.deepEqual(verdicts(withTimes((row) => slowed(row, 1.2)), same), new Set([`${kernel} faster`]));
  assert.deepEqual(verdicts(same, withTimes((row) => slowed(row, 1.05))), new Set()); // within the tolerance
  const occurrences = [...new Set(now.dispatches.map(([, occurrence]) => occurrence))];
  const ofStep = (i: number) => [1, 1.5, 2.5, 3][occurrences.indexOf(now.dispatches[i]![1])]!; // quartiles 1.375, 2.625
  const spreading = withTimes((_, i) => ofStep(i));
  assert.deepEqual(verdicts(spreading, withTimes((row) => 2 * slowed(row, 1.2))), new Set()); // within the spread
  assert.deepEqual(compareProfiles(same, same, 0.1, "layer_norm").map(({ name }) => name.split(" ")[0]), [
    "layer_norm",
  ]);
  const changes = compareProfiles(same, withTimes((row) => slowed(row, 2)), 0.1);
  assert.match(describeChanges(changes, 0.1), /\n\d+ of \d+ kernels slower by more than 10\.0% /);
  assert.doesNotMatch(describeChanges(changes, 0.1), /vary by more/);
  const unsure = describeChanges(compareProfiles(same, spreading, 0.1), 0.1);
  assert.match(unsure, /\n(\d+) of them vary by more than that from step to step/);
  assert.throws(
    () => compareProfiles({ ...now, adapter: { ...now.adapter, name: "another" } }, now, 0.1),
    /Cannot compare profiles: expected the same adapter, "another", got /,
  );
});

Deno.test("a kernel with more to do is found slower, until it is as before", async () => {
  using device = await openDevice({ profile: true });
  using subject = await openModel(device, emoji, { part: "text_encoder", size: undefined });
  const profile = async () => {
    const measured = await measure(device, subject, { steps: 10, runs: 1 });
    const { className, work, models } = subject;
    const facts = {
      model: "a model",
      className,
      work,
      dtype: models[0]!.dtype,
      steps: 10,
      runs: 1,
      pipeline: false,
    };
    return buildProfile(device, facts, speeds, measured);
  };
  const before = await profile();
  const path = "shaders/norm/layer_norm.wgsl";
  const text = await Deno.readTextFile(join(root, path));
  const line = "      let d = row_values(i, first + c) - mean;\n";
  const slow = "      for (var k = 0u; k < 10000u; k++) { rests += sin(squares + f32(k)) * 1e-30; }\n";
  assert.ok(text.includes(line));
  assert.equal(await replaceShader(device, path, text.replace(line, line + slow)), 1);
  const verdictsOf = (changes: readonly Change[]) =>
    // on a busy machine others may be slower, too
    changes.flatMap(({ name, verdict }) => name.startsWith("layer_norm ") ? [verdict] : []);
  const twice = measuredAgain(await profile(), await profile());
  const changes = compareProfiles(before, twice, 10);
  assert.deepEqual(verdictsOf(changes), ["slower"]);
  assert.match(changes.find(({ verdict }) => verdict === "slower")!.where, /\w and \d+ more$/);
  await replaceShader(device, path);
  const restored = profileForm.parse(JSON.parse(JSON.stringify(measuredAgain(twice, await profile()))));
  const unconfirmed = compareProfiles(before, restored, 10);
  assert.deepEqual(verdictsOf(unconfirmed), ["unconfirmed"], "as --from has it of its file");
  assert.match(describeChanges(unconfirmed, 10), /not confirmed[^]* looked slower, but not each time /);
});

Deno.test("profile.ts --compare ends with 1 where a kernel got slower", () =>
  inFolder(async (folder) => {
    const run = (...args: string[]) =>
      runScript(folder, "profile.ts", emoji, "--part", "text_encoder", "--steps", "4", ...args);
    const first = await run("--json", "before.json");
    assert.equal(first.code, 0, first.stderr);
    const before = profileForm.parse(JSON.parse(await Deno.readTextFile(join(folder, "before.json"))));
    const scaleTimes = (by: number) =>
      Deno.writeTextFile(
        join(folder, "before.json"),
        JSON.stringify({
          ...before,
          dispatches: before.dispatches.map((
            [row, occurrence, start, ms, live],
          ) => [row, occurrence, start, ms * by, live]),
        }),
      );
    await scaleTimes(1000);
    const faster = await run("--compare", "before.json");
    assert.equal(faster.code, 0, faster.stderr);
    assert.match(faster.stdout, /faster/);
    await scaleTimes(0.001);
    const slower = await run("--compare", "before.json", "--only", "encoder.layers.0");
    assert.equal(slower.code, 1, slower.stderr);
    assert.match(slower.stdout, /\n[1-9]\d* of \d+ kernels slower/);
    await Deno.writeTextFile(join(folder, "before.json"), "{}");
    const odd = await run("--compare", "before.json");
    assert.equal(odd.code, 2, "an error is no slower kernel");
    assert.match(
      odd.stderr,
      /^Cannot read before.json: expected a profile that --json of this version wrote/,
    );
  }));
