// Weights of a 3 × 3 convolution as Winograd's F(2×2, 3×3) multiplies them (Lavin & Gray 2015): U = G g Gᵀ for each pair
// of channels, 16 numbers of 9, U [16, outputs, inputs]. w: see gemm/operands/w_*; Params: see gemm/operands/conv_params.wgsl.
// An invocation transforms 4 outputs of 4 inputs, and store(number in U, output, input, four inputs) takes them.
// Beyond the last input U repeats it: pixels are zero there. With lib/element_main.wgsl.
fn run(place: u32) {
  let quads = (params.k + 3) / 4;
  let n = place / quads * 4;
  let k = place % quads * 4;
  if (n >= params.n) {
    return;
  }
  let g0 = rows_of_g(n, k, 0);
  let g1 = rows_of_g(n, k, 3);
  let g2 = rows_of_g(n, k, 6);
  put_row(0, n, k, g0);
  put_row(4, n, k, Line(0.5 * (g0.a + g1.a + g2.a), 0.5 * (g0.b + g1.b + g2.b), 0.5 * (g0.c + g1.c + g2.c)));
  put_row(8, n, k, Line(0.5 * (g0.a - g1.a + g2.a), 0.5 * (g0.b - g1.b + g2.b), 0.5 * (g0.c - g1.c + g2.c)));
  put_row(12, n, k, g2);
}

/// Three numbers across, for 4 inputs (columns) and 4 outputs (rows) each.
struct Line {
  a: mat4x4f,
  b: mat4x4f,
  c: mat4x4f,
}

fn rows_of_g(n: u32, k: u32, tap: u32) -> Line {
  return Line(values_w(fetch_w(0, n, tap, k)), values_w(fetch_w(0, n, tap + 1, k)), values_w(fetch_w(0, n, tap + 2, k)));
}

/// Stores a line of G g times Gᵀ.
fn put_row(first: u32, n: u32, k: u32, t: Line) {
  put(first, n, k, t.a);
  put(first + 1, n, k, 0.5 * (t.a + t.b + t.c));
  put(first + 2, n, k, 0.5 * (t.a - t.b + t.c));
  put(first + 3, n, k, t.c);
}

fn put(number: u32, n: u32, k: u32, u: mat4x4f) {
  let rows = transpose(u);
  store(number, n, k, rows[0]);
  store(number, n + 1, k, rows[1]);
  store(number, n + 2, k, rows[2]);
  store(number, n + 3, k, rows[3]);
}
