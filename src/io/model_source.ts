import type { Checkpoint } from "./formats/checkpoint.ts";

/** A model's config, and where its weights lie: in a folder, in a single file, or on the hub. */
export interface ModelSource {
  /** What config.json says, or would say. */
  readonly json: Record<string, unknown>;
  /** What errors about the config name. */
  readonly configPath: string;
  /** The file that errors about the weights name. */
  readonly where: string;
  /** Of the repository; what lies on this machine has none. */
  readonly commit?: string | undefined;
  /**
   * Opens the weights: their headers are read and checked, no tensor is.
   * Called for each time that they are loaded.
   */
  open(): Promise<Checkpoint>;
}
