import assert from "node:assert/strict";
import { openDevice } from "../../../src/gpu/open/open.ts";
import { type TunedAdapter, Tunings, type TuningsData } from "../../../src/gpu/tunings/tunings.ts";
import {
  parseTunings,
  readTunings,
  tuningsPath,
  writeTunings,
} from "../../../src/gpu/tunings/tunings_file.ts";
import { warnings, withTunings } from "../../support/tunings.ts";

const adapter: TunedAdapter = {
  engine: "dawn",
  vendor: "acme",
  architecture: "anvil",
  device: "Anvil 9000 (rev. A)",
  description: "driver 1.2",
};
const code = () => "c0de";

Deno.test("Tunings: of several measurements the one that covers most of the candidates counts", () => {
  const tunings = new Tunings(adapter);
  assert.equal(tunings.times("gemm a", ["x"]), undefined);
  tunings.add("gemm a", { shape: "", ms: { y: 2, x: 1 } });
  tunings.add("gemm a", { shape: "", ms: { x: 3, z: 1 } });
  assert.deepEqual(tunings.times("gemm a", ["x", "y"]), { x: 1, y: 2 });
  assert.deepEqual(tunings.times("gemm a", ["z", "x", "new"]), { z: 1, x: 3 });
  assert.equal(tunings.times("gemm a", ["other"]), undefined);
  assert.equal(tunings.times("gemm b", ["x"]), undefined);
});

Deno.test("Tunings: what was decided stays, a measurement of more candidates takes the place of one of fewer", () => {
  const tunings = new Tunings(adapter);
  tunings.add("gemm", { shape: "", ms: { x: 1, y: 2 } });
  tunings.add("gemm", { shape: "", ms: { x: 2, y: 1 } });
  assert.deepEqual(tunings.data.kernels, { gemm: [{ shape: "", ms: { x: 1, y: 2 } }] });
  tunings.add("gemm", { shape: "", ms: { x: 3, y: 2, z: 1 } });
  assert.deepEqual(tunings.data.kernels, { gemm: [{ shape: "", ms: { z: 1, y: 2, x: 3 } }] });
  assert.deepEqual(Object.keys(tunings.data.kernels["gemm"]![0]!.ms), ["z", "y", "x"], "the fastest first");
});

Deno.test("Tunings: a dropped candidate is tried again once its text is another", () => {
  const tunings = new Tunings(
    adapter,
    new Tunings(adapter).merge({ kernels: {}, dropped: { b: { code: "1", why: "known" } } }),
  );
  tunings.drop("a", { code: "c0de", why: "wrong" });
  assert.equal(tunings.dropped("a", code), "wrong");
  assert.equal(tunings.dropped("a", () => "other"), undefined);
  assert.equal(tunings.dropped("b", () => "1"), "known", "what ships counts too");
  assert.deepEqual(Object.keys(tunings.data.dropped), ["a"], "and is not copied");
});

Deno.test("Tunings: a candidate that is wrong in its new text, too, stays dropped when the file is written", () =>
  withTunings(async () => {
    const first = new Tunings(adapter);
    first.drop("a", { code: "old", why: "wrong" });
    writeTunings(first);
    const second = readTunings(adapter);
    second.drop("a", { code: "new", why: "wrong again" });
    writeTunings(second);
    assert.equal(second.dropped("a", () => "new"), "wrong again");
    assert.equal(readTunings(adapter).dropped("a", () => "new"), "wrong again");
    await Promise.resolve();
  }));

Deno.test("tunings of two processes end in one file, the earlier decision first", () =>
  withTunings(async (folder) => {
    const [one, two] = [new Tunings(adapter), new Tunings(adapter)];
    one.add("gemm a", { shape: "", ms: { x: 1, y: 2 } });
    two.add("gemm a", { shape: "", ms: { x: 2, y: 1 } });
    two.add("gemm b", { shape: "", ms: { x: 1 } });
    const path = writeTunings(one);
    assert.equal(writeTunings(two), path);
    assert.ok(path.startsWith(`${folder}/dawn-anvil-9000-rev-a-`), path);
    const { kernels } = readTunings(adapter).data;
    assert.deepEqual(Object.keys(kernels), ["gemm a", "gemm b"]);
    assert.deepEqual(kernels["gemm a"]![0]!.ms, { x: 1, y: 2 });
    assert.deepEqual(
      two.times("gemm a", ["x", "y"]),
      { x: 1, y: 2 },
      "whoever writes goes by the file from then on",
    );
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`), [path]);
    assert.notEqual(
      tuningsPath({ ...adapter, description: "driver 1.3" }),
      path,
      "another driver has a file of its own",
    );
    await Promise.resolve();
  }));

Deno.test("a file of tunings that is damaged, foreign or of another version is told of in one line and not used", () =>
  withTunings(async () => {
    const good: TuningsData = {
      ...new Tunings(adapter).data,
      kernels: { gemm: [{ shape: "", ms: { x: 1 } }] },
    };
    const bad = {
      [JSON.stringify(good).slice(0, -5)]: /expected a file of `deno task tune`, got no JSON; remove it$/,
      [JSON.stringify({ ...good, version: 2 })]: /got one with version: .*; remove it$/,
      [JSON.stringify({ ...good, kernels: { gemm: [{ shape: "", ms: { x: "fast" } }] } })]:
        /kernels.gemm.0.ms.x/,
      [JSON.stringify({ ...good, adapter: { ...adapter, device: "Hammer" } })]:
        /measured on dawn: acme, Hammer, driver/,
      "[]": /got one with its top/,
    };
    for (const [text, line] of Object.entries(bad)) {
      await Deno.writeTextFile(tuningsPath(adapter), text);
      const lines = await warnings(() => assert.equal(readTunings(adapter).times("gemm", ["x"]), undefined));
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, line);
      assert.ok(!lines[0]!.includes("\n"));
    }
    await Deno.writeTextFile(tuningsPath(adapter), JSON.stringify(good));
    assert.deepEqual(await warnings(() => assert.ok(readTunings(adapter).times("gemm", ["x"]))), []);
    assert.throws(() => parseTunings("{", "a.json"), /^SyntaxError: Cannot read tunings from a.json: /);
  }));

Deno.test("a device reads its adapter's tunings, unless it is opened with tune: off", () =>
  withTunings(async () => {
    using first = await openDevice();
    first.tunings.add("gemm", { shape: "", ms: { x: 1 } });
    writeTunings(first.tunings);
    using cached = await openDevice();
    assert.ok(cached.tunings.times("gemm", ["x"]));
    using off = await openDevice({ tune: "off" });
    assert.equal(off.tunings.times("gemm", ["x"]), undefined);
  }));

Deno.test("the tunings that ship with Denoise are of the form that is read", () => {
  assert.deepEqual(new Tunings(adapter).data.format, "denoise tunings");
  assert.doesNotThrow(() => readTunings(adapter));
});
