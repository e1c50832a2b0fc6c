// Matrices that a subgroup multiplies at once, [M, K] · [K, N] → [M, N], f16 with sums in f32. Here is all that depends
// on the form of Dawn's experimental built-in functions. Arrays of them are set to zero element by element, by `Sums(0)`:
// in an array that is declared without, or as `array<…>()`, Mesa 25's RADV leaves whatever its compiler had in memory.
// Host sets: M, N, K.
const M: u32 = 16;
const N: u32 = 16;
const K: u32 = 16;
alias Left = subgroup_matrix_left<f16, K, M>;
alias Right = subgroup_matrix_right<f16, N, K>;
alias Sums = subgroup_matrix_result<f32, N, M>;
