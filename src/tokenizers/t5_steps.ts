import { Normalizer, SequenceNormalizer, Tokenizer } from "@huggingface/tokenizers";
import { Charsmap } from "./charsmap.ts";
import type { Step, T5Definition } from "./t5_definition.ts";
import { Unigram } from "./unigram.ts";

/**
 * The library's tokenizer without added tokens, with other parts where its own differ from Hugging Face's
 * tokenizers. Throws an Error that says what it does not know.
 */
export function tokenizerOf({ model, normalizer, pre_tokenizer, decoder }: T5Definition): Tokenizer {
  const tokenizer = new Tokenizer({
    added_tokens: [],
    normalizer: normalizer && { type: "Sequence", normalizers: [] }, // set below, like the model
    pre_tokenizer: pre_tokenizer && exactly(pre_tokenizer),
    post_processor: null,
    decoder,
    model: { type: "Unigram", vocab: [["", 0]], unk_id: 0 },
  }, {});
  tokenizer.normalizer = normalizer && normalizerOf(normalizer);
  tokenizer.model = new Unigram(model);
  return tokenizer;
}

/** Normalizers one after the other. */
class Chain extends Normalizer {
  readonly #steps: Normalizer[];

  constructor(steps: Normalizer[]) {
    super({ type: "Sequence", normalizers: [] });
    this.#steps = steps;
  }

  override normalize(text: string): string {
    return this.#steps.reduce((result, step) => step.normalize(result), text);
  }
}

function normalizerOf(step: Step): Normalizer {
  if (step.type === "Precompiled") return new Charsmap(bytesOf(step["precompiled_charsmap"]));
  if (step.type === "Sequence") return new Chain((step["normalizers"] as Step[]).map(normalizerOf));
  const steps = step.type === "Strip" ? stripped(step) : [step];
  return new SequenceNormalizer({ type: "Sequence", normalizers: steps as never[] });
}

/** Without the spaces at the ends; the library's are JavaScript's, which lack U+0085. */
function stripped({ strip_left, strip_right }: Step): Step[] {
  const without = (Regex: string) => ({ type: "Replace", pattern: { Regex }, content: "" });
  return [
    ...strip_left ? [without(String.raw`^\p{White_Space}+`)] : [],
    ...strip_right ? [without(String.raw`(?<!\p{White_Space})\p{White_Space}+$`)] : [],
  ];
}

/** The table of a spiece.model, or in base64 as a tokenizer.json has it. */
function bytesOf(charsmap: unknown): Uint8Array<ArrayBuffer> {
  return charsmap instanceof Uint8Array
    ? charsmap as Uint8Array<ArrayBuffer>
    : Uint8Array.from(atob(charsmap as string), (char) => char.charCodeAt(0));
}

/**
 * Steps by which words are found: the library's spaces are JavaScript's, and its Metaspace does not split.
 */
function exactly(step: Step): Step {
  const keep = (Regex: string) => ({
    type: "Split",
    pattern: { Regex },
    behavior: "Removed",
    invert: true,
  });
  switch (step.type) {
    case "Sequence":
      return { ...step, pretokenizers: (step["pretokenizers"] as Step[]).map(exactly) };
    case "WhitespaceSplit":
      return keep(String.raw`\P{White_Space}+`);
    case "Metaspace": {
      const { replacement = "▁", add_prefix_space = true, split = true } = step;
      const spaces = { prepend_scheme: add_prefix_space ? "always" : "never", ...step };
      const sign = `\\u{${(replacement as string).codePointAt(0)!.toString(16)}}`;
      const words = keep(`${sign}[^${sign}]*|[^${sign}]+`);
      return split ? { type: "Sequence", pretokenizers: [spaces, words] } : spaces;
    }
    default:
      return step;
  }
}
