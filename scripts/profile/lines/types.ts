/** The types of WGSL's values, as far as counting needs them. */
import type { Expression, Module, TypeName } from "./syntax.ts";

/** A kind of number; "int" and "float" are literals that take the type of what they meet. */
export type Scalar = "f32" | "f16" | "i32" | "u32" | "bool" | "int" | "float";

/** A value's type. Undefined stands for one that is not known. */
export type ValueType =
  /** 1 to 4 components. */
  | { readonly kind: "vector"; readonly scalar: Scalar; readonly size: number }
  | { readonly kind: "matrix"; readonly scalar: Scalar; readonly columns: number; readonly rows: number }
  | { readonly kind: "array"; readonly element: ValueType | undefined; readonly count: number | undefined }
  | { readonly kind: "struct"; readonly members: ReadonlyMap<string, ValueType | undefined> }
  | { readonly kind: "pointer"; readonly space: string; readonly to: ValueType | undefined }
  /** One operand of a product in matrix units, which the lanes of a subgroup hold together. */
  | {
    readonly kind: "units";
    readonly role: "left" | "right" | "result";
    readonly scalar: Scalar;
    readonly columns: number;
    readonly rows: number;
  };

const SUFFIXES: Readonly<Record<string, Scalar>> = { f: "f32", h: "f16", i: "i32", u: "u32" };
const BYTES: Readonly<Record<Scalar, number>> = { f32: 4, f16: 2, i32: 4, u32: 4, bool: 4, int: 4, float: 4 };

/** One component. */
export function scalarType(scalar: Scalar): ValueType {
  return { kind: "vector", scalar, size: 1 };
}

/** The kind of a value's numbers; undefined where it has none of its own. */
export function scalarOf(type: ValueType | undefined): Scalar | undefined {
  return type && "scalar" in type ? type.scalar : undefined;
}

/** True for numbers with a fraction. */
export function isFloat(type: ValueType | undefined): boolean {
  return ["f32", "f16", "float"].includes(scalarOf(type) ?? "");
}

/** Numbers in a vector or matrix, 1 where that is not known. */
export function componentsOf(type: ValueType | undefined): number {
  if (type?.kind === "vector") return type.size;
  return type?.kind === "matrix" ? type.columns * type.rows : 1;
}

/** Bytes of a value in memory, without what aligns it; undefined where they are not known. */
export function bytesOf(type: ValueType | undefined): number | undefined {
  if (type === undefined || type.kind === "pointer") return undefined;
  if (type.kind === "vector") return type.size * BYTES[type.scalar];
  if (type.kind === "struct") {
    return type.members.values().reduce(
      (sum: number | undefined, member) => sum === undefined ? sum : added(sum, bytesOf(member)),
      0,
    );
  }
  if (type.kind !== "array") return type.columns * type.rows * BYTES[type.scalar];
  const bytes = bytesOf(type.element);
  return bytes === undefined || type.count === undefined ? undefined : type.count * bytes;
}

const added = (sum: number, more: number | undefined) => more === undefined ? undefined : sum + more;

/** The type of a vector's components, an array's element or a matrix's column. */
export function elementOf(type: ValueType | undefined): ValueType | undefined {
  if (type?.kind === "vector") return scalarType(type.scalar);
  if (type?.kind === "matrix") return { kind: "vector", scalar: type.scalar, size: type.rows };
  return type?.kind === "array" ? type.element : undefined;
}

/** The type of a member, or of components, e.g. of `xy`. */
export function memberOf(type: ValueType | undefined, name: string): ValueType | undefined {
  if (type?.kind === "vector") return { ...type, size: name.length };
  return type?.kind === "struct" ? type.members.get(name) : undefined;
}

/** Resolves the names of a text's types, and the whole numbers that its constants are. */
export class TypeNames {
  readonly #module: Module;

  constructor(module: Module) {
    this.#module = module;
  }

  /** The type of a name with what stands in its angle brackets; undefined for a function's name. */
  typeOf(name: string, args: readonly Expression[]): ValueType | undefined {
    const alias = this.#module.aliases.get(name);
    if (alias) return this.of(alias);
    const struct = this.#module.structs.get(name);
    if (struct) {
      const members = [...struct].map(([name, type]) => [name, this.of(type)] as const);
      return { kind: "struct", members: new Map(members) };
    }
    if (/^(?:f32|f16|i32|u32|bool)$/.test(name)) return scalarType(name as Scalar);
    const [, vector, suffix] = /^vec([234])([fhiu]?)$/.exec(name) ?? [];
    if (vector) return { kind: "vector", size: Number(vector), scalar: this.#scalar(suffix, args) };
    const [, columns, rows, matrix] = /^mat([234])x([234])([fh]?)$/.exec(name) ?? [];
    if (columns) {
      return {
        kind: "matrix",
        columns: Number(columns),
        rows: Number(rows),
        scalar: this.#scalar(matrix, args),
      };
    }
    const [, role] = /^subgroup_matrix_(left|right|result)$/.exec(name) ?? [];
    if (role) {
      const [columns = 0, rows = 0] = args.slice(1).map((arg) => this.numberOf(arg));
      return { kind: "units", role: role as "left", scalar: this.#scalar("", args), columns, rows };
    }
    if (name === "array") {
      return { kind: "array", element: this.#argument(args[0]), count: args[1] && this.numberOf(args[1]) };
    }
    if (name === "atomic") return this.#argument(args[0]);
    if (name !== "ptr") return undefined;
    return {
      kind: "pointer",
      space: args[0]?.kind === "name" ? args[0].name : "",
      to: this.#argument(args[1]),
    };
  }

  /** The type that a name in the text means. */
  of({ name, args }: TypeName): ValueType | undefined {
    return this.typeOf(name, args);
  }

  /** The whole number that an expression of constants is. */
  numberOf(value: Expression): number | undefined {
    if (value.kind === "literal") return parseInt(value.text);
    if (value.kind === "name") {
      const declared = this.#module.declarations.find(({ name, word }) =>
        name === value.name && word === "const"
      );
      return declared?.value && this.numberOf(declared.value);
    }
    const parts = value.kind === "binary"
      ? [value.left, value.right]
      : value.kind === "call"
      ? value.args
      : [];
    const numbers = parts.map((part) => this.numberOf(part));
    if (parts.length !== 2 || numbers.includes(undefined)) return undefined;
    const [a, b] = numbers as [number, number];
    switch (value.kind === "binary" ? value.operator : value.kind === "call" && value.name) {
      case "+":
        return a + b;
      case "-":
        return a - b;
      case "*":
        return a * b;
      case "/":
        return Math.trunc(a / b);
      case "%":
        return a % b;
      case "min":
        return Math.min(a, b);
      case "max":
        return Math.max(a, b);
      default:
        return undefined;
    }
  }

  #scalar(suffix: string | undefined, [first]: readonly Expression[]): Scalar {
    return SUFFIXES[suffix ?? ""] ?? scalarOf(this.#argument(first)) ?? "float"; // vec2() takes what it meets
  }

  #argument(arg: Expression | undefined): ValueType | undefined {
    return arg?.kind === "name" ? this.typeOf(arg.name, arg.template) : undefined;
  }
}
