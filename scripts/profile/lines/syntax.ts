/** WGSL as a tree: what counting needs of it, each with its place in the text. */

/** Place of something: characters from `at` up to, not including, `end`. */
export interface Place {
  readonly at: number;
  readonly end: number;
}

/** A type as it is written, e.g. array<vec4<f32>, N>. */
export interface TypeName {
  readonly name: string;
  /** Types and numbers in angle brackets; a type's name may be a constant's. */
  readonly args: readonly Expression[];
}

/** An expression; a type in angle brackets is a name, with its own in `template`. */
export type Expression =
  & Place
  & (
    | { readonly kind: "literal"; readonly text: string }
    | { readonly kind: "name"; readonly name: string; readonly template: readonly Expression[] }
    | {
      readonly kind: "call";
      readonly name: string;
      readonly template: readonly Expression[];
      readonly args: readonly Expression[];
    }
    | { readonly kind: "index"; readonly of: Expression; readonly index: Expression }
    | { readonly kind: "member"; readonly of: Expression; readonly name: string }
    | { readonly kind: "unary"; readonly operator: string; readonly of: Expression }
    | {
      readonly kind: "binary";
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  );

/** Statements in braces; `at` is that of the opening one, and `end` behind the closing one. */
export interface Block extends Place {
  readonly body: readonly Statement[];
}

/** A `const`, `let` or `var`. */
export interface Declaration extends Place {
  readonly kind: "declaration";
  readonly word: "const" | "let" | "var" | "override";
  /** Memory of a `var`, e.g. "workgroup"; "" where none is written. */
  readonly space: string;
  readonly name: string;
  readonly type: TypeName | undefined;
  readonly value: Expression | undefined;
}

/** A `for`; a `while` is one with only a condition. */
export interface Loop extends Place {
  readonly kind: "for";
  readonly init: Statement | undefined;
  readonly condition: Expression | undefined;
  /** Place of a condition, there or not. */
  readonly conditionAt: number;
  readonly next: Statement | undefined;
  readonly block: Block;
}

/** A statement. */
export type Statement =
  | Declaration
  | Loop
  | Place & { readonly kind: "block"; readonly block: Block }
  | Place & {
    readonly kind: "assignment";
    /** Undefined for `_`. */
    readonly target: Expression | undefined;
    /** "=", or with the operation, e.g. "+=". */
    readonly operator: string;
    /** Undefined for `++` and `--`. */
    readonly value: Expression | undefined;
  }
  | Place & { readonly kind: "call"; readonly call: Expression }
  | Place & {
    readonly kind: "if";
    readonly branches: readonly { readonly condition: Expression; readonly block: Block }[];
    readonly otherwise: Block | undefined;
  }
  | Place & { readonly kind: "loop"; readonly block: Block }
  | Place & { readonly kind: "continuing"; readonly block: Block }
  | Place & { readonly kind: "switch"; readonly value: Expression; readonly cases: readonly Block[] }
  | Place & { readonly kind: "return"; readonly value: Expression | undefined }
  /** `condition` of a `break if`. */
  | Place & { readonly kind: "break"; readonly condition: Expression | undefined }
  | Place & { readonly kind: "continue" };

/** A function. */
export interface FunctionDeclaration {
  readonly name: string;
  readonly isEntry: boolean;
  readonly params: readonly { readonly name: string; readonly type: TypeName }[];
  readonly result: TypeName | undefined;
  readonly block: Block;
}

/** A whole text. */
export interface Module {
  readonly structs: ReadonlyMap<string, ReadonlyMap<string, TypeName>>;
  readonly aliases: ReadonlyMap<string, TypeName>;
  /** At the module's scope. */
  readonly declarations: readonly Declaration[];
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
}
