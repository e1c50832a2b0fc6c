/** Reads WGSL: its grammar (https://www.w3.org/TR/WGSL/#grammar), of a text that a compiler accepts. */
import type {
  Block,
  Declaration,
  Expression,
  FunctionDeclaration,
  Module,
  Statement,
  TypeName,
} from "./syntax.ts";
import { type Token, tokensOf } from "./tokens.ts";

/** Names behind which `<` opens a template; elsewhere it is less than. */
const TEMPLATES =
  /^(?:vec[234]|mat[234]x[234]|array|ptr|atomic|bitcast|subgroup_matrix_\w+|subgroupMatrix\w+)$/;

/** Operators by how tightly they bind, the loosest first. */
const LEVELS = ["||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %"]
  .map((operators) => operators.split(" "));
const SUMS = 8; // their level

/** The tree of a text. Throws where it is none that this reads. */
export function parseWgsl(text: string): Module {
  return new Parser(text).module();
}

class Parser {
  readonly #text: string;
  readonly #tokens: Token[];
  #next = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokensOf(text);
  }

  module(): Module {
    const structs = new Map<string, ReadonlyMap<string, TypeName>>();
    const aliases = new Map<string, TypeName>();
    const declarations: Declaration[] = [];
    const functions = new Map<string, FunctionDeclaration>();
    while (this.#token.kind !== "end") {
      const attributes = this.#attributes();
      if (this.#take("struct")) {
        structs.set(this.#word(), this.#members());
      } else if (this.#take("alias")) {
        const name = this.#word();
        this.#expect("=");
        aliases.set(name, this.#type());
      } else if (this.#take("fn")) {
        const declared = this.#function(attributes.includes("compute"));
        functions.set(declared.name, declared);
      } else if (["const", "var", "override"].includes(this.#token.text)) {
        declarations.push(this.#declaration());
      } else if (!this.#take(";")) { // a directive, or const_assert
        while (!this.#take(";")) this.#advance();
      }
    }
    return { structs, aliases, declarations, functions };
  }

  #members(): Map<string, TypeName> {
    const members = new Map<string, TypeName>();
    this.#expect("{");
    while (!this.#take("}")) {
      this.#attributes();
      const name = this.#word();
      this.#expect(":");
      members.set(name, this.#type());
      this.#take(",");
    }
    return members;
  }

  #function(isEntry: boolean): FunctionDeclaration {
    const name = this.#word();
    const params: { name: string; type: TypeName }[] = [];
    this.#expect("(");
    while (!this.#take(")")) {
      this.#attributes();
      const name = this.#word();
      this.#expect(":");
      params.push({ name, type: this.#type() });
      this.#take(",");
    }
    let result: TypeName | undefined;
    if (this.#take("->")) {
      this.#attributes();
      result = this.#type();
    }
    return { name, isEntry, params, result, block: this.#block() };
  }

  #block(): Block {
    this.#attributes();
    const { at } = this.#expect("{");
    const body: Statement[] = [];
    while (!this.#take("}")) {
      if (!this.#take(";")) body.push(this.#statement());
    }
    return { at, end: this.#end, body };
  }

  #statement(): Statement {
    this.#attributes();
    const { at, text } = this.#token;
    if (text === "{") {
      const block = this.#block();
      return { kind: "block", at, end: block.end, block };
    }
    if (this.#take("if")) return this.#if(at);
    if (this.#take("for")) return this.#for(at);
    if (this.#take("while")) {
      const condition = this.#expression();
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
    if (this.#take("loop") || this.#take("continuing")) {
      const block = this.#block();
      return { kind: text as "loop" | "continuing", at, end: block.end, block };
    }
    if (this.#take("switch")) return this.#switch(at);
    const simple = this.#simple();
    this.#expect(";");
    return simple;
  }

  #if(at: number): Statement {
    const branches = [{ condition: this.#expression(), block: this.#block() }];
    let otherwise: Block | undefined;
    while (this.#take("else")) {
      if (this.#take("if")) branches.push({ condition: this.#expression(), block: this.#block() });
      else otherwise = this.#block();
    }
    return { kind: "if", at, end: this.#end, branches, otherwise };
  }

  #for(at: number): Statement {
    this.#expect("(");
    const init = this.#is(";") ? undefined : this.#simple();
    this.#expect(";");
    const conditionAt = this.#token.at;
    const condition = this.#is(";") ? undefined : this.#expression();
    this.#expect(";");
    const next = this.#is(")") ? undefined : this.#simple();
    this.#expect(")");
    const block = this.#block();
    return { kind: "for", at, end: block.end, init, condition, conditionAt, next, block };
  }

  #switch(at: number): Statement {
    const value = this.#expression();
    const cases: Block[] = [];
    this.#attributes();
    this.#expect("{");
    while (!this.#take("}")) {
      if (!this.#take("default")) {
        this.#expect("case");
        while (!this.#is(":") && !this.#is("{")) {
          if (!this.#take("default")) this.#expression();
          this.#take(",");
        }
      }
      this.#take(":");
      cases.push(this.#block());
    }
    return { kind: "switch", at, end: this.#end, value, cases };
  }

  /** A statement that ends with a semicolon, or stands in the head of a loop; the semicolon is left. */
  #simple(): Statement {
    const { at, text } = this.#token;
    if (["const", "let", "var"].includes(text)) return this.#declaration();
    if (this.#take("return")) {
      const value = this.#is(";") ? undefined : this.#expression();
      return { kind: "return", at, end: this.#end, value };
    }
    if (this.#take("break")) {
      const condition = this.#take("if") ? this.#expression() : undefined;
      return { kind: "break", at, end: this.#end, condition };
    }
    if (this.#take("continue")) return { kind: "continue", at, end: this.#end };
    const isIgnored = text === "_" && this.#advance();
    const target = isIgnored ? undefined : this.#unary();
    const operator = this.#token.text;
    if (operator === "++" || operator === "--") {
      this.#advance();
      return {
        kind: "assignment",
        at,
        end: this.#end,
        target,
        operator: `${operator[0]}=`,
        value: undefined,
      };
    }
    if (/^[-+*/%&|^]?=$|^<<=$|^>>=$/.test(operator)) {
      this.#advance();
      const value = this.#expression();
      return { kind: "assignment", at, end: this.#end, target, operator, value };
    }
    if (target?.kind === "call") return { kind: "call", at, end: this.#end, call: target };
    throw this.#unexpected("a statement");
  }

  #declaration(): Declaration {
    const { at, text } = this.#advance();
    const space = this.#is("<") ? this.#template().map((arg) => arg.kind === "name" ? arg.name : "")[0] : "";
    const name = this.#word();
    const type = this.#take(":") ? this.#type() : undefined;
    const value = this.#take("=") ? this.#expression() : undefined;
    const word = text as Declaration["word"];
    return { kind: "declaration", at, end: this.#end, word, space: space ?? "", name, type, value };
  }

  #type(): TypeName {
    const name = this.#word();
    return { name, args: this.#is("<") ? this.#template() : [] };
  }

  #template(): Expression[] {
    const args: Expression[] = [];
    this.#expect("<");
    while (!this.#closes()) {
      args.push(this.#binary(SUMS)); // whatever binds less tightly has to stand in parentheses
      this.#take(",");
    }
    return args;
  }

  /** Takes a `>`, or the first of a `>>`, `>=` or `>>=`. */
  #closes(): boolean {
    const token = this.#token;
    if (token.text[0] !== ">" || token.kind !== "sign") return false;
    if (token.text === ">") this.#advance();
    else this.#tokens[this.#next] = { ...token, at: token.at + 1, text: token.text.slice(1) };
    return true;
  }

  #expression(): Expression {
    return this.#binary(0);
  }

  #binary(level: number): Expression {
    if (level === LEVELS.length) return this.#unary();
    let left = this.#binary(level + 1);
    while (LEVELS[level]!.includes(this.#token.text)) {
      const operator = this.#advance().text;
      const right = this.#binary(level + 1);
      left = { kind: "binary", operator, left, right, at: left.at, end: this.#end };
    }
    return left;
  }

  #unary(): Expression {
    const { at, text } = this.#token;
    const operator = text === "&&" ? undefined : ["-", "!", "~", "*", "&"].find((sign) => sign === text);
    if (operator === undefined) return this.#postfix();
    this.#advance();
    const of = this.#unary();
    return { kind: "unary", operator, of, at, end: this.#end };
  }

  #postfix(): Expression {
    const { at } = this.#token;
    let value = this.#primary();
    for (;;) {
      if (this.#take("[")) {
        const index = this.#expression();
        this.#expect("]");
        value = { kind: "index", of: value, index, at, end: this.#end };
      } else if (this.#take(".")) {
        value = { kind: "member", of: value, name: this.#word(), at, end: this.#end };
      } else return value;
    }
  }

  #primary(): Expression {
    const { kind, text, at } = this.#token;
    if (this.#take("(")) {
      const within = this.#expression();
      this.#expect(")");
      return { ...within, at, end: this.#end };
    }
    if (kind === "number" || text === "true" || text === "false") {
      this.#advance();
      return { kind: "literal", text, at, end: this.#end };
    }
    const name = this.#word();
    const template = TEMPLATES.test(name) && this.#is("<") ? this.#template() : [];
    if (!this.#take("(")) return { kind: "name", name, template, at, end: this.#end };
    const args: Expression[] = [];
    while (!this.#take(")")) {
      args.push(this.#expression());
      this.#take(",");
    }
    return { kind: "call", name, template, args, at, end: this.#end };
  }

  /** Names of the attributes here, e.g. "compute". */
  #attributes(): string[] {
    const names: string[] = [];
    while (this.#take("@")) {
      names.push(this.#word());
      if (!this.#take("(")) continue;
      for (let depth = 1; depth;) {
        const { text } = this.#advance();
        depth += text === "(" ? 1 : text === ")" ? -1 : 0;
      }
    }
    return names;
  }

  get #token(): Token {
    return this.#tokens[this.#next]!;
  }

  /** Behind the last token that was taken. */
  get #end(): number {
    return this.#tokens[this.#next - 1]!.end;
  }

  #is(text: string): boolean {
    return this.#token.text === text;
  }

  #take(text: string): boolean {
    if (!this.#is(text)) return false;
    this.#advance();
    return true;
  }

  #advance(): Token {
    const token = this.#token;
    if (token.kind === "end") throw this.#unexpected("more");
    this.#next++;
    return token;
  }

  #expect(text: string): Token {
    if (!this.#is(text)) throw this.#unexpected(`"${text}"`);
    return this.#advance();
  }

  #word(): string {
    if (this.#token.kind !== "word") throw this.#unexpected("a name");
    return this.#advance().text;
  }

  #unexpected(what: string): Error {
    const { at, text } = this.#token;
    const line = this.#text.slice(0, at).split("\n").length;
    return new Error(`expected ${what} in line ${line}, got ${text ? `"${text}"` : "the end"}`);
  }
}
