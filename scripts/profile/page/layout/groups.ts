import { fullPath, shapeText } from "../../figures.ts";
import type { Profile, ProfileRow } from "../../form.ts";
import { namesOf } from "./names.ts";

/** A way to count rows together: its name, and that of a row's group. */
export type Grouping = readonly [name: string, nameOf: (row: ProfileRow) => string];

/** Ways to count the rows of a profile together; the model is named only where there are several. */
export function groupingsOf({ rows }: Profile): Grouping[] {
  const models = new Set(rows.flatMap(({ model }) => model || []));
  const pathOf = (row: ProfileRow) => models.size === 1 && row.path ? row.path : fullPath(row);
  return [
    ["module and kernel", (row) => `${pathOf(row)} ${row.kernel} ${shapeText(row)}`],
    ["kernel", ({ kernel }) => kernel],
    ["kernel and shape", (row) => `${row.kernel} ${shapeText(row)}`],
    ["module", pathOf],
    ["block", (row) => namesOf(pathOf(row)).slice(0, models.size === 1 ? 1 : 2).join(".")],
  ];
}
