import { operationsOf, resultOf, widest } from "./builtins.ts";
import type { Expression, Module } from "./syntax.ts";
import {
  bytesOf,
  componentsOf,
  elementOf,
  isFloat,
  memberOf,
  scalarType,
  type TypeNames,
  type ValueType,
} from "./types.ts";
import type { LineWork } from "./work.ts";

/** Facts of a value, or of the memory that an expression names. */
export interface Value {
  readonly type: ValueType | undefined;
  /** Known to the compiler, which does all its operations. */
  readonly isConstant: boolean;
  /** Kind of memory: "storage", "workgroup", "function" …; undefined for a value. */
  readonly space?: string | undefined;
}

/** Takes what an expression does. */
export interface Notes {
  /** Work at a place of the text. */
  note(at: number, work: Partial<LineWork>): void;
  /** Something there has a type that is not known: its work counts as that of one number of four bytes. */
  guess(at: number): void;
  /** The right side of `&&` or `||`, which does not always run. */
  sometimes(right: Expression, evaluate: () => void): void;
}

/** Follows expressions as an invocation evaluates them, for their types and their work. */
export class Expressions {
  readonly #module: Module;
  readonly #names: TypeNames;
  readonly #notes: Notes;
  readonly #lanes: number;
  readonly #globals = new Map<string, Value>();
  /** Names of the function at hand, those of inner blocks last. */
  readonly #scopes: Map<string, Value>[] = [];

  /** `lanes` of a subgroup share what matrix units do. */
  constructor(module: Module, names: TypeNames, lanes: number, notes: Notes) {
    this.#module = module;
    this.#names = names;
    this.#lanes = lanes;
    this.#notes = notes;
    for (const { word, name, type, value, space } of module.declarations) {
      const isConstant = word !== "var";
      const own = type ? names.of(type) : value && this.value(value).type;
      this.#globals.set(name, isConstant ? { type: own, isConstant } : { type: own, isConstant, space });
    }
  }

  /** Runs with a scope of names of its own. */
  within(run: () => void): void {
    this.#scopes.push(new Map());
    run();
    this.#scopes.pop();
  }

  /** Takes note of a name in the innermost scope. */
  declare(name: string, value: Value): void {
    this.#scopes.at(-1)!.set(name, value);
  }

  /** A value that is read. */
  value(e: Expression): Value {
    switch (e.kind) {
      case "literal":
        return { type: literalType(e.text), isConstant: true };
      case "unary":
        if (e.operator === "&") {
          const { type: to, space = "" } = this.memory(e.of);
          return { type: { kind: "pointer", space, to }, isConstant: false };
        }
        if (e.operator !== "*") return this.#unary(e.of);
        return this.#read(e);
      case "binary":
        return this.#binary(e);
      case "call":
        return this.#call(e);
      default:
        return this.#read(e);
    }
  }

  /** The memory that an expression names, or a part of a value; nothing of it is read or written yet. */
  memory(e: Expression): Value {
    if (e.kind === "name") return this.#named(e.name);
    if (e.kind === "unary" && e.operator === "*") {
      const { type } = this.value(e.of);
      return type?.kind === "pointer" ? { type: type.to, isConstant: false, space: type.space } : UNKNOWN;
    }
    if (e.kind !== "index" && e.kind !== "member") return this.value(e);
    const memory = this.#pointedTo(this.memory(e.of));
    const { type, isConstant, space } = memory;
    if (e.kind === "member" && type?.kind === "vector" && e.name.length > 1) { // of the whole vector, once it is read
      this.load(e.at, memory);
      return { type: memberOf(type, e.name), isConstant };
    }
    if (e.kind === "member") return { type: memberOf(type, e.name), isConstant, space };
    const index = this.value(e.index);
    return { type: elementOf(type), isConstant: isConstant && index.isConstant, space };
  }

  /** Memory is read. */
  load(at: number, { type, space }: Value): void {
    this.#move(at, type, space, "loaded");
  }

  /** Memory is written. */
  store(at: number, { type, space }: Value): void {
    this.#move(at, type, space, "stored");
  }

  /** Operations of two values, or of `+=` and the like. */
  operate(at: number, operator: string, left: Value, right: Value): Value {
    const isConstant = left.isConstant && right.isConstant;
    const [a, b] = [left.type, right.type];
    const product = operator === "*" ? matrixProduct(a, b) : undefined;
    const type = product?.type ?? widest(operator === "<<" || operator === ">>" ? [a] : [a, b]);
    if (!isConstant) {
      if (a === undefined || b === undefined) this.#notes.guess(at);
      const count = product?.flops ?? componentsOf(type);
      const isArithmetic = isFloat(type) && /^[-+*/%]$/.test(operator);
      this.#notes.note(at, isArithmetic ? { flops: count } : { others: count });
    }
    const compares = /^(?:[=!<>]=|[<>]|&&|\|\|)$/.test(operator);
    const result = compares && type
      ? { kind: "vector", scalar: "bool", size: componentsOf(type) } as const
      : type;
    return { type: result, isConstant };
  }

  #named(name: string): Value {
    for (const scope of this.#scopes.toReversed()) {
      const found = scope.get(name);
      if (found) return found;
    }
    return this.#globals.get(name) ?? UNKNOWN;
  }

  #pointedTo(value: Value): Value {
    const { type } = value;
    return type?.kind === "pointer" ? { type: type.to, isConstant: false, space: type.space } : value;
  }

  #read(e: Expression): Value {
    const memory = this.memory(e);
    this.load(e.at, memory);
    return { type: memory.type, isConstant: memory.isConstant };
  }

  #move(at: number, type: ValueType | undefined, space: string | undefined, kind: "loaded" | "stored"): void {
    if (space !== "storage" && space !== "workgroup") return;
    const bytes = bytesOf(type);
    if (bytes === undefined) this.#notes.guess(at);
    this.#notes.note(at, { [space === "storage" ? kind : "shared"]: bytes ?? 4 });
  }

  #unary(of: Expression): Value {
    const value = this.value(of);
    const count = componentsOf(value.type);
    if (!value.isConstant) {
      this.#notes.note(of.at, isFloat(value.type) ? { flops: count } : { others: count });
    }
    return value;
  }

  #binary({ operator, left, right }: Expression & { kind: "binary" }): Value {
    const a = this.value(left);
    if (operator !== "&&" && operator !== "||") return this.operate(right.at, operator, a, this.value(right));
    let isConstant = a.isConstant;
    this.#notes.sometimes(right, () => isConstant = this.value(right).isConstant && isConstant);
    if (!isConstant) this.#notes.note(left.at, { others: 1 });
    return { type: scalarType("bool"), isConstant };
  }

  #call(e: Expression & { kind: "call" }): Value {
    const { name, template, args, at } = e;
    const values = args.map((arg) => this.value(arg));
    const types = values.map(({ type }) => type);
    const declared = this.#module.functions.get(name);
    if (declared) return { type: declared.result && this.#names.of(declared.result), isConstant: false };
    const made = this.#names.typeOf(name, template);
    if (made) return this.#construct(at, made, values);
    if (name.startsWith("subgroupMatrix")) return this.#matrixUnits(e, types);
    if (/Barrier$/.test(name) || name === "workgroupUniformLoad") this.#notes.note(at, { barriers: 1 });
    if (name.startsWith("subgroup") || name.startsWith("quad")) this.#notes.note(at, { subgroups: 1 });
    const result = name === "bitcast" ? this.#templateType(template) : resultOf(name, types);
    const [pointer] = types;
    if (pointer?.kind === "pointer" && name !== "arrayLength") {
      const memory = { type: pointer.to, isConstant: false, space: pointer.space };
      if (name !== "atomicStore") this.load(at, memory);
      if (/^atomic(?!Load)/.test(name)) this.store(at, memory);
      return { type: result, isConstant: false };
    }
    const isConstant = args.length > 0 && values.every((value) => value.isConstant);
    const computes = !/Barrier$|^subgroup|^quad/.test(name);
    if (computes && result === undefined) this.#notes.guess(at);
    if (computes && !isConstant) this.#notes.note(at, operationsOf(name, types, result));
    return { type: result, isConstant };
  }

  /** A vector, matrix, array or struct of its parts, or a value converted to another type. */
  #construct(at: number, made: ValueType, values: readonly Value[]): Value {
    const isConstant = values.every((value) => value.isConstant);
    const [first] = values;
    const inner = made.kind === "array" && !made.element
      ? { ...made, element: first?.type, count: values.length }
      : made;
    const type = "scalar" in inner && inner.scalar === "float" && first?.type && "scalar" in first.type
      ? { ...inner, scalar: first.type.scalar }
      : inner;
    const converted = values.filter((value) =>
      !value.isConstant && "scalar" in type && value.type && "scalar" in value.type &&
      value.type.scalar !== type.scalar
    );
    const others = converted.reduce((sum, value) => sum + componentsOf(value.type), 0);
    if (others) this.#notes.note(at, { others });
    return { type, isConstant };
  }

  /** Matrices that all lanes of a subgroup hold, load, store and multiply together: each does its part. */
  #matrixUnits(
    { name, template, args, at }: Expression & { kind: "call" },
    types: readonly (ValueType | undefined)[],
  ): Value {
    this.#notes.note(at, { subgroups: 1 });
    const [first, second, third] = types;
    if (name === "subgroupMatrixLoad" || name === "subgroupMatrixStore") {
      const isLoad = name === "subgroupMatrixLoad";
      const matrix = isLoad ? this.#templateType(template) : third;
      const bytes = (bytesOf(matrix) ?? 0) / this.#lanes;
      const space = first?.kind === "pointer" ? first.space : undefined;
      if (space === "storage") this.#notes.note(at, { [isLoad ? "loaded" : "stored"]: bytes });
      if (space === "workgroup") this.#notes.note(at, { shared: bytes });
      if (!matrix) this.#notes.guess(args[0]!.at);
      return { type: matrix, isConstant: false };
    }
    if (first?.kind === "units" && second?.kind === "units") {
      const flops = 2 * first.rows * first.columns * second.columns / this.#lanes;
      this.#notes.note(at, { flops });
    } else this.#notes.guess(at);
    return { type: resultOf(name, types), isConstant: false };
  }

  #templateType([first]: readonly Expression[]): ValueType | undefined {
    return first?.kind === "name" ? this.#names.typeOf(first.name, first.template) : undefined;
  }
}

const UNKNOWN: Value = { type: undefined, isConstant: false };

function literalType(text: string): ValueType {
  if (text === "true" || text === "false") return scalarType("bool");
  if (/^0[xX]/.test(text)) return scalarType(text.endsWith("u") ? "u32" : text.endsWith("i") ? "i32" : "int");
  const suffix = ({ u: "u32", i: "i32", f: "f32", h: "f16" } as const)[text.at(-1) as "u"];
  return scalarType(suffix ?? (/[.eE]/.test(text) ? "float" : "int"));
}

/** Product of a matrix with another or with a vector: a sum of products for each number of the result. */
function matrixProduct(
  a: ValueType | undefined,
  b: ValueType | undefined,
): { type: ValueType; flops: number } | undefined {
  if (a?.kind === "matrix" && b?.kind === "matrix") {
    const type: ValueType = { ...a, columns: b.columns };
    return { type, flops: b.columns * a.rows * (2 * a.columns - 1) };
  }
  if (a?.kind === "matrix" && b?.kind === "vector" && b.size > 1) {
    return { type: { kind: "vector", scalar: a.scalar, size: a.rows }, flops: a.rows * (2 * a.columns - 1) };
  }
  if (a?.kind === "vector" && a.size > 1 && b?.kind === "matrix") {
    return {
      type: { kind: "vector", scalar: b.scalar, size: b.columns },
      flops: b.columns * (2 * b.rows - 1),
    };
  }
  return undefined;
}
