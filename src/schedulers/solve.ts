/** x of A x = b, by elimination with the largest pivots: for the small systems of multistep methods. */
export function solve(A: readonly (readonly number[])[], b: readonly number[]): number[] {
  const rows = A.map((row, i) => [...row, b[i]]);
  rows.forEach((_, column) => {
    const pivot = rows.slice(column).reduce((a, b) => Math.abs(b[column]!) > Math.abs(a[column]!) ? b : a);
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(column, 0, pivot);
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = row[column]! / pivot[column]!;
      for (let j = column; j < row.length; j++) row[j]! -= factor * pivot[j]!;
    }
  });
  return rows.map((row, i) => row[row.length - 1]! / row[i]!);
}
