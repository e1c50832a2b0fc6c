import assert from "node:assert/strict";
import { join } from "node:path";
import { NoAdapterError } from "denoise";
import { Drawer, type DrawProgress, type DrawRequest, RefusalError } from "denoise/serve";
import { profileForm } from "../../../../scripts/profile/form.ts";
import { decodePng } from "../../../../src/io/images/png.ts";
import { bytesHeld, inject } from "../../../support/faults.ts";
import { emoji } from "../../../support/emoji.ts";
import { fixture } from "../../../support/fixtures.ts";
import { inFolder, runScript } from "../../../support/script.ts";
import { until } from "../../../support/until.ts";

const EMOJI = { name: "emoji-diffusion", path: emoji };
const FLUX = { name: "flux", path: fixture("flux/pipeline") };
const LORA = { name: "style", path: fixture("flux/lora/kohya.safetensors") };
const size = { width: 32, height: 32 };
const flower: DrawRequest = { prompt: "a nice flower", steps: 2, size, seed: 3n };
const photo = Deno.readFileSync(fixture("pictures/files/turned_6.jpg"));

let drawer: Drawer;
Deno.test.beforeAll(async () => {
  drawer = await Drawer.open({ models: [EMOJI, FLUX], lora: [LORA], limits: { waiting: 2 } });
});
Deno.test.afterAll(() => drawer[Symbol.asyncDispose]());

async function pngOf(request: DrawRequest): Promise<Uint8Array> {
  const { pictures } = await drawer.draw(request);
  assert.equal(pictures.length, 1);
  return pictures[0]!.png;
}

const asScript: Record<string, [DrawRequest, string[]]> = {
  "words": [{ ...flower, scheduler: "euler a", negative: "blue" }, [
    "a nice flower",
    ...["--steps", "2", "--size", "32x32", "--seed", "3", "--scheduler", "euler a", "--negative", "blue"],
  ]],
  "weights of words, perturbed attention and a step cache": [
    {
      ...flower,
      prompt: "a (nice:1.4) flower",
      "prompt-syntax": "a1111",
      pag: 3,
      cache: "easy:0.3",
      steps: 4,
    },
    [
      "a (nice:1.4) flower",
      ...["--steps", "4", "--size", "32x32", "--seed", "3", "--prompt-syntax", "a1111", "--pag", "3"],
      ...["--cache", "easy:0.3"],
    ],
  ],
  "a picture and a mask": [{ ...flower, image: [photo], mask: photo, strength: 0.7 }, [
    "a nice flower",
    ...["--steps", "2", "--size", "32x32", "--seed", "3", "--strength", "0.7"],
    ...["--image", fixture("pictures/files/turned_6.jpg"), "--mask", fixture("pictures/files/turned_6.jpg")],
  ]],
};
for (const [what, [request, args]] of Object.entries(asScript)) {
  Deno.test(`a request draws the pixels of generate.ts with the same settings: ${what}`, () =>
    inFolder(async (folder) => {
      const { code, stderr } = await runScript(folder, "generate.ts", "--model", EMOJI.name, ...args);
      assert.equal(code, 0, stderr);
      const script = decodePng(Deno.readFileSync(join(folder, "denoise.png")), "the script's");
      const own = decodePng(await pngOf(request), "the drawer's");
      assert.deepEqual(own.data, script.data);
      const paths = /,"(image|mask)":("[^"]*"|\["[^"]*"\])/g; // a request has none
      assert.equal(own.text["denoise"], script.text["denoise"]!.replaceAll(paths, ""));
    }));
}

Deno.test("the same request gives the same bytes, whatever was drawn between", async () => {
  const want = await pngOf(flower);
  const flux = { ...flower, model: "flux", "max-sequence-length": 32 };
  const plain = await pngOf(flux);
  const styled = await pngOf({ ...flux, lora: ["style:0.5"] });
  assert.notDeepEqual(styled, plain);
  for (const lora of ["style", "style:0.5:to=0.5", "style:0.5:blocks=1,1,0,1"]) {
    assert.notDeepEqual(await pngOf({ ...flux, lora: [lora] }), styled, lora);
  }
  assert.notDeepEqual(await pngOf({ ...flower, scheduler: "DPM++ 2M Karras" }), want);
  assert.notDeepEqual(await pngOf({ ...flower, size: undefined }), want);
  assert.deepEqual(await pngOf(flower), want);
  assert.deepEqual(await pngOf({ ...flux, lora: ["style:0.5"] }), styled);
  assert.deepEqual(await pngOf(flux), plain);
});

Deno.test("pictures of a request take one seed after the other, and tell how far they are", async () => {
  const told: DrawProgress[] = [];
  const previews: number[] = [];
  const { pictures } = await drawer.draw({ ...flower, count: 2 }, {
    onProgress: (progress) => told.push(progress),
    onPreview: (png, step) => {
      assert.equal(decodePng(png, "the preview").width, 8); // of 32 pixels, 4 to a latent
      previews.push(step);
    },
  });
  assert.deepEqual(pictures.map(({ recipe }) => recipe["seed"]), [3n, 4n]);
  assert.deepEqual(pictures[1]!.png, await pngOf({ ...flower, seed: 4n }));
  assert.deepEqual(told[0], { phase: "loading" });
  const steps = told.flatMap((one) => one.phase === "drawing" ? [[one.drawn, one.step, one.steps]] : []);
  assert.deepEqual(steps, [[0, 1, 3], [0, 2, 3], [0, 3, 3], [1, 1, 3], [1, 2, 3], [1, 3, 3]]); // PNDM takes one more
  assert.deepEqual(previews, [0, 1, 2, 0, 1, 2]);
});

Deno.test("requests wait for one another, in order, no more than may; one that waits can leave", async () => {
  const order: string[] = [];
  const ahead: number[] = [];
  const draw = (name: string, options: Parameters<Drawer["draw"]>[1] = {}) =>
    drawer.draw(flower, options).then(() => order.push(name));
  const leaving = new AbortController();
  const { promise: rest, resolve: letGo } = Promise.withResolvers<void>();
  const first = draw("first", { onPicture: () => rest });
  await started();
  const second = draw("second", { signal: leaving.signal });
  const third = draw("third", {
    onProgress: (progress) => progress.phase === "waiting" && ahead.push(progress.ahead),
  });
  await until(() => drawer.waiting === 2);
  await assert.rejects(draw("fourth"), (error) => {
    assert.ok(error instanceof RefusalError && error.kind === "busy", String(error));
    assert.equal(
      error.message,
      "Cannot draw: expected at most 2 requests in the queue, and it is full; try again later",
    );
    return true;
  });
  leaving.abort();
  await assert.rejects(second, { name: "AbortError" });
  letGo();
  await Promise.all([first, third]);
  assert.deepEqual(order, ["first", "third"]);
  assert.deepEqual(ahead, [2, 1]);
  assert.equal(drawer.waiting, 0);
});

Deno.test("a signal ends a request within a step, and nothing stays in memory", async () => {
  const large = { ...flower, size: undefined };
  await drawer.draw(large);
  const before = await bytesHeld(drawer.device);
  for (const last of [1, 5]) {
    const steps: number[] = [];
    const ending = new AbortController();
    const ended = drawer.draw({ ...large, steps: 50 }, {
      signal: ending.signal,
      onProgress: (progress) => {
        if (progress.phase !== "drawing") return;
        steps.push(progress.step);
        if (progress.step === last) ending.abort();
      },
    });
    await assert.rejects(ended, { name: "AbortError" });
    assert.equal(steps.at(-1), last);
    await pngOf(large);
    assert.ok(await bytesHeld(drawer.device) <= before);
  }
  await assert.rejects(drawer.draw(flower, { signal: AbortSignal.abort() }), { name: "AbortError" });
});

Deno.test("pictures of many sizes do not add up in memory", async () => {
  await using own = await Drawer.open({ models: [EMOJI] });
  const held: number[] = [];
  for (let width = 64; width > 24; width -= 4) {
    await own.draw({ ...flower, steps: 1, size: { width, height: 64 } });
    held.push(await bytesHeld(own.device));
  }
  assert.ok(Math.max(...held) < 2 * held[0]!, `${held}`); // 2.3 times as much where none is forgotten
});

Deno.test("what comes in JSON is read as what it means", async () => {
  const bytes = await pngOf({ ...flower, image: [photo], seed: 2n ** 63n });
  const json = JSON.stringify({ ...flower, size: "32x32", seed: String(2n ** 63n), image: photo.toBase64() });
  assert.deepEqual(await pngOf(JSON.parse(json)), bytes);
});

Deno.test("a request that fits in no way is refused before it waits", async () => {
  await using small = await Drawer.open({ models: [EMOJI], memory: 90e6, onNotice: () => {} });
  const { promise: rest, resolve: letGo } = Promise.withResolvers<void>();
  const running = small.draw(flower, { onPicture: () => rest });
  await until(() => small.busy);
  await assert.rejects(small.draw({ ...flower, size: { width: 1024, height: 1024 } }), (error) => {
    assert.ok(error instanceof RefusalError && error.kind === "invalid", String(error));
    assert.match(error.message, /^Cannot draw: \w+ takes [\d.]+ MB at least; draw smaller pictures/);
    return true;
  });
  assert.ok(small.busy);
  letGo();
  await running;
});

Deno.test("a picture does not depend on how a larger one before it was stored", async () => {
  await using small = await Drawer.open({ models: [EMOJI], memory: 86.6e6, onNotice: () => {} });
  const want = (await small.draw(flower)).pictures[0]!.png;
  const larger = { ...flower, steps: 1, size: { width: 96, height: 96 } };
  const [picture] = (await small.draw(larger)).pictures;
  assert.ok(picture!.recipe["storage"], "the larger one takes fewer bits");
  assert.deepEqual((await small.draw(flower)).pictures[0]!.png, want);
});

Deno.test("weights of the model that was used least recently leave where there is no room", async () => {
  const names = ["a", "b", "c"];
  const models = names.map((name) => ({ name, path: emoji })) as [typeof EMOJI, ...typeof EMOJI[]];
  await using three = await Drawer.open({ models, memory: 250e6 });
  const held: number[] = [];
  for (const model of ["a", "b", "a", "c", "a", "b", "c"]) {
    await three.draw({ ...flower, model });
    held.push(await bytesHeld(three.device));
  }
  assert.ok(held[1]! > 1.7 * held[0]!, `two have room: ${held}`);
  assert.ok(Math.max(...held) < 2.6 * held[0]!, `three have none: ${held}`);
});

Deno.test("a request outlives the loss of its device, once", async () => {
  const want = await pngOf(flower);
  {
    using _ = inject(drawer.device, { submission: 3 });
    assert.deepEqual(await pngOf(flower), want);
  }
  const styled = { ...flower, model: "flux", "max-sequence-length": 32, lora: ["style:0.5"] };
  const withLora = await pngOf(styled);
  {
    using _ = inject(drawer.device, { submission: 3 });
    assert.deepEqual(await pngOf(styled), withLora);
  }
  const { device } = drawer;
  const again = drawer.draw({ ...flower, steps: 30 }, {
    onProgress: (progress) => progress.phase === "drawing" && progress.step === 2 && device.gpu.destroy(),
  });
  await assert.rejects(again, { name: "DeviceLostError" });
  assert.deepEqual(await pngOf(flower), want);
});

Deno.test("a step of a request is profiled as it is drawn, and changes nothing of what is drawn later", async () => {
  const request = { ...flower, guidance: 1.5, image: [photo], strength: 0.5 };
  const want = await pngOf(request);
  const parts: number[] = [];
  const { ms, bound, json, html } = await drawer.profile(request, {
    onProgress: (progress) => progress.phase === "measuring" && parts.push(progress.part),
  });
  const { subject, step, rows, dispatches, memory, stretches } = profileForm.parse(JSON.parse(json));
  assert.deepEqual(subject, {
    ...{ model: EMOJI.name, className: "StableDiffusionPipeline", work: 'a step of "a nice flower"' },
    ...{ dtype: "f32", steps: 7, runs: 1, pipeline: false },
  });
  assert.equal(ms, step.median);
  assert.ok(ms > 0 && /bound/.test(bound) && html.includes('id="report"'));
  assert.deepEqual(parts, parts.toSorted((a, b) => a - b));
  assert.ok(parts.length > 3 && parts.every((part) => part > 0 && part <= 1));
  assert.deepEqual(new Set(rows.map(({ mark }) => mark)), new Set(["step"]));
  assert.deepEqual(new Set(rows.map(({ model }) => model)), new Set(["UNet2DConditionModel", ""]));
  assert.ok(rows.some(({ model, shape }) => model !== "" && shape[0] === 2)); // guided
  assert.equal(new Set(dispatches.map(([, occurrence]) => occurrence)).size, subject.steps);
  assert.equal(stretches.length, subject.steps);
  assert.ok(dispatches.filter(([row]) => rows[row]!.model !== "").every(([, , , , live]) => live > 0));
  assert.deepEqual(memory.plans.map(({ label }) => label), ["UNet2DConditionModel"]);
  assert.equal(memory.peak, Math.max(...memory.device.map(([, bytes]) => bytes)));
  assert.deepEqual([drawer.device.profiler, drawer.device.marks], [undefined, undefined]);
  assert.deepEqual(await pngOf(request), want);
});

Deno.test("a step of a change by little, and of a second pass of little strength, is profiled", async () => {
  const little = { ...flower, steps: 150, image: [photo], strength: 0.01 };
  assert.ok(profileForm.parse(JSON.parse((await drawer.profile(little)).json)).subject.steps >= 4);
  const { ms } = await drawer.profile({ ...flower, hires: size, "hires-strength": 0.003 });
  assert.ok(ms > 0);
});

Deno.test("a profile ends within a step, and is refused as its request is", async () => {
  const stop = new AbortController();
  const ended = drawer.profile({ ...flower, size: { width: 64, height: 64 } }, {
    signal: stop.signal,
    onProgress: ({ phase }) => phase === "measuring" && stop.abort(),
  });
  await assert.rejects(ended, { name: "AbortError" });
  assert.equal(drawer.device.profiler, undefined);
  await assert.rejects(drawer.profile({ ...flower, steps: 1000 }), (error) => {
    assert.ok(error instanceof RefusalError);
    assert.deepEqual([error.kind, error.param], ["invalid", "steps"]);
    return true;
  });
  assert.equal(await pngOf(flower).then(({ length }) => length > 0), true);
});

Deno.test("a device that does not open again is lost for each request, until it does", async () => {
  await using poor = await Drawer.open({ models: [EMOJI] });
  const { device } = poor;
  const { png } = (await poor.draw(flower)).pictures[0]!;
  const reopen = device.reopen;
  device.reopen = () => Promise.reject(new NoAdapterError("Cannot open a device: no adapter"));
  device.gpu.destroy();
  for (let i = 0; i < 2; i++) {
    await assert.rejects(poor.draw(flower), {
      name: "DeviceLostError",
      message: "Cannot open the device again: Cannot open a device: no adapter",
    });
  }
  device.reopen = reopen;
  assert.deepEqual((await poor.draw(flower)).pictures[0]!.png, png);
});

Deno.test("a request gets the memory of other models where the GPU has less than is known", async () => {
  const want = await pngOf({ ...flower, seed: 5n });
  const models = [{ ...EMOJI, name: "a" }, EMOJI] as const;
  await using two = await Drawer.open({ models, memory: 1e9, onNotice: () => {} });
  await two.draw({ ...flower, model: "a" });
  using _ = inject(two.device, { memory: await bytesHeld(two.device) + 2 ** 23 });
  let attempts = 0;
  const { pictures } = await two.draw({ ...flower, model: EMOJI.name, seed: 5n }, {
    onProgress: ({ phase }) => attempts += Number(phase === "loading"),
  });
  assert.equal(attempts, 2);
  assert.deepEqual(decodePng(pictures[0]!.png, "a picture").data, decodePng(want, "the other").data);
});

Deno.test("a model that fits in no way is not offered", async () => {
  await assert.rejects(Drawer.open({ models: [EMOJI], memory: 1000, onNotice: () => {} }), {
    name: "RangeError",
    message:
      /^Cannot offer emoji-diffusion: text_encoder takes [\d.]+ MB at least, whatever it draws; give it more --memory$/,
  });
});

Deno.test("what takes too long is ended", async () => {
  await using slow = await Drawer.open({ models: [EMOJI], limits: { seconds: 0.5 } });
  await assert.rejects(slow.draw({ ...flower, steps: 150, count: 10 }), (error) => {
    assert.ok(error instanceof RefusalError && error.kind === "timeout", String(error));
    assert.equal(error.message, "Cannot draw: expected to be done within 0.5 s, and was not");
    return true;
  });
});

Deno.test("a drawer that closes finishes what it draws, and refuses what waits and comes", async () => {
  const closing = await Drawer.open({ models: [EMOJI] });
  const { promise: rest, resolve: letGo } = Promise.withResolvers<void>();
  const drawn = closing.draw(flower, { onPicture: () => rest });
  await until(() => closing.busy);
  const waiting = closing.draw(flower);
  await until(() => closing.waiting === 1);
  const refusals = assert.rejects(waiting, { message: "Cannot draw: the server ends; try again later" });
  const closed = closing[Symbol.asyncDispose]();
  await refusals;
  letGo();
  await closed;
  assert.equal((await drawn).pictures.length, 1);
  await assert.rejects(closing.draw(flower), RefusalError);
});

const started = () => until(() => drawer.busy);
