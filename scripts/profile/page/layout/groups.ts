import { fullPath, shapeText } from "../../figures.ts";
import type { ProfileRow } from "../../form.ts";
import { namesOf } from "./names.ts";

/** Ways to count rows together: a name for the choice, and that of a row's group. */
export const GROUPS: readonly (readonly [string, (row: ProfileRow) => string])[] = [
  ["module and kernel", (row) => `${fullPath(row)} ${row.kernel} ${shapeText(row)}`],
  ["kernel", ({ kernel }) => kernel],
  ["kernel and shape", (row) => `${row.kernel} ${shapeText(row)}`],
  ["module", fullPath],
  ["block", (row) => namesOf(fullPath(row)).slice(0, 2).join(".")],
];
