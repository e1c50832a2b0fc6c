import assert from "node:assert/strict";
import {
  type Device,
  DeviceLostError,
  type Engine,
  manualSeed,
  openDevice,
  OutOfMemoryError,
} from "../../src/mod.ts";
import { StableDiffusionXLPipeline } from "../../src/pipelines/mod.ts";
import { schedulerClasses } from "../../src/schedulers/mod.ts";
import { bytesHeld, type Fault, inject } from "../support/faults.ts";
import { fixture } from "../support/fixtures.ts";

const ENGINES: readonly Engine[] = ["dawn", "deno"];
const told = { prompt: "a cat", height: 32, width: 32, progress: false, onNotice: () => {} } as const;

function open(): Promise<StableDiffusionXLPipeline> {
  return StableDiffusionXLPipeline.fromPretrained(fixture("stable_diffusion_xl/pipeline"), {
    dtype: "f32",
    onNotice: () => {},
  });
}

/** A picture, and how much there was to fail on the way. */
async function draw(device: Device, fault: Fault = {}, more: { recover?: boolean } = {}) {
  using pipeline = await open();
  using counted = inject(device, fault);
  const { images } = await pipeline.run({
    ...told,
    ...more,
    numInferenceSteps: 2,
    generator: manualSeed(1),
  });
  const { allocations, submissions } = counted;
  return { allocations, submissions, values: await images.data() };
}

for (const engine of ENGINES) {
  const every = engine === "dawn" ? 1 : 4; // of what is the same on both engines: Deno's takes three times as long

  Deno.test(`each allocation of a picture may fail: it is drawn all the same, or says what is missing (${engine})`, async () => {
    using device = await openDevice({ engine });
    await draw(device); // what it leaves stays
    const { allocations, values: want } = await draw(device);
    assert.ok(allocations > 50);
    const settled = await bytesHeld(device);
    let drawn = 0;
    for (let allocation = 0; allocation < allocations; allocation += every) {
      const what = `allocation ${allocation}`;
      try {
        assert.deepEqual((await draw(device, { allocation })).values, want, what);
        drawn++;
      } catch (error) {
        assert.ok(error instanceof OutOfMemoryError, `${what}: ${error}`);
        assert.match(error.message, /^Cannot allocate \S.*: expected room for \d.*$/);
      }
      if (allocation % 8 !== 0) continue;
      assert.deepEqual((await draw(device)).values, want, `behind ${what}`);
      const held = await bytesHeld(device);
      assert.ok(held <= settled, `${held} bytes behind ${what}, ${settled} before`);
    }
    assert.ok(drawn > allocations / every / 3, `${drawn} of ${allocations / every}`); // weights and arenas
  });

  Deno.test(`the device may be lost at each submission of a picture: one line, and another one draws (${engine})`, async () => {
    const [submissions, want] = await (async () => {
      using device = await openDevice({ engine });
      const { submissions, values } = await draw(device);
      return [submissions, values];
    })();
    for (let submission = 0; submission < submissions;) {
      using device = await openDevice({ engine });
      await assert.rejects(draw(device, { submission }), (error) => {
        assert.ok(error instanceof DeviceLostError, `${submission}: ${error}`);
        assert.match(error.message, /^Cannot go on: the device .+ was lost \(.+\) while .+; open a new one$/);
        return true;
      });
      submission += submission < submissions - 16 ? 53 : every; // most send weights, one like the other
    }
    using device = await openDevice({ engine });
    assert.deepEqual((await draw(device)).values, want);
  });

  Deno.test(`a run that is to recover draws the same picture, wherever the device is lost (${engine})`, async () => {
    using device = await openDevice({ engine });
    const { values: want } = await draw(device);
    const { submissions, values } = await draw(device, {}, { recover: true });
    assert.deepEqual(values, want);
    const numbers = [1, ...Array.from({ length: 12 / every }, (_, i) => submissions - 2 - 4 * every * i)];
    for (const submission of numbers) {
      const { values } = await draw(device, { submission }, { recover: true });
      assert.deepEqual(values, want, `lost at submission ${submission} of ${submissions}`);
    }
  });
}

for (
  const name of [
    "UniPCMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "PNDMScheduler",
    "EulerAncestralDiscreteScheduler",
  ]
) {
  Deno.test(`${name} goes on on another device with what it remembers, from the last step that was done`, async () => {
    using device = await openDevice();
    using pipeline = await open();
    pipeline.parts.scheduler = schedulerClasses[name]!.fromConfig(pipeline.parts.scheduler.config);
    const draw = async (recover: boolean, lost?: number) => {
      const notices: string[] = [];
      const steps: number[] = [];
      const { images } = await pipeline.run({
        ...told,
        recover,
        numInferenceSteps: 6,
        generator: manualSeed(1),
        onNotice: (line) => /lost/.test(line) && notices.push(line),
        onStep: async (step, _, sample) => {
          steps.push(step);
          await sample.data();
          if (step !== lost || notices.length) return;
          await device.idle();
          await new Promise((resolve) => setTimeout(resolve, 50)); // the host has it then
          device.gpu.destroy();
        },
      });
      return { values: await images.data(), notices, steps };
    };
    const { values: want } = await draw(false);
    const { values, notices, steps } = await draw(true, 3);
    assert.deepEqual(values, want);
    assert.equal(notices.length, 1);
    assert.match(notices[0]!, /^Cannot go on: the device .+ was lost .+; a new one goes on behind step 3$/);
    assert.deepEqual(steps.slice(0, 7), [0, 1, 2, 3, 3, 4, 5]);
    await assert.rejects(draw(false, 3), DeviceLostError);
  });
}
