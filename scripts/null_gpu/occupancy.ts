/** Occupancy of AMD's GPUs, and what limits it. */
import type { Family } from "./layer.ts";

/** Subgroups that a SIMD holds at once: while some wait for memory, others compute. */
export interface Occupancy {
  /** As the compiler tells it. */
  readonly subgroups: number;
  /** As many as the hardware holds. */
  readonly most: number;
  /** What allows no more; "hardware" where `most` are there, "unknown" where no limit explains it. */
  readonly limit: "hardware" | "VGPRs" | "SGPRs" | "LDS" | "unknown";
}

/** What a subgroup takes, in the compiler's figures. */
export interface Taken {
  readonly lanes: number;
  readonly vgprs: number;
  readonly sgprs: number;
  /** Bytes of a workgroup. */
  readonly lds: number;
  /** "Subgroups per SIMD": of 64 lanes each counts twice on RDNA. */
  readonly subgroups: number;
}

/** A SIMD's means. */
interface Simd {
  readonly subgroups: number;
  /**
   * Vector registers for subgroups of 64 lanes; twice as many for 32. They are given out in 64 equal parts.
   */
  readonly vgprs: number;
  /** Scalar registers, where subgroups share them. */
  readonly sgprs?: number;
  /** Bytes: a SIMD's part of what the SIMDs share that run a workgroup. */
  readonly lds: number;
}

const RDNA2: Simd = { subgroups: 16, vgprs: 512, lds: 32768 };

/**
 * As Mesa 25.0.7's null device has them (AMD's documents of the instruction sets say the same, but for
 * gfx1201, whose GPUs have 768 vector registers where Mesa counts 512).
 */
const SIMDS: Readonly<Record<Family, Simd>> = {
  vega10: { subgroups: 10, vgprs: 256, sgprs: 800, lds: 16384 },
  navi10: { subgroups: 20, vgprs: 512, lds: 32768 },
  navi21: RDNA2,
  navi31: { ...RDNA2, vgprs: 768 },
  gfx1201: RDNA2,
};

/** The occupancy of a kernel with workgroups of so many invocations. */
export function occupancyOf(family: Family, taken: Taken, invocations: number): Occupancy {
  const simd = SIMDS[family];
  const halves = family === "vega10" ? 1 : taken.lanes / 32;
  const subgroups = taken.subgroups / halves;
  const [least] = limitsOf(simd, taken, invocations).sort((a, b) => a.allows - b.allows);
  const limit = least!.allows === subgroups ? least!.limit : "unknown";
  return { subgroups, most: simd.subgroups, limit };
}

/** How many subgroups each of a SIMD's means allows. */
function limitsOf(
  simd: Simd,
  { lanes, vgprs, sgprs, lds }: Taken,
  invocations: number,
): { limit: Occupancy["limit"]; allows: number }[] {
  const ofWorkgroup = Math.ceil(invocations / lanes);
  const ldsOfSubgroup = Math.floor(lds / ofWorkgroup);
  return [
    { limit: "hardware", allows: simd.subgroups },
    { limit: "VGPRs", allows: Math.floor(simd.vgprs * (64 / lanes) / Math.max(1, vgprs)) },
    { limit: "SGPRs", allows: simd.sgprs ? Math.floor(simd.sgprs / (Math.ceil(sgprs / 16) * 16)) : Infinity },
    { limit: "LDS", allows: ldsOfSubgroup ? Math.ceil(simd.lds / ldsOfSubgroup) : Infinity },
  ];
}
