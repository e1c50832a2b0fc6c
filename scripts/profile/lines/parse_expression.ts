/** Reads WGSL's expressions and types. */
import { Cursor } from "./cursor.ts";
import type { Expression, TypeName } from "./syntax.ts";

/** Names behind which `<` opens a template; elsewhere it is less than. */
const TEMPLATES =
  /^(?:vec[234]|mat[234]x[234]|array|ptr|atomic|bitcast|subgroup_matrix_\w+|subgroupMatrix\w+)$/;

/** Operators by how tightly they bind, the loosest first. */
const LEVELS = ["||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %"]
  .map((operators) => operators.split(" "));
const SUMS = 8; // their level

/** Reads the expressions of a text. */
export class ExpressionParser extends Cursor {
  /** A type. */
  type(): TypeName {
    const name = this.word();
    return { name, args: this.is("<") ? this.template() : [] };
  }

  /** Arguments in `<` and `>`. */
  template(): Expression[] {
    const args: Expression[] = [];
    this.expect("<");
    while (!this.closes()) {
      args.push(this.#binary(SUMS)); // whatever binds less tightly has to stand in parentheses
      this.take(",");
    }
    return args;
  }

  /** Any expression. */
  expression(): Expression {
    return this.#binary(0);
  }

  #binary(level: number): Expression {
    if (level === LEVELS.length) return this.unary();
    let left = this.#binary(level + 1);
    while (LEVELS[level]!.includes(this.token.text)) {
      const operator = this.advance().text;
      const right = this.#binary(level + 1);
      left = { kind: "binary", operator, left, right, at: left.at, end: this.end };
    }
    return left;
  }

  /** An expression without operators of two sides, as stands left of `=`. */
  unary(): Expression {
    const { at, text } = this.token;
    const operator = text === "&&" ? undefined : ["-", "!", "~", "*", "&"].find((sign) => sign === text);
    if (operator === undefined) return this.#postfix();
    this.advance();
    const of = this.unary();
    return { kind: "unary", operator, of, at, end: this.end };
  }

  #postfix(): Expression {
    const { at } = this.token;
    let value = this.#primary();
    for (;;) {
      if (this.take("[")) {
        const index = this.expression();
        this.expect("]");
        value = { kind: "index", of: value, index, at, end: this.end };
      } else if (this.take(".")) {
        value = { kind: "member", of: value, name: this.word(), at, end: this.end };
      } else return value;
    }
  }

  #primary(): Expression {
    const { kind, text, at } = this.token;
    if (this.take("(")) {
      const within = this.expression();
      this.expect(")");
      return { ...within, at, end: this.end };
    }
    if (kind === "number" || text === "true" || text === "false") {
      this.advance();
      return { kind: "literal", text, at, end: this.end };
    }
    const name = this.word();
    const template = TEMPLATES.test(name) && this.is("<") ? this.template() : [];
    if (!this.take("(")) return { kind: "name", name, template, at, end: this.end };
    const args: Expression[] = [];
    while (!this.take(")")) {
      args.push(this.expression());
      this.take(",");
    }
    return { kind: "call", name, template, args, at, end: this.end };
  }
}
