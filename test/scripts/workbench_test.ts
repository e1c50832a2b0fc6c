import assert from "node:assert/strict";
import { join } from "node:path";
import { shadersIn } from "../../src/gpu/shader/shaders_folder.ts";
import { ignoringErrors } from "../../src/core/shown.ts";
import { SHADER_FILES } from "../../src/gpu/shader/snippet.ts";
import { changeOf, describeChange } from "../../scripts/workbench/report.ts";
import { kernelsOfShape } from "../../scripts/kernel/shapes.ts";
import { worksOf } from "../../scripts/kernel/works.ts";
import { InputsFile, writeInputs } from "../../scripts/workbench/inputs_file.ts";
import { LoadedModel } from "../../scripts/workbench/loaded_model.ts";
import { flopsLimit, Workbench } from "../../scripts/workbench/workbench.ts";
import type { Storage } from "../../src/gpu/memory/buffers.ts";
import { Leaf } from "../../src/graph/node.ts";
import { Bench, readsOf } from "../../src/graph/tuning/bench.ts";
import { resultOf, type Sample } from "../../src/graph/tuning/check.ts";
import { choose } from "../../src/graph/tuning/choice.ts";
import { median } from "../../src/graph/tuning/stopwatch.ts";
import { softmax as softmaxOf } from "../../src/ops/mod.ts";
import { tensor } from "../../src/tensor/mod.ts";
import { openDevice } from "../../src/gpu/open/open.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { TestFolder } from "../support/files.ts";
import { missingNullGpu } from "../support/null_gpu.ts";
import { inFolder, runScript, runScriptWith } from "../support/script.ts";

const SOFTMAX = "shaders/norm/softmax.wgsl";
const GROUPS = "shaders/norm/group_norm.wgsl";
const model = join(import.meta.dirname!, "../../models/emoji-ddpm");
const GRID = "shaders/lib/grid.wgsl";
const textOf = (path: string) => SHADER_FILES.get(path)!.text;
const softmax = textOf(SOFTMAX);

testOnBothEngines(
  "a workbench tells of each save, and keeps the version before a broken one",
  async (device) => {
    using folder = new TestFolder();
    const { works } = worksOf(device, kernelsOfShape(device, "6x77", "f32"), "norm/softmax", { most: 4 });
    assert.deepEqual(works.map(({ problem, uses }) => [problem.name, uses]), [["softmax", 1]]);
    using workbench = await Workbench.open(device, works);
    assert.ok(workbench.files.includes(SOFTMAX));
    const save = async (text: string, name = "norm/softmax.wgsl") => {
      folder.write(name, text);
      return await workbench.change(await shadersIn(folder.path));
    };
    const deviceSoftmax = async () =>
      [...await softmaxOf(tensor([0, Math.log(3)], [1, 2])).data()].map((value) => Number(value.toFixed(6)));
    assert.equal(await save(softmax), undefined, "no other text");

    const edited = await save(softmax.replaceAll("exp(", "exp2(1.4426950408889634 * "));
    assert.deepEqual(edited!.files, [SOFTMAX]);
    assert.ok(edited!.compiled >= 1);
    const [row] = edited!.rows;
    assert.equal(row!.wrong, undefined);
    assert.ok(row!.fromPlain > 0 && row!.fromPlain < 1e-5, `${row!.fromPlain}`);
    assert.equal(row!.fromBefore, row!.fromPlain, "the version before was the plain form");
    assert.ok(row!.before.length >= 3 && row!.now.every((ms) => ms > 0));
    assert.match(
      describeChange(edited!),
      /compiled anew in \d+ ms\naxes and types .*\n1×1×6×77 from f32 to f32 +v +softmax/,
    );

    await assert.rejects(save(softmax.replaceAll("exp(", "nothing(")), {
      name: "ShaderError",
      message: /^Cannot compile shaders\/norm\/softmax\.wgsl:\d+:\d+: .*nothing/,
    });
    const wrong = await save(softmax.replaceAll("exp(", "exp2("));
    assert.match(wrong!.rows[0]!.wrong!, /^expected .* ± .* at \[0, 0, \d+, \d+\], got /);
    assert.match(
      describeChange(wrong!),
      / WRONG\nWRONG softmax.*: expected .*\nthe version before stays$/,
    );
    assert.equal(wrong!.stands, false);
    assert.deepEqual([wrong!.rows[0]!.before, wrong!.rows[0]!.now], [[], []]);
    assert.deepEqual(await deviceSoftmax(), [0.25, 0.75], "the device has the one before, too");
    const right = await save(softmax.replaceAll("exp(", "exp2(1.4426950408889634 * "));
    assert.deepEqual([right!.files, right!.rows, right!.stands], [[], [], true]);
    assert.equal(describeChange(right!), "the version that stands is back");

    const back = await save(softmax);
    assert.equal(back!.rows[0]!.fromPlain, 0);
    const ratio = back!.rows[0]!.fromBefore / row!.fromPlain; // not those of what was wrong
    assert.ok(Math.abs(ratio - 1) < 1e-3, `${ratio}`);
  },
);

testOnBothEngines("a save of a snippet reaches all kernels that have it, and no others", async (device) => {
  const problems = [...kernelsOfShape(device, "6x77", "f32"), ...kernelsOfShape(device, "1x8x4x4", "f32")];
  const { works } = worksOf(device, problems, "norm", { most: 9 });
  const names = works.map(({ problem }) => problem.name);
  assert.deepEqual(names.toSorted(), ["group_norm", "layer_norm"]);
  const both = [...works, ...worksOf(device, problems, "softmax", { most: 1 }).works];
  using workbench = await Workbench.open(device, both);
  const grid = await workbench.change(new Map([[GRID, `${textOf(GRID)}\n// edited`]]));
  assert.deepEqual(grid!.rows.map(({ fromPlain }) => fromPlain), [0, 0, 0].slice(0, grid!.rows.length));
  assert.ok(grid!.rows.length >= 2, "kernels of workgroups have it");
  const one = await workbench.change(
    new Map([[GRID, `${textOf(GRID)}\n// edited`], [SOFTMAX, `${softmax}\n// edited`]]),
  );
  assert.deepEqual(one!.files, [SOFTMAX]);
  assert.deepEqual(one!.rows.map(({ work }) => work.problem.name), ["softmax"]);
  await assert.rejects(
    workbench.change(new Map([["shaders/soft.wgsl", ""]])),
    /^TypeError: Cannot replace "shaders\/soft/,
  );
  const none = await workbench.change(
    new Map([["shaders/rotary.wgsl", `${textOf("shaders/rotary.wgsl")}\n// edited`], [
      GRID,
      `${textOf(GRID)}\n// edited`,
    ]]),
  );
  assert.match(describeChange({ ...none!, rows: [] }), /; no part of what is worked on$/);
});

testOnBothEngines(
  "recorded inputs are those that a kernel gets in the model",
  async (device) => {
    using loaded = await LoadedModel.open(device, model, {});
    const expected = await loaded.result();
    const problems = loaded.problems;
    const last = problems.findLast(({ path }) => path === "conv_out")!;
    const memory = device.buffers.usage().bytes;
    {
      using inputs = await loaded.inputsOf(last);
      assert.deepEqual(
        inputs.storages.map(({ bytes }) => bytes),
        readsOf(last).map((read) => new Leaf(read.dtype, read.count, "").bytes),
      );
      using bench = await Bench.open(device, last, inputs.storages);
      const candidate = choose(device, { spec: { ...last, inputs: [] } });
      const got = await resultOf(device, bench, last, await bench.ready(candidate));
      const values = (sample: Sample) => [...sample.pieces[0] as Float32Array].sort(); // in another order of axes
      assert.deepEqual(values(got), values(expected), "its result is the model's");
    }
    assert.ok(device.buffers.usage().bytes <= memory, "what was recorded is freed");
  },
);

testOnBothEngines("recorded inputs go to a file and come back, packed weights too", async (device) => {
  using folder = new TestFolder();
  const path = join(folder.path, "inputs.safetensors");
  using loaded = await LoadedModel.open(device, join(model, "../emoji-diffusion"), {
    part: "text_encoder",
    quantize: "int8",
  });
  const { works } = worksOf(device, loaded.problems, "gemm", { most: 9 });
  const types = new Set(works.flatMap(({ problem }) => problem.reads.map(({ dtype }) => dtype)));
  assert.ok(types.has("int8"), [...types].join());
  const bytesOf = async ({ storages }: { storages: readonly Storage[] }) =>
    await Promise.all(
      storages.map(({ buffer, offset, bytes }) => device.read(buffer, offset, Math.ceil(bytes / 4) * 4)),
    );
  await writeInputs(device, path, works, ({ problem }) => loaded.inputsOf(problem));
  const memory = device.buffers.usage().bytes;
  {
    using file = await InputsFile.open(device, path);
    for (const work of works) {
      using expected = await loaded.inputsOf(work.problem);
      using got = await file.inputsOf(work);
      assert.ok(got.storages.length >= 2);
      assert.deepEqual(await bytesOf(got), await bytesOf(expected));
    }
    const [other] = worksOf(device, loaded.problems, "layer_norm", { most: 1 }).works;
    await assert.rejects(file.inputsOf(other!), {
      message:
        /^Cannot take --inputs .*: expected "layer_norm 1×1×.* input 0" as F32 \[\d+\], got none; write it anew/,
    });
    const first = works[0]!;
    const changed = {
      ...first,
      problem: { ...first.problem, reads: first.problem.reads.map((read) => ({ ...read, count: 8 })) },
    };
    await assert.rejects(file.inputsOf(changed), { message: /as F32 \[8\], got F32 \[\d+\]; / });
  }
  assert.ok(device.buffers.usage().bytes <= memory, "what is read is freed"); // and perhaps results that nobody holds
});

Deno.test("a planted error is found on recorded inputs, and the model's step tells what a right edit did", async () => {
  using device = await openDevice();
  using loaded = await LoadedModel.open(device, model, {});
  const expected = await loaded.result();
  const { works } = worksOf(device, loaded.problems, "group_norm", { most: 2, flops: flopsLimit(device) });
  using workbench = await Workbench.open(device, works, {
    model: loaded,
    inputsOf: ({ problem }) => loaded.inputsOf(problem),
  });
  const save = (text: string) => workbench.change(new Map([[GROUPS, text]]));
  const groups = textOf(GROUPS);
  const edited = await save(groups.replace("* scale);", "* scale * 1.0000002);"));
  assert.deepEqual([edited!.rows.length, edited!.stands], [2, true]);
  for (const { fromPlain, now } of edited!.rows) {
    assert.ok(
      fromPlain > 0 && fromPlain < 1e-5 && now.length > 3,
    );
  }
  const { step } = edited!;
  assert.ok(step!.fromBefore > 0 && step!.fromBefore < 1e-4, `${step!.fromBefore}`);
  assert.ok(step!.before.length >= 3 && step!.now.length === step!.before.length);
  assert.match(
    describeChange(edited!),
    /\nstep +off before .*\nUNet2DModel forward \[1, 3, 32, 32\] +\d.*(turns|faster|slower)$/,
  );

  const wrong = await save(groups.replace("* scale);", "* scale * 1.001);"));
  assert.equal(wrong!.stands, false);
  assert.equal(wrong!.step, undefined, "a model is not run with what is wrong");
  assert.match(wrong!.rows[0]!.wrong!, /^expected .* ± .* at \[0, 0, \d+, \d+\], got /);
  const back = await save(groups);
  const ratio = back!.step!.fromBefore / step!.fromBefore;
  assert.ok(Math.abs(ratio - 1) < 1e-3, `${ratio}: the one before stood`);
  assert.deepEqual(await loaded.result(), expected);
});

testOnBothEngines(
  "a step whose result is no number is wrong, though its kernels are right at their shapes",
  async (device) => {
    const { works } = worksOf(device, kernelsOfShape(device, "6x77", "f32"), "softmax", { most: 1 });
    const results = [[1, 2], [1, NaN], [1, 3]].map((piece) => ({ starts: [0], pieces: [piece] }));
    const model = {
      work: "a model",
      time: () => Promise.resolve(1),
      result: () => Promise.resolve(results.shift()!),
    };
    using workbench = await Workbench.open(device, works, { model });
    const change = (note: string) => workbench.change(new Map([[SOFTMAX, `${softmax}\n// ${note}`]]));
    const broken = await change("broken");
    assert.equal(broken!.stands, false);
    assert.match(
      describeChange(broken!),
      / WRONG\nWRONG a model: element 1 of its result is NaN, before 2\nthe version before stays$/,
    );
    const whole = await change("whole");
    assert.deepEqual([whole!.stands, whole!.step!.now], [true, whole!.step!.before.map(() => 1)]);
    assert.ok(Math.abs(whole!.step!.fromBefore - 1 / Math.sqrt(2.5)) < 1e-9);
  },
);

testOnBothEngines("what means no kernel, or is no shape, is refused", (device) => {
  assert.throws(
    () => worksOf(device, kernelsOfShape(device, "6x77", "f32"), "group_norm", { most: 1 }),
    /^UnknownKernel: Cannot work on group_norm: expected a file of shaders\/ or part of a kernel's name among .*layer_norm.*softmax/,
  );
  assert.throws(
    () => kernelsOfShape(device, "6", "f32"),
    /^TypeError: Cannot take --shape 6: expected whole numbers as ROWSxCOLUMNS, MxKxN, /,
  );
  return Promise.resolve();
});

testOnBothEngines("a much slower kernel takes longer, and its step is called slower", async (device) => {
  const { works } = worksOf(device, kernelsOfShape(device, "64x77", "f32"), "norm/softmax", { most: 1 });
  let turn = 0;
  const model = {
    work: "a model",
    time: () => Promise.resolve(turn++ % 4 < 2 ? 10 + turn % 3 : 500 + turn % 3), // of each version twice
    result: () => Promise.resolve({ starts: [0], pieces: [[1]] }),
  };
  using workbench = await Workbench.open(device, works, { model });
  const line = "if (c < seen) { sum += ";
  assert.ok(softmax.includes(line));
  const slow = "for (var k = 0u; k < 30000u; k++) { sum += Value(sin(peak + f32(k)) * 1e-30); }";
  const text = softmax.replace(line, `${slow} ${line}`);
  const change = await workbench.change(new Map([[SOFTMAX, text]]));
  const { before, now, wrong } = change!.rows[0]!;
  assert.equal(wrong, undefined);
  assert.ok(median(now) > median(before), `${before} ${now}`); // a busy machine's odd turn may hide it from changeOf
  assert.match(describeChange(change!), /\na model .* % slower$/);
});

Deno.test("a change of time is told where turns agree about it", () => {
  const times = (ms: number) => Array.from({ length: 12 }, (_, i) => ms + i % 3);
  assert.equal(changeOf(times(10), times(8)), "18 % faster");
  assert.equal(changeOf(times(10), times(12)), "18 % slower");
  assert.match(
    changeOf(times(10), [11, 9, ...times(10).slice(2)]),
    /^none to tell, faster in \d+ of 12 turns$/,
  );
  const few = [1, 1.2, 1.1];
  assert.equal(changeOf(few, few.map((ms) => 57 * ms)), "5600 % slower", "few turns, but far apart");
  assert.equal(changeOf(few.map((ms) => 57 * ms), [...few, 1, 1.1]), "98 % faster");
  assert.match(changeOf(few, [1.3, 1.5, 1.4]), /^none to tell/, "apart by less than they span");
  assert.match(changeOf(few, [57, 58, 1.15]), /^none to tell/, "one is among those before");
  assert.match(changeOf([1, 1], [57, 57]), /^none to tell/, "two turns tell nothing");
});

/** Runs the script in front of a folder; `until` waits for what it prints next. */
async function watching(
  folder: TestFolder,
  args: readonly string[],
  work: (until: (pattern: RegExp) => Promise<void>) => Promise<void>,
): Promise<void> {
  const root = join(import.meta.dirname!, "../..");
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "scripts/workbench.ts", ...args, "--shaders", folder.path],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let text = "";
  const timer = setTimeout(() => child.kill(), 300_000); // else a line that never comes would hang the tests
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const until = async (pattern: RegExp) => {
    while (!pattern.test(text)) {
      const { value, done } = await output.read();
      assert.ok(!done, `it ended before ${pattern}: ${text}`);
      text += value;
    }
    text = "";
  };
  try {
    await work(until);
  } finally {
    clearTimeout(timer);
    ignoringErrors(() => child.kill()); // it may have ended
    await output.cancel();
    await child.status;
  }
}

Deno.test("workbench.ts watches a folder, answers each save, and names the file of an error", async () => {
  using folder = new TestFolder();
  folder.write("norm/softmax.wgsl", softmax);
  folder.write("norm/stray.wgsl", "// no file of ours"); // stops no other
  await watching(folder, ["softmax", "--shape", "6x77"], async (until) => {
    await until(
      /Cannot replace .*norm\/stray.wgsl.*\nthe folder's other files go on without it\n[^]*watching .*; Ctrl\+C ends/,
    );
    folder.write("norm/softmax.wgsl", `${softmax}\n// edited`);
    await until(/softmax\.wgsl: \d kernels? compiled anew in \d+ ms\n.*\n1×1×6×77 .*\n/);
    folder.write("norm/softmax.wgsl", softmax.replaceAll("exp(", "nothing("));
    await until(
      new RegExp(`Cannot compile ${folder.path}/norm/softmax.wgsl:\\d+.*\nthe version before stays\n`),
    );
  });
});

Deno.test("workbench.ts tells of a folder that is gone, and watches it where it is made again", async () => {
  using folder = new TestFolder();
  folder.write("norm/softmax.wgsl", softmax);
  const answer = /softmax\.wgsl: \d kernels? compiled anew in \d+ ms\n.*\n1×1×6×77 .*\n/;
  await watching(folder, ["softmax", "--shape", "6x77"], async (until) => {
    await until(/watching .*; Ctrl\+C ends/);
    for (const turn of [1, 2]) { // removed, then moved away
      if (turn === 1) Deno.removeSync(folder.path, { recursive: true });
      else Deno.renameSync(folder.path, `${folder.path}.away`);
      await until(/Cannot read shaders of .*: no such folder; check the path\nthe version before stays\n/);
      folder.write("norm/softmax.wgsl", `${softmax}\n// made again ${turn}`);
      await until(answer);
      folder.write("norm/softmax.wgsl", `${softmax}\n// edited again ${turn}`);
      await until(answer);
    }
    Deno.removeSync(`${folder.path}.away`, { recursive: true });
    Deno.symlinkSync("nowhere", join(folder.path, "norm/gone.wgsl"));
    await until(
      /Cannot read shaders of .*: expected a file .*gone\.wgsl, got a link to none; mend it\nthe version/,
    );
    Deno.removeSync(join(folder.path, "norm/gone.wgsl"));
    Deno.mkdirSync(join(folder.path, "norm/group_norm.wgsl"));
    await until(
      /Cannot read shaders of .*: expected a file .*group_norm\.wgsl, got a folder; rename it\nthe version/,
    );
    Deno.removeSync(join(folder.path, "norm/group_norm.wgsl"));
    folder.write("norm/softmax.wgsl", `${softmax}\n// at last`);
    await until(answer);
  });
});

Deno.test({
  name:
    "workbench.ts --as tells what each save changes for a GPU that is not here, even of a kernel that only it runs",
  ignore: missingNullGpu !== undefined,
  async fn() {
    using folder = new TestFolder();
    const path = "shaders/gemm/lib/stage.wgsl";
    const args = ["gemm/matrix", "--shape", "512x512x512", "--dtype", "f16", "--as", "navi31"];
    folder.write("gemm/lib/stage.wgsl", textOf(path));
    await watching(folder, args, async (until) => {
      await until(
        /^gemm\/matrix is of no use on this adapter: .*\n[^]*as navi31 .*occupancy.*\n.* gemm_matrix_\S+ +\d+ +0 +\d+ +\d+ of 16, LDS +\d+ +\d+ %\nwatching/m,
      );
      folder.write("gemm/lib/stage.wgsl", textOf(path).replace("EIGHTS * 2 + 2", "EIGHTS * 2 + 6"));
      await until(/gemm_matrix_\S+ .* → .*\n$/m);
      folder.write("gemm/matrix.wgsl", "fn main() {");
      await until(/Cannot .*\nthe version before stays\n/);
    });
  },
});

Deno.test("workbench.ts refuses what it would ignore", () =>
  inFolder(async (folder) => {
    const refused = async (message: RegExp, ...args: string[]) => {
      const { code, stderr } = await runScript(folder, "workbench.ts", "softmax", ...args);
      assert.equal(code, 1);
      assert.match(stderr, message);
    };
    await refused(/^Cannot take --step without --model: expected a model to load\n$/, "--step");
    await refused(/^Cannot take --inputs recorded without --model/, "--inputs", "recorded", "--shape", "6x7");
    await refused(/^Cannot take --record without --model/, "--record", "a.safetensors");
    await refused(
      /^Cannot take --record a.bin: expected a name such as inputs.safetensors/,
      "--record",
      "a.bin",
    );
    const both = ["--record", "a.safetensors", "--inputs", "b.safetensors", "--model", model];
    await refused(/^Cannot take --record with --inputs b.safetensors: /, ...both);
    await refused(
      /^Cannot load none.safetensors: no such file/,
      "--inputs",
      "none.safetensors",
      "--shape",
      "6x7",
    );
    await refused(/^Cannot take --shape with --model: /, "--step", "--shape", "6x7", "--model", model);
    await refused(/^Cannot take --part vae without --model/, "--part", "vae");
    const { stderr } = await runScriptWith(
      { VK_INSTANCE_LAYERS: "VK_LAYER_null_gpu" },
      folder,
      "workbench.ts",
      "softmax",
    );
    assert.match(
      stderr,
      /^Cannot work on a null GPU, as it computes nothing: leave as-gpu out, and take --as\n$/,
    );
  }));
