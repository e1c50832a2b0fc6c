import assert from "node:assert/strict";
import { flameOf } from "../../scripts/profile/page/layout/flame.ts";
import { groupingsOf } from "../../scripts/profile/page/layout/groups.ts";
import { memoryMapOf, moduleMemory } from "../../scripts/profile/page/layout/memory.ts";
import { namesOf } from "../../scripts/profile/page/layout/names.ts";
import { decadesAround, pointsOf, roofsOf } from "../../scripts/profile/page/layout/roofline.ts";
import { lanesOf, medianStep, slicesOf, spansOf } from "../../scripts/profile/page/layout/timeline.ts";
import { isEntry, linesOf } from "../../scripts/profile/page/layout/wgsl.ts";
import { madeProfile } from "../support/profiles.ts";

const rows = [
  { kernel: "a", path: "down.0.conv" },
  { kernel: "b", path: "down.0.norm", flops: 10 },
  { kernel: "a", path: "up" },
  { kernel: "copy", path: "", model: "", mark: "", flops: 0 },
];
const profile = madeProfile(rows, [
  [0, "0.1", 0, 2],
  [1, "0.1", 2, 1],
  [2, "0.1", 3, 3],
  [3, "0.0", 6, 0.5],
  [0, "0.2", 7, 2],
  [1, "0.2", 9, 3],
  [2, "0.2", 12, 3],
]);

Deno.test("numbers of a path stay with the name in front of them", () => {
  assert.deepEqual(namesOf("up_blocks.1.attentions.0.attn1.to_q"), [
    "up_blocks.1",
    "attentions.0",
    "attn1",
    "to_q",
  ]);
  assert.deepEqual(namesOf("net.0.2"), ["net.0.2"]);
  assert.deepEqual(namesOf("(loop)"), ["(loop)"]);
});

Deno.test("groups name the model where there are several", () => {
  const namesBy = (of: typeof profile) => groupingsOf(of).map(([, nameOf]) => nameOf(of.rows[0]!));
  assert.deepEqual(namesBy(profile), ["down.0.conv a 2×3", "a", "a 2×3", "down.0.conv", "down.0"]);
  const two = madeProfile([rows[0]!, { ...rows[0]!, model: "VAE" }], [[0, "0.1", 0, 1], [1, "0.1", 1, 1]]);
  assert.deepEqual(namesBy(two), [
    "Model.down.0.conv a 2×3",
    "a",
    "a 2×3",
    "Model.down.0.conv",
    "Model.down.0",
  ]);
});

Deno.test("a point of the roofline joins a kernel's rows of one size, wherever they are", () => {
  const points = pointsOf(profile, 2);
  assert.deepEqual(points.map(({ kernel, rows }) => [kernel, rows]), [["a", [0, 2]], ["b", [1]], ["copy", [
    3,
  ]]]);
  const [a, b, copy] = points;
  assert.equal(a!.ms, 5); // of one of two steps
  assert.equal(a!.intensity, 10);
  assert.ok(Math.abs(a!.gflops - 4e6 / 10 / 1e6) < 1e-12);
  assert.equal(a!.roof, "memory"); // 10 FLOP a byte is the ridge itself
  assert.ok(Math.abs(a!.ofPeak - 4e5 / 10 / 1e6 / 10) < 1e-12);
  assert.ok(Math.abs(a!.abovePeakMs - 5 * (1 - a!.ofPeak)) < 1e-12);
  assert.equal(b!.intensity, 1e-4);
  assert.deepEqual([copy!.intensity, copy!.gflops], [0, 0]);
});

Deno.test("roofs meet where arithmetic and memory take equally long", () => {
  const [memory, f32, f16] = roofsOf({ f32: 100, f16: 400, memory: 10 }, [0.1, 1000], 5);
  assert.deepEqual([memory!.from, memory!.to], [[0.5, 5], [40, 400]]); // it enters the chart at 5 GFLOP/s
  assert.deepEqual([f32!.from, f32!.to], [[10, 100], [1000, 100]]);
  assert.deepEqual([f16!.from, f16!.to], [[40, 400], [1000, 400]]);
  assert.deepEqual(roofsOf({ f32: 100, memory: 10 }, [0.1, 1], 0.1)[0]!.to, [1, 10]); // the ridge is further right
  assert.deepEqual(decadesAround([0, 0.3, 20]), [0.1, 100]);
  assert.deepEqual(decadesAround([100]), [100, 10000]);
  assert.deepEqual(decadesAround([]), [1, 100]);
});

Deno.test("slices of the timeline nest as modules do, and end with their last dispatch", () => {
  const slices = slicesOf(profile);
  const told = slices.slice(0, 9).map(({ depth, name, start, end, row }) =>
    `${depth} ${name} ${start}-${end} ${row ?? ""}`
  );
  assert.deepEqual(told, [
    "0 step 1 0-6 ",
    "1 Model 0-6 ",
    "2 down.0 0-3 ",
    "3 conv 0-2 ",
    "4 a 0-2 0",
    "3 norm 2-3 ",
    "4 b 2-3 1",
    "2 up 3-6 ",
    "3 a 3-6 2",
  ]);
  assert.deepEqual(slices.slice(9, 12).map(({ name }) => name), ["outside steps", "(loop)", "copy"]);
  assert.equal(slices.find(({ name }) => name === "norm")!.path, "Model.down.0.norm");
  for (const { depth, start, end } of slices) {
    const above = slices.filter((other) => other.depth === depth - 1);
    assert.ok(depth === 0 || above.some((other) => other.start <= start && other.end >= end));
  }
  assert.deepEqual(medianStep(slices), [0, 6]); // of 6 and 8 ms
  assert.deepEqual(medianStep([]), [0, 1]);
});

Deno.test("stretches within others lie below them, and the host's work below all", () => {
  const spans = spansOf({
    host: [["encode", "0.1", 0, 1], ["wait", "0.1", 1, 2]],
    stretches: [["step", "0.1", 0, 3], ["step/guidance", "0.1", 1, 1]],
  });
  assert.deepEqual(
    lanesOf(spans).map((lane) => lane.map(({ name, start, end }) => `${name} ${start}-${end}`)),
    [
      ["step 0-3"],
      ["guidance 1-2"],
      ["encode 0-1", "wait 1-3"],
    ],
  );
  assert.deepEqual(lanesOf([{ depth: 2 }]), [[], [], [{ depth: 2 }]]);
});

Deno.test("the flame graph has each module as wide as its time, the longest first", () => {
  const rects = flameOf(profile.rows, 2);
  const told = rects.map(({ depth, node, ms }) => `${depth} ${node.name} ${ms}`);
  assert.deepEqual(told.filter((line) => /^[0-2]/.test(line)), [
    "0 all 7.25",
    "1 Model 7",
    "1 (loop) 0.25",
    "2 down.0 4",
    "2 up 3",
    "2 copy 2×3 0.25",
  ]);
  const [all, model] = rects;
  assert.deepEqual([all!.x0, all!.x1], [0, 1]);
  assert.ok(Math.abs(model!.x1 - model!.x0 - 7 / 7.25) < 1e-12);
  assert.deepEqual(model!.node.rows, [0, 1, 2]);
  const tip = rects.find(({ node }) => node.name === "b 2×3")!;
  assert.deepEqual([tip.node.path, tip.node.kernel, tip.node.rows, tip.ms], [
    "Model.down.0.norm",
    "b",
    [1],
    2,
  ]);
});

Deno.test("the memory map has each result at its place, from the first dispatch to the last that needs it", () => {
  const map = memoryMapOf(profile.memory.plans[0]!);
  assert.deepEqual(map.bases, [0, 100]);
  assert.equal(map.bytes, 160);
  assert.deepEqual(map.rects.map(({ x0, x1, y0, y1 }) => [x0, x1, y0, y1]), [
    [0, 2, 20, 90],
    [1, 3, 100, 160],
    [2, 3, 0, 30], // needed beyond the last dispatch
  ]);
  assert.deepEqual(map.live, [70, 130, 90]);
  assert.deepEqual(map.modules, [{ name: "down.0", x0: 0, x1: 2 }, { name: "up", x0: 2, x1: 3 }]);
  assert.deepEqual(moduleMemory(profile.memory.plans[0]!, 1), [
    { path: "down.0", weights: 15, peak: 130 },
    { path: "up", weights: 1, peak: 90 },
  ]);
});

Deno.test("lines that the host set or wrote are marked, and no others", () => {
  const [directives, kernel] = profile.kernels[0]!.parts;
  assert.deepEqual(linesOf(directives!).map(({ isSet }) => isSet), [true]);
  assert.deepEqual(linesOf(kernel!).map(({ isSet }) => isSet), [true, false, false, false]);
  const tokens = linesOf(kernel!).flatMap(({ tokens }) => tokens).filter(({ kind }) => kind !== "plain");
  assert.deepEqual(tokens.map(({ kind, text }) => `${kind} ${text}`), [
    "word const",
    "number 64",
    "word const",
    "number 1",
    "attribute @compute",
    "attribute @workgroup_size",
    "word fn",
    "comment // ends",
  ]);
  assert.ok(isEntry(kernel!) && !isEntry(directives!));
  const rejoined = linesOf(kernel!).map(({ tokens }) => tokens.map(({ text }) => text).join("")).join("\n");
  assert.equal(`${rejoined}\n`, kernel!.text);
});
