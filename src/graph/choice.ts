import type { Device } from "../gpu/device.ts";
import type { Candidate, KernelSpec } from "./node.ts";

/** The candidate that computes a kernel on a device: the one asked for where it is right there, else the best guess. */
export function choose(device: Device, { candidates }: KernelSpec): Candidate {
  const { candidate: asked } = device.choice;
  return candidates.find(({ name }) => asked && name.includes(asked)) ?? candidates[0]!;
}
