import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { expectOptions, nameOfKind } from "../core/error.ts";
import { parseConfig } from "../io/config.ts";
import { contentOf, rolesOf, tokensToAdd } from "./added_tokens.ts";
import { AddedVocabulary } from "./added_vocabulary.ts";
import { type BpeVocabulary, readVocabulary } from "./bpe_vocabulary.ts";
import { type ChatMessage, ChatTemplate } from "./chat_template.ts";
import { readChatTemplates, type TemplateText } from "./chat_template_files.ts";
import { Codec } from "./codec.ts";
import {
  type EncodeOptions,
  type Encoding,
  TextTokenizer,
  type TextTokenizerConfig,
  type TextTokenizerFile,
  textTokenizerKeys,
} from "./text_tokenizer.ts";
import { type TokenFiles, tokenListing } from "./token_listing.ts";
import { tokenizerFiles, type TokenizerSource } from "./tokenizer_files.ts";

/** A Qwen2Tokenizer's config. */
export interface Qwen2TokenizerConfig extends TextTokenizerConfig {
  /** Every word begins with a space, also where the text has none. */
  add_prefix_space: boolean;
}

/** Keys that a file of Qwen2TokenizerConfig may have. */
type Qwen2File = TextTokenizerFile & Pick<Qwen2TokenizerConfig, "add_prefix_space">;

/** Checks a tokenizer_config.json. */
const qwen2File: z.ZodType<Qwen2File> = z.looseObject({
  ...textTokenizerKeys({ length: 131072, least: 1 }), // of Qwen3
  add_prefix_space: z.boolean().nullish().transform(Boolean),
});

/** Qwen's tokens, where its files name no others. */
const qwen2Roles = { eos_token: "<|endoftext|>", pad_token: "<|endoftext|>" } as const;

/** Options of `applyChatTemplate`. */
export interface ChatTemplateOptions {
  /** Ends the text where the model's answer begins; false by default. */
  addGenerationPrompt?: boolean | undefined;
  /** False for an answer without thinking; what it means otherwise, the template says. */
  enableThinking?: boolean | undefined;
  /** Name of the template, where there are several; "default" by default. */
  template?: string | undefined;
  /** Further values that the template reads, e.g. `{ tools: [] }`. */
  variables?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Turns texts into the tokens of Qwen2 and Qwen3 (byte-level BPE, Sennrich et al. 2016), as transformers' Qwen2Tokenizer
 * does. Nothing stands in front of a text or behind it.
 */
export class Qwen2Tokenizer extends TextTokenizer<Qwen2TokenizerConfig> {
  readonly #texts: ReadonlyMap<string, TemplateText>;
  readonly #templates = new Map<string, ChatTemplate>();

  /** For fromPretrained(), which has read the parts. */
  constructor(
    vocabulary: BpeVocabulary,
    files: TokenFiles<Qwen2File>,
    templates: ReadonlyMap<string, TemplateText> = new Map(),
  ) {
    const listing = tokenListing(files, vocabulary.addedTokens, { roles: qwen2Roles });
    const config: Qwen2TokenizerConfig = { ...files.config, ...rolesOf(listing, qwen2Roles) };
    const tokenizer = new Tokenizer(qwen2Definition(vocabulary, config), {});
    const added = new AddedVocabulary(
      {
        size: Object.keys(vocabulary.vocab).length,
        idOf: (token) => Object.hasOwn(vocabulary.vocab, token) ? vocabulary.vocab[token] : undefined,
        normalize: (text) => text.normalize("NFC"),
      },
      tokensToAdd(listing),
      { splitsSpecial: config.split_special_tokens },
    );
    super(new Codec({ tokenizer, added, front: [], back: [] }), config);
    this.#texts = templates;
  }

  /** Reads tokenizer.json, or vocab.json with merges.txt, from a local folder or a Hugging Face repository. */
  static async fromPretrained<
    Class extends new (...parts: ConstructorParameters<typeof Qwen2Tokenizer>) => Qwen2Tokenizer,
  >(
    this: Class,
    pathOrRepo: string,
    { subfolder = "tokenizer", ...options }: TokenizerSource = {},
  ): Promise<InstanceType<Class>> {
    const found = await tokenizerFiles(pathOrRepo, { subfolder, ...options });
    const config = parseConfig(qwen2File, found.config, found.configPath);
    const vocabulary = await readVocabulary(found.folder, found.names);
    const templates = await readChatTemplates(found);
    return new this(vocabulary, { ...found, config }, templates) as InstanceType<Class>;
  }

  /**
   * Texts as rows of ids. Unlike those of CLIP and T5, rows are as long as the longest by default, as the model reads
   * far more tokens than any prompt has; `{ maxLength: 512, padding: "max_length" }` is what diffusers asks for.
   */
  override encode(texts: string | readonly string[], options: EncodeOptions = {}): Encoding {
    return super.encode(texts, { padding: "longest", ...options });
  }

  /**
   * A conversation in the form that the model was trained on, by the template of its files. The text is then to be
   * encoded.
   *
   * ```ts ignore
   * const text = tokenizer.applyChatTemplate([{ role: "user", content: prompt }], { addGenerationPrompt: true });
   * const { inputIds, attentionMask } = tokenizer.encode(text);
   * ```
   */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
    expectOptions("apply a chat template", options, [
      "addGenerationPrompt",
      "enableThinking",
      "template",
      "variables",
    ]);
    expectMessages(messages);
    const { addGenerationPrompt = false, enableThinking, template = "default", variables } = options;
    const { eos_token, pad_token } = this.config;
    return this.#template(template).render({
      eos_token: contentOf(eos_token),
      pad_token: contentOf(pad_token),
      tools: null, // as transformers, defined but none
      documents: null,
      enable_thinking: enableThinking,
      ...variables,
      add_generation_prompt: addGenerationPrompt,
      messages,
    });
  }

  /** The template of a name, which is parsed when it is first wanted. */
  #template(name: string): ChatTemplate {
    const known = this.#templates.get(name);
    if (known) return known;
    const found = this.#texts.get(name);
    if (!found) {
      const names = [...this.#texts.keys()];
      throw new Error(
        names.length === 0
          ? "Cannot apply a chat template: expected one in chat_template.jinja or tokenizer_config.json, got none"
          : `Cannot apply the chat template ${JSON.stringify(name)}: expected one of ${names.join(", ")}`,
      );
    }
    const template = new ChatTemplate(found.text, found.where);
    this.#templates.set(name, template);
    return template;
  }
}

function expectMessages(messages: readonly ChatMessage[]): void {
  const isMessage = (message: unknown) => typeof (message as ChatMessage | null)?.role === "string";
  if (Array.isArray(messages) && messages.length > 0 && messages.every(isMessage)) return;
  const got = !Array.isArray(messages)
    ? nameOfKind(messages)
    : messages.length === 0
    ? "none"
    : nameOfKind(messages.find((message) => !isMessage(message)));
  throw new TypeError(
    `Cannot apply a chat template: expected messages with a role and content, got ${got}`,
  );
}

/**
 * Qwen's words: contractions in any case, letters with one sign in front, single digits, signs with the line breaks behind
 * them, line breaks, spaces without the last one in front of a word. `\s` is Unicode's, not JavaScript's.
 */
const words = [
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
  String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`,
  String.raw`\p{N}`,
  String.raw` ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*`,
  String.raw`\p{White_Space}*[\r\n]+`,
  String.raw`\p{White_Space}+(?!\P{White_Space})`,
  String.raw`\p{White_Space}+`,
].join("|");

/** The tokenizer.json of every Qwen, without added tokens: see codec.ts. */
function qwen2Definition(
  { vocab, merges }: BpeVocabulary,
  { add_prefix_space }: Qwen2TokenizerConfig,
): object {
  return {
    added_tokens: [],
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: words }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab, merges },
  };
}
