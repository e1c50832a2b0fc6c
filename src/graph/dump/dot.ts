import { formatShape } from "../../core/shape.ts";
import type { Graph, GraphStep } from "./graph.ts";
import { type Module, modulesOf, partsOf } from "./modules.ts";
import { withNames } from "./text.ts";

/**
 * Graphs for Graphviz (https://graphviz.org/doc/info/lang.html): a box for each dispatch, which shows what is
 * fused into it, in a cluster for each module. With a `depth`, modules so deep in others are one box each,
 * from 1 on.
 */
export function graphDot(graphs: readonly Graph[], depth = Infinity): string {
  return [
    "digraph denoise {",
    `graph [newrank=true, fontname="Helvetica", fontsize=11, color="#c8ccd4", style=rounded, ranksep=0.3, nodesep=0.25]`,
    `node [shape=plain, fontname="Helvetica", fontsize=10]`,
    `edge [color="#6b7280", arrowsize=0.6, fontname="Helvetica", fontsize=8, fontcolor="#9a5b00"]`,
    ...graphs.flatMap((graph, number) => new Drawing(graph, number, depth).lines()),
    "}",
  ].join("\n");
}

const MOST_LETTERS = 60; // of a line in a box
const MOST_READERS = 4; // of a value that is drawn with lines; a wider one, as the embedding of time, is named where it is read
const COLOURS = {
  kernel: "#dbe7f5",
  pointwise: "#e6e0f2",
  fused: "#ffefcf",
  module: "#e3efe3",
  value: "#f1f3f5",
};

/** One graph as lines of DOT. */
class Drawing {
  readonly #graph: Graph;
  readonly #prefix: string;
  readonly #depth: number;
  /** Box of each value, by its number. */
  readonly #boxes = new Map<number, string>();
  /** Names of values that have no lines: weights, and what many read. */
  readonly #named: ReadonlyMap<number, string>;

  constructor(graph: Graph, number: number, depth: number) {
    this.#graph = graph;
    this.#prefix = `g${number}_`;
    this.#depth = depth;
    const readers = Map.groupBy(graph.steps.flatMap(({ inputs }) => inputs), ({ id }) => id);
    const isWide = (id: number) => (readers.get(id)?.length ?? 0) > MOST_READERS;
    this.#named = new Map([
      ...graph.steps.filter(({ id }) => isWide(id)).map(({ id, path }) => [id, path || `%${id}`] as const),
      ...graph.leaves.filter(({ id, kind }) => kind === "weight" || isWide(id)).map(({ id, name }) =>
        [id, name] as const
      ),
    ]);
  }

  lines(): string[] {
    const { label, steps, outputs } = this.#graph;
    const modules = this.#module(modulesOf(steps), 0);
    const inputs = this.#graph.leaves.filter(({ id, kind }) => kind === "input" && !this.#named.has(id));
    return [
      `subgraph "cluster_${this.#prefix}" {`,
      `label=${quoted(`${label}: ${steps.length} dispatches`)}`,
      ...inputs.map(({ id, name, dtype, count }) => {
        const box = this.#prefix + id;
        this.#boxes.set(id, box);
        return this.#value(box, name, `${dtype}[${count}]`);
      }),
      ...modules,
      ...outputs.map((id, i) => {
        const from = this.#boxes.get(id);
        const box = `${this.#prefix}out${i}`;
        return `${this.#value(box, `result ${i}`, "")}${from ? `\n${from} -> ${box}` : ""}`;
      }),
      ...this.#edges(),
      "}",
    ];
  }

  #module({ path, steps, parts }: Module, level: number): string[] {
    const inner = [
      ...steps.map((step) => this.#step(step)),
      ...parts.flatMap((part) =>
        level + 1 < this.#depth ? this.#module(part, level + 1) : [this.#folded(part)]
      ),
    ];
    if (level === 0) return inner;
    const name = partsOf(path).at(-1)!;
    return [`subgraph "cluster_${this.#prefix}${path}" {`, `label=${quoted(name)}`, ...inner, "}"];
  }

  #step(step: GraphStep): string {
    const { id, kernel, path, shape, dtype, fused, inputs, arena, offset, isKept, flops } = step;
    const box = this.#prefix + id;
    this.#boxes.set(id, box);
    const nameOf = (id: number) => this.#named.get(id)?.replace(`${path}.`, "");
    const read = inputs.filter(({ as }) => as === undefined).flatMap(({ id }) => nameOf(id) ?? []);
    const formula = withNames(fused, (name) => nameOf(inputs.find(({ as }) => as === name)?.id ?? -1));
    const rows = [
      row(kernel === "pointwise" ? COLOURS.pointwise : COLOURS.kernel, `<B>${escaped(kernel)}</B>`),
      ...read.map((name) => row(undefined, escaped(short(name)))),
      ...formula ? [row(COLOURS.fused, escaped(short(formula)))] : [],
      row(undefined, `${formatShape(shape)} ${dtype}`),
      row(undefined, `<FONT COLOR="#6b7280">arena ${arena} + ${offset}${isKept ? ", kept" : ""}</FONT>`),
    ];
    const tip = [path || "(loop)", formula, `${flops} FLOP`].filter(Boolean).join("\n");
    return boxOf(box, rows, tip);
  }

  /** A module that is not shown from within. */
  #folded({ path, parts, steps }: Module): string {
    const all = [...steps, ...parts.flatMap(stepsOf)];
    const box = quoted(this.#prefix + path);
    for (const { id } of all) this.#boxes.set(id, box);
    const flops = all.reduce((sum, step) => sum + step.flops, 0);
    return boxOf(box, [
      row(COLOURS.module, `<B>${escaped(partsOf(path).at(-1)!)}</B>`),
      row(undefined, `${all.length} dispatch${all.length === 1 ? "" : "es"}`),
      row(undefined, `${(flops / 1e6).toPrecision(3)} MFLOP`),
    ], path);
  }

  #value(box: string, name: string, text: string): string {
    return boxOf(box, [
      row(COLOURS.value, `<I>${escaped(name)}</I>`),
      ...text ? [row(undefined, escaped(text))] : [],
    ], name);
  }

  /** From each value to what reads it; what is fused reads by dashed lines, under its name. */
  #edges(): string[] {
    const lines = new Set<string>();
    for (const { id, inputs } of this.#graph.steps) {
      const to = this.#boxes.get(id)!;
      for (const { id, as } of inputs) {
        const from = this.#boxes.get(id);
        if (from === undefined || from === to || this.#named.has(id)) continue;
        const isFolded = this.#isFolded(from) || this.#isFolded(to);
        lines.add(`${from} -> ${to}${as && !isFolded ? ` [style=dashed, label=${quoted(as)}]` : ""}`);
      }
    }
    return [...lines];
  }

  #isFolded(box: string): boolean {
    return box.startsWith('"');
  }
}

function stepsOf({ steps, parts }: Module): GraphStep[] {
  return [...steps, ...parts.flatMap(stepsOf)];
}

function boxOf(box: string, rows: readonly string[], tip: string): string {
  const table = `<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2" COLOR="#9aa3b2">${
    rows.join("")
  }</TABLE>`;
  return `${box} [id=${quoted(box.replaceAll('"', ""))}, label=<${table}>, tooltip=${quoted(tip)}]`;
}

function row(colour: string | undefined, html: string): string {
  return `<TR><TD${colour ? ` BGCOLOR="${colour}"` : ""}>${html}</TD></TR>`;
}

function short(text: string): string {
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 3)}...` : text;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** A string of DOT, which ends a line by \n. */
function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
