import assert from "node:assert/strict";
import { join } from "node:path";
import { CLIPTokenizer, T5TokenizerFast } from "../../src/tokenizers/mod.ts";
import { cpuMs } from "../support/cpu_time.ts";
import { fixture } from "../support/fixtures.ts";

/** What transformers makes of prompts, where a folder's files list tokens beside the vocabulary. */
interface Case {
  kind: keyof typeof kinds;
  name: string;
  /** What is changed of the folder: contents, added_tokens of tokenizer.json, or null for files left out. */
  files: Record<string, unknown>;
  prompts: string[];
  ids: number[][];
}

const clip = (folder: string) => CLIPTokenizer.fromPretrained(folder, { subfolder: "" });
const t5 = (folder: string) => T5TokenizerFast.fromPretrained(folder, { subfolder: "" });

const kinds = {
  "clip": { source: "clip_tokenizer/files", open: clip },
  "clip json": { source: "clip_tokenizer/saved", open: clip },
  "t5": { source: "flux/pipeline/tokenizer_2", open: t5 },
  "spiece": { source: "flux/pipeline/tokenizer_2", open: t5 },
};

const { cases } = JSON.parse(await Deno.readTextFile(fixture("added_tokens/cases.json"))) as {
  cases: Case[];
};

for (const [kind, { open }] of Object.entries(kinds)) {
  const ofKind = cases.filter((one) => one.kind === kind);
  Deno.test(`tokens that files list are found as transformers does: ${kind}, ${ofKind.length} folders`, async () => {
    assert.ok(ofKind.length > 20);
    for (const { name, files, prompts, ids } of ofKind) {
      const folder = await folderOf(kind as Case["kind"], files);
      try {
        const tokenizer = await open(folder);
        for (const [i, prompt] of prompts.entries()) {
          const { inputIds } = tokenizer.encode(prompt, { padding: false, truncation: false });
          assert.deepEqual(
            inputIds,
            [ids[i]],
            `${name}: ${JSON.stringify(prompt)} with ${JSON.stringify(files)}`,
          );
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }
  });
}

Deno.test("a prompt of 10,000 added tokens is read in a moment", async () => {
  const listed = { lstrip: true, rstrip: true, single_word: true };
  const extra_special_tokens = [{ content: "<cat>", ...listed }, {
    content: "<dog>",
    ...listed,
    normalized: true,
  }];
  const folder = await folderOf("clip", { "tokenizer_config.json": { extra_special_tokens } });
  try {
    const tokenizer = await CLIPTokenizer.fromPretrained(folder, { subfolder: "" });
    const whole = { padding: false, truncation: false } as const;
    let row: number[] | undefined;
    const ms = await cpuMs(() => [row] = tokenizer.encode("<cat>  <DOG> ".repeat(5_000), whole).inputIds);
    assert.ok(ms < 2000, `took ${ms} ms`);
    assert.deepEqual(row!.slice(0, 5), [1012, 1014, 1015, 1014, 1015]);
    assert.equal(row!.length, 10_002);
    assert.equal(tokenizer.decode(row!.slice(1, 3)), "<cat><dog>");
    assert.equal(tokenizer.decode(row!.slice(0, 3), { skipSpecialTokens: true }), "<cat><dog>");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A folder of a kind with other files. */
async function folderOf(kind: Case["kind"], files: Record<string, unknown>): Promise<string> {
  const folder = await Deno.makeTempDir();
  const source = fixture(kinds[kind].source);
  for await (const { name } of Deno.readDir(source)) {
    if (kind === "spiece" && name === "tokenizer.json") continue;
    await Deno.copyFile(join(source, name), join(folder, name));
  }
  for (const [name, content] of Object.entries(files)) {
    const file = join(folder, name);
    if (content === null) await Deno.remove(file).catch(() => {}); // perhaps the folder has none
    else if (name !== "tokenizer.json") await Deno.writeTextFile(file, JSON.stringify(content));
    else {
      const whole = JSON.parse(await Deno.readTextFile(file));
      await Deno.writeTextFile(file, JSON.stringify({ ...whole, added_tokens: content }));
    }
  }
  return folder;
}
