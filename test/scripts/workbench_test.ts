import assert from "node:assert/strict";
import { join } from "node:path";
import { shadersIn } from "../../src/gpu/shader/shaders_folder.ts";
import { SHADER_FILES } from "../../src/gpu/shader/snippet.ts";
import { changeOf, describeChange } from "../../scripts/workbench/report.ts";
import { kernelsOfShape } from "../../scripts/kernel/shapes.ts";
import { worksOf } from "../../scripts/kernel/works.ts";
import { Workbench } from "../../scripts/workbench/workbench.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { TestFolder } from "../support/files.ts";

const SOFTMAX = "shaders/norm/softmax.wgsl";
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
      /compiled anew in \d+ ms\naxes and types .*\n1×1×6×77 from f32 to f32 /,
    );

    await assert.rejects(save(softmax.replaceAll("exp(", "nothing(")), {
      name: "ShaderError",
      message: /^Cannot compile shaders\/norm\/softmax\.wgsl:\d+:\d+: .*nothing/,
    });
    const wrong = await save(softmax.replaceAll("exp(", "exp2("));
    assert.match(wrong!.rows[0]!.wrong!, /^expected .* ± .* at \[0, 0, \d+, \d+\], got /);
    assert.match(
      describeChange(wrong!),
      /WRONG softmax.*\nthe version before stays the one to compare with$/,
    );

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

testOnBothEngines("what means no kernel, or is no shape, is refused", (device) => {
  assert.throws(
    () => worksOf(device, kernelsOfShape(device, "6x77", "f32"), "group_norm", { most: 1 }),
    /^TypeError: Cannot work on group_norm: expected a file of shaders\/ or part of a kernel's name among .*layer_norm.*softmax/,
  );
  assert.throws(
    () => kernelsOfShape(device, "6", "f32"),
    /^TypeError: Cannot take --shape 6: expected whole numbers as ROWSxCOLUMNS, MxKxN, /,
  );
  return Promise.resolve();
});

Deno.test("a change of time is told where turns agree about it", () => {
  const times = (ms: number) => Array.from({ length: 12 }, (_, i) => ms + i % 3);
  assert.equal(changeOf(times(10), times(8)), "18 % faster");
  assert.equal(changeOf(times(10), times(12)), "18 % slower");
  assert.match(
    changeOf(times(10), [11, 9, ...times(10).slice(2)]),
    /^none to tell, faster in \d+ of 12 turns$/,
  );
});

Deno.test("workbench.ts watches a folder, answers each save, and names the file of an error", async () => {
  using folder = new TestFolder();
  const root = join(import.meta.dirname!, "../..");
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "scripts/workbench.ts", "softmax", "--shape", "6x77", "--shaders", folder.path],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let text = "";
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
    await until(/watching .*; Ctrl\+C ends/);
    folder.write("norm/softmax.wgsl", `${softmax}\n// edited`);
    await until(/softmax\.wgsl: \d kernels? compiled anew in \d+ ms\n.*\n1×1×6×77 .*\n/);
    folder.write("norm/softmax.wgsl", softmax.replaceAll("exp(", "nothing("));
    await until(
      new RegExp(`Cannot compile ${folder.path}/norm/softmax.wgsl:\\d+.*\nthe version before stays\n`),
    );
  } finally {
    child.kill();
    await output.cancel();
    await child.status;
  }
});
