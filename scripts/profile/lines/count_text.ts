/** Writes counters into a kernel's text, and tells from their sums what each of its lines does. */
import { Expressions } from "./expressions.ts";
import { parseWgsl } from "./parse.ts";
import type { Block, Declaration, Expression, FunctionDeclaration, Module, Statement } from "./syntax.ts";
import { scalarOf, scalarType, TypeNames, type ValueType } from "./types.ts";
import { type LineWork, noWork, WORK_KINDS } from "./work.ts";

/** Work of a line of a kernel's text. */
export interface LineCount extends LineWork {
  /** From 1. */
  line: number;
  /** Times that invocations begin its statement; of several the one that is begun most. */
  executions: number;
  /** True where the type of something is not known: it does as much at least. */
  atLeast: boolean;
}

/** A kernel's text with counters. */
export interface CountedText {
  /** With a buffer `counted_sums` of two u32 for each counter, the low one first. */
  readonly text: string;
  readonly counters: number;
  /** Lines that ran, by their numbers, from the sums of all counters. */
  lines(sums: readonly number[]): LineCount[];
}

/** Number of times that something runs: the sum of some counters less that of others. */
interface Times {
  readonly plus: number;
  readonly minus?: number;
}

/** Work that is done at a place each time. */
interface Item {
  readonly line: number;
  readonly times: Times;
  readonly work: LineWork;
  isBegun: boolean;
  atLeast: boolean;
}

/**
 * Reads a text and writes counters into it, in `group`. Throws where it cannot be read. `lanes` of a subgroup
 * share matrices.
 */
export function countText(text: string, group: number, lanes: number): CountedText {
  const writer = new Writer(text, lanes);
  return {
    text: `${writer.written}\n${counterCode(group, writer.counters)}`,
    counters: writer.counters,
    lines: (sums) => linesOf(writer.items, sums),
  };
}

function counterCode(group: number, counters: number): string {
  return `
@group(${group}) @binding(0) var<storage, read_write> counted_sums: array<atomic<u32>, ${2 * counters}>;
var<private> counted: array<u32, ${counters}>;

fn counted_here(i: u32) -> bool {
  counted[i]++;
  return true;
}

fn add_counted() {
  for (var i = 0u; i < ${counters}u; i++) {
    let times = counted[i];
    if (times > 0u) {
      let before = atomicAdd(&counted_sums[2u * i], times);
      if (before + times < before) {
        atomicAdd(&counted_sums[2u * i + 1u], 1u);
      }
    }
  }
}
`;
}

function linesOf(items: readonly Item[], sums: readonly number[]): LineCount[] {
  const lines = new Map<number, LineCount>();
  for (const { line, times, work, isBegun, atLeast } of items) {
    const count = sums[times.plus]! - (times.minus === undefined ? 0 : sums[times.minus]!);
    if (count === 0) continue;
    const found = lines.get(line) ?? { line, executions: 0, ...noWork(), atLeast: false };
    lines.set(line, found);
    if (isBegun) found.executions = Math.max(found.executions, count);
    for (const kind of WORK_KINDS) found[kind] += count * work[kind];
    found.atLeast ||= atLeast;
  }
  return [...lines.values()].sort((a, b) => a.line - b.line);
}

/**
 * Walks through all functions, and writes a counter wherever something runs another number of times than what
 * is before it.
 */
class Writer {
  readonly items: Item[] = [];
  counters = 0;
  readonly #text: string;
  readonly #edits: { at: number; text: string }[] = [];
  readonly #lineStarts: number[];
  readonly #expressions: Expressions;
  readonly #names: TypeNames;
  #times: Times = { plus: 0 };
  #isEntry = false;
  /** In what the compiler computes: the module's constants, and those of functions. */
  #isConstant = true;

  constructor(text: string, lanes: number) {
    this.#text = text;
    this.#lineStarts = [0, ...text.matchAll(/\n/g).map(({ index }) => index + 1)];
    const module: Module = parseWgsl(text);
    this.#names = new TypeNames(module);
    this.#expressions = new Expressions(module, this.#names, lanes, {
      note: (at, work) => this.#note(at, work),
      guess: (at) => {
        if (!this.#isConstant) this.#itemAt(at).atLeast = true;
      },
      sometimes: (right, evaluate) => this.#isConstant ? evaluate() : this.#counted(right, evaluate),
    });
    this.#isConstant = false;
    for (const declared of module.functions.values()) this.#function(declared);
  }

  /** The text with all counters. */
  get written(): string {
    let [text, from] = ["", 0];
    for (const edit of this.#edits.toSorted((a, b) => a.at - b.at)) {
      text += this.#text.slice(from, edit.at) + edit.text;
      from = edit.at;
    }
    return text + this.#text.slice(from);
  }

  #function({ isEntry, params, block }: FunctionDeclaration): void {
    this.#isEntry = isEntry;
    this.#expressions.within(() => {
      for (const { name, type } of params) {
        this.#expressions.declare(name, { type: this.#names.of(type), isConstant: false });
      }
      this.#block(block);
    });
    if (isEntry && block.body.at(-1)?.kind !== "return") this.#insert(block.end - 1, " add_counted(); ");
  }

  /** Statements that run together; those of a loop are told at its `head`, as its turns. */
  #block({ at, body }: Block, head?: number): void {
    const before = this.#times;
    this.#insert(at + 1, this.#counter());
    if (head !== undefined) this.#itemAt(head).isBegun = true;
    this.#expressions.within(() => {
      for (const [i, statement] of body.entries()) {
        if (i && leaves(body[i - 1]!)) this.#insert(statement.at, this.#counter());
        this.#statement(statement);
      }
    });
    this.#times = before;
  }

  #statement(statement: Statement): void {
    const { at } = statement;
    if (!("block" in statement) || statement.kind === "for") this.#itemAt(at).isBegun = true;
    switch (statement.kind) {
      case "declaration":
        return this.#declaration(statement);
      case "assignment":
        return this.#assignment(statement);
      case "call":
        return void this.#expressions.value(statement.call);
      case "return":
        if (this.#isEntry) this.#insert(at, "add_counted(); ");
        if (statement.value) this.#expressions.value(statement.value);
        return;
      case "break":
        if (statement.condition) this.#expressions.value(statement.condition);
        return;
      case "if":
        for (const [i, { condition, block }] of statement.branches.entries()) {
          if (i) this.#counted(condition, () => this.#expressions.value(condition));
          else this.#expressions.value(condition);
          this.#block(block);
        }
        if (statement.otherwise) this.#block(statement.otherwise);
        return;
      case "for":
        return this.#expressions.within(() => this.#loop(statement));
      case "switch":
        this.#expressions.value(statement.value);
        return statement.cases.forEach((block) => this.#block(block));
      case "continue":
        return;
      default:
        return this.#block(statement.block);
    }
  }

  #declaration({ word, name, type: written, value, at }: Declaration): void {
    this.#isConstant = word === "const";
    const given = value && this.#expressions.value(value);
    this.#isConstant = false;
    const type = written ? this.#names.of(written) : concrete(given?.type);
    if (!type && word !== "const") this.#itemAt(at).atLeast = true;
    const isConstant = word === "const";
    this.#expressions.declare(
      name,
      word === "var" ? { type, isConstant, space: "function" } : { type, isConstant },
    );
  }

  #assignment({ target, operator, value: expression, at }: Statement & { kind: "assignment" }): void {
    if (!target) return void this.#expressions.value(expression!);
    const memory = this.#expressions.memory(target);
    if (operator !== "=") this.#expressions.load(at, memory);
    const value = expression ? this.#expressions.value(expression) : ONE;
    if (operator !== "=") this.#expressions.operate(at, operator.slice(0, -1), memory, value);
    this.#expressions.store(at, memory);
  }

  /** Init runs once, the condition before each turn, and what is behind it after each but one that leaves. */
  #loop({ at, init, condition, conditionAt, next, block }: Statement & { kind: "for" }): void {
    if (init) this.#statement(init);
    const entered = this.#times;
    const times = { plus: this.counters };
    if (condition) this.#counted(condition, () => this.#expressions.value(condition));
    else this.#insert(conditionAt, `counted_here(${this.counters++}u)`);
    this.#block(block, at);
    if (!next) return;
    this.#times = { plus: times.plus, minus: entered.plus };
    this.#statement(next);
    this.#times = entered;
  }

  /** A condition with a counter of its own. */
  #counted({ at, end }: Expression, evaluate: () => void): void {
    const before = this.#times;
    this.#times = { plus: this.counters++ };
    this.#insert(at, `(counted_here(${this.#times.plus}u) && (`);
    evaluate();
    this.#insert(end, "))"); // && and || do not mix without
    this.#times = before;
  }

  /** A statement that counts, from which on things run that often. */
  #counter(): string {
    this.#times = { plus: this.counters++ };
    return ` counted[${this.#times.plus}]++; `;
  }

  #insert(at: number, text: string): void {
    this.#edits.push({ at, text });
  }

  #note(at: number, work: Partial<LineWork>): void {
    if (this.#isConstant) return;
    const item = this.#itemAt(at);
    for (const kind of WORK_KINDS) item.work[kind] += work[kind] ?? 0;
  }

  #itemAt(at: number): Item {
    const line = this.#lineStarts.findLastIndex((start) => start <= at) + 1;
    const { plus, minus } = this.#times;
    const found = this.items.findLast((item) =>
      item.line === line && item.times.plus === plus && item.times.minus === minus
    );
    if (found) return found;
    const item = { line, times: this.#times, work: noWork(), isBegun: false, atLeast: false };
    this.items.push(item);
    return item;
  }
}

/**
 * True where what follows a statement may run less often than it: it may return, or leave or repeat the loop
 * around it. `breaks` and `continues` say whether such a statement would do that here, and not within a loop
 * or switch further in.
 */
function leaves(statement: Statement, breaks = true, continues = true): boolean {
  const any = ({ body }: Block, b = breaks, c = continues) => body.some((inner) => leaves(inner, b, c));
  switch (statement.kind) {
    case "return":
      return true;
    case "break":
      return breaks;
    case "continue":
      return continues;
    case "if":
      return statement.branches.some(({ block }) => any(block)) ||
        statement.otherwise !== undefined && any(statement.otherwise);
    case "switch":
      return statement.cases.some((block) => any(block, false));
    case "for":
    case "loop":
      return any(statement.block, false, false);
    case "block":
    case "continuing":
      return any(statement.block);
    default:
      return false;
  }
}

/** The number that `++` adds. */
const ONE = { type: scalarType("int"), isConstant: true };

/** A literal's type where nothing says another. */
function concrete(type: ValueType | undefined): ValueType | undefined {
  const scalar = scalarOf(type);
  if (scalar !== "int" && scalar !== "float") return type;
  return { ...type, scalar: scalar === "int" ? "i32" : "f32" } as ValueType;
}
