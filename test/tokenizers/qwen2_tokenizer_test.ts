import assert from "node:assert/strict";
import { join } from "node:path";
import { Qwen2Tokenizer } from "../../src/tokenizers/mod.ts";
import type { ChatMessage, EncodeOptions } from "../../src/tokenizers/mod.ts";
import { TestFolder } from "../support/files.ts";
import { fixture } from "../support/fixtures.ts";

interface Cases {
  texts: { text: string; whole: number[]; split?: number[] }[];
  rows: {
    texts: string[];
    args: { padding: EncodeOptions["padding"]; max_length?: number };
    sides: Record<string, string>;
    ids: number[][];
    mask: number[][];
  }[];
  templates: Record<string, string>;
  failing: Record<string, string>;
  conversations: {
    template: string;
    messages: ChatMessage[];
    args: { add_generation_prompt?: boolean; enable_thinking?: boolean; tools?: unknown[] };
    text: string;
  }[];
}
const cases: Cases = JSON.parse(await Deno.readTextFile(fixture("qwen2_tokenizer/cases.json")));
const own = fixture("flux2/pipeline/tokenizer");
const user = [{ role: "user", content: "a cat" }];

Deno.test("Qwen2Tokenizer takes texts apart as transformers does, by each form of its files", async () => {
  using folder = new TestFolder();
  await copy(["vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json"], folder);
  for (const path of [own, fixture("zimage/pipeline/tokenizer"), folder.path]) {
    const tokenizer = await Qwen2Tokenizer.fromPretrained(path);
    const isOwn = !path.includes("zimage"); // of another vocabulary
    for (const { text, whole } of isOwn ? cases.texts : []) {
      assert.deepEqual(tokenizer.encode(text).inputIds, [whole], JSON.stringify(text));
    }
    for (const { text } of cases.texts) {
      const [ids] = tokenizer.encode(text).inputIds;
      assert.equal(tokenizer.decode(ids!), text.normalize("NFC").trim(), JSON.stringify(text));
    }
  }
});

Deno.test("Qwen2Tokenizer takes special tokens apart where its config says so", async () => {
  using folder = new TestFolder();
  await copy(["tokenizer.json"], folder);
  await configured(folder, { split_special_tokens: true });
  const tokenizer = await Qwen2Tokenizer.fromPretrained(folder.path);
  assert.ok(cases.texts.some(({ split }) => split));
  for (const { text, whole, split } of cases.texts) {
    assert.deepEqual(tokenizer.encode(text).inputIds, [split ?? whole], JSON.stringify(text));
  }
});

Deno.test("Qwen2Tokenizer fills and cuts rows at the sides that its config names", async () => {
  for (const { texts, args, sides, ids, mask } of cases.rows) {
    using folder = new TestFolder();
    await copy(["tokenizer.json"], folder);
    await configured(folder, sides);
    const tokenizer = await Qwen2Tokenizer.fromPretrained(folder.path);
    const { inputIds, attentionMask } = tokenizer.encode(texts, {
      padding: args.padding,
      maxLength: args.max_length,
    });
    assert.deepEqual({ inputIds, attentionMask }, { inputIds: ids, attentionMask: mask });
  }
});

Deno.test("Qwen2Tokenizer fills rows up to the longest unless told otherwise", async () => {
  const tokenizer = await Qwen2Tokenizer.fromPretrained(own);
  const { inputIds } = tokenizer.encode(["a cat", "two long dogs"]);
  assert.equal(inputIds[0]!.length, inputIds[1]!.length);
  assert.ok(inputIds[0]!.length < 20);
  assert.equal(inputIds[0]!.at(-1), tokenizer.padTokenId);
  assert.equal(tokenizer.encode("a", { maxLength: 9, padding: "max_length" }).inputIds[0]!.length, 9);
});

for (const name of ["flux2", "zimage", ...Object.keys(cases.templates)]) {
  Deno.test(`applyChatTemplate() puts conversations together as transformers does: ${name}`, async () => {
    using folder = new TestFolder();
    const template = cases.templates[name];
    if (template) {
      await copy(["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"], folder);
      folder.write("chat_template.jinja", template);
    }
    const path = template ? folder.path : fixture(`${name}/pipeline`);
    const tokenizer = await Qwen2Tokenizer.fromPretrained(path);
    const wanted = cases.conversations.filter((conversation) => conversation.template === name);
    assert.ok(wanted.length >= 5);
    for (const { messages, args: { tools, ...args }, text } of wanted) {
      const got = tokenizer.applyChatTemplate(messages, {
        addGenerationPrompt: args.add_generation_prompt,
        enableThinking: args.enable_thinking,
        variables: tools ? { tools } : undefined,
      });
      assert.equal(got, text, JSON.stringify(args));
    }
  });
}

Deno.test("applyChatTemplate() finds templates in every file that may hold them, and by their names", async () => {
  const list = [{ name: "default", template: "plain" }, { name: "tool_use", template: "tools" }];
  const forms: [files: Record<string, unknown>, name: string | undefined, text: string][] = [
    [{ "tokenizer_config.json": { chat_template: "config" } }, undefined, "config"],
    [{ "tokenizer_config.json": { chat_template: list } }, undefined, "plain"],
    [{ "tokenizer_config.json": { chat_template: list } }, "tool_use", "tools"],
    [{ "chat_template.json": { chat_template: "json" } }, undefined, "json"],
    [{ "chat_template.json": { chat_template: "json" }, "chat_template.jinja": "jinja" }, undefined, "jinja"],
    [
      { "tokenizer_config.json": { chat_template: list }, "chat_template.jinja": "jinja" },
      undefined,
      "jinja",
    ],
  ];
  for (const [files, template, text] of forms) {
    using folder = new TestFolder();
    await copy(["tokenizer.json"], folder);
    for (const [name, content] of Object.entries(files)) {
      folder.write(name, typeof content === "string" ? content : JSON.stringify(content));
    }
    const tokenizer = await Qwen2Tokenizer.fromPretrained(folder.path);
    assert.equal(tokenizer.applyChatTemplate(user, { template }), text, JSON.stringify(files));
  }
});

const hostile: Record<string, string> = {
  ...cases.failing,
  "a loop without end": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
  "a range that fills the memory": "{{ range(1000000000) | length }}",
  "a text that doubles":
    `{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
  "a list that doubles":
    `{% set ns = namespace(s=[1, 2]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
  "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
  "brackets without end": `{{ ${"(".repeat(200_000)}`,
};
for (const [what, template] of Object.entries(hostile)) {
  Deno.test(`applyChatTemplate() refuses a template in one line: ${what}`, async () => {
    using folder = new TestFolder();
    await copy(["tokenizer.json", "tokenizer_config.json"], folder);
    folder.write("chat_template.jinja", template);
    const tokenizer = await Qwen2Tokenizer.fromPretrained(folder.path);
    assert.throws(() => tokenizer.applyChatTemplate(user), {
      name: "TypeError",
      message:
        /^Cannot (parse|apply) the chat template of \S+chat_template.jinja: expected one that runs to its end, got "[^\n]+"; correct it, or [^\n]+$/,
    });
  });
}

Deno.test("a template's lines may end as on other systems", async () => {
  const text = "{% if true %}\n<|im_start|>\n{% endif %}\n{{ messages[0].content }}\nend";
  const rendered = async (template: string) => {
    using folder = new TestFolder();
    await copy(["tokenizer.json", "tokenizer_config.json"], folder);
    folder.write("chat_template.jinja", template);
    return (await Qwen2Tokenizer.fromPretrained(folder.path)).applyChatTemplate(user);
  };
  const want = await rendered(text);
  for (const end of ["\r\n", "\r"]) assert.equal(await rendered(text.replaceAll("\n", end)), want);
});

Deno.test("applyChatTemplate() tells what is missing in one line", async () => {
  using folder = new TestFolder();
  await copy(["tokenizer.json"], folder);
  const without = await Qwen2Tokenizer.fromPretrained(folder.path);
  assert.throws(() => without.applyChatTemplate(user), {
    message:
      "Cannot apply a chat template: expected one in chat_template.jinja or tokenizer_config.json, got none",
  });
  const tokenizer = await Qwen2Tokenizer.fromPretrained(own);
  assert.throws(() => tokenizer.applyChatTemplate(user, { template: "rag" }), {
    message: 'Cannot apply the chat template "rag": expected one of default',
  });
  for (const [messages, got] of [[[], "none"], ["a cat", '"a cat"'], [["a cat"], '"a cat"']] as const) {
    assert.throws(() => tokenizer.applyChatTemplate(messages as never), {
      message: `Cannot apply a chat template: expected messages with a role and content, got ${got}`,
    });
  }
  folder.write("chat_template.jinja", new Uint8Array([0xff, 0xfe, 0x00]));
  await assert.rejects(Qwen2Tokenizer.fromPretrained(folder.path), {
    message: /^Cannot load \S+chat_template.jinja: expected a template in UTF-8, got other bytes/,
  });
  folder.write("chat_template.jinja", " ".repeat((1 << 20) + 1));
  await assert.rejects(Qwen2Tokenizer.fromPretrained(folder.path), {
    name: "RangeError",
    message: /chat_template.jinja: expected a template of at most 1048576 bytes, got 1048577; it is none of/,
  });
});

async function copy(names: readonly string[], folder: TestFolder): Promise<void> {
  for (const name of names) await Deno.copyFile(join(own, name), join(folder.path, name));
}

/** Writes the tokenizer's config with other values. */
async function configured(folder: TestFolder, change: object): Promise<void> {
  const config = JSON.parse(await Deno.readTextFile(join(own, "tokenizer_config.json")));
  folder.write("tokenizer_config.json", JSON.stringify({ ...config, ...change }));
}
