import { Grammar, type Node } from "./compel_grammar.ts";

/** Words with their weight. */
export interface Fragment {
  readonly text: string;
  readonly weight: number;
}

/** A prompt as fragments that follow each other, or several prompts whose embeddings are averaged. */
export type CompelPart = readonly Fragment[] | Blend;

/** Prompts whose embeddings are added up. */
export interface Blend {
  readonly prompts: readonly (readonly Fragment[])[];
  readonly weights: readonly number[];
  /** The weights are divided by their sum. */
  readonly normalize: boolean;
}

/** Parts whose embeddings stand one behind the other, of which there mostly is one. */
export interface Conjunction {
  readonly parts: readonly CompelPart[];
  readonly weights: readonly number[];
}

/**
 * Reads a prompt as compel 2.5 (https://github.com/damian0815/compel) does: `word++`, `word--`, `(two words)1.3`,
 * `"two words"+`, `(two words).attend(1.3)`, `("one", "other").blend(0.7, 0.3)`, `("one", "other").and()`. What cannot be
 * read so is text. Throws for weights that do not fit, for text behind a blend or conjunction (which compel drops), and
 * for `.swap()` and `withLora()`.
 */
export function parseCompel(prompt: string): Conjunction {
  const refuse = (why: string): never => {
    throw new TypeError(`Cannot read the prompt ${JSON.stringify(prompt)}: ${why}`);
  };
  if (/(?<!\\)\.swap\s*\(/.test(prompt)) refuse(".swap() is not built; write the words that are to be drawn");
  if (/\b(use|with)Lora\s*\(/.test(prompt)) {
    refuse("a LoRA is not part of a prompt here; load it by loadLoraWeights");
  }
  const grammar = new Grammar(prompt.replace(/,(\S)/g, ", $1"), refuse); // a comma ends a word
  const joint = grammar.operator();
  if (joint?.name === "blend") {
    return { parts: [{ ...joint, prompts: joint.prompts.map(flattened) }], weights: [1] };
  }
  const { prompts, weights } = joint ?? { prompts: [grammar.prompt()], weights: [1] };
  const told = prompts.map(flattened).map((fragments, i) => ({ fragments, weight: weights[i]! }))
    .filter(({ fragments }) => fragments.length > 0);
  if (told.length === 0) return { parts: [[{ text: "", weight: 1 }]], weights: [1] };
  return { parts: told.map(({ fragments }) => fragments), weights: told.map(({ weight }) => weight) };
}

/** The words of trees in their order, neighbours of one weight as one text. */
function flattened(nodes: readonly Node[]): Fragment[] {
  const result: Fragment[] = [];
  const walk = (nodes: readonly Node[], scale: number) => {
    for (const node of nodes) {
      if ("children" in node) {
        walk(node.children, scale * node.weight);
        continue;
      }
      const last = result.at(-1);
      if (last?.weight === scale) {
        result[result.length - 1] = { text: `${last.text} ${node.text}`, weight: scale };
      } else result.push({ text: node.text, weight: scale });
    }
  };
  walk(nodes, 1);
  return result;
}
