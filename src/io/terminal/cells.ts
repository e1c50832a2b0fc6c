/** A part of a terminal, in characters. */
export interface Cells {
  readonly columns: number;
  readonly rows: number;
}

const ROWS = 16; // of a picture that is not wider than the terminal

/** Cells for a picture in a terminal of some size: cells are twice as high as wide, or nearly so. */
export function cellsFor({ width, height }: { width: number; height: number }, terminal: Cells): Cells {
  const most = Math.max(1, Math.min(ROWS, terminal.rows - 2)); // a line for the bar, and one that stays free
  const columns = Math.max(1, Math.min(terminal.columns, Math.round(2 * most * width / height)));
  const rows = Math.max(1, Math.min(most, Math.round(columns * height / width / 2)));
  return { columns, rows };
}
