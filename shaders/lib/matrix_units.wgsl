// Matrices that a subgroup multiplies at once, [M, K] · [K, N] → [M, N], f16 with sums in f32. Here is all that depends
// on the form of Dawn's experimental built-in functions.
// Host sets: M, N, K.
const M: u32 = 16;
const N: u32 = 16;
const K: u32 = 16;
alias Left = subgroup_matrix_left<f16, K, M>;
alias Right = subgroup_matrix_right<f16, N, K>;
alias Sums = subgroup_matrix_result<f32, N, M>;
