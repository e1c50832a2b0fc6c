import type { Recipe } from "denoise";
import type { Interruption } from "./interruption.ts";

/** How far a request is. */
export type DrawProgress =
  | {
    readonly phase: "waiting";
    /** Requests in front of it. */
    readonly ahead: number;
  }
  | {
    /** Models and LoRAs come, and the prompt is read. */
    readonly phase: "loading";
  }
  | {
    readonly phase: "drawing";
    /** The step that is computed, from 1. */
    readonly step: number;
    /** Steps of the pictures that are drawn now. */
    readonly steps: number;
    /** Pictures that are done. */
    readonly drawn: number;
    /** Pictures that are drawn together now. */
    readonly together: number;
    /** All pictures. */
    readonly count: number;
  }
  | {
    /** A step is profiled. */
    readonly phase: "measuring";
    /** Part of the runs that is done, 0 to 1. */
    readonly part: number;
  };

/** Options of drawing a request. */
export interface DrawOptions {
  /** Ends it: while it waits at once, else between two steps. */
  readonly signal?: AbortSignal | undefined;
  /** Ends pictures early, which are given as far as they are. */
  readonly interruption?: Interruption | undefined;
  /** Told how far it is. */
  readonly onProgress?: ((progress: DrawProgress) => void) | undefined;
  /** Takes small pictures of what is drawn, a pixel for each latent, as PNG; those that are drawn at once stand side by side. */
  readonly onPreview?: ((png: Uint8Array, step: number) => void | Promise<void>) | undefined;
  /** True for a step, counted from 0, of so many, whose small picture is wanted; asked as it comes. All by default. */
  readonly wantsPreview?: ((step: number, steps: number) => boolean) | undefined;
  /** Takes each picture, counted from 0, when it is done; they are drawn one after the other then. */
  readonly onPicture?: ((picture: DrawnPicture, index: number) => void | Promise<void>) | undefined;
}

/** A picture of a request. */
export interface DrawnPicture {
  /** Its file, with the recipe in it, unless it was ended early, as the recipe would not give that again. */
  readonly png: Uint8Array;
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
  /** All that decided its pixels, its seed among them. */
  readonly recipe: Recipe;
}

/** What became of a request. */
export interface Drawing {
  /** One for each seed, or fewer where the request was interrupted. */
  readonly pictures: readonly DrawnPicture[];
  /** Lines on what was done otherwise than asked, e.g. on words of a prompt that were cut. */
  readonly notices: readonly string[];
}
