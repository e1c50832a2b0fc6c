import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { quote } from "../io/files/errors.ts";

/** A message of a conversation; templates may read further keys, such as "reasoning_content" or "tool_calls". */
export interface ChatMessage {
  /** "system", "user", "assistant" or "tool". */
  role: string;
  /** The text; some templates take a list of parts. */
  content: unknown;
  /** Further values that a template reads. */
  [key: string]: unknown;
}

/**
 * Work that a template may make, since it comes from a stranger's file: steps, items of lists, and 64 characters each of
 * texts, whenever they are read or made. A real template takes some thousands for a conversation.
 */
const MOST_WORK = 1 << 19;

type Program = ReturnType<typeof parse>;
type Statement = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;

/**
 * A Jinja template that puts a conversation into the form that a model was trained on. Printed alone, truths and None look
 * as in JavaScript ("true" and nothing), where Python has "True" and "None"; no known template prints them.
 */
export class ChatTemplate {
  readonly #program: Program;
  readonly #where: string;

  /**
   * Parses a template as transformers does, without the line breaks behind blocks, and every line ended by "\n"; `where`
   * names it in messages.
   */
  constructor(text: string, where: string) {
    this.#where = where;
    const lines = text.replaceAll(/\r\n?/g, "\n");
    this.#program = this.#explained(
      "parse",
      () => parse(tokenize(lines, { lstrip_blocks: true, trim_blocks: true })),
    );
  }

  /** The text for some variables. */
  render(variables: Readonly<Record<string, unknown>>): string {
    return this.#explained("apply", () => {
      const environment = globals();
      for (const [name, value] of Object.entries(variables)) {
        if (value !== undefined) environment.set(name, value);
      }
      return String(new BoundedInterpreter(environment).run(this.#program).value);
    });
  }

  /** Does some work; whatever fails there is told in one line. */
  #explained<T>(action: "parse" | "apply", work: () => T): T {
    try {
      return work();
    } catch (error) {
      const [reason] = String((error as Error)?.message ?? error).split("\n");
      throw new TypeError(
        `Cannot ${action} the chat template of ${this.#where}: expected one that runs to its end, got ` +
          `${quote(reason)}; correct it, or tokenize texts that need none`,
      );
    }
  }
}

/** Throws where a template makes more work than any conversation needs. */
class BoundedInterpreter extends Interpreter {
  #work = 0;

  override evaluate(statement: Statement, environment: Environment): Value {
    const result = super.evaluate(statement, environment);
    const { value } = result as { value: unknown };
    const items = Array.isArray(value) ? value.length : 0;
    const characters = typeof value === "string" ? value.length : 0;
    this.#work += 1 + items + Math.floor(characters / 64);
    if (this.#work > MOST_WORK) throw new Error("a template that does not end, or makes far too long a text");
    return result;
  }
}

/** Functions that transformers lets templates call; but no time of day, so that a text stays the same. */
function globals(): Environment {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ true: true, false: false, none: null })) {
    environment.set(name, value);
    environment.set(name[0]!.toUpperCase() + name.slice(1), value);
  }
  environment.set("raise_exception", (reason: unknown) => {
    throw new Error(String(reason));
  });
  environment.set("range", range);
  return environment;
}

/** Python's range. */
function range(first: number, end?: number, step = 1): number[] {
  const [start, stop] = end === undefined ? [0, first] : [first, end];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MOST_WORK)) throw new Error(`a range of ${count} numbers`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}
