/** Reads WGSL: its grammar (https://www.w3.org/TR/WGSL/#grammar), of a text that a compiler accepts. */
import { ExpressionParser } from "./parse_expression.ts";
import type { Block, Declaration, FunctionDeclaration, Module, Statement, TypeName } from "./syntax.ts";

/** The tree of a text. Throws where it is none that this reads. */
export function parseWgsl(text: string): Module {
  return new Parser(text).module();
}

class Parser extends ExpressionParser {
  module(): Module {
    const structs = new Map<string, ReadonlyMap<string, TypeName>>();
    const aliases = new Map<string, TypeName>();
    const declarations: Declaration[] = [];
    const functions = new Map<string, FunctionDeclaration>();
    while (this.token.kind !== "end") {
      const attributes = this.#attributes();
      if (this.take("struct")) {
        structs.set(this.word(), this.#members());
      } else if (this.take("alias")) {
        const name = this.word();
        this.expect("=");
        aliases.set(name, this.type());
      } else if (this.take("fn")) {
        const declared = this.#function(attributes.includes("compute"));
        functions.set(declared.name, declared);
      } else if (["const", "var", "override"].includes(this.token.text)) {
        declarations.push(this.#declaration());
      } else if (!this.take(";")) { // a directive, or const_assert
        while (!this.take(";")) this.advance();
      }
    }
    return { structs, aliases, declarations, functions };
  }

  #members(): Map<string, TypeName> {
    const members = new Map<string, TypeName>();
    this.expect("{");
    while (!this.take("}")) {
      this.#attributes();
      const name = this.word();
      this.expect(":");
      members.set(name, this.type());
      this.take(",");
    }
    return members;
  }

  #function(isEntry: boolean): FunctionDeclaration {
    const name = this.word();
    const params: { name: string; type: TypeName }[] = [];
    this.expect("(");
    while (!this.take(")")) {
      this.#attributes();
      const name = this.word();
      this.expect(":");
      params.push({ name, type: this.type() });
      this.take(",");
    }
    let result: TypeName | undefined;
    if (this.take("->")) {
      this.#attributes();
      result = this.type();
    }
    return { name, isEntry, params, result, block: this.#block() };
  }

  #block(): Block {
    this.#attributes();
    const { at } = this.expect("{");
    const body: Statement[] = [];
    while (!this.take("}")) {
      if (!this.take(";")) body.push(this.#statement());
    }
    return { at, end: this.end, body };
  }

  #statement(): Statement {
    this.#attributes();
    const { at, text } = this.token;
    if (text === "{") {
      const block = this.#block();
      return { kind: "block", at, end: block.end, block };
    }
    if (this.take("if")) return this.#if(at);
    if (this.take("for")) return this.#for(at);
    if (this.take("while")) {
      const condition = this.expression();
      const block = this.#block();
      const conditionAt = condition.at;
      return {
        kind: "for",
        at,
        end: block.end,
        init: undefined,
        condition,
        conditionAt,
        next: undefined,
        block,
      };
    }
    if (this.take("loop") || this.take("continuing")) {
      const block = this.#block();
      return { kind: text as "loop" | "continuing", at, end: block.end, block };
    }
    if (this.take("switch")) return this.#switch(at);
    const simple = this.#simple();
    this.expect(";");
    return simple;
  }

  #if(at: number): Statement {
    const branches = [{ condition: this.expression(), block: this.#block() }];
    let otherwise: Block | undefined;
    while (this.take("else")) {
      if (this.take("if")) branches.push({ condition: this.expression(), block: this.#block() });
      else otherwise = this.#block();
    }
    return { kind: "if", at, end: this.end, branches, otherwise };
  }

  #for(at: number): Statement {
    this.expect("(");
    const init = this.is(";") ? undefined : this.#simple();
    this.expect(";");
    const conditionAt = this.token.at;
    const condition = this.is(";") ? undefined : this.expression();
    this.expect(";");
    const next = this.is(")") ? undefined : this.#simple();
    this.expect(")");
    const block = this.#block();
    return { kind: "for", at, end: block.end, init, condition, conditionAt, next, block };
  }

  #switch(at: number): Statement {
    const value = this.expression();
    const cases: Block[] = [];
    this.#attributes();
    this.expect("{");
    while (!this.take("}")) {
      if (!this.take("default")) {
        this.expect("case");
        while (!this.is(":") && !this.is("{")) {
          if (!this.take("default")) this.expression();
          this.take(",");
        }
      }
      this.take(":");
      cases.push(this.#block());
    }
    return { kind: "switch", at, end: this.end, value, cases };
  }

  /** A statement that ends with a semicolon, or stands in the head of a loop; the semicolon is left. */
  #simple(): Statement {
    const { at, text } = this.token;
    if (["const", "let", "var"].includes(text)) return this.#declaration();
    if (this.take("return")) {
      const value = this.is(";") ? undefined : this.expression();
      return { kind: "return", at, end: this.end, value };
    }
    if (this.take("break")) {
      const condition = this.take("if") ? this.expression() : undefined;
      return { kind: "break", at, end: this.end, condition };
    }
    if (this.take("continue")) return { kind: "continue", at, end: this.end };
    const isIgnored = text === "_" && this.advance();
    const target = isIgnored ? undefined : this.unary();
    const operator = this.token.text;
    if (operator === "++" || operator === "--") {
      this.advance();
      return {
        kind: "assignment",
        at,
        end: this.end,
        target,
        operator: `${operator[0]}=`,
        value: undefined,
      };
    }
    if (/^[-+*/%&|^]?=$|^<<=$|^>>=$/.test(operator)) {
      this.advance();
      const value = this.expression();
      return { kind: "assignment", at, end: this.end, target, operator, value };
    }
    if (target?.kind === "call") return { kind: "call", at, end: this.end, call: target };
    throw this.unexpected("a statement");
  }

  #declaration(): Declaration {
    const { at, text } = this.advance();
    const space = this.is("<") ? this.template().map((arg) => arg.kind === "name" ? arg.name : "")[0] : "";
    const name = this.word();
    const type = this.take(":") ? this.type() : undefined;
    const value = this.take("=") ? this.expression() : undefined;
    const word = text as Declaration["word"];
    return { kind: "declaration", at, end: this.end, word, space: space ?? "", name, type, value };
  }

  /** Names of the attributes here, e.g. "compute". */
  #attributes(): string[] {
    const names: string[] = [];
    while (this.take("@")) {
      names.push(this.word());
      if (!this.take("(")) continue;
      for (let depth = 1; depth;) {
        const { text } = this.advance();
        depth += text === "(" ? 1 : text === ")" ? -1 : 0;
      }
    }
    return names;
  }
}
