import assert from "node:assert/strict";
import {
  StableDiffusionPipeline,
  StableDiffusionXLPipeline,
  weightedPrompt,
} from "../../../src/pipelines/mod.ts";
import { readTensors } from "../../support/arrays.ts";
import { fixture } from "../../support/fixtures.ts";
import { cat, manualSeed } from "../../../src/mod.ts";
import { assertTensor, onHost } from "../../support/tensors.ts";
import { device } from "../../support/device.ts";

const bound = 1e-5; // f32
const { a1111, compel, compel_xl, negative } = JSON.parse(
  await Deno.readTextFile(fixture("prompt_weights/cases.json")),
) as {
  a1111: Record<string, { prompt: string }[]>;
  compel: Record<string, string[]>;
  compel_xl: Record<string, { prompt: string; prompt2: string | null }>;
  negative: string;
};
const expected = await readTensors(fixture("prompt_weights/expected.safetensors"));

let xl: StableDiffusionXLPipeline;
let sd: StableDiffusionPipeline;
Deno.test.beforeAll(async () => {
  const folder = fixture("stable_diffusion_xl/pipeline");
  xl = await StableDiffusionXLPipeline.fromPretrained(folder, { dtype: "f32" });
  await xl.loadTextualInversion(fixture("prompt_weights/several.safetensors"), { token: "several" });
  await xl.parts.textEncoder!.load();
  sd = await StableDiffusionPipeline.fromPretrained("models/emoji-diffusion", { dtype: "f32" });
});
Deno.test.afterAll(() => {
  for (const one of [xl, sd, device]) one[Symbol.dispose]();
});

/** Fails unless embeddings are those of a tool, of which the first tokens may be all that is stored. */
async function assertStates(states: ReturnType<typeof weightedPrompt>["states"], name: string, every = 1) {
  const want = expected.get(name)!;
  const some = states.slice(1, 0, undefined, every).slice(1, 0, want.shape[1]!);
  if (want.shape[1] === 40) assert.equal(states.shape[1], 77, "one chunk");
  await assertTensor(some, want, bound, name);
}

const ofTool = { a1111: Object.entries(a1111), compel: Object.entries(compel) } as const;
for (const syntax of ["a1111", "compel"] as const) {
  for (const [name, batch] of ofTool[syntax]) {
    if (!expected.has(`${syntax}/${name}`)) continue;
    Deno.test(`weightedPrompt() follows ${syntax}: ${name}`, async () => {
      const prompts = batch.map((one) => typeof one === "string" ? one : one.prompt);
      const { tokenizer, textEncoder } = xl.parts;
      const { states } = weightedPrompt(prompts, {
        syntax,
        tokenizer: tokenizer!,
        textEncoder: textEncoder!,
      });
      await assertStates(states, `${syntax}/${name}`);
    });
  }
}

Deno.test("SDXL's two encoders take A1111's weights, and the pooled embedding of the first chunk", async () => {
  const prompt = a1111["batch"]!.map(({ prompt }) => prompt);
  const { promptEmbeds, pooledPromptEmbeds } = await xl.encodePrompt({ prompt, promptSyntax: "a1111" });
  await assertStates(promptEmbeds, "a1111_xl/batch", 4);
  await assertTensor(pooledPromptEmbeds, expected.get("a1111_xl/batch/pooled")!, bound, "pooled");
});

for (const [name, { prompt, prompt2 }] of Object.entries(compel_xl)) {
  Deno.test(`SDXL's two encoders take compel's weights: ${name}`, async () => {
    const { promptEmbeds, pooledPromptEmbeds } = await xl.encodePrompt({
      prompt,
      prompt2: prompt2 ?? undefined,
      promptSyntax: "compel",
    });
    await assertStates(promptEmbeds, `compel_xl/${name}`, name === "up" ? 1 : 4);
    await assertTensor(pooledPromptEmbeds, expected.get(`compel_xl/${name}/pooled`)!, bound, "pooled");
  });
}

Deno.test("weights count in negative prompts, and the shorter of both is filled up", async () => {
  const told = { negativePrompt: negative, prompt: "a cat", promptSyntax: "compel" } as const;
  const { promptEmbeds, negativePromptEmbeds } = await xl.encodePrompt(told);
  await assertStates(cat([negativePromptEmbeds, promptEmbeds]), "compel_xl/negative", 4);
  for (const promptSyntax of ["a1111", "compel"] as const) {
    const [long, short] = ["a cat, ".repeat(30), "a (cat)++"];
    const first = await xl.encodePrompt({ prompt: long, negativePrompt: short, promptSyntax });
    const second = await xl.encodePrompt({ prompt: short, negativePrompt: long, promptSyntax });
    assert.deepEqual(first.negativePromptEmbeds.shape, first.promptEmbeds.shape);
    await assertTensor(second.promptEmbeds, await onHost(first.negativePromptEmbeds), 1e-6, "short");
    await assertTensor(second.negativePromptEmbeds, await onHost(first.promptEmbeds), 1e-6, "long");
    const missing = await xl.encodePrompt({ prompt: long, promptSyntax });
    assert.equal(Math.max(...await missing.negativePromptEmbeds.abs().data()), 0); // as XL's config wants
    assert.deepEqual(missing.negativePromptEmbeds.shape, missing.promptEmbeds.shape);
  }
});

Deno.test("prompts without weights are embedded as plain ones, and clip skip counts", async () => {
  for (const promptSyntax of ["a1111", "compel"] as const) {
    for (const clipSkip of [0, 1]) {
      const told = { prompt: ["a red apple", "a cat"], negativePrompt: "leaf", clipSkip };
      const plain = await sd.encodePrompt(told);
      const weighted = await sd.encodePrompt({ ...told, promptSyntax });
      await assertTensor(weighted.promptEmbeds, await onHost(plain.promptEmbeds), 1e-6, "prompt");
      const leaf = await sd.encodePrompt({ prompt: "leaf", clipSkip }); // as A1111 and compel, not as diffusers
      const want = await onHost(leaf.promptEmbeds.repeat([2, 1, 1]));
      await assertTensor(weighted.negativePromptEmbeds, want, 1e-6, "negative");
    }
    const [first, second] = [
      await sd.encodePrompt({ prompt: "a (cat)1.5", clipSkip: 0, promptSyntax }),
      await sd.encodePrompt({ prompt: "a (cat)1.5", clipSkip: 1, promptSyntax }),
    ];
    assert.notDeepEqual(await first.promptEmbeds.data(), await second.promptEmbeds.data());
  }
});

Deno.test("run() draws by weighted prompts as by their embeddings, of any length, without a notice", async () => {
  const words = "a red apple and a green leaf under the sun, ".repeat(4);
  const notices: string[] = [];
  for (const promptSyntax of ["a1111", "compel"] as const) {
    const told = {
      prompt: [`${words} (cat:1.3)`, "a [dog]"],
      negativePrompt: "(moon)++",
      promptSyntax,
    } as const;
    const how = {
      numInferenceSteps: 2,
      progress: false,
      height: 16,
      width: 16,
      outputType: "latent",
    } as const;
    const onNotice = (line: string) => notices.push(line);
    const seeds = () => [manualSeed(0), manualSeed(1)];
    const drawn = await sd.run({ ...told, ...how, onNotice, generator: seeds() });
    const embeds = await sd.encodePrompt({ ...told, onNotice });
    assert.ok(embeds.promptEmbeds.shape[1]! > 32);
    const again = await sd.run({ ...embeds, ...how, generator: seeds() });
    await assertTensor(again.latents, await onHost(drawn.latents), 1e-6, "latents");
  }
  assert.deepEqual(notices, []);
});

Deno.test("many words with weights under 1 are embedded in several runs of the text encoder", async () => {
  const { tokenizer, textEncoder } = xl.parts;
  const parts = { syntax: "compel", tokenizer: tokenizer!, textEncoder: textEncoder! } as const;
  const words = Array.from({ length: 40 }, (_, i) => `w${i}`);
  const near = weightedPrompt(words.map((word) => `(${word})0.9999999 and`).join(" "), parts).states;
  const plain = weightedPrompt(words.map((word) => `${word} and`).join(" "), parts).states;
  await assertTensor(near, await onHost(plain), 1e-4, "as weights of nearly 1");
  const less = weightedPrompt(words.map((word) => `(${word})0.3 and`).join(" "), parts).states;
  assert.ok(await less.sub(plain).abs().max().item() > 1e-2);
});

Deno.test("a syntax that nobody knows is refused, as is a prompt that cannot be read", async () => {
  const { tokenizer, textEncoder } = xl.parts;
  const parts = { tokenizer: tokenizer!, textEncoder: textEncoder! };
  assert.throws(() => weightedPrompt("a", { ...parts, syntax: "comfy" as "compel" }), {
    message: 'Cannot read prompts in the syntax "comfy": expected "a1111" or "compel"',
  });
  assert.throws(() => weightedPrompt(["a", 1 as unknown as string], { ...parts, syntax: "compel" }), {
    message: "Cannot draw: expected prompt as a text or a list of texts, got 1",
  });
  assert.throws(
    () =>
      weightedPrompt(Array.from({ length: 600 }, (_, i) => `w${i}- and`).join(" "), {
        ...parts,
        syntax: "compel",
      }),
    {
      message:
        /^Cannot embed prompts that take \d+ rows of tokens: expected at most 512; shorten them, or give fewer words/,
    },
  );
  const draw = sd.run({ prompt: "a [cat|dog]", promptSyntax: "a1111", progress: false });
  await assert.rejects(
    draw,
    /^TypeError: Cannot read the prompt "a \[cat\|dog\]": prompt editing, \[cat\|dog\], is/,
  );
});
