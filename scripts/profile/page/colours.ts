// @ts-types="@types/d3"
import * as d3 from "d3";
import { byId } from "./dom.ts";
import type { Profile } from "../form.ts";
import { msOf } from "../figures.ts";

const PALETTE = d3.schemeObservable10.slice(0, 9);
const OTHER = "#8b8f98";

/** Colours of the host's work, duller than those of kernels. */
export const HOST_COLOURS: Readonly<Record<string, string>> = {
  record: "#8d7fb3",
  fuse: "#b394bd",
  prepare: "#b8965c",
  encode: "#5f8db0",
  submit: "#6aa08c",
  wait: OTHER,
};

/** A colour for each kernel: those that take longest have one of their own, in all views the same. */
export function kernelColours(profiles: readonly Profile[]): (kernel: string) => string {
  const rows = profiles.flatMap(({ rows }) => rows);
  const names = [...Map.groupBy(rows, ({ kernel }) => kernel)].sort(([, a], [, b]) => msOf(b) - msOf(a))
    .map(([kernel]) => kernel);
  const colours = new Map(names.map((name, i) => [name, PALETTE[i] ?? OTHER]));
  return (kernel) => colours.get(kernel) ?? OTHER;
}

/** Black or white, whichever is read better on a colour. */
export function inkOn(colour: string): string {
  return d3.lab(colour).l > 58 ? "#101216" : "#ffffff";
}

/** A colour of the page's theme, for canvases. */
export function themeColour(name: string): string {
  return getComputedStyle(byId("page")).getPropertyValue(`--${name}`).trim();
}
