import { nearest } from "../../core/error.ts";
import { formatShape, sameNumbers } from "../../core/shape.ts";
import { release, retain, Tensor, tensor, watched, type Watcher } from "../../tensor/mod.ts";

/** Values that an edit reads: tensors, or numbers, which become tensors [1]. */
export type EditValues = Readonly<Record<string, Tensor | number>>;

/**
 * Returns a tensor in place of a part's result. `inputs` are the tensors that the part was computed from, in the
 * order of the module's arguments in diffusers; `values` are those that the edit was given. It runs when the model
 * is traced, not at every call.
 */
export type EditFunction = (
  output: Tensor,
  inputs: readonly Tensor[],
  values: Readonly<Record<string, Tensor>>,
) => Tensor;

/** Options of `Model.edit`. */
export interface EditOptions {
  /**
   * Tensors and numbers that the edit reads besides the model's own; `Edit.set` changes them without a new trace.
   */
  values?: EditValues | undefined;
}

/** An edit of a model, until it is removed. */
export class Edit implements Disposable {
  readonly #remove: () => void;
  #values: Record<string, Tensor>;

  /** For `Model.edit`. */
  constructor(
    /** Whose result it replaces. */
    readonly path: string,
    /** @internal */
    readonly apply: EditFunction,
    values: EditValues,
    remove: () => void,
  ) {
    this.#values = held(values);
    this.#remove = remove;
  }

  /** Its values now. */
  get values(): Readonly<Record<string, Tensor>> {
    return this.#values;
  }

  /** Changes values for later calls. Only other shapes or types cost a new trace. */
  set(values: EditValues): void {
    const odd = Object.keys(values).find((name) => !Object.hasOwn(this.#values, name));
    if (odd !== undefined) {
      const known = Object.keys(this.#values).join(", ") || "none";
      throw new TypeError(
        `Cannot set "${odd}" of the edit of ${this.path}: expected a value that it has: ${known}`,
      );
    }
    const replaced = Object.keys(values).map((name) => this.#values[name]!);
    this.#values = { ...this.#values, ...held(values) };
    replaced.forEach(release);
  }

  /** Leaves the part as it is from the next call on. */
  remove(): void {
    this.#remove();
    Object.values(this.#values).forEach(release);
    this.#values = {};
  }

  /** Like `remove`, for `using`. */
  [Symbol.dispose](): void {
    this.remove();
  }
}

/** Values as tensors that outlive the scopes they are made in. */
function held(values: EditValues): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(values).map((
      [name, value],
    ) => [name, retain(typeof value === "number" ? tensor([value]) : value)]),
  );
}

/** The edits of a model, and the paths of its parts. */
export class Edits {
  readonly #label: string;
  readonly #forget: () => void;
  readonly #edits: Edit[] = [];
  /** Paths in all traces so far. */
  readonly #paths = new Set<string>();

  /** For a model without edits so far; `forget` drops its traces. */
  constructor(label: string, forget: () => void) {
    this.#label = label;
    this.#forget = forget;
  }

  /** The parts that were traced so far, in their order. */
  get paths(): string[] {
    return [...this.#paths];
  }

  /** Adds an edit behind those that are there. */
  add(path: string, apply: EditFunction, { values = {} }: EditOptions): Edit {
    if (!this.#paths.has(path)) throw this.#unknown("edit", path, this.#paths);
    const edit = new Edit(path, apply, values, () => {
      const at = this.#edits.indexOf(edit);
      if (at < 0) return;
      this.#edits.splice(at, 1);
      this.#forget();
    });
    this.#edits.push(edit);
    this.#forget();
    return edit;
  }

  /** Values of all edits, as inputs of a trace. */
  get inputs(): Record<string, Tensor> {
    return Object.fromEntries(
      this.#edits.flatMap(({ values }, i) =>
        Object.entries(values).map(([name, value]) => [inputName(i, name), value])
      ),
    );
  }

  /**
   * Records a model's function with the edits, whose values are among `inputs`, and notes what the parts at `taps` give.
   */
  during<T>(
    inputs: Readonly<Record<string, Tensor>>,
    taps: readonly string[],
    run: () => T,
  ): { result: T; tapped: [path: string, Tensor][] } {
    const tapped = new Map<string, Tensor>();
    const here = new Set<string>();
    const watcher: Watcher = {
      wants: (path) => {
        here.add(path);
        return taps.includes(path) || this.#edits.some((edit) => edit.path === path);
      },
      visit: (path, output, ins) => {
        here.add(path);
        const y = this.#apply(path, output, ins, inputs);
        if (taps.includes(path)) tapped.set(path, y);
        return y;
      },
    };
    const result = watched(watcher, run);
    for (const path of here) this.#paths.add(path);
    return {
      result,
      tapped: taps.map((path) => {
        const y = tapped.get(path);
        if (!y) throw this.#unknown("tap", path, here);
        return [path, y];
      }),
    };
  }

  #apply(
    path: string,
    output: Tensor,
    ins: readonly Tensor[],
    inputs: Readonly<Record<string, Tensor>>,
  ): Tensor {
    let y = output;
    for (const [i, edit] of this.#edits.entries()) {
      if (edit.path !== path) continue;
      const values = Object.fromEntries(
        Object.keys(edit.values).map((name) => [name, inputs[inputName(i, name)]!]),
      );
      const made: unknown = editing(`${this.#label} at "${path}"`, () => edit.apply(y, ins, values));
      y = this.#checked(path, output, made);
    }
    return y;
  }

  #checked(path: string, { shape, dtype }: Tensor, made: unknown): Tensor {
    if (made instanceof Tensor && sameNumbers(made.shape, shape)) return made.cast(dtype);
    const got = made instanceof Tensor
      ? formatShape(made.shape)
      : made instanceof Promise
      ? "a Promise; an edit is recorded and cannot await"
      : made === undefined
      ? "nothing; return one"
      : typeof made;
    throw new TypeError(
      `Cannot edit ${this.#label} at "${path}": expected a tensor ${formatShape(shape)}, got ${got}`,
    );
  }

  #unknown(verb: string, path: string, known: ReadonlySet<string>): RangeError {
    return new RangeError(
      `Cannot ${verb} ${this.#label} at "${path}": no such part; ${hint(path, [...known])}`,
    );
  }
}

/** Path of the part that is being edited. */
let edited: string | undefined;

/** Runs the function of an edit, in which no parts are seen. */
function editing<T>(what: string, run: () => T): T {
  edited = what;
  try {
    return watched(undefined, run);
  } finally {
    edited = undefined;
  }
}

/** Throws within the function of an edit, where a model's call would have no values. */
export function expectOutsideEdits(model: string): void {
  if (edited === undefined) return;
  throw new Error(
    `Cannot run ${model} within the edit of ${edited}: run it before, and give its results to the edit as values`,
  );
}

function inputName(edit: number, value: string): string {
  return `edits.${edit}.${value}`;
}

const MOST_NAMES = 3;

/** The paths that a wrong one may have meant. */
function hint(path: string, known: readonly string[]): string {
  const left = [...known];
  const near: string[] = [];
  while (near.length < MOST_NAMES && left.length > 0) {
    const [next] = left.splice(left.indexOf(nearest(path, left)!), 1);
    near.push(`"${next}"`);
  }
  return `nearest are ${near.join(", ")}; \`paths\` of the model lists all`;
}
