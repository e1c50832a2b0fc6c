import type { Stage } from "./stage.ts";
import { footprintsOf, roomsBeside, SMALL_BUFFERS, type WeightMode } from "./weight_modes.ts";

/** A model's share of the plan, in bytes. */
export interface PlannedPart {
  readonly name: string;
  /** Its weights in each format. */
  readonly weights: Readonly<Record<"f32" | "f16" | "int8" | "int4", number>>;
  /** Its work beside the weights. */
  readonly activations: number;
  /** The first mode, from the most exact on, in which it fits; undefined where none does. */
  readonly mode: WeightMode | undefined;
  /** The sum in this mode, or in the smallest where none fits. */
  readonly bytes: number;
}

/** A pipeline's share of a GPU's memory, and the modes in which it fits. */
export interface MemoryPlan {
  readonly parts: readonly PlannedPart[];
  /** Bytes that there are; Infinity where that is not known. */
  readonly memory: number;
  /** Bytes of all parts together. */
  readonly together: number;
  /** Bytes of the largest part, with those that are in memory beside it. */
  readonly largest: number;
  /** All stay in memory; each is unloaded before the next is loaded; or they do not fit. */
  readonly runs: "resident" | "in turn" | "not";
}

/** Plans for a pipeline's models; each is taken whole where it fits, else in the first mode that does. */
export function planMemory(stages: readonly Stage[], memory = Infinity): MemoryPlan {
  const pieces = stages.map((stage) => planPiece(stage, memory));
  const parts = pieces.flat();
  const together = bytesOf(parts);
  const largest = Math.max(...pieces.map(bytesOf));
  const fits = parts.every(({ mode }) => mode);
  const beside = together <= memory && parts.every(({ mode }) => !mode?.endsWith("in parts")); // these need all room
  return {
    parts,
    memory,
    together,
    largest,
    runs: !fits ? "not" : beside ? "resident" : "in turn",
  };
}

/** A model and those beside it, each in the room that is left for it; the model in what room they leave. */
function planPiece({ beside = [], ...stage }: Stage, memory: number): PlannedPart[] {
  const ways = ({ model, activations }: Stage) => footprintsOf(model, activations);
  const rooms = roomsBeside(ways(stage), beside.map(ways), memory);
  const others = beside.map((one, i) => {
    const part = planPart(one, rooms[i]!);
    return { ...part, bytes: part.bytes - SMALL_BUFFERS }; // what is small is counted with the model
  });
  return [planPart(stage, memory - bytesOf(others)), ...others];
}

function bytesOf(parts: readonly PlannedPart[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}

function planPart({ name, model, activations }: Stage, memory: number): PlannedPart {
  const footprints = footprintsOf(model, activations);
  const fitting = footprints.find(({ bytes }) => bytes <= memory);
  return {
    name,
    weights: {
      f32: model.bytesAs({ dtype: "f32", quantize: undefined }),
      f16: model.bytesAs({ dtype: "f16", quantize: undefined }),
      int8: model.bytesAs({ dtype: "f16", quantize: "int8" }),
      int4: model.bytesAs({ dtype: "f16", quantize: "int4" }),
    },
    activations,
    mode: fitting?.mode,
    bytes: fitting?.bytes ?? Math.min(...footprints.map(({ bytes }) => bytes)),
  };
}

/** The plan as a small table, and a line that says what runs. */
export function describePlan(plan: MemoryPlan, title: string): string {
  const { parts, memory } = plan;
  const cell = plan.largest < 1e9 ? megabytes : gigabytes; // a table of a small model in GB would say 0.00
  const rows = [
    [cell === megabytes ? "MB" : "GB", "f32", "f16", "int8", "int4", "activations", "taken"],
    ...parts.map(({ name, weights: { f32, f16, int8, int4 }, activations, mode, bytes }) => [
      name,
      ...[f32, f16, int8, int4, activations].map(cell),
      mode ? `${cell(bytes)} ${mode}` : `${cell(bytes)} do not fit`,
    ]),
  ];
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const line = (row: string[]) =>
    row.map((text, i) =>
      i === 0 || i === row.length - 1 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)
    )
      .join("  ").trimEnd();
  const there = memory === Infinity ? "in unknown memory" : `in ${amount(memory)}`;
  const taken = `taken: weights as they lie, activations, ${
    megabytes(SMALL_BUFFERS)
  } MB for staging and what is small`;
  return [`${title} ${there}:`, ...rows.map(line), taken, describeVerdict(plan)].join("\n");
}

const WORDS: Record<Exclude<WeightMode, "whole">, string> = {
  "in parts": "in parts",
  int8: "in int8",
  "int8 in parts": "in int8 in parts",
  "int4 in parts": "in int4 in parts",
  int4: "in int4",
  streamed: "from the disk",
};

/** One line: what runs, and what to do where nothing does. */
export function describeVerdict(plan: MemoryPlan): string {
  const { parts, together, largest, runs } = plan;
  const how = parts.flatMap(({ name, mode = "whole" }) => mode === "whole" ? [] : `${name} ${WORDS[mode]}`);
  const rest = how.length ? `, ${how.join(", ")}` : "";
  switch (runs) {
    case "resident":
      return `Runs with all models in memory${rest}: ${amount(together)}`;
    case "in turn":
      return `Runs with one model at a time${rest}: at most ${amount(largest)}`;
    case "not":
      return `Does not fit: ${describeLack(plan)}; draw smaller pictures, or fewer at once`;
  }
}

/** The first part that fits in no way, and what it takes; of plans where nothing runs. */
export function describeLack({ parts }: MemoryPlan): string {
  const { name, bytes } = parts.find(({ mode }) => !mode)!;
  return `${name} takes ${amount(bytes)} at least`;
}

function amount(bytes: number): string {
  return bytes < 1e9 ? `${megabytes(bytes)} MB` : `${gigabytes(bytes)} GB`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(2);
}
