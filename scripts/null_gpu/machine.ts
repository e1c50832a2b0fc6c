/** Reads what the compiler of a null GPU says of pipelines, in the files that its layer writes. */
import { join } from "node:path";
import { hotLoop, type Loop } from "./hot_loop.ts";
import type { Family } from "./layer.ts";
import { type Occupancy, occupancyOf } from "./occupancy.ts";

/** What a pipeline was compiled to. */
export interface Machine {
  readonly family: Family;
  /** The compiler, e.g. "radv: Mesa 25.0.7". */
  readonly driver: string;
  /** Lanes of a subgroup. */
  readonly lanes: number;
  /** Vector registers of a lane and scalar registers of a subgroup. */
  readonly vgprs: number;
  readonly sgprs: number;
  /** Registers of both kinds that did not fit, and bytes of scratch memory of a subgroup. */
  readonly spilled: number;
  readonly scratch: number;
  /** Bytes of workgroup memory. */
  readonly lds: number;
  readonly occupancy: Occupancy;
  /** Bytes of code, and instructions. */
  readonly codeBytes: number;
  readonly instructions: number;
  /**
   * What its hottest loop does; undefined where none multiplies, or where the driver cannot print the code.
   */
  readonly loop?: Loop | undefined;
  /** The machine code; where the driver cannot print that, its last form before it. */
  readonly code: string;
}

/** The files that a null GPU's layer writes: see null_gpu.c. */
export class MachineFiles {
  readonly #stats: string;
  readonly #folder: string;
  readonly #family: Family;
  readonly #driver: string;
  /** Pipelines that were told of. */
  #told = 0;

  /** For files of NULL_GPU_STATS and NULL_GPU_CODE. */
  constructor(files: { stats: string; folder: string; family: Family; driver: string }) {
    this.#stats = files.stats;
    this.#folder = files.folder;
    this.#family = files.family;
    this.#driver = files.driver;
  }

  /**
   * What the one pipeline that was compiled since the last call was compiled to; `invocations` of a workgroup
   * tell its occupancy. Throws where there is not exactly one, as no name tells several apart.
   */
  async next(invocations: number): Promise<Machine> {
    const lines = (await Deno.readTextFile(this.#stats)).trim().split("\n");
    const number = this.#told++;
    if (lines.length !== this.#told) {
      throw new Error(
        `Cannot tell pipelines apart: expected ${this.#told} on ${this.#family}, got ${lines.length}`,
      );
    }
    const statistics = JSON.parse(lines[number]!) as Record<string, number>;
    const file = join(this.#folder, `${String(number).padStart(3, "0")}.txt`);
    const text = await Deno.readTextFile(file);
    const of = (name: string) => statistics[name] ?? 0;
    const assembly = text.slice(text.lastIndexOf("==== Assembly"));
    const code = assembly.slice(assembly.indexOf("\n") + 1);
    const loop = hotLoop(text);
    return {
      family: this.#family,
      driver: this.#driver,
      lanes: of("Subgroup size"),
      vgprs: of("VGPRs"),
      sgprs: of("SGPRs"),
      spilled: of("Spilled VGPRs") + of("Spilled SGPRs"),
      scratch: of("Scratch size"),
      lds: of("LDS size"),
      occupancy: occupancyOf(this.#family, {
        lanes: of("Subgroup size"),
        vgprs: of("VGPRs"),
        sgprs: of("SGPRs"),
        lds: of("LDS size"),
        subgroups: of("Subgroups per SIMD"),
      }, invocations),
      codeBytes: of("Code size"),
      instructions: of("Instructions"),
      ...loop && { loop },
      code,
    };
  }
}
